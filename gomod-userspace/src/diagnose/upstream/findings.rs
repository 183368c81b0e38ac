// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a host, or of its HTTP proxy, that the accelerator can't reach, with its evidence.

use std::time::Duration;

use serde_json::json;

use super::{Failing, began, subject, tunnel};
use crate::{
    diagnose::{
        Cause, Confidence, Evidence, Finding, Stage, Verdict, View,
        cause::Explanation,
        words::{count, evidence, ms, time},
    },
    kernel::events::{AttemptFailure, OwnHello},
    timeline::{AttemptSeen, Leg},
};

pub(super) fn verdict(attempt: &AttemptSeen) -> Option<Verdict> {
    if attempt.leg == Leg::Tunnel {
        return Some(tunnel::verdict(attempt));
    }
    let silent = if attempt.connected.is_some() {
        Verdict::HelloTimeout
    } else {
        Verdict::ConnectTimeout
    };
    match &attempt.failure {
        None | Some(AttemptFailure::Silent) => Some(silent),
        Some(AttemptFailure::Refused) => Some(Verdict::ConnectRefused),
        Some(AttemptFailure::Unreachable) => Some(Verdict::ConnectUnreachable),
        Some(AttemptFailure::Reset) => Some(Verdict::HelloReset),
        Some(AttemptFailure::Closed) => Some(Verdict::HelloClosed),
        Some(AttemptFailure::Alert { .. }) => Some(Verdict::HelloAlert),
        Some(AttemptFailure::Untrusted { .. }) => Some(Verdict::HandshakeUntrusted),
        Some(AttemptFailure::TunnelRefused { .. } | AttemptFailure::Other { .. }) => None,
    }
}

fn stage(verdict: Verdict) -> Stage {
    match verdict {
        Verdict::HandshakeUntrusted => Stage::Handshake,
        Verdict::ConnectTimeout | Verdict::ConnectRefused | Verdict::ConnectUnreachable => {
            Stage::Connect
        }
        // CONNECT is a request to the proxy.
        Verdict::RequestStalled | Verdict::TunnelRefused => Stage::Request,
        _ => Stage::Hello,
    }
}

pub(super) fn finding(view: View<'_>, attempt: &AttemptSeen, failing: &Failing) -> Finding {
    let verdict = verdict(attempt).unwrap_or(Verdict::HelloTimeout);
    let waited = attempt.over.unwrap_or(view.now).since(began(attempt));
    let story = match attempt.leg {
        Leg::Tunnel => tunnel::story(attempt, waited),
        Leg::Dial | Leg::Inside => story(attempt, waited),
    };
    let tries = match failing.tries {
        0 | 1 => String::new(),
        tries => format!(" ({})", count(tries, "try").replace("trys", "tries")),
    };
    Finding {
        subject: subject(attempt),
        pid: view.asks_us_for(&attempt.host).unwrap_or_default(),
        verdict,
        stage: stage(verdict),
        confidence: Confidence::Confirmed,
        host: Some(attempt.destination().to_owned()),
        began: failing.since,
        ended: None,
        evidence: numbers(attempt, failing, waited),
        story: format!("{}: {story}{tries}", peer(attempt)),
        action: action(verdict, attempt),
        explanation: interception(attempt),
    }
}

/// Who is at the other end, and which way that is.
fn peer(attempt: &AttemptSeen) -> String {
    let (host, remote) = (&attempt.host, attempt.remote);
    match (attempt.leg, &attempt.proxy) {
        (_, None) => format!("{host} ({remote})"),
        (Leg::Dial | Leg::Tunnel, Some(proxy)) => format!("HTTP proxy {proxy} ({remote})"),
        (Leg::Inside, Some(proxy)) => format!("{host} through HTTP proxy {proxy} ({remote})"),
    }
}

fn story(attempt: &AttemptSeen, waited: Duration) -> String {
    let hello = words(attempt.client_hello.as_ref());
    let after = format!("{} after our {hello}", time(waited));
    // A proxy ends its tunnel on its own account, or because its connection to the host ended.
    let ended = |how: &str| {
        attempt.behind().map(|_| {
            format!(
                "the proxy {how} the tunnel {after}; what became of its own connection to the host is not seen from here"
            )
        })
    };
    match &attempt.failure {
        None | Some(AttemptFailure::Silent) if attempt.connected.is_none() => {
            format!("no answer to our SYNs in {}", time(waited))
        }
        None | Some(AttemptFailure::Silent) => {
            format!("no answer to our {hello} in {}", time(waited))
        }
        Some(AttemptFailure::Refused) => "our connection was refused".to_owned(),
        Some(AttemptFailure::Unreachable) => "the destination is unreachable for us".to_owned(),
        Some(AttemptFailure::Reset) => {
            ended("reset").unwrap_or_else(|| format!("our connection was reset {after}"))
        }
        Some(AttemptFailure::Closed) => {
            ended("closed").unwrap_or_else(|| format!("the peer closed our connection {after}"))
        }
        Some(AttemptFailure::Alert { description }) => {
            format!("the alert {description} came {after}")
        }
        Some(AttemptFailure::Untrusted { issuer, reason, .. }) => {
            format!(
                "its certificate, issued by {issuer}, is not trusted by this machine ({reason})"
            )
        }
        Some(AttemptFailure::TunnelRefused { status }) => format!("status {status}"),
        Some(AttemptFailure::Other { error }) => error.clone(),
    }
}

fn numbers(attempt: &AttemptSeen, failing: &Failing, waited: Duration) -> Evidence {
    let hello = attempt.client_hello.as_ref();
    let (issuer, reason) = match &attempt.failure {
        Some(AttemptFailure::Untrusted { issuer, reason, .. }) => (Some(issuer), Some(reason)),
        _ => (None, None),
    };
    let alert = match &attempt.failure {
        Some(AttemptFailure::Alert { description }) => Some(description),
        _ => None,
    };
    let took = |leg| {
        let connected = attempt.connected.filter(|_| attempt.leg == leg);
        connected.map(|connected| ms(connected.since(attempt.began)))
    };
    evidence(json!({
        "seen_by": "gomod-trace",
        "remote": attempt.remote.to_string(),
        "proxy": attempt.behind(),
        "proxy_status": tunnel::status(attempt),
        "tries": failing.tries.max(1),
        "waited_ms": ms(waited),
        "connect_ms": took(Leg::Dial),
        "tunnel_ms": took(Leg::Inside),
        "client_hello_bytes": hello.map(|hello| hello.bytes),
        "alpn": hello.map(|hello| hello.alpn.clone()),
        "alert": alert,
        "issuer": issuer,
        "reason": reason,
    }))
}

/// "`ClientHello` (245 bytes)".
fn words(hello: Option<&OwnHello>) -> String {
    hello.map_or_else(
        || "ClientHello".to_owned(),
        |hello| {
            format!(
                "ClientHello ({} bytes, {})",
                hello.bytes,
                hello.alpn.join(" ")
            )
        },
    )
}

fn action(verdict: Verdict, attempt: &AttemptSeen) -> String {
    let (host, address) = (&attempt.host, attempt.remote.ip());
    match (verdict, attempt.leg, &attempt.proxy) {
        (_, Leg::Tunnel, Some(proxy)) => tunnel::action(attempt, proxy),
        (Verdict::HandshakeUntrusted, ..) => {
            "If a proxy of your company inspects TLS, install its CA in the system's bundle or name it in SSL_CERT_FILE; \
             otherwise find out who answers for that host before going on."
                .to_owned()
        }
        (_, Leg::Inside, Some(proxy)) => format!(
            "Ask whoever runs the HTTP proxy {proxy} what its own connection to {host} meets; `gomod-trace probe {host}` \
             goes through that proxy as well and finds out what is filtered."
        ),
        (_, Leg::Dial, Some(_)) => format!(
            "Check that HTTPS_PROXY names the right proxy, and ask the network team whether port {} of {address} is filtered.",
            attempt.remote.port(),
        ),
        (Verdict::ConnectUnreachable, ..) => format!(
            "Check the routes of this machine (`ip route get {address}`) and its firewall, or give another mirror by --mirror."
        ),
        (Verdict::ConnectTimeout | Verdict::ConnectRefused, ..) => format!(
            "Ask the network team whether port {} of {address} is filtered, or give another mirror by --mirror.",
            attempt.remote.port(),
        ),
        _ => format!(
            "Run `gomod-trace probe {host}` to find out what is filtered, or give another mirror by --mirror."
        ),
    }
}

/// Our own check saw whose certificate it is.
fn interception(attempt: &AttemptSeen) -> Option<Explanation> {
    match &attempt.failure {
        Some(AttemptFailure::Untrusted {
            issuer,
            unknown_authority: true,
            ..
        }) => Some(Explanation {
            cause: Cause::Interception,
            because: "no authority that this machine knows has signed it, so TLS is intercepted on the way, or the host has a private CA"
                .to_owned(),
            action: format!(
                "Ask the network team whether they run \"{issuer}\"; if so, install its CA in the system's bundle or name it in SSL_CERT_FILE."
            ),
            evidence: Evidence::new(),
        }),
        _ => None,
    }
}
