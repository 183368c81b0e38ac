// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many short connections: a client that is traced, and a server on our side.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use nix::sys::resource::UsageWho;
use rustix::net::Shutdown;

use crate::{hello, timed::Taken};

/// Name in the ClientHello.
const NAME: &str = "proxy.golang.org";

/// Connections are spread over this many loopback addresses: a closed one keeps its pair of ports for a minute.
const ADDRESSES: u32 = 100;

/// What the client does.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Port of the server, on every loopback address.
    #[arg(long)]
    pub(crate) port: u16,
    /// How many connections in all.
    #[arg(long)]
    pub(crate) count: u32,
    /// How many at once.
    #[arg(long)]
    pub(crate) at_once: u32,
}

/// Opens the connections, says hello, reads the answer and closes; prints what that took, without our own start and end.
pub(crate) fn send(load: &Load) -> Result<()> {
    let hello = hello::client_hello(NAME);
    let answer = hello::server_hello().len();
    let next = AtomicU32::new(0);
    Taken::by(UsageWho::RUSAGE_SELF, || {
        thread::scope(|scope| {
            (0..load.at_once)
                .map(|_| scope.spawn(|| send_in_turn(load, &next, &hello, answer)))
                .collect::<Vec<_>>()
                .into_iter()
                .try_for_each(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
        })
        .context("a connection failed")
    })?
    .print();
    Ok(())
}

fn send_in_turn(load: &Load, next: &AtomicU32, hello: &[u8], answer: usize) -> io::Result<()> {
    let mut buffer = vec![0; answer];
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.count {
            return Ok(());
        }
        let host = Ipv4Addr::new(127, 0, 1, (number % ADDRESSES) as u8 + 1);
        let mut stream = TcpStream::connect(SocketAddrV4::new(host, load.port))?;
        stream.write_all(hello)?;
        stream.read_exact(&mut buffer)?;
    }
}

/// Answers hellos on `listener` with `threads` threads while `work` runs.
pub(crate) fn serve<T>(
    listener: &TcpListener,
    threads: u32,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let hello = hello::client_hello(NAME).len();
    let answer = hello::server_hello();
    thread::scope(|scope| {
        let servers = (0..threads)
            .map(|_| scope.spawn(|| answer_in_turn(listener, hello, &answer)))
            .collect::<Vec<_>>();
        let outcome = work();
        // Ends the accepts that wait (listen(2) sockets on Linux).
        rustix::net::shutdown(listener, Shutdown::Both).context("shutdown of the listener")?;
        let answered = servers
            .into_iter()
            .map(|server| {
                server
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .sum::<u32>();
        let outcome = outcome?;
        ensure!(answered > 0, "the server answered nobody");
        Ok(outcome)
    })
}

/// Returns how many it answered, once the listener is shut down.
fn answer_in_turn(listener: &TcpListener, hello: usize, answer: &[u8]) -> u32 {
    let mut buffer = vec![0; hello];
    let mut answered = 0;
    while let Ok((mut stream, _)) = listener.accept() {
        // A client that fails says so itself.
        let done = stream
            .read_exact(&mut buffer)
            .and_then(|()| stream.write_all(answer))
            .and_then(|()| stream.read(&mut buffer));
        answered += u32::from(done.is_ok());
    }
    answered
}
