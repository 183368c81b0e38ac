// SPDX-License-Identifier: MIT OR Apache-2.0
//! The nameserver behind all resolvers: answers every name, after a while.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;

use super::{
    process::{Process, announced, own_command},
    query,
};

/// A nameserver in a process of its own.
pub(super) struct Nameserver {
    _process: Process,
    address: SocketAddr,
}

/// What that process does.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct Served {
    /// How long to wait before each answer, µs.
    delay: u64,
}

impl Nameserver {
    pub(super) fn start(delay: Duration) -> Result<Self> {
        let mut command = own_command()?;
        command
            .arg("dns-nameserver")
            .arg(delay.as_micros().to_string());
        let (process, address) = announced(command)?;
        Ok(Self {
            _process: process,
            address,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves until it is killed.
pub(crate) fn serve(served: &Served) -> Result<()> {
    let delay = Duration::from_micros(served.delay);
    let socket = UdpSocket::bind("127.0.0.1:0").context("cannot bind the nameserver")?;
    println!("{}", socket.local_addr()?);
    let answers = socket.try_clone()?;
    let (sender, due) = mpsc::channel::<(Instant, SocketAddr, Vec<u8>)>();
    thread::spawn(move || {
        // All wait for the same time, so that the order stays.
        for (at, client, answer) in due {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let _ = answers.send_to(&answer, client);
        }
    });
    let mut buffer = [0; 2048];
    loop {
        // Errors here are those of clients that are gone.
        let Ok((len, client)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Some(answer) = query::answer(&buffer[..len]) {
            let _ = sender.send((Instant::now() + delay, client, answer));
        }
    }
}
