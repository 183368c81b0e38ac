// SPDX-License-Identifier: MIT OR Apache-2.0
//! One message to one nameserver, and what comes back.

mod https;
mod stream;
mod tls;
mod udp;

pub(super) use https::Https;
pub use https::UnexpectedStatus;
pub(super) use stream::{read_message, write_message};
pub use tls::NoAddress;
pub(super) use tls::Tls;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection, a question and its answer; also the longest that a datagram passed on as it is may be waited for.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// Sends `message` from a fresh port and gives the first datagram from that server that `accept` takes.
pub(super) async fn by_udp<T>(
    server: SocketAddr,
    message: &[u8],
    accept: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<T> {
    udp::exchange(server, message, accept).await
}

/// Sends `message` on a connection of its own.
pub(super) async fn by_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    in_time(async {
        let mut stream = connect(server).await?;
        write_message(&mut stream, message).await?;
        read_message(&mut stream).await?.ok_or_else(ended)
    })
    .await
}

/// A connection for a message.
pub(super) async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// At most [`LONGEST`].
pub(super) async fn in_time<T>(exchange: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(LONGEST, exchange).await.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", LONGEST.as_secs()),
        ))
    })
}

/// The server closed the connection in place of an answer.
fn ended() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the server closed the connection before it answered",
    )
}

/// A transaction number that nobody can guess.
pub(super) fn random_id() -> io::Result<u16> {
    let mut id = [0; 2];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| io::Error::other("the kernel gave no random numbers"))?;
    Ok(u16::from_be_bytes(id))
}
