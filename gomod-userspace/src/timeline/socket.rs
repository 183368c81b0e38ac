// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places the events of TCP sockets: which connection each one belongs to, and what it tells of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use super::{
    Connection, ConnectionId, Timeline, connection::StreamKind, dns::DNS_PORT, handshake::Handshake,
};
use crate::kernel::events::{
    MonotonicNanos, Pid, Protocol, SocketCookie, Tcp, TcpMoment, TcpState, Traffic, Way, canonical,
};

/// `connect` says these of a connection that is on its way or there already.
const NOT_A_FAILURE: [u32; 4] = [4, 106, 114, 115];

/// Finds the connection that an event is of.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketIndex {
    pub(super) by_cookie: BTreeMap<SocketCookie, Socket>,
    by_ends: BTreeMap<(SocketAddr, SocketAddr), usize>,
    /// Sockets that were accepted, not connected: not ours to tell of.
    pub(super) accepted: BTreeSet<SocketCookie>,
    /// Connections whose address no name is known for.
    unnamed: BTreeMap<IpAddr, Vec<usize>>,
    /// How connections are carried whose opening the kernel has not told of yet: the accelerator is quicker.
    pub(super) carried: BTreeMap<SocketCookie, CarriedEarly>,
}

/// What the accelerator decided of a connection.
#[derive(Clone, Debug)]
pub(super) struct CarriedEarly {
    pub(super) way: Way,
    pub(super) why: String,
    pub(super) host: Option<String>,
}

/// A socket's current connection, and what is kept only while that is under way.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    pub(super) place: usize,
    pub(super) first_syn: Option<MonotonicNanos>,
    pub(super) syns: u32,
    /// Until the handshake is over.
    pub(super) handshake: Option<Box<Handshake>>,
    /// When the first packet that may carry a request went out after the handshake.
    pub(super) first_request: Option<MonotonicNanos>,
}

impl Socket {
    fn new(place: usize) -> Self {
        Self {
            place,
            first_syn: None,
            syns: 0,
            handshake: None,
            first_request: None,
        }
    }
}

impl Timeline {
    pub(super) fn connect(
        &mut self,
        at: MonotonicNanos,
        pid: Pid,
        cookie: SocketCookie,
        remote: SocketAddr,
    ) {
        let remote = canonical(remote);
        if let Some(connection) = self.connection_mut(cookie) {
            if connection.closed.is_none() && connection.remote == remote {
                // Called again to learn the outcome, or this event is late.
                connection.opened = connection.opened.min(at);
                if connection.pid == Pid(0) {
                    connection.pid = pid;
                }
                return;
            }
            if connection.closed.is_none() {
                connection.closed = Some(at);
                connection.settle();
            }
        }
        self.open(at, pid, cookie, remote);
    }

    pub(super) fn connect_failed(&mut self, at: MonotonicNanos, cookie: SocketCookie, errno: u32) {
        if NOT_A_FAILURE.contains(&errno) {
            return;
        }
        if let Some(connection) = self.connection_mut(cookie)
            && connection.established.is_none()
        {
            connection.errno = Some(errno);
            connection.failed_locally = true;
            connection.closed.get_or_insert(at);
            connection.settle();
        }
    }

    pub(super) fn tcp_state(
        &mut self,
        at: MonotonicNanos,
        cookie: SocketCookie,
        old: TcpState,
        new: TcpState,
    ) {
        if matches!(
            old,
            TcpState::SynReceived | TcpState::NewSynReceived | TcpState::Listen
        ) {
            self.index.sockets.accepted.insert(cookie);
        }
        if new == TcpState::Close && self.index.sockets.accepted.remove(&cookie) {
            return;
        }
        let Some(connection) = self.connection_mut(cookie) else {
            return;
        };
        // A reused socket: the event is of a connection that is no longer this one.
        if at < connection.opened && new == TcpState::Close {
            return;
        }
        match new {
            TcpState::Established => {
                let known = connection.established.unwrap_or(at);
                connection.established = Some(known.min(at));
            }
            TcpState::CloseWait => {
                connection.fin_received.get_or_insert(at);
            }
            TcpState::FinWait1 | TcpState::LastAck => {
                connection.close_sent.get_or_insert(at);
            }
            TcpState::Close => {
                connection.closed.get_or_insert(at);
                connection.settle();
                self.closed(at, cookie);
            }
            _ => {}
        }
    }

    pub(super) fn tcp_view(&mut self, at: MonotonicNanos, pid: Pid, tcp: &Tcp) {
        self.ensure(at, pid, tcp.cookie, tcp.remote);
        self.learn_local(tcp.cookie, tcp.local);
        let Some(connection) = self.connection_mut(tcp.cookie) else {
            return;
        };
        if tcp.srtt_us > 0 {
            connection.srtt_us = Some(tcp.srtt_us);
        }
        let connecting = matches!(tcp.state, TcpState::SynSent) && connection.established.is_none();
        if connecting {
            connection.syn_retransmits = connection.syn_retransmits.max(tcp.total_retransmits);
        } else {
            let others = tcp
                .total_retransmits
                .saturating_sub(connection.syn_retransmits);
            connection.retransmits = connection.retransmits.max(others);
        }
        connection.bytes_acked = connection
            .bytes_acked
            .max(tcp.bytes_acked.saturating_sub(1));
        match tcp.moment {
            TcpMoment::Established => {
                connection.established.get_or_insert(at);
            }
            TcpMoment::Closed if tcp.bytes_received > 0 => {
                connection.bytes_received = tcp.bytes_received;
            }
            _ => {
                connection.bytes_received = connection.bytes_received.max(tcp.bytes_received);
            }
        }
    }

    pub(super) fn socket_error(
        &mut self,
        at: MonotonicNanos,
        errno: u32,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        if errno == 0 {
            return;
        }
        if protocol == Protocol::Udp {
            self.dns_error(at, errno, local, remote);
            return;
        }
        let ends = (canonical(local), canonical(remote));
        let Some(place) = self.index.sockets.by_ends.get(&ends).copied() else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(place) {
            connection.errno = Some(errno);
            if connection.established.is_none() {
                connection.closed.get_or_insert(at);
            }
            connection.settle();
        }
    }

    pub(super) fn traffic(&mut self, traffic: &Traffic) {
        let Some(connection) = self.connection_mut(traffic.cookie) else {
            return;
        };
        if let Some(known) = &connection.traffic
            && (known.bytes_in > traffic.bytes_in || known.bytes_out > traffic.bytes_out)
        {
            return;
        }
        connection.bytes_sent = connection.bytes_sent.max(traffic.bytes_out);
        connection.bytes_received = connection.bytes_received.max(traffic.bytes_in);
        connection.bytes_acked = connection.bytes_acked.max(traffic.bytes_acked);
        connection.first_out = connection.first_out.or(traffic.last_out);
        connection.first_in = connection.first_in.or(traffic.last_in);
        if connection.first_byte.is_none()
            && let (Some(request), Some(response)) = (traffic.request, traffic.response)
            && requests_begin(connection).is_some_and(|begin| request > begin)
        {
            connection.first_byte = Some(response);
        }
        connection.traffic = Some(traffic.clone());
    }

    /// The current connection of a socket.
    pub fn connection_of(&self, cookie: SocketCookie) -> Option<&Connection> {
        let socket = self.index.sockets.by_cookie.get(&cookie)?;
        self.connections.get(socket.place)
    }

    /// A connection by its number.
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get((id.0 as usize).checked_sub(1)?)
    }

    /// Names the connections that were opened before the answer was known.
    pub(super) fn name_connections(&mut self, address: IpAddr, name: &str) {
        for place in self
            .index
            .sockets
            .unnamed
            .remove(&address)
            .unwrap_or_default()
        {
            if let Some(connection) = self.connections.get_mut(place)
                && connection.host.is_none()
            {
                connection.host = Some(name.to_owned());
            }
        }
    }

    pub(super) fn connection_mut(&mut self, cookie: SocketCookie) -> Option<&mut Connection> {
        let socket = self.index.sockets.by_cookie.get(&cookie)?;
        self.connections.get_mut(socket.place)
    }

    /// A connection whose `connect` was not seen is told of from its first other event.
    pub(super) fn ensure(
        &mut self,
        at: MonotonicNanos,
        pid: Pid,
        cookie: SocketCookie,
        remote: SocketAddr,
    ) {
        let sockets = &self.index.sockets;
        if !sockets.by_cookie.contains_key(&cookie) && !sockets.accepted.contains(&cookie) {
            self.open(at, pid, cookie, canonical(remote));
        }
    }

    pub(super) fn open(
        &mut self,
        at: MonotonicNanos,
        pid: Pid,
        cookie: SocketCookie,
        remote: SocketAddr,
    ) {
        let place = self.connections.len();
        let id = ConnectionId(place as u32 + 1);
        let mut connection = Connection::new(id, cookie, pid, remote, at);
        connection.host = self.name_of(remote.ip());
        if connection.host.is_none() {
            self.index
                .sockets
                .unnamed
                .entry(remote.ip())
                .or_default()
                .push(place);
        }
        if remote.port() == DNS_PORT {
            connection.stream = StreamKind::Dns;
        }
        self.connections.push(connection);
        self.index
            .sockets
            .by_cookie
            .insert(cookie, Socket::new(place));
        if let Some(early) = self.index.sockets.carried.remove(&cookie) {
            self.carried(cookie, early.way, &early.why, early.host.as_deref());
        }
    }

    pub(super) fn learn_local(&mut self, cookie: SocketCookie, local: SocketAddr) {
        let local = canonical(local);
        let Some(socket) = self.index.sockets.by_cookie.get(&cookie) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(socket.place) else {
            return;
        };
        if connection.local != Some(local) && local.port() != 0 {
            connection.local = Some(local);
            let ends = (local, connection.remote);
            self.index.sockets.by_ends.insert(ends, socket.place);
        }
    }

    fn closed(&mut self, at: MonotonicNanos, cookie: SocketCookie) {
        let Some(socket) = self.index.sockets.by_cookie.get_mut(&cookie) else {
            return;
        };
        socket.handshake = None;
        let errno = self
            .connections
            .get(socket.place)
            .and_then(|connection| connection.errno);
        self.dns_stream_closed(at, cookie, errno);
    }
}

/// From when on a large packet carries a request.
pub(super) fn requests_begin(connection: &Connection) -> Option<MonotonicNanos> {
    match connection.stream {
        StreamKind::Tls => connection.handshake_done,
        StreamKind::Plain => connection.established.or(Some(connection.opened)),
        StreamKind::Unknown | StreamKind::Dns => None,
    }
}

#[cfg(test)]
impl Timeline {
    /// Connections for which the begin of the stream is kept.
    pub(super) fn buffers_held(&self) -> usize {
        let sockets = self.index.sockets.by_cookie.values();
        sockets.filter(|socket| socket.handshake.is_some()).count()
    }
}
