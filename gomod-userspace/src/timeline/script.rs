// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes event streams for tests as one would tell them: what happens, at which millisecond.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use crate::kernel::events::{
    Attempt, AttemptStep, Direction, Event, EventKind, Exec, File, FileOperation, MonotonicNanos,
    NameAsked, NameReply, Packet, Pid, Protocol, SocketCookie, Tcp, TcpFlags, TcpMoment, TcpState,
    Traffic, Way,
};

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

/// Bytes of a `ClientHello` of Go 1.27, two segments.
pub(crate) fn client_hello() -> Vec<u8> {
    include_bytes!("../wire/testdata/client_hello_go1.27.3.bin").to_vec()
}

/// Bytes of a `ClientHello` of Go 1.21, one segment.
pub(crate) fn small_hello() -> Vec<u8> {
    include_bytes!("../wire/testdata/client_hello_go1.21.13.bin").to_vec()
}

/// The same with `old` replaced by `new`, which is as long.
pub(crate) fn patched(mut bytes: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let place = bytes
        .windows(old.len())
        .position(|window| window == old.as_bytes())
        .expect("it is there");
    bytes[place..place + new.len()].copy_from_slice(new.as_bytes());
    bytes
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

/// A TLS 1.3 `ServerHello` and an encrypted flight of 2000 bytes.
pub(crate) fn server_flight() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend([0x13, 0x01, 0]);
    hello.extend([0, 6, 0, 43, 0, 2, 3, 4]);
    let mut message = vec![2, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut flight = record(22, &message);
    flight.extend(record(20, &[1]));
    flight.extend(record(23, &[0; 2000]));
    flight
}

fn dns_message(id: u16, flags: u16, name: &str, qtype: u16, answers: &[IpAddr]) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [id, flags, 1, answers.len() as u16, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(qtype.to_be_bytes());
    message.extend(1u16.to_be_bytes());
    for answer in answers {
        message.extend([0xc0, 12]);
        message.extend(qtype.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        match answer {
            IpAddr::V4(address) => {
                message.extend([0, 4]);
                message.extend(address.octets());
            }
            IpAddr::V6(address) => {
                message.extend([0, 16]);
                message.extend(address.octets());
            }
        }
    }
    message
}

fn type_number(qtype: &str) -> u16 {
    if qtype == "AAAA" { 28 } else { 1 }
}

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

    fn file(self, operation: FileOperation, result: i32, flags: u32, name: &str) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}"));
        self.push(EventKind::File(File {
            tid: 1,
            operation,
            result,
            flags,
            path,
        }))
    }

    /// Looks for `MODULE/@v/VERSION.KIND` in vain.
    pub(crate) fn missing(self, name: &str) -> Self {
        self.file(FileOperation::Open, -2, 0, name)
    }

    /// Makes the temporary file.
    pub(crate) fn temporary(self, name: &str) -> Self {
        self.file(FileOperation::Open, 7, 0o302, &format!("{name}123456.tmp"))
    }

    /// Reads the temporary file back.
    pub(crate) fn read_back(self, name: &str) -> Self {
        self.file(FileOperation::Open, 8, 0, &format!("{name}123456.tmp"))
    }

    pub(crate) fn size(self, name: &str, bytes: u64) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}123456.tmp"));
        self.push(EventKind::FileSize { path, bytes })
    }

    /// The size under the final name.
    pub(crate) fn final_size(self, name: &str, bytes: u64) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}"));
        self.push(EventKind::FileSize { path, bytes })
    }

    pub(crate) fn completed(self, name: &str) -> Self {
        self.file(FileOperation::Rename, 0, 0, name)
    }

    pub(crate) fn discarded(self, name: &str) -> Self {
        self.file(FileOperation::Unlink, 0, 0, &format!("{name}123456.tmp"))
    }

    pub(crate) fn lock_wait(self, name: &str) -> Self {
        self.file(FileOperation::LockWait, 0, 2, name)
    }

    pub(crate) fn lock_done(self, name: &str) -> Self {
        self.file(FileOperation::LockDone, 0, 2, name)
    }

    pub(crate) fn lock_holder(self, name: &str, holder: u32, command: &str) -> Self {
        let path = PathBuf::from(format!("{CACHE}/{name}"));
        self.push(EventKind::LockHolder {
            path,
            holder: Pid(holder),
            command: command.to_owned(),
        })
    }
}
