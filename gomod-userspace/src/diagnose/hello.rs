// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS handshakes that break off or stop.

use std::time::Duration;

use serde_json::json;

use super::{
    Confidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
    causes::{ONE_SEGMENT, Result},
    words::{self, count, hello_evidence, ms, time},
};
use crate::{
    kernel::events::{MonotonicNanos, Way},
    timeline::{ClientHelloSeen, Connection},
};

/// Alerts by which a client says that it does not trust the certificate (RFC 8446 §6.2).
const CERTIFICATE_ALERTS: [&str; 6] = [
    "bad_certificate",
    "unsupported_certificate",
    "certificate_revoked",
    "certificate_expired",
    "certificate_unknown",
    "unknown_ca",
];
/// Alerts that only say goodbye.
const FAREWELLS: [&str; 2] = ["close_notify", "user_canceled"];

/// Returns how the hello went, once, where that says something of the network.
pub(super) fn examine(
    view: View<'_>,
    connection: &Connection,
    told: &mut bool,
    ledger: &mut Ledger,
) -> Option<Result> {
    let subject = StallSubject::Connection(connection.id);
    if let Some(stall) = ledger.current(&subject)
        && stall.verdict == Verdict::HelloTimeout
        && let Some(moved) = moved(view, connection, stall.stage, stall.known)
    {
        ledger.end(&subject, moved);
    }
    let hello = connection.client_hello.as_ref()?;
    if *told {
        return None;
    }
    if connection.handshake_done.is_some() {
        *told = true;
        return Some(Result::Passed);
    }
    let stage = if answered(connection) {
        Stage::Handshake
    } else {
        Stage::Hello
    };
    let finding = rejected_by_client(connection, hello)
        .or_else(|| alerted(connection, hello, stage))
        .or_else(|| reset(connection, hello, stage))
        .or_else(|| closed(connection, hello, stage))
        .or_else(|| silent(view, connection, hello, stage));
    let finding = finding?;
    *told = true;
    let result = match finding.verdict {
        // What the client says of the certificate comes after an answer to its hello.
        Verdict::HandshakeUntrusted => Result::Passed,
        verdict => Result::NoAnswer {
            on_path: stage == Stage::Hello && on_path(connection, hello, verdict),
        },
    };
    ledger.report(view, finding);
    Some(result)
}

/// Something between here and the server did it: a reset that the server can't have sent, or a hello that nobody
/// acknowledged on a connection that works.
fn on_path(connection: &Connection, hello: &ClientHelloSeen, verdict: Verdict) -> bool {
    match verdict {
        Verdict::HelloReset => {
            let foreign = match (connection.rst_ttl, connection.syn_ack_ttl) {
                (Some(rst), Some(syn_ack)) => rst != syn_ack,
                _ => false,
            };
            let after = connection
                .reset_by_peer()
                .map_or(Duration::MAX, |at| at.since(hello.sent));
            foreign || sooner_than_a_round_trip(connection, after).is_some()
        }
        Verdict::HelloTimeout => !acknowledged(connection, hello),
        _ => false,
    }
}

/// The round-trip time, µs, if something came in clearly less.
fn sooner_than_a_round_trip(connection: &Connection, after: Duration) -> Option<u32> {
    connection
        .rtt_us()
        .filter(|_| connection.way == Way::Direct)
        .filter(|rtt| u128::from(*rtt) * 4 > after.as_micros() * 5)
}

fn acknowledged(connection: &Connection, hello: &ClientHelloSeen) -> bool {
    connection.bytes_acked >= u64::from(hello.bytes) || resent(connection, hello) == 0
}

fn resent(connection: &Connection, hello: &ClientHelloSeen) -> u32 {
    connection.retransmits.max(hello.retransmits)
}

/// The server sent something that is not an alert.
fn answered(connection: &Connection) -> bool {
    connection.server_hello.is_some()
        || (connection.first_in.is_some() && connection.server_alert.is_none())
}

/// When silence in the handshake was over.
fn moved(
    view: View<'_>,
    connection: &Connection,
    stage: Stage,
    known: MonotonicNanos,
) -> Option<MonotonicNanos> {
    let progress = match stage {
        Stage::Hello => connection.first_in,
        _ => connection
            .handshake_done
            .or(connection.client_alert)
            .or_else(|| {
                let last_in = connection
                    .traffic
                    .as_ref()
                    .and_then(|traffic| traffic.last_in);
                last_in.filter(|last_in| *last_in > known)
            }),
    };
    let ends = [
        progress,
        connection.rst_received,
        connection.fin_received,
        connection.close_sent,
        connection.closed,
    ];
    view.first_end(connection.pid, connection.opened, ends)
}

fn rejected_by_client(connection: &Connection, hello: &ClientHelloSeen) -> Option<Finding> {
    let alert = connection.client_alert?;
    let description = connection.client_alert_description.as_deref();
    if description.is_some_and(|description| FAREWELLS.contains(&description)) {
        return None;
    }
    let certain = description.is_some_and(|description| CERTIFICATE_ALERTS.contains(&description));
    let server = connection.server_hello.as_ref();
    let mut evidence = hello_evidence(connection);
    evidence.insert("failure".to_owned(), json!("ssl_unknown_authority"));
    evidence.insert("alert".to_owned(), json!(description));
    evidence.insert(
        "version".to_owned(),
        json!(server.and_then(|server| server.version.clone())),
    );
    let alert_words = match description {
        Some(description) => format!("the alert {description}"),
        None => "an encrypted alert".to_owned(),
    };
    Some(Finding {
        verdict: Verdict::HandshakeUntrusted,
        stage: Stage::Handshake,
        confidence: if certain { Confidence::Confirmed } else { Confidence::Likely },
        began: hello.sent,
        ended: Some(alert),
        evidence,
        story: format!(
            "{}: the client answered the server's certificate with {alert_words} {} after its ClientHello, so it \
             does not trust it",
            connection.peer(),
            time(alert.since(hello.sent)),
        ),
        action: "If a proxy of your company inspects TLS, install its CA in the system's bundle or name it in \
                 SSL_CERT_FILE; otherwise find out who answers for that host before going on."
            .to_owned(),
        ..base(connection, hello)
    })
}

fn alerted(connection: &Connection, hello: &ClientHelloSeen, stage: Stage) -> Option<Finding> {
    let (at, alert) = connection.server_alert.as_ref()?;
    let mut evidence = hello_evidence(connection);
    evidence.insert("failure".to_owned(), json!("ssl_failed_handshake"));
    evidence.insert("alert".to_owned(), json!(alert.description));
    evidence.insert("alert_code".to_owned(), json!(alert.code));
    evidence.insert(
        "us_after_hello".to_owned(),
        json!(at.since(hello.sent).as_micros() as u64),
    );
    let farewell = FAREWELLS.contains(&alert.description.as_str());
    Some(Finding {
        verdict: if farewell {
            Verdict::HelloClosed
        } else {
            Verdict::HelloAlert
        },
        stage,
        ended: Some(*at),
        evidence,
        story: format!(
            "{}: the alert {} came {} after the {}",
            connection.peer(),
            alert.description,
            time(at.since(hello.sent)),
            words::hello(hello),
        ),
        action: action(connection, hello),
        ..base(connection, hello)
    })
}

fn reset(connection: &Connection, hello: &ClientHelloSeen, stage: Stage) -> Option<Finding> {
    let at = connection.reset_by_peer()?;
    let after = at.since(hello.sent);
    let mut evidence = hello_evidence(connection);
    evidence.insert("failure".to_owned(), json!("connection_reset"));
    let (syn_ack_ttl, rst_ttl) = words::ttls(connection);
    evidence.insert("rst_ttl".to_owned(), json!(rst_ttl));
    evidence.insert("us_after_hello".to_owned(), json!(after.as_micros() as u64));
    let path = match (rst_ttl, syn_ack_ttl) {
        (Some(rst), Some(syn_ack)) if rst != syn_ack => format!(
            "; the RST's TTL is {rst}, the SYN-ACK's {syn_ack}, so something on the path, not the server, probably sent it"
        ),
        (Some(rst), Some(_)) => format!(
            "; the RST's TTL is {rst}, as the SYN-ACK's, so it came from the server or from a firewall that copies its TTL"
        ),
        _ => String::new(),
    };
    let soon = sooner_than_a_round_trip(connection, after)
        .map(|rtt| {
            format!(
                ", sooner than one round trip ({:.1} ms)",
                f64::from(rtt) / 1000.0
            )
        })
        .unwrap_or_default();
    let when = match stage {
        Stage::Hello => "after its",
        _ => "in the handshake, after the server's first bytes and after its",
    };
    Some(Finding {
        verdict: Verdict::HelloReset,
        stage,
        ended: Some(at),
        evidence,
        story: format!(
            "{}: the connection was reset {} {when} {}{soon}{path}",
            connection.peer(),
            time(after),
            words::hello(hello),
        ),
        action: action(connection, hello),
        ..base(connection, hello)
    })
}

fn closed(connection: &Connection, hello: &ClientHelloSeen, stage: Stage) -> Option<Finding> {
    let at = connection.closed_by_peer()?;
    let after = at.since(hello.sent);
    let mut evidence = hello_evidence(connection);
    evidence.insert("failure".to_owned(), json!("eof_error"));
    evidence.insert("us_after_hello".to_owned(), json!(after.as_micros() as u64));
    Some(Finding {
        verdict: Verdict::HelloClosed,
        stage,
        ended: Some(at),
        evidence,
        story: format!(
            "{}: the peer closed the connection {} after the {} instead of finishing the handshake",
            connection.peer(),
            time(after),
            words::hello(hello),
        ),
        action: action(connection, hello),
        ..base(connection, hello)
    })
}

fn silent(
    view: View<'_>,
    connection: &Connection,
    hello: &ClientHelloSeen,
    stage: Stage,
) -> Option<Finding> {
    let gone = connection.client_alert.is_some()
        || connection.close_sent.is_some()
        || connection.closed.is_some()
        || view.owner_ended(connection).is_some();
    if gone {
        return None;
    }
    let last_in = connection
        .traffic
        .as_ref()
        .and_then(|traffic| traffic.last_in);
    let (began, limit) = if stage == Stage::Hello {
        (hello.sent, view.limits.hello(connection))
    } else {
        let began = last_in.max(connection.first_in).unwrap_or(hello.sent);
        (began, view.limits.handshake(connection))
    };
    let waited = view.now.since(began);
    if waited < limit {
        return None;
    }
    let resent = resent(connection, hello);
    let acked = acknowledged(connection, hello);
    let mut evidence = hello_evidence(connection);
    evidence.insert("failure".to_owned(), json!("generic_timeout_error"));
    // What goes through us, we acknowledge.
    let seen = connection.way == Way::Direct;
    evidence.insert("acked".to_owned(), json!(seen.then_some(acked)));
    evidence.insert("bytes_acked".to_owned(), json!(connection.bytes_acked));
    evidence.insert("retransmits".to_owned(), json!(resent));
    evidence.insert(
        "bytes_received".to_owned(),
        json!(connection.bytes_received),
    );
    evidence.insert("idle_ms".to_owned(), ms(waited));
    let fate = if !seen {
        "which went through us".to_owned()
    } else if acked {
        "which was acknowledged".to_owned()
    } else {
        format!(
            "of which {} bytes were acknowledged, with {}",
            connection.bytes_acked,
            count(resent.into(), "retransmission")
        )
    };
    let story = match stage {
        Stage::Hello => format!(
            "{}: no answer for {} to the {}, {fate}",
            connection.peer(),
            time(waited),
            words::hello(hello),
        ),
        _ => format!(
            "{}: the handshake stopped after {} bytes from the server, {} ago; it began with the {}",
            connection.peer(),
            connection.bytes_received,
            time(waited),
            words::hello(hello),
        ),
    };
    Some(Finding {
        verdict: Verdict::HelloTimeout,
        stage,
        began,
        ended: None,
        evidence,
        story,
        action: action(connection, hello),
        ..base(connection, hello)
    })
}

fn base(connection: &Connection, hello: &ClientHelloSeen) -> Finding {
    Finding {
        subject: StallSubject::Connection(connection.id),
        pid: connection.pid,
        verdict: Verdict::HelloTimeout,
        stage: Stage::Hello,
        confidence: Confidence::Confirmed,
        host: connection.host.clone(),
        began: hello.sent,
        ended: None,
        evidence: super::Evidence::new(),
        story: String::new(),
        action: String::new(),
        explanation: None,
    }
}

fn action(connection: &Connection, hello: &ClientHelloSeen) -> String {
    let name = hello
        .hello
        .server_name
        .clone()
        .unwrap_or_else(|| connection.remote.ip().to_string());
    let ask = format!(
        "ask the network team whether a filter matches the server name {name}, or set GOPROXY to another mirror"
    );
    if hello.bytes > ONE_SEGMENT {
        format!(
            "Try GODEBUG=tlsmlkem=0 (Go 1.24 or newer), which makes the ClientHello fit one segment; if that changes nothing, {ask}."
        )
    } else if hello.hello.alpn.iter().any(|protocol| protocol == "h2") {
        format!(
            "Try GODEBUG=http2client=0, which leaves h2 out of the ClientHello; if that changes nothing, {ask}."
        )
    } else {
        let mut ask = ask;
        if let Some(first) = ask.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        format!("{ask}.")
    }
}
