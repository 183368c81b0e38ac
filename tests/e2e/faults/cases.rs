// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is expected of each fault.

use serde_json::Value;

use super::PlainGo::{self, Fails, Succeeds, Waits};
use crate::harness::traced::number;

/// A fault of the lab and what must be said of it.
#[derive(Debug)]
pub(super) struct Case {
    /// As the lab's command line takes it.
    pub(super) fault: &'static str,
    /// Round-trip time of the lab.
    pub(super) rtt_ms: u64,
    pub(super) plain: PlainGo,
    /// `None` where `go` is not held up, and nothing is to be said.
    pub(super) verdict: Option<&'static str>,
    pub(super) stage: &'static str,
    /// Checks the numbers of each stall: its evidence, then the whole of it.
    pub(super) evidence: fn(&Value, &Value),
}

impl Case {
    /// The trial's name.
    pub(super) fn name(&self) -> String {
        match self.rtt_ms {
            0 => self.fault.to_owned(),
            rtt => format!("{},rtt={rtt}ms", self.fault),
        }
    }
}

const fn case(
    fault: &'static str,
    plain: PlainGo,
    verdict: &'static str,
    stage: &'static str,
    evidence: fn(&Value, &Value),
) -> Case {
    Case {
        fault,
        rtt_ms: 0,
        plain,
        verdict: Some(verdict),
        stage,
        evidence,
    }
}

/// A fault that `go` copes with.
const fn harmless(fault: &'static str) -> Case {
    Case {
        verdict: None,
        ..case(fault, Succeeds, "", "", |_, _| {})
    }
}

/// All of them, those that take longest first.
pub(super) const CASES: &[Case] = &[
    // So slow that every single file takes longer than the ten seconds over which a rate is measured.
    case(
        "body-slow=1024",
        Waits,
        "anomaly.body.slow",
        "body",
        |evidence, _| {
            let rate = number(&evidence["bytes_per_second"]);
            assert!(
                (1..16 * 1024).contains(&rate) && number(&evidence["bytes_received"]) > 0,
                "{evidence:#}"
            );
        },
    ),
    case(
        "silence",
        Waits,
        "anomaly.request.stalled",
        "request",
        |evidence, stall| {
            idle(evidence);
            waited_for(stall);
        },
    ),
    case(
        "body-stop",
        Waits,
        "anomaly.body.stalled",
        "body",
        |evidence, stall| {
            idle(evidence);
            waited_for(stall);
            assert!(number(&evidence["bytes_received"]) > 0, "{evidence:#}");
        },
    ),
    // So late that the handshake's own answers are long past.
    Case {
        rtt_ms: 50,
        ..case(
            "body-stop=70%",
            Waits,
            "anomaly.body.stalled",
            "body",
            |evidence, stall| {
                idle(evidence);
                waited_for(stall);
                assert!(number(&evidence["srtt_us"]) >= 40_000, "{evidence:#}");
            },
        )
    },
    case(
        "dns-drop",
        Waits,
        "anomaly.dns.timeout",
        "dns",
        |evidence, _| {
            dns(evidence, "servers", &["198.18.1.1:53"]);
            dns(evidence, "types", &["A", "AAAA"]);
            assert_eq!(evidence["answered"], 0, "{evidence:#}");
            assert!(number(&evidence["attempts"]) >= 1, "{evidence:#}");
        },
    ),
    case(
        "dns-drop,family=v6",
        Waits,
        "anomaly.dns.timeout",
        "dns",
        |evidence, _| {
            dns(evidence, "types", &["AAAA"]);
            dns(evidence, "answered_types", &["A"]);
        },
    ),
    case(
        "syn-drop",
        Waits,
        "anomaly.connect.timeout",
        "connect",
        |evidence, _| {
            assert!(number(&evidence["syn_retransmits"]) >= 2, "{evidence:#}");
            to_proxy(evidence);
        },
    ),
    case(
        "dns-dead-first",
        Waits,
        "anomaly.connect.timeout",
        "connect",
        |evidence, _| {
            assert!(number(&evidence["syn_retransmits"]) >= 2, "{evidence:#}");
            let remote = evidence["remote"].as_str().unwrap();
            assert!(
                matches!(remote, "198.18.3.1:443" | "[2001:2:0:3::1]:443"),
                "{evidence:#}"
            );
        },
    ),
    case(
        "sni-drop",
        Waits,
        "anomaly.hello.timeout",
        "hello",
        |evidence, _| {
            large_hello(evidence);
            assert_eq!(evidence["acked"], false, "{evidence:#}");
            assert!(number(&evidence["retransmits"]) >= 1, "{evidence:#}");
            assert_eq!(evidence["bytes_received"], 0, "{evidence:#}");
        },
    ),
    case(
        "large-hello-drop",
        Waits,
        "anomaly.hello.timeout",
        "hello",
        |evidence, _| {
            large_hello(evidence);
            assert_eq!(evidence["client_hello_segments"], 2, "{evidence:#}");
            assert_eq!(evidence["acked"], false, "{evidence:#}");
        },
    ),
    case(
        "h2-hello-silence",
        Waits,
        "anomaly.hello.timeout",
        "hello",
        |evidence, _| {
            large_hello(evidence);
            assert_eq!(evidence["acked"], true, "{evidence:#}");
            assert_eq!(evidence["retransmits"], 0, "{evidence:#}");
            assert_eq!(evidence["alpn"][0], "h2", "{evidence:#}");
        },
    ),
    case(
        "lock-held",
        Waits,
        "contention.lock",
        "lock",
        |evidence, _| {
            let command = evidence["holder_command"].as_str().unwrap();
            assert!(command.contains("sleep"), "{evidence:#}");
            assert_eq!(evidence["holder_is_self"], false, "{evidence:#}");
        },
    ),
    case(
        "dns-delay=3s",
        Succeeds,
        "anomaly.dns.slow",
        "dns",
        |evidence, _| {
            assert!(
                evidence["latency_ms"].as_f64().unwrap() >= 3000.0,
                "{evidence:#}"
            );
            dns(evidence, "servers", &["198.18.1.1:53"]);
        },
    ),
    case(
        "dns-loss",
        Succeeds,
        "anomaly.dns.timeout",
        "dns",
        |evidence, _| {
            dns(evidence, "servers", &["198.18.1.1:53"]);
            assert!(number(&evidence["attempts"]) >= 2, "{evidence:#}");
        },
    ),
    harmless("dns-truncated"),
    harmless("dns-wrong-id"),
    harmless("dns-wrong-source"),
    case(
        "dns-lame",
        Fails("lame referral"),
        "anomaly.dns.refused",
        "dns",
        |evidence, stall| {
            dns(evidence, "servers", &["198.18.1.1:53"]);
            assert_eq!(evidence["rcode"], "NOERROR", "{evidence:#}");
            assert!(
                stall["story"].as_str().unwrap().contains("lame referral"),
                "{stall:#}"
            );
        },
    ),
    case(
        "dns-nxdomain",
        Fails("no such host"),
        "anomaly.dns.nxdomain",
        "dns",
        |evidence, _| {
            dns(evidence, "servers", &["198.18.1.1:53"]);
            dns(evidence, "types", &["A", "AAAA"]);
            assert_eq!(evidence["rcode"], "NXDOMAIN", "{evidence:#}");
        },
    ),
    case(
        "dns-refused",
        Fails("server misbehaving"),
        "anomaly.dns.refused",
        "dns",
        |evidence, _| {
            dns(evidence, "servers", &["198.18.1.1:53"]);
            assert_eq!(evidence["rcode"], "REFUSED", "{evidence:#}");
        },
    ),
    case(
        "dns-servfail",
        Fails("server misbehaving"),
        "anomaly.dns.refused",
        "dns",
        |evidence, _| {
            dns(evidence, "servers", &["198.18.1.1:53"]);
            assert_eq!(evidence["rcode"], "SERVFAIL", "{evidence:#}");
        },
    ),
    case(
        "connect-refused",
        Fails("connection refused"),
        "anomaly.connect.refused",
        "connect",
        |evidence, _| {
            assert_eq!(evidence["errno"], 111, "{evidence:#}");
            to_proxy(evidence);
        },
    ),
    case(
        "host-unreachable",
        Fails("no route to host"),
        "anomaly.connect.unreachable",
        "connect",
        |evidence, _| {
            assert_eq!(evidence["errno"], 113, "{evidence:#}");
            to_proxy(evidence);
        },
    ),
    case(
        "no-route",
        Fails("no route to host"),
        "anomaly.connect.unreachable",
        "connect",
        |evidence, _| {
            assert_eq!(evidence["errno"], 113, "{evidence:#}");
            assert_eq!(evidence["failed_locally"], true, "{evidence:#}");
            to_proxy(evidence);
        },
    ),
    case(
        "sni-reset",
        Fails("connection reset by peer"),
        "anomaly.hello.reset",
        "hello",
        forged_reset,
    ),
    Case {
        rtt_ms: 50,
        ..case(
            "sni-reset",
            Fails("connection reset by peer"),
            "anomaly.hello.reset",
            "hello",
            |evidence, stall| {
                forged_reset(evidence, stall);
                // Halfway along the link: sooner than any answer of the server.
                assert!(
                    number(&evidence["us_after_hello"]) < number(&evidence["srtt_us"]),
                    "{evidence:#}"
                );
            },
        )
    },
    case(
        "tls-alert=40",
        Fails("remote error: tls"),
        "anomaly.hello.alert",
        "hello",
        |evidence, _| {
            large_hello(evidence);
            assert_eq!(evidence["alert"], "handshake_failure", "{evidence:#}");
            assert_eq!(evidence["alert_code"], 40, "{evidence:#}");
        },
    ),
    case(
        "tls-close",
        Fails("EOF"),
        "anomaly.hello.closed",
        "hello",
        |evidence, _| {
            large_hello(evidence);
        },
    ),
    case(
        "untrusted-certificate",
        Fails("certificate signed by unknown authority"),
        "anomaly.handshake.untrusted",
        "handshake",
        |evidence, _| large_hello(evidence),
    ),
    case(
        "body-cut",
        Fails("unexpected EOF"),
        "anomaly.body.cut",
        "body",
        |evidence, _| {
            assert_eq!(evidence["failure"], "eof_error", "{evidence:#}");
            assert!(number(&evidence["bytes_received"]) > 0, "{evidence:#}");
        },
    ),
    case(
        "body-reset",
        Fails("connection reset by peer"),
        "anomaly.body.cut",
        "body",
        |evidence, _| {
            assert_eq!(evidence["failure"], "connection_reset", "{evidence:#}");
            assert!(number(&evidence["bytes_received"]) > 0, "{evidence:#}");
        },
    ),
];

/// The hello of a Go that offers post-quantum keys: two segments.
fn large_hello(evidence: &Value) {
    assert_eq!(evidence["sni"], gomod_lab::PROXY, "{evidence:#}");
    assert!(
        (1496..=1538).contains(&number(&evidence["client_hello_bytes"])),
        "{evidence:#}"
    );
    to_proxy(evidence);
}

fn forged_reset(evidence: &Value, _: &Value) {
    large_hello(evidence);
    assert_eq!(evidence["rst_ttl"], gomod_lab::FORGED_TTL, "{evidence:#}");
    assert_eq!(
        evidence["syn_ack_ttl"],
        gomod_lab::GENUINE_TTL,
        "{evidence:#}"
    );
}

fn dns(evidence: &Value, list: &str, expected: &[&str]) {
    let mut found = evidence[list]
        .as_array()
        .unwrap_or_else(|| panic!("no {list}: {evidence:#}"))
        .iter()
        .map(|entry| entry.as_str().unwrap())
        .collect::<Vec<_>>();
    found.sort_unstable();
    assert_eq!(found, expected, "{list} of {evidence:#}");
}

fn to_proxy(evidence: &Value) {
    let remote = evidence["remote"].as_str().unwrap();
    assert!(
        matches!(remote, "198.18.2.1:443" | "[2001:2:0:2::1]:443"),
        "{evidence:#}"
    );
}

fn idle(evidence: &Value) {
    assert!(
        evidence["idle_ms"].as_f64().unwrap() >= 5000.0,
        "{evidence:#}"
    );
}

/// The files that wait are named.
fn waited_for(stall: &Value) {
    assert!(
        !stall["modules"].as_array().unwrap().is_empty(),
        "{stall:#}"
    );
}
