// SPDX-License-Identifier: MIT OR Apache-2.0
//! `connections[]`.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Path, Tell, at, at_if, between};
use crate::{
    kernel::events::MonotonicNanos,
    timeline::{ClientHelloSeen, Connection, Ended, ServerHelloSeen},
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct ConnectionFact<'a> {
    id: u32,
    pid: u32,
    remote: SocketAddr,
    host: Option<&'a str>,
    path: Path,
    why: Option<&'a str>,
    opened_ms: f64,
    closed_ms: Option<f64>,
    connect_ms: Option<f64>,
    hello_ms: Option<f64>,
    first_byte_ms: Option<f64>,
    syn_retransmits: u32,
    retransmits: u32,
    srtt_us: Option<u32>,
    bytes_sent: u64,
    bytes_received: u64,
    client_hello: Option<ClientHelloFact<'a>>,
    server_hello: Option<ServerHelloFact<'a>>,
    syn_ack_ttl: Option<u8>,
    rst_ttl: Option<u8>,
    errno: Option<u32>,
    ended: &'static str,
}

#[derive(Debug, Serialize)]
struct ClientHelloFact<'a> {
    bytes: u32,
    segments: u32,
    sni: Option<&'a str>,
    alpn: &'a [String],
    versions: &'a [String],
    groups: &'a [String],
    key_share_bytes: usize,
}

#[derive(Debug, Serialize)]
struct ServerHelloFact<'a> {
    version: Option<&'a str>,
    cipher: Option<&'a str>,
}

impl Tell for Connection {
    type Fact<'a> = ConnectionFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> ConnectionFact<'_> {
        let hello_sent = self.client_hello.as_ref().map(|hello| hello.sent);
        let hello_answered = self.server_hello.as_ref().map(|hello| hello.at);
        ConnectionFact {
            id: self.id.0,
            pid: self.pid.0,
            remote: self.remote,
            host: self.host.as_deref(),
            path: self.way.into(),
            why: self.why.as_deref(),
            opened_ms: at(self.opened, began),
            closed_ms: at_if(self.closed, began),
            connect_ms: between(Some(self.opened), self.established),
            hello_ms: between(hello_sent, hello_answered),
            first_byte_ms: at_if(self.first_byte, began),
            syn_retransmits: self.syn_retransmits,
            retransmits: self.retransmits,
            srtt_us: self.srtt_us,
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            client_hello: self.client_hello.as_ref().map(client_hello),
            server_hello: self.server_hello.as_ref().map(server_hello),
            syn_ack_ttl: self.syn_ack_ttl,
            rst_ttl: self.rst_ttl,
            errno: self.errno,
            ended: ended(self.ended),
        }
    }
}

fn client_hello(seen: &ClientHelloSeen) -> ClientHelloFact<'_> {
    ClientHelloFact {
        bytes: seen.bytes,
        segments: seen.segments,
        sni: seen.hello.server_name.as_deref(),
        alpn: &seen.hello.alpn,
        versions: &seen.hello.versions,
        groups: &seen.hello.groups,
        key_share_bytes: seen.hello.key_share_bytes,
    }
}

fn server_hello(seen: &ServerHelloSeen) -> ServerHelloFact<'_> {
    ServerHelloFact {
        version: seen.version.as_deref(),
        cipher: seen.cipher.as_deref(),
    }
}

fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Fin => "fin",
        Ended::RstReceived => "rst_received",
        Ended::RstSent => "rst_sent",
        Ended::ConnectTimeout => "connect_timeout",
        Ended::Abandoned => "abandoned",
        Ended::Refused => "refused",
        Ended::Unreachable => "unreachable",
        Ended::Open => "open",
    }
}
