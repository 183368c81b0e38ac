// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each run must say of its causes.

use serde_json::Value;

use super::PlainGo::{self, Fails, Succeeds, Waits};
use crate::harness::traced::number;

/// A command on a faulty network, and the causes that must be named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) faults: &'static [&'static str],
    /// For `sh -c`.
    pub(super) script: &'static str,
    pub(super) plain: PlainGo,
    /// Each verdict that is told, with its cause.
    pub(super) told: &'static [(&'static str, Option<&'static str>)],
    pub(super) carried: bool,
    pub(super) nameservers: u8,
    /// go.sum is empty.
    pub(super) without_sums: bool,
    /// Checks each stall.
    pub(super) check: fn(&Value),
}

const fn case(
    name: &'static str,
    faults: &'static [&'static str],
    script: &'static str,
    plain: PlainGo,
    told: &'static [(&'static str, Option<&'static str>)],
) -> Case {
    Case {
        name,
        faults,
        script,
        plain,
        told,
        carried: false,
        nameservers: 1,
        without_sums: false,
        check: |_| {},
    }
}

/// The longest first.
pub(super) const CASES: &[Case] = &[
    Case {
        check: compared,
        ..case(
            "a_small_hello_that_passes_tells_the_size",
            &["large-hello-drop"],
            "go mod download || GODEBUG=tlsmlkem=0 go mod download",
            Succeeds,
            &[("anomaly.hello.timeout", Some("clienthello_size"))],
        )
    },
    Case {
        check: compared,
        ..case(
            "a_hello_without_h2_that_passes_tells_h2",
            &["h2-hello-silence"],
            "go mod download || GODEBUG=http2client=0 go mod download",
            Succeeds,
            &[("anomaly.hello.timeout", Some("alpn_h2"))],
        )
    },
    Case {
        check: |stall| {
            compared(stall);
            assert_eq!(
                stall["evidence"]["passed_host"],
                gomod_lab::CONTROL,
                "{stall:#}"
            );
        },
        ..case(
            "a_name_that_fails_in_every_form_is_told_beside_one_that_passes",
            &["sni-reset"],
            "go mod download; GODEBUG=tlsmlkem=0,http2client=0 go mod download; \
             GOPROXY=https://www.example.com go mod download",
            Fails("connection reset by peer"),
            &[("anomaly.hello.reset", Some("server_name"))],
        )
    },
    // Nothing to compare with.
    case(
        "a_hello_that_fails_alone_has_no_cause",
        &["sni-reset"],
        "go mod download",
        Fails("connection reset by peer"),
        &[("anomaly.hello.reset", None)],
    ),
    case(
        "a_dead_address_is_told_when_the_next_one_answers",
        &["dns-dead-first"],
        "go mod download",
        Succeeds,
        &[("anomaly.connect.timeout", Some("dead_address"))],
    ),
    case(
        "aaaa_questions_that_are_dropped_are_told",
        &["dns-drop,family=v6"],
        "go mod download",
        Succeeds,
        &[("anomaly.dns.timeout", Some("unanswered_aaaa"))],
    ),
    case(
        "questions_that_get_lost_are_told",
        &["dns-drop,times=1"],
        "go mod download",
        Succeeds,
        &[("anomaly.dns.timeout", Some("lost_answers"))],
    ),
    Case {
        nameservers: 2,
        ..case(
            "a_nameserver_that_is_silent_beside_another_one_is_told",
            &["dns-drop,server=1"],
            "go mod download",
            Succeeds,
            &[("anomaly.dns.timeout", Some("silent_nameserver"))],
        )
    },
    case(
        "a_slow_nameserver_is_told",
        &["dns-delay=2s"],
        "go mod download",
        Succeeds,
        &[("anomaly.dns.slow", Some("slow_resolver"))],
    ),
    Case {
        check: |stall| {
            if stall["stage"] == "lock" {
                let command = stall["evidence"]["holder_command"].as_str().unwrap();
                assert!(command.contains("go mod download"), "{stall:#}");
            }
        },
        ..case(
            "a_lock_of_another_go_is_told",
            &["silence,path=*.zip"],
            "go mod download & sleep 1; go mod download; wait",
            Waits,
            &[
                ("anomaly.request.stalled", None),
                ("contention.lock", Some("lock_of_another_go")),
            ],
        )
    },
    Case {
        without_sums: true,
        check: |stall| {
            if stall["verdict"] == "anomaly.dual_channel" {
                let evidence = &stall["evidence"];
                assert_eq!(evidence["module_hosts"][0], gomod_lab::PROXY, "{stall:#}");
                assert_eq!(evidence["checksum_hosts"][0], gomod_lab::SUMDB, "{stall:#}");
                for cost in ["module_ms", "checksum_ms"] {
                    assert!(evidence[cost].as_f64().unwrap() >= 2000.0, "{stall:#}");
                }
                assert_eq!(evidence["at_once_ms"], 0.0, "{stall:#}");
            }
        },
        ..case(
            "module_host_and_database_one_after_the_other_are_one_more_verdict",
            &["dns-delay=2s"],
            "go mod download",
            Succeeds,
            &[
                ("anomaly.dns.slow", Some("slow_resolver")),
                ("anomaly.dual_channel", None),
            ],
        )
    },
    Case {
        without_sums: true,
        check: |stall| {
            if stall["verdict"] == "anomaly.dual_channel" {
                assert!(
                    stall["evidence"]["at_once_ms"].as_f64().unwrap() > 0.0,
                    "{stall:#}"
                );
            }
        },
        ..case(
            "module_host_and_database_at_once_are_one_more_verdict",
            &["silence,path=*/m001/@v/*", "silence,host=sum.golang.org"],
            "go mod download",
            Waits,
            &[
                ("anomaly.request.stalled", None),
                ("anomaly.dual_channel", None),
            ],
        )
    },
    Case {
        carried: true,
        check: |stall| {
            let issuer = stall["evidence"]["issuer"].as_str().unwrap();
            assert!(issuer.contains("CN="), "{stall:#}");
            for words in ["story", "action"] {
                assert!(stall[words].as_str().unwrap().contains(issuer), "{stall:#}");
            }
        },
        ..case(
            "an_interception_is_told_with_its_issuer",
            &["untrusted-certificate"],
            "go mod download",
            Fails("certificate signed by unknown authority"),
            &[("anomaly.handshake.untrusted", Some("interception"))],
        )
    },
    Case {
        carried: true,
        check: |stall| {
            let evidence = &stall["evidence"];
            assert!(
                evidence["remote"].as_str().unwrap().starts_with('['),
                "{stall:#}"
            );
            assert_eq!(evidence["passed_by"], "gomod-trace", "{stall:#}");
            assert!(
                number(&evidence["passed_client_hello_bytes"]) < 1000,
                "{stall:#}"
            );
        },
        ..case(
            "ipv6_that_leads_nowhere_is_told_by_our_own_connections",
            &["sni-drop,family=v6"],
            "go mod download",
            Waits,
            &[("anomaly.hello.timeout", Some("ipv6_black_hole"))],
        )
    },
    Case {
        carried: true,
        check: |stall| {
            assert_eq!(stall["evidence"]["seen_by"], "gomod-trace", "{stall:#}");
        },
        ..case(
            "resets_of_our_own_hello_are_told",
            &["sni-reset"],
            "go mod download",
            Fails("connection reset by peer"),
            &[("anomaly.hello.reset", None)],
        )
    },
];

/// The trial that passed stands beside the one that failed.
fn compared(stall: &Value) {
    let evidence = &stall["evidence"];
    assert_eq!(evidence["passed_by"], "the command", "{stall:#}");
    assert!(
        evidence["passed_ms"].as_f64().unwrap() >= stall["began_ms"].as_f64().unwrap(),
        "{stall:#}"
    );
    assert!(
        number(&evidence["passed_client_hello_bytes"]) > 0,
        "{stall:#}"
    );
}
