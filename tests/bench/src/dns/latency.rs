// SPDX-License-Identifier: MIT OR Apache-2.0
//! From query to answer, one after the other.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::query;

/// Longer than any resolver here takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks one resolver, always from the same socket.
pub(super) struct Client {
    socket: UdpSocket,
    resolver: SocketAddr,
    asked: u16,
}

impl Client {
    pub(super) fn new(resolver: SocketAddr) -> Result<Self> {
        Ok(Self {
            socket: connect(resolver, PATIENCE)?,
            resolver,
            asked: 0,
        })
    }

    /// What the answer took.
    pub(super) fn ask(&mut self, name: &str) -> Result<Duration> {
        self.asked = self.asked.wrapping_add(1);
        ask(&self.socket, name, self.asked)
            .with_context(|| format!("asking {} for {name}", self.resolver))
    }
}

/// Asks for one name.
pub(super) fn one(resolver: SocketAddr, name: &str, patience: Duration) -> Result<Duration> {
    ask(&connect(resolver, patience)?, name, 1)
}

fn connect(resolver: SocketAddr, patience: Duration) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("cannot bind a client")?;
    socket
        .connect(resolver)
        .context("cannot connect a client")?;
    socket
        .set_read_timeout(Some(patience))
        .context("cannot set a timeout")?;
    Ok(socket)
}

fn ask(socket: &UdpSocket, name: &str, id: u16) -> Result<Duration> {
    let query = query::address_of(name, id);
    let mut buffer = [0; 2048];
    let sent = Instant::now();
    socket.send(&query).context("cannot send")?;
    let len = socket.recv(&mut buffer).context("no answer")?;
    let took = sent.elapsed();
    let answer = &buffer[..len];
    if answer.get(..2) != Some(&query[..2]) || !answer.ends_with(&[127, 0, 0, 9]) {
        bail!("the answer is not the nameserver's: {answer:x?}");
    }
    Ok(took)
}
