// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes event streams for tests as one would tell them: what happens, at which millisecond.

mod connection;
mod file;
mod wire;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::kernel::events::{
    Attempt, AttemptStep, Direction, Event, EventKind, Exec, MonotonicNanos, NameAsked, NameReply,
    Packet, Pid, Protocol, SocketCookie, TcpFlags, Traffic, Way,
};

pub(crate) use wire::{client_hello, patched, server_flight, small_hello};
use wire::{dns_message, type_number};

/// The process that acts unless told otherwise.
pub(crate) const GO: Pid = Pid(100);
/// The nameserver.
pub(crate) const SERVER: &str = "198.18.0.2:53";
/// The module proxy.
pub(crate) const PROXY: &str = "198.18.0.10:443";
pub(crate) const HOST: &str = "proxy.golang.org";

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const RST: u8 = 0x04;
const FIN: u8 = 0x01;
const CACHE: &str = "/home/u/go/pkg/mod/cache/download";

#[derive(Clone, Debug)]
struct Socket {
    remote: SocketAddr,
    sent: u32,
    received: u32,
    traffic: Traffic,
}

/// A stream of events in the making.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) events: Vec<Event>,
    now: MonotonicNanos,
    pid: Pid,
    sockets: BTreeMap<u64, Socket>,
}

/// The moment `ms` milliseconds after the script's begin.
pub(crate) fn moment(ms: f64) -> MonotonicNanos {
    MonotonicNanos(1_000_000_000_000 + (ms * 1_000_000.0) as u64)
}

impl Script {
    /// Begins with a `go` command at 0 ms.
    pub(crate) fn new() -> Self {
        let script = Self {
            events: Vec::new(),
            now: moment(0.0),
            pid: GO,
            sockets: BTreeMap::new(),
        };
        script.exec("go1.27.3", 1)
    }

    pub(crate) fn at(mut self, ms: f64) -> Self {
        self.now = moment(ms);
        self
    }

    /// Later events are of this process.
    pub(crate) fn by(mut self, pid: u32) -> Self {
        self.pid = Pid(pid);
        self
    }

    fn push(mut self, kind: EventKind) -> Self {
        self.events.push(Event {
            at: self.now,
            pid: self.pid,
            kind,
        });
        self
    }

    pub(crate) fn exec(self, go_version: &str, parent: u32) -> Self {
        let go_version = (!go_version.is_empty()).then(|| go_version.to_owned());
        self.push(EventKind::Exec(Exec {
            parent: Pid(parent),
            exe: PathBuf::from("/usr/local/go/bin/go"),
            argv: vec!["go".to_owned(), "mod".to_owned(), "download".to_owned()],
            go_version,
            ..Exec::default()
        }))
    }

    pub(crate) fn exit(self, code: i32) -> Self {
        self.push(EventKind::Exit { code: Some(code) })
    }

    pub(crate) fn killed(self) -> Self {
        self.push(EventKind::Exit { code: None })
    }

    fn socket(&mut self, cookie: u64) -> &mut Socket {
        self.sockets
            .get_mut(&cookie)
            .expect("the script opens a socket before it uses it")
    }

    /// True once the socket was opened.
    pub(crate) fn knows(&self, cookie: u64) -> bool {
        self.sockets.contains_key(&cookie)
    }

    fn packet(
        mut self,
        cookie: u64,
        direction: Direction,
        flags: u8,
        ttl: u8,
        payload: Vec<u8>,
    ) -> Self {
        let (remote, offset) = match self.sockets.get_mut(&cookie) {
            Some(socket) => {
                let counter = match direction {
                    Direction::Egress => &mut socket.sent,
                    Direction::Ingress => &mut socket.received,
                };
                let offset = *counter;
                *counter += payload.len() as u32;
                (socket.remote, offset)
            }
            None => (SERVER.parse().expect("an address"), 0),
        };
        let protocol = if self.sockets.contains_key(&cookie) {
            Protocol::Tcp
        } else {
            Protocol::Udp
        };
        self.push(EventKind::Packet(Packet {
            cookie: SocketCookie(cookie),
            direction,
            protocol,
            local: SocketAddr::from(([198, 18, 0, 1], 40000 + cookie as u16)),
            remote,
            flags: TcpFlags(flags),
            ttl,
            seq: offset,
            ack: 0,
            stream_offset: Some(offset),
            payload_len: payload.len() as u32,
            payload,
        }))
    }

    pub(crate) fn query(self, cookie: u64, id: u16, qtype: &str, name: &str) -> Self {
        let message = dns_message(id, 0x0100, name, type_number(qtype), &[]);
        self.packet(cookie, Direction::Egress, 0, 64, message)
    }

    pub(crate) fn answer(
        self,
        cookie: u64,
        id: u16,
        qtype: &str,
        name: &str,
        rcode: u16,
        addresses: &[&str],
    ) -> Self {
        let addresses: Vec<IpAddr> = addresses
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect();
        let message = dns_message(id, 0x8180 | rcode, name, type_number(qtype), &addresses);
        self.packet(cookie, Direction::Ingress, 0, 60, message)
    }

    pub(crate) fn udp_error(self, cookie: u64, errno: u32) -> Self {
        let local = SocketAddr::from(([0, 0, 0, 0], 40000 + cookie as u16));
        let remote = SERVER.parse().expect("an address");
        self.push(EventKind::SocketError {
            errno,
            protocol: Protocol::Udp,
            local,
            remote,
        })
    }

    /// A step of a connection of the accelerator.
    pub(crate) fn attempt(self, number: u64, host: &str, remote: &str, step: AttemptStep) -> Self {
        self.attempt_through(None, number, host, remote, step)
    }

    /// The same through an HTTP proxy at `remote`.
    pub(crate) fn attempt_through(
        self,
        proxy: Option<&str>,
        number: u64,
        host: &str,
        remote: &str,
        step: AttemptStep,
    ) -> Self {
        self.push(EventKind::Attempt(Attempt {
            number,
            host: host.to_owned(),
            proxy: proxy.map(str::to_owned),
            remote: remote.parse().expect("an address"),
            step,
        }))
    }

    /// The accelerator decided how a connection goes.
    pub(crate) fn carried(self, cookie: u64, way: Way, host: &str) -> Self {
        self.push(EventKind::Carried {
            cookie: SocketCookie(cookie),
            way,
            why: "of a test".to_owned(),
            host: Some(host.to_owned()),
        })
    }

    /// The stub has asked a nameserver for an address of `name`, and that became of it.
    pub(crate) fn asked(self, server: &str, name: &str, reply: NameReply) -> Self {
        self.push(EventKind::NameAsked(NameAsked {
            server: server.to_owned(),
            name: name.to_owned(),
            qtype: "A".to_owned(),
            attempt: 1,
            reply,
        }))
    }

    /// Looks HOST up within a millisecond.
    pub(crate) fn resolved(self) -> Self {
        self.query(1, 1, "A", HOST)
            .query(2, 2, "AAAA", HOST)
            .answer(1, 1, "A", HOST, 0, &["198.18.0.10"])
            .answer(2, 2, "AAAA", HOST, 0, &[])
    }
}
