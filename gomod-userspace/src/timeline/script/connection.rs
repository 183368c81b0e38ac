// SPDX-License-Identifier: MIT OR Apache-2.0
//! TCP connections, and TLS within them.

use std::net::SocketAddr;

use super::{
    ACK, FIN, RST, SYN, Script, Socket, client_hello,
    wire::{record, server_flight},
};
use crate::kernel::events::{
    Direction, EventKind, MonotonicNanos, Protocol, SocketCookie, Tcp, TcpMoment, TcpState, Traffic,
};

impl Script {
    pub(crate) fn connect(mut self, cookie: u64, remote: &str) -> Self {
        let remote: SocketAddr = remote.parse().expect("an address");
        let traffic = Traffic {
            cookie: SocketCookie(cookie),
            bytes_out: 0,
            bytes_in: 0,
            last_out: None,
            last_in: None,
            request: None,
            bytes_in_at_request: 0,
            response: None,
            requests: 0,
            last_in_len: 0,
            bytes_acked: 0,
        };
        self.sockets.insert(
            cookie,
            Socket {
                remote,
                sent: 0,
                received: 0,
                traffic,
            },
        );
        self.push(EventKind::Connect {
            cookie: SocketCookie(cookie),
            remote,
            protocol: Protocol::Tcp,
        })
    }

    pub(crate) fn connect_failed(self, cookie: u64, errno: u32) -> Self {
        self.push(EventKind::ConnectFailed {
            cookie: SocketCookie(cookie),
            errno,
        })
    }

    pub(crate) fn tcp_error(mut self, cookie: u64, errno: u32) -> Self {
        let remote = self.socket(cookie).remote;
        let local = SocketAddr::from(([198, 18, 0, 1], 40000 + cookie as u16));
        self.push(EventKind::SocketError {
            errno,
            protocol: Protocol::Tcp,
            local,
            remote,
        })
    }

    pub(crate) fn syn(self, cookie: u64) -> Self {
        self.packet(cookie, Direction::Egress, SYN, 64, Vec::new())
    }

    pub(crate) fn syn_ack(self, cookie: u64, ttl: u8) -> Self {
        self.packet(cookie, Direction::Ingress, SYN | ACK, ttl, Vec::new())
            .state(cookie, TcpState::SynSent, TcpState::Established)
    }

    pub(crate) fn rst(self, cookie: u64, ttl: u8) -> Self {
        self.packet(cookie, Direction::Ingress, RST | ACK, ttl, Vec::new())
    }

    pub(crate) fn fin(self, cookie: u64) -> Self {
        self.packet(cookie, Direction::Ingress, FIN | ACK, 57, Vec::new())
    }

    pub(crate) fn close(self, cookie: u64) -> Self {
        self.packet(cookie, Direction::Egress, FIN | ACK, 64, Vec::new())
            .state(cookie, TcpState::Established, TcpState::FinWait1)
            .state(cookie, TcpState::FinWait1, TcpState::Close)
    }

    pub(crate) fn state(self, cookie: u64, old: TcpState, new: TcpState) -> Self {
        self.push(EventKind::State {
            cookie: SocketCookie(cookie),
            old,
            new,
        })
    }

    pub(crate) fn send(self, cookie: u64, payload: Vec<u8>) -> Self {
        self.packet(cookie, Direction::Egress, ACK, 64, payload)
    }

    pub(crate) fn receive(self, cookie: u64, payload: Vec<u8>) -> Self {
        self.packet(cookie, Direction::Ingress, ACK, 57, payload)
    }

    /// The whole hello is sent again, as the kernel does.
    pub(crate) fn resend(mut self, cookie: u64, payload: Vec<u8>) -> Self {
        self.socket(cookie).sent -= payload.len() as u32;
        self.send(cookie, payload)
    }

    pub(crate) fn tcp(
        mut self,
        cookie: u64,
        moment: TcpMoment,
        srtt_us: u32,
        retransmits: u32,
        acked: u64,
    ) -> Self {
        let remote = self.socket(cookie).remote;
        self.push(EventKind::Tcp(Tcp {
            cookie: SocketCookie(cookie),
            moment,
            state: TcpState::Established,
            srtt_us,
            total_retransmits: retransmits,
            bytes_acked: acked,
            bytes_received: 0,
            local: SocketAddr::from(([198, 18, 0, 1], 40000 + cookie as u16)),
            remote,
        }))
    }

    /// Connects within one millisecond, whatever the clock of the script says.
    pub(crate) fn connected(self, cookie: u64, remote: &str) -> Self {
        self.connect(cookie, remote)
            .syn(cookie)
            .syn_ack(cookie, 57)
            .tcp(cookie, TcpMoment::Established, 400, 0, 1)
    }

    /// Connects and finishes a TLS handshake.
    pub(crate) fn shaken(self, cookie: u64, remote: &str) -> Self {
        self.shaken_with(cookie, remote, client_hello())
    }

    /// The same with this hello.
    pub(crate) fn shaken_with(self, cookie: u64, remote: &str, hello: Vec<u8>) -> Self {
        let mut finished = record(20, &[1]);
        finished.extend(record(23, &[0; 53]));
        self.connected(cookie, remote)
            .send(cookie, hello)
            .receive(cookie, server_flight())
            .send(cookie, finished)
            .traffic(cookie, |_, _| ())
    }

    /// What the peer sends next gets lost, and what follows comes first.
    pub(crate) fn loses(mut self, cookie: u64, bytes: u32) -> Self {
        self.socket(cookie).received += bytes;
        self
    }

    /// What is received next is what got lost.
    pub(crate) fn again(mut self, cookie: u64, bytes: u32) -> Self {
        self.socket(cookie).received -= bytes;
        self
    }

    /// A client that does not like the certificate.
    pub(crate) fn encrypted_alert(self, cookie: u64) -> Self {
        let mut alert = record(20, &[1]);
        alert.extend(record(23, &[0; 19]));
        self.send(cookie, alert)
    }

    pub(crate) fn plain_alert(self, cookie: u64, code: u8) -> Self {
        self.receive(cookie, record(21, &[2, code]))
    }

    /// A sample of the totals, after `change` was made to them.
    pub(crate) fn traffic(
        mut self,
        cookie: u64,
        change: impl Fn(&mut Traffic, MonotonicNanos),
    ) -> Self {
        let now = self.now;
        let socket = self.socket(cookie);
        socket.traffic.bytes_in = socket.traffic.bytes_in.max(socket.received.into());
        socket.traffic.bytes_out = socket.traffic.bytes_out.max(socket.sent.into());
        change(&mut socket.traffic, now);
        let traffic = socket.traffic.clone();
        self.push(EventKind::Traffic(traffic))
    }

    /// A request goes out.
    pub(crate) fn request(self, cookie: u64) -> Self {
        self.traffic(cookie, |traffic, now| {
            traffic.bytes_out += 100;
            traffic.requests += 1;
            traffic.request = Some(now);
            traffic.last_out = Some(now);
            traffic.bytes_in_at_request = traffic.bytes_in;
            traffic.response = None;
        })
    }

    /// Bytes come in.
    pub(crate) fn response(self, cookie: u64, bytes: u64) -> Self {
        self.traffic(cookie, |traffic, now| {
            traffic.bytes_in += bytes;
            traffic.last_in = Some(now);
            traffic.response = traffic.response.or(Some(now));
            traffic.last_in_len = bytes as u32;
        })
    }
}
