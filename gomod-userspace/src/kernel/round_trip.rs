// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far the other end of a connection of ours is, as the kernel reckons.

use std::{
    os::fd::{AsFd, AsRawFd as _},
    time::Duration,
};

/// The smoothed round-trip time of a TCP connection (`tcpi_rtt` of tcp(7)'s `TCP_INFO`); `None` while none is measured,
/// and for other sockets.
#[expect(unsafe_code, reason = "no safe wrapper knows this socket option")]
pub fn round_trip(socket: impl AsFd) -> Option<Duration> {
    // SAFETY: plain numbers, for which zero bytes are valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the option writes at most `length` bytes to `info`; an older kernel writes fewer.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (failed == 0 && info.tcpi_rtt > 0).then(|| Duration::from_micros(info.tcpi_rtt.into()))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream, UdpSocket},
    };

    use super::*;

    #[test]
    fn a_connection_has_a_round_trip_and_other_sockets_have_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"?").unwrap();
        let mut byte = [0];
        server.read_exact(&mut byte).unwrap();
        server.write_all(b"!").unwrap();
        client.read_exact(&mut byte).unwrap();
        let measured = round_trip(&client).unwrap();
        assert!(measured < Duration::from_secs(10), "{measured:?}");
        assert_eq!(round_trip(UdpSocket::bind("127.0.0.1:0").unwrap()), None);
    }
}
