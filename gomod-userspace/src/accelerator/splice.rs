// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies a connection both ways as it is: every byte, the end of each direction by itself, and resets as resets.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes on their way in one direction.
const BUFFER_LEN: usize = 32 * 1024;

/// As often as `go` itself asks whether its peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How much was copied.
#[derive(Debug, Default)]
pub(super) struct Copied {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Copied {
    /// Bytes from the client, then bytes to it.
    pub(super) fn totals(&self) -> (u64, u64) {
        (
            self.sent.load(Ordering::Relaxed),
            self.received.load(Ordering::Relaxed),
        )
    }
}

/// Why a spliced connection did not end in order.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpliceError {
    #[error("cannot connect to {destination}: {error}")]
    Connect {
        destination: SocketAddr,
        error: io::Error,
    },
    #[error("{0}")]
    Proxy(io::Error),
    #[error("the client broke the connection: {0}")]
    Client(io::Error),
    #[error("{destination} broke the connection: {error}")]
    Destination {
        destination: SocketAddr,
        error: io::Error,
    },
    #[error("the run ended")]
    Stopped,
}

/// Makes closing `stream` a reset, until [`close_in_order`].
pub(super) fn close_by_reset(stream: &TcpStream) -> io::Result<()> {
    stream.set_zero_linger()
}

/// Makes closing `stream` an ordinary end: what was written still arrives.
pub(super) fn close_in_order(stream: &TcpStream) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(stream, None)?)
}

/// Finds peers that vanished, and sends what is written at once.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE)?;
    Ok(())
}

/// Connects to where the client wanted to go; given up when the client is. Until both ends are done, dropping the
/// connection resets it.
pub(super) async fn connect(
    client: &TcpStream,
    destination: SocketAddr,
) -> Result<TcpStream, SpliceError> {
    let connected = tokio::select! {
        connected = TcpStream::connect(destination) => connected,
        _ = client.ready(Interest::ERROR) => return Err(SpliceError::Client(reset())),
    };
    connected
        .and_then(|stream| {
            close_by_reset(&stream)?;
            prepare(&stream)?;
            Ok(stream)
        })
        .map_err(|error| SpliceError::Connect { destination, error })
}

/// Copies between `client` and `server`, `to_server` and `to_client` first, until both directions ended or one side
/// broke. `stop` ends it as a reset. Both sockets must close by reset so far; they are closed when this returns.
pub(super) async fn copy(
    client: TcpStream,
    (server, destination): (TcpStream, SocketAddr),
    (to_server, to_client): (Bytes, Bytes),
    copied: &Copied,
    stop: impl Future<Output = ()>,
) -> Result<(), SpliceError> {
    let of_client = SpliceError::Client;
    let of_server = |error| SpliceError::Destination { destination, error };
    prepare(&client).map_err(of_client)?;
    let mut up = std::pin::pin!(pump(&client, &server, to_server, &copied.sent));
    let mut down = std::pin::pin!(pump(&server, &client, to_client, &copied.received));
    let mut stop = std::pin::pin!(stop);
    let (mut up_ended, mut down_ended) = (false, false);
    while !(up_ended && down_ended) {
        // An end whose data is all copied is still watched: the other side must hear of its reset.
        tokio::select! {
            ended = &mut up, if !up_ended => match ended {
                Ok(()) => up_ended = true,
                Err(Broken::Source(error)) => return Err(of_client(error)),
                Err(Broken::Sink(error)) => return Err(of_server(error)),
            },
            ended = &mut down, if !down_ended => match ended {
                Ok(()) => down_ended = true,
                Err(Broken::Source(error)) => return Err(of_server(error)),
                Err(Broken::Sink(error)) => return Err(of_client(error)),
            },
            _ = client.ready(Interest::ERROR), if up_ended => return Err(of_client(reset())),
            _ = server.ready(Interest::ERROR), if down_ended => return Err(of_server(reset())),
            () = &mut stop => return Err(SpliceError::Stopped),
        }
    }
    close_in_order(&client).map_err(SpliceError::Client)?;
    close_in_order(&server).map_err(|error| SpliceError::Destination { destination, error })
}

/// Which end of a direction broke.
enum Broken {
    Source(io::Error),
    Sink(io::Error),
}

/// One direction: `first`, then all of `source` until its end, which is passed on.
async fn pump(
    source: &TcpStream,
    sink: &TcpStream,
    first: Bytes,
    copied: &AtomicU64,
) -> Result<(), Broken> {
    write(source, sink, &first, copied).await?;
    drop(first);
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        source.readable().await.map_err(Broken::Source)?;
        match source.try_read(&mut buffer) {
            Ok(0) => {
                return shutdown(sink, Shutdown::Write).map_err(|error| Broken::Sink(error.into()));
            }
            Ok(length) => write(source, sink, &buffer[..length], copied).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Broken::Source(error)),
        }
    }
}

/// Writes all of `bytes`. While the sink takes nothing, the source may break: that must not wait for the sink.
async fn write(
    source: &TcpStream,
    sink: &TcpStream,
    mut bytes: &[u8],
    copied: &AtomicU64,
) -> Result<(), Broken> {
    while !bytes.is_empty() {
        match sink.try_write(bytes) {
            Ok(length) => {
                bytes = &bytes[length..];
                copied.fetch_add(length as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::select! {
                    biased;
                    writable = sink.writable() => writable.map_err(Broken::Sink)?,
                    _ = source.ready(Interest::ERROR) => return Err(Broken::Source(reset())),
                }
            }
            Err(error) => return Err(Broken::Sink(error)),
        }
    }
    Ok(())
}

fn reset() -> io::Error {
    io::Error::from_raw_os_error(libc::ECONNRESET)
}
