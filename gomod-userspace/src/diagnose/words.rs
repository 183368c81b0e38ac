// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers and facts as people read them.

use std::time::Duration;

use serde_json::{Value, json};

use super::Evidence;
use crate::{
    kernel::events::Way,
    timeline::{ClientHelloSeen, Connection},
};

/// "0.4 ms", "250 ms", "3.2 s".
pub(super) fn time(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// "1 segment", "2 segments".
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Milliseconds with a fraction, for evidence.
pub(super) fn ms(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1_000_000.0).round() / 1000.0)
}

/// An object's fields.
pub(super) fn evidence(object: Value) -> Evidence {
    match object {
        Value::Object(fields) => fields,
        _ => Evidence::new(),
    }
}

/// What is known of the `ClientHello` and of the path, for every verdict about hellos.
pub(super) fn hello_evidence(connection: &Connection) -> Evidence {
    let hello = connection.client_hello.as_ref();
    evidence(json!({
        "client_hello_bytes": hello.map(|seen| seen.bytes),
        "client_hello_segments": hello.map(|seen| seen.segments),
        "client_hello_retransmits": hello.map(|seen| seen.retransmits),
        "sni": hello.and_then(|seen| seen.hello.server_name.clone()),
        "alpn": hello.map(|seen| seen.hello.alpn.clone()),
        "groups": hello.map(|seen| seen.hello.groups.clone()),
        "key_share_bytes": hello.map(|seen| seen.hello.key_share_bytes),
        "srtt_us": connection.rtt_us(),
        "syn_ack_ttl": ttls(connection).0,
        "remote": connection.remote.to_string(),
    }))
}

/// TTL of the SYN-ACK and of the RST, where they are the network's: a connection that goes through us has our own.
pub(super) fn ttls(connection: &Connection) -> (Option<u8>, Option<u8>) {
    match connection.way {
        Way::Direct => (connection.syn_ack_ttl, connection.rst_ttl),
        Way::Accelerated | Way::Spliced => (None, None),
    }
}

/// "`ClientHello` (1518 bytes, 2 segments, SNI proxy.golang.org)".
pub(super) fn hello(seen: &ClientHelloSeen) -> String {
    let segments = count(seen.segments.into(), "segment");
    match &seen.hello.server_name {
        Some(name) => format!("ClientHello ({} bytes, {segments}, SNI {name})", seen.bytes),
        None => format!("ClientHello ({} bytes, {segments}, no SNI)", seen.bytes),
    }
}
