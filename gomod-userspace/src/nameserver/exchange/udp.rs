// SPDX-License-Identifier: MIT OR Apache-2.0
//! A datagram each way.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The longest datagram.
const MAX_LEN: usize = 65_535;

/// Sends `message` from a port that the kernel chooses at random, and waits, without end, for a datagram from `server`
/// that `accept` takes. Others are passed over; the socket is connected, so that the kernel keeps away what comes from
/// anywhere else.
pub(super) async fn exchange<T>(
    server: SocketAddr,
    message: &[u8],
    mut accept: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<T> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    loop {
        // A port that is shut is told as an error, not as something to read.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            // It was told already: wait for the next.
            let _ = socket.try_io(Interest::ERROR, || -> io::Result<()> {
                Err(io::ErrorKind::WouldBlock.into())
            });
        }
        if let Some(accepted) = receive(&socket, &mut accept)? {
            return Ok(accepted);
        }
    }
}

/// The buffer lives no longer than this: many exchanges wait at once, and few of them are read at the same time.
fn receive<T>(
    socket: &UdpSocket,
    accept: &mut impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let mut buffer = Vec::with_capacity(MAX_LEN);
    loop {
        buffer.clear();
        match socket.try_recv_buf(&mut buffer) {
            Ok(_) => {
                if let Some(accepted) = accept(&buffer) {
                    return Ok(Some(accepted));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
