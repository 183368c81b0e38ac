// SPDX-License-Identifier: MIT OR Apache-2.0
//! `dns[]`.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::{Tell, at, milliseconds};
use crate::{
    kernel::events::{MonotonicNanos, NameSource},
    timeline::{DnsExchange, DnsOutcome, DnsTransport},
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct DnsFact<'a> {
    pid: u32,
    name: &'a str,
    r#type: &'a str,
    server: SocketAddr,
    transport: &'static str,
    sent_ms: f64,
    latency_ms: Option<f64>,
    rcode: Option<&'a str>,
    answers: &'a [IpAddr],
    attempt: u32,
    source: NameSource,
    network_ms: Option<f64>,
}

impl Tell for DnsExchange {
    type Fact<'a> = DnsFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> DnsFact<'_> {
        let (latency_ms, rcode, answers) = match &self.outcome {
            DnsOutcome::Answered {
                at,
                rcode,
                addresses,
                ..
            } => (
                Some(milliseconds(at.since(self.sent))),
                Some(rcode.as_str()),
                addresses.as_slice(),
            ),
            DnsOutcome::Pending | DnsOutcome::Unanswered { .. } | DnsOutcome::Failed { .. } => {
                (None, None, [].as_slice())
            }
        };
        DnsFact {
            pid: self.pid.0,
            name: &self.name,
            r#type: &self.qtype,
            server: self.server,
            transport: match self.transport {
                DnsTransport::Udp => "udp",
                DnsTransport::Tcp => "tcp",
            },
            sent_ms: at(self.sent, began),
            latency_ms,
            rcode,
            answers,
            attempt: self.attempt,
            source: self.stub.map(|stub| stub.source).unwrap_or_default(),
            network_ms: self.network_time().map(milliseconds),
        }
    }
}
