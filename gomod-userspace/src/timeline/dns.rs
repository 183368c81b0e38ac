// SPDX-License-Identifier: MIT OR Apache-2.0
//! A DNS question and what became of it.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{Timeline, nameserver::StubAnswer};
use crate::{
    kernel::events::{
        Direction, MonotonicNanos, NameAnswered, Packet, Pid, SocketCookie, canonical,
    },
    wire::{
        Parsed,
        dns::{Message, Query, Response},
        stream::Reassembly,
    },
};

/// Port of DNS over UDP and TCP (RFC 1035 §4.2).
pub const DNS_PORT: u16 = 53;
/// A resolver waits at least this long for an answer (the smallest `timeout` of resolv.conf(5)); the same
/// question sooner comes from another lookup.
const SHORTEST_RESOLVER_TIMEOUT: Duration = Duration::from_secs(1);
/// Questions without an answer that are remembered per socket.
const MAX_PENDING: usize = 64;

/// How a question travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DnsTransport {
    /// One datagram each way.
    Udp,
    /// A TCP stream with length prefixes.
    Tcp,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsOutcome {
    /// Neither answered nor given up.
    Pending,
    /// Answered.
    Answered {
        /// When.
        at: MonotonicNanos,
        /// Response code as IANA writes it: NOERROR, NXDOMAIN, SERVFAIL, REFUSED, …
        rcode: String,
        /// Addresses in the answer.
        addresses: Vec<IpAddr>,
        /// The answer was truncated (TC).
        truncated: bool,
        /// The answer was an empty referral: see [`Response::lame`].
        lame: bool,
    },
    /// The process asked again, closed the socket or ended without an answer.
    Unanswered {
        /// When that was seen.
        at: MonotonicNanos,
    },
    /// The socket got an error (ICMP port unreachable: 111).
    Failed {
        /// When.
        at: MonotonicNanos,
        /// Positive errno.
        errno: u32,
    },
}

impl DnsOutcome {
    /// True if a resolver asks no further: NOERROR or NXDOMAIN, neither truncated nor lame.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Answered { rcode, truncated: false, lame: false, .. } if rcode == "NOERROR" || rcode == "NXDOMAIN")
    }

    /// When it came to this; `None` while it is pending.
    pub fn at(&self) -> Option<MonotonicNanos> {
        match self {
            Self::Pending => None,
            Self::Answered { at, .. } | Self::Unanswered { at } | Self::Failed { at, .. } => {
                Some(*at)
            }
        }
    }
}

/// One question to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsExchange {
    /// Who asked.
    pub pid: Pid,
    /// On which socket.
    pub cookie: SocketCookie,
    /// Message id.
    pub id: u16,
    /// Name, lower case, without the final dot.
    pub name: String,
    /// "A", "AAAA", …
    pub qtype: String,
    /// The process's end.
    pub local: SocketAddr,
    /// Which server.
    pub server: SocketAddr,
    /// How.
    pub transport: DnsTransport,
    /// When it was sent.
    pub sent: MonotonicNanos,
    /// 1 for the first time this process asks this name and type, counted on while earlier ones stay without a
    /// final answer.
    pub attempt: u32,
    /// What became of it.
    pub outcome: DnsOutcome,
    /// What our own stub answered in the server's stead.
    pub stub: Option<StubAnswer>,
}

/// Finds the question that an answer, an error or a repetition belongs to.
#[derive(Clone, Debug, Default)]
pub(super) struct DnsIndex {
    /// Places in [`Timeline::dns`] of questions without an answer, by socket, oldest first.
    pending: BTreeMap<SocketCookie, Vec<usize>>,
    /// UDP sockets by our port and the server.
    sockets: BTreeMap<(u16, SocketAddr), SocketCookie>,
    /// Questions of a process without a final answer, by type and name.
    asked: BTreeMap<Pid, BTreeMap<(String, String), Asked>>,
    /// TCP streams to port 53.
    streams: BTreeMap<SocketCookie, DnsStreams>,
    /// Newest name for each address, from any process's answers.
    names: BTreeMap<IpAddr, String>,
    /// Answers of the stub whose questions the kernel has not told of yet: the stub is quicker.
    pub(super) early: VecDeque<NameAnswered>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    last: usize,
    attempts: u32,
}

#[derive(Clone, Debug, Default)]
struct DnsStreams {
    questions: MessageStream,
    answers: MessageStream,
}

#[derive(Clone, Debug, Default)]
struct MessageStream {
    bytes: Reassembly,
    consumed: usize,
}

impl MessageStream {
    fn messages(&mut self, offset: u32, payload: &[u8]) -> Vec<Message> {
        self.bytes.insert(u64::from(offset), payload);
        let mut messages = Vec::new();
        while let Some(rest) = self.bytes.contiguous().get(self.consumed..)
            && let Ok(Parsed::Complete { value, consumed }) = Message::parse_tcp(rest)
        {
            self.consumed += consumed.max(1);
            messages.push(value);
        }
        messages
    }
}

impl Timeline {
    pub(super) fn dns_datagram(&mut self, at: MonotonicNanos, pid: Pid, packet: &Packet) {
        if let Ok(Parsed::Complete { value, .. }) = Message::parse(&packet.payload) {
            let socket = (packet.local.port(), canonical(packet.remote));
            if packet.direction == Direction::Egress {
                self.index.dns.sockets.insert(socket, packet.cookie);
            }
            self.dns_message(at, pid, packet, value, DnsTransport::Udp);
        }
    }

    pub(super) fn dns_segment(&mut self, at: MonotonicNanos, pid: Pid, packet: &Packet) {
        let Some(offset) = packet.stream_offset else {
            return;
        };
        let streams = self.index.dns.streams.entry(packet.cookie).or_default();
        let stream = match packet.direction {
            Direction::Egress => &mut streams.questions,
            Direction::Ingress => &mut streams.answers,
        };
        for message in stream.messages(offset, &packet.payload) {
            self.dns_message(at, pid, packet, message, DnsTransport::Tcp);
        }
    }

    fn dns_message(
        &mut self,
        at: MonotonicNanos,
        pid: Pid,
        packet: &Packet,
        message: Message,
        transport: DnsTransport,
    ) {
        match (packet.direction, message) {
            (Direction::Egress, Message::Query(query)) => {
                self.question(at, pid, packet, query, transport);
            }
            (Direction::Ingress, Message::Response(response)) => {
                self.answer(at, packet, response);
            }
            _ => {}
        }
    }

    fn question(
        &mut self,
        at: MonotonicNanos,
        pid: Pid,
        packet: &Packet,
        query: Query,
        transport: DnsTransport,
    ) {
        let place = self.dns.len();
        let key = (query.qtype.clone(), query.name.clone());
        let asked = self.index.dns.asked.entry(pid).or_default();
        let attempt = if let Some(asked) = asked.get_mut(&key) {
            let earlier = std::mem::replace(&mut asked.last, place);
            asked.attempts = asked.attempts.saturating_add(1);
            let attempt = asked.attempts;
            self.asked_again(at, earlier);
            attempt
        } else {
            asked.insert(
                key,
                Asked {
                    last: place,
                    attempts: 1,
                },
            );
            1
        };
        let pending = self.index.dns.pending.entry(packet.cookie).or_default();
        if pending.len() >= MAX_PENDING {
            pending.remove(0);
        }
        pending.push(place);
        let local = canonical(packet.local);
        let server = canonical(packet.remote);
        self.dns.push(DnsExchange {
            stub: self.index.dns.take_early(local, server, &query),
            local,
            server,
            pid,
            cookie: packet.cookie,
            id: query.id,
            name: query.name,
            qtype: query.qtype,
            transport,
            sent: at,
            attempt,
            outcome: DnsOutcome::Pending,
        });
    }

    fn asked_again(&mut self, at: MonotonicNanos, earlier: usize) {
        if let Some(exchange) = self.dns.get_mut(earlier)
            && exchange.outcome == DnsOutcome::Pending
            && at.since(exchange.sent) >= SHORTEST_RESOLVER_TIMEOUT
        {
            exchange.outcome = DnsOutcome::Unanswered { at };
        }
    }

    fn answer(&mut self, at: MonotonicNanos, packet: &Packet, response: Response) {
        for address in &response.answers {
            let address = address.to_canonical();
            if !response.name.is_empty() {
                self.index.dns.names.insert(address, response.name.clone());
                self.name_connections(address, &response.name);
            }
        }
        let server = canonical(packet.remote);
        let Some(pending) = self.index.dns.pending.get_mut(&packet.cookie) else {
            return;
        };
        let dns = &self.dns;
        let fits = |place: &&usize| {
            dns.get(**place).is_some_and(|exchange| {
                exchange.id == response.id
                    && exchange.server == server
                    && exchange.sent <= at
                    && (response.name.is_empty()
                        || (exchange.name == response.name && exchange.qtype == response.qtype))
            })
        };
        let Some(place) = pending.iter().rev().find(fits).copied() else {
            return;
        };
        pending.retain(|other| *other != place);
        let Some(exchange) = self.dns.get_mut(place) else {
            return;
        };
        exchange.outcome = DnsOutcome::Answered {
            at,
            rcode: response.rcode,
            addresses: response.answers,
            truncated: response.truncated,
            lame: response.lame,
        };
        if exchange.outcome.is_final()
            && let Some(asked) = self.index.dns.asked.get_mut(&exchange.pid)
        {
            asked.remove(&(exchange.qtype.clone(), exchange.name.clone()));
        }
    }

    /// An error of a UDP socket: all its questions to that server are lost.
    pub(super) fn dns_error(
        &mut self,
        at: MonotonicNanos,
        errno: u32,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let remote = canonical(remote);
        if let Some(cookie) = self.index.dns.sockets.get(&(local.port(), remote)).copied() {
            self.end_questions(cookie, Some(remote), &DnsOutcome::Failed { at, errno });
        }
    }

    /// The TCP connection to a nameserver is over.
    pub(super) fn dns_stream_closed(
        &mut self,
        at: MonotonicNanos,
        cookie: SocketCookie,
        errno: Option<u32>,
    ) {
        if self.index.dns.streams.remove(&cookie).is_some() {
            let outcome = match errno {
                Some(errno) => DnsOutcome::Failed { at, errno },
                None => DnsOutcome::Unanswered { at },
            };
            self.end_questions(cookie, None, &outcome);
        }
    }

    fn end_questions(
        &mut self,
        cookie: SocketCookie,
        server: Option<SocketAddr>,
        outcome: &DnsOutcome,
    ) {
        let Some(pending) = self.index.dns.pending.get_mut(&cookie) else {
            return;
        };
        let dns = &mut self.dns;
        pending.retain(|place| {
            let Some(exchange) = dns.get_mut(*place) else {
                return false;
            };
            let concerned = server.is_none_or(|server| exchange.server == server);
            if concerned && exchange.outcome == DnsOutcome::Pending {
                exchange.outcome = outcome.clone();
            }
            !concerned
        });
    }

    pub(super) fn give_up_questions(&mut self, at: MonotonicNanos, pid: Pid) {
        for asked in self
            .index
            .dns
            .asked
            .remove(&pid)
            .unwrap_or_default()
            .into_values()
        {
            if let Some(exchange) = self.dns.get_mut(asked.last)
                && exchange.outcome == DnsOutcome::Pending
            {
                exchange.outcome = DnsOutcome::Unanswered { at };
                if let Some(pending) = self.index.dns.pending.get_mut(&exchange.cookie) {
                    pending.retain(|place| *place != asked.last);
                }
            }
        }
        self.index
            .dns
            .pending
            .retain(|_, pending| !pending.is_empty());
    }

    /// The newest name whose DNS answer held the address.
    pub(super) fn name_of(&self, address: IpAddr) -> Option<String> {
        self.index.dns.names.get(&address.to_canonical()).cloned()
    }
}
