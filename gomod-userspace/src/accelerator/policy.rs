// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be intercepted, process by process.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Origin;

/// What to do with the traffic of one process, from its effective settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Hosts that serve it modules or checksums, lower case and without a final dot, each with its port.
    pub module_hosts: BTreeSet<(String, u16)>,
    /// The HTTP proxies that it is configured to use; a `CONNECT` is looked into on the way to these only.
    pub http_proxies: Vec<ProxyEndpoint>,
    /// It reads other certificate files than the command was started with, so that it can't know the run's authority.
    pub trusts_others: bool,
}

/// Where an HTTP proxy listens, as the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyEndpoint {
    /// A name or an address without brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// What is known of the process that a connection belongs to.
#[derive(Clone, Debug)]
pub enum Known {
    /// Its settings.
    Policy(Arc<Policy>),
    /// Its settings can't be read: its connections are spliced.
    LeftAlone,
    /// Nothing yet: it has only just been executed. The connection waits a little.
    NotYet,
}

/// Who knows the settings of processes.
pub trait Policies: Send + Sync + 'static {
    /// What is known of the process that `origin` belongs to. Called on a thread of the runtime: it must not wait.
    fn known(&self, origin: &Origin) -> Known;
}

impl Policy {
    /// Whether `host` (lower case) serves modules to this process on `port`.
    pub fn carries(&self, host: &str, port: u16) -> bool {
        self.module_hosts
            .iter()
            .any(|(known, on)| *on == port && known == host)
    }

    /// Ports that the process's module traffic goes to.
    pub fn ports(&self) -> BTreeSet<u16> {
        let hosts = self.module_hosts.iter().map(|(_, port)| *port);
        let proxies = self.http_proxies.iter().map(|proxy| proxy.port);
        hosts.chain(proxies).collect()
    }

    /// Whether `destination` can be one of the process's HTTP proxies. A proxy known by name is recognised by its
    /// port: which address the name stood for is the process's own affair.
    pub fn leads_to_proxy(&self, destination: SocketAddr) -> bool {
        self.http_proxies.iter().any(|proxy| {
            proxy.port == destination.port()
                && proxy
                    .host
                    .parse::<IpAddr>()
                    .map_or(true, |address| address == destination.ip().to_canonical())
        })
    }
}
