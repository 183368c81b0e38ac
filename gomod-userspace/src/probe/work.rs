// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tries of one host as they are made.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    Host,
    arm::{Arm, Side},
    conductor::Socket,
    results::{Fate, Try, fate},
    surroundings::Proxy,
    task::{Connect, Ending, Observation, Route},
};

/// Addresses of each family that are tried.
const ADDRESSES: usize = 2;

/// What the tries of one host share.
pub(super) struct Work<'h> {
    pub(super) host: &'h Host,
    pub(super) control: &'h Host,
    pub(super) proxy: Option<&'h Proxy>,
    pub(super) began: Instant,
    pub(super) limit: Duration,
    pub(super) sockets: Vec<Socket>,
    /// Tries in the order of their ends, each with its socket.
    pub(super) done: Vec<(Arm, Try, Option<u64>)>,
}

impl Work<'_> {
    pub(super) fn route(&self, side: Side, address: SocketAddr) -> Route {
        Route {
            address,
            connect: self.proxy.map(|proxy| {
                let host = match side {
                    Side::Target => self.host,
                    Side::Control => self.control,
                };
                Connect {
                    authority: format!("{}:{}", host.name, host.port),
                    authorization: proxy.authorization.clone(),
                }
            }),
        }
    }

    pub(super) fn note(&mut self, arm: Arm, observed: Observation) {
        if let Some(cookie) = observed.cookie {
            self.sockets.push(Socket {
                cookie,
                arm,
                ending: observed.ending.clone(),
            });
        }
        let done = Try {
            ending: observed.ending,
            took_us: observed.took_us,
            connect_us: observed.connect_us,
            seen: None,
        };
        self.done.push((arm, done, observed.cookie));
    }

    pub(super) fn fate(&self, arm: Arm) -> Fate {
        let tries: Vec<Try> = self
            .done
            .iter()
            .filter(|(of, _, _)| *of == arm)
            .map(|(_, done, _)| done.clone())
            .collect();
        fate(&tries)
    }
}

/// The addresses that the nameservers gave, or /etc/hosts; a few of each family, IPv4 first.
pub(super) fn addresses(
    work: &Work<'_>,
    side: Side,
    known: &[IpAddr],
    port: u16,
) -> Vec<SocketAddr> {
    let mut found: Vec<IpAddr> = known.to_vec();
    if found.is_empty() {
        for (arm, done, _) in &work.done {
            if let (Arm::Dns { of, .. }, Ending::Resolved { addresses, .. }) = (arm, &done.ending)
                && *of == side
            {
                found.extend(addresses);
            }
        }
    }
    found.sort();
    found.dedup();
    let few = |v6: bool| {
        found
            .iter()
            .filter(move |address| address.is_ipv6() == v6)
            .take(ADDRESSES)
    };
    few(false)
        .chain(few(true))
        .map(|address| SocketAddr::new(*address, port))
        .collect()
}
