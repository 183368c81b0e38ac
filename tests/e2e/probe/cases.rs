// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be said of each fault, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use gomod_lab::{FORGED_TTL, GENUINE_TTL};
use libtest_mimic::Trial;
use serde_json::Value;

use super::{PROBES, Probed, lab};
use crate::harness::trial;

/// Faults, and what is expected.
struct Case {
    faults: &'static [&'static str],
    nameservers: u8,
    verdicts: &'static [&'static str],
    /// Of the first verdict.
    stage: Value,
    confidence: &'static str,
    /// Checks the evidence of the first verdict.
    evidence: fn(&Value),
}

fn case(
    faults: &'static [&'static str],
    verdicts: &'static [&'static str],
    stage: &str,
    confidence: &'static str,
    evidence: fn(&Value),
) -> Case {
    Case {
        faults,
        nameservers: 1,
        verdicts,
        stage: if stage.is_empty() {
            Value::Null
        } else {
            stage.into()
        },
        confidence,
        evidence,
    }
}

fn two_nameservers(case: Case) -> Case {
    Case {
        nameservers: 2,
        ..case
    }
}

/// A path whose zip the faults of bodies touch; filled in by the trial.
const BODIES: [&str; 4] = [
    "body-cut=30%",
    "body-stop=30%",
    "body-reset=30%",
    "body-slow=2000",
];

fn cases() -> Vec<Case> {
    let none: fn(&Value) = |_| {};
    vec![
        case(
            &["sni-drop"],
            &["interference.sni.timeout"],
            "hello",
            "confirmed",
            |evidence| {
                assert_eq!(
                    evidence["passed"]["hello.control_name"], "5/5",
                    "{evidence:#}"
                );
                assert!(
                    evidence["retransmits"].as_u64().unwrap() > 0,
                    "{evidence:#}"
                );
                assert_eq!(
                    evidence["addresses"].as_array().unwrap().len(),
                    2,
                    "{evidence:#}"
                );
            },
        ),
        case(
            &["sni-reset"],
            &["interference.sni.reset"],
            "hello",
            "confirmed",
            |evidence| {
                assert_eq!(evidence["rst_ttl"], FORGED_TTL, "{evidence:#}");
                assert_eq!(evidence["syn_ack_ttl"], GENUINE_TTL, "{evidence:#}");
                assert!(
                    evidence["rst_injected_signs"].as_u64().unwrap() >= 1,
                    "{evidence:#}"
                );
            },
        ),
        case(
            &["h2-hello-silence"],
            &["interference.alpn.h2"],
            "hello",
            "confirmed",
            |evidence| {
                assert_eq!(evidence["passed"]["hello.http1"], "5/5", "{evidence:#}");
                assert_eq!(evidence["acknowledged"], true, "{evidence:#}");
            },
        ),
        case(
            &["large-hello-drop"],
            &["interference.clienthello.size"],
            "hello",
            "confirmed",
            |evidence| {
                assert_eq!(evidence["passed"]["hello.small"], "5/5", "{evidence:#}");
            },
        ),
        // A device on the path does not care whose hello it is: the control's large one vanishes too.
        case(
            &["large-hello-drop,host=*"],
            &["interference.clienthello.size"],
            "hello",
            "confirmed",
            none,
        ),
        case(
            &["sni-reset,host=*"],
            &["inconclusive.control_failed"],
            "",
            "likely",
            none,
        ),
        case(
            &["tls-alert"],
            &["interference.sni.alert"],
            "hello",
            "confirmed",
            none,
        ),
        case(
            &["tls-close"],
            &["interference.sni.closed"],
            "hello",
            "confirmed",
            none,
        ),
        case(
            &["untrusted-certificate"],
            &["interception.tls"],
            "handshake",
            "confirmed",
            |evidence| {
                let issuer = evidence["issuer"].as_str().unwrap();
                assert!(issuer.contains("Unknown Authority"), "{evidence:#}");
            },
        ),
        case(
            &["syn-drop"],
            &["interference.tcp.syn_timeout"],
            "connect",
            "confirmed",
            |evidence| {
                assert!(
                    evidence["syn_retransmits"].as_u64().unwrap() > 0,
                    "{evidence:#}"
                );
            },
        ),
        case(
            &["syn-drop,family=v6"],
            &["interference.tcp.syn_timeout"],
            "connect",
            "confirmed",
            |evidence| {
                let addresses = evidence["addresses"].as_array().unwrap();
                assert!(
                    addresses.len() == 1 && addresses[0].as_str().unwrap().starts_with('['),
                    "{evidence:#}"
                );
            },
        ),
        case(
            &["connect-refused"],
            &["interference.tcp.syn_reset"],
            "connect",
            "confirmed",
            none,
        ),
        case(
            &["host-unreachable"],
            &["anomaly.connect.unreachable"],
            "connect",
            "confirmed",
            |evidence| {
                // The router's own word, by name.
                assert!(evidence["icmp"]["from"].is_string(), "{evidence:#}");
            },
        ),
        case(
            &["no-route"],
            &["anomaly.connect.unreachable"],
            "connect",
            "confirmed",
            |evidence| assert!(evidence["icmp"].is_null(), "{evidence:#}"),
        ),
        case(
            &["dns-drop,host=proxy.golang.org"],
            &["interference.dns.timeout"],
            "dns",
            "confirmed",
            |evidence| {
                assert_eq!(
                    evidence["servers"],
                    serde_json::json!(["198.18.1.1"]),
                    "{evidence:#}"
                );
            },
        ),
        case(
            &["dns-drop"],
            &["inconclusive.control_failed"],
            "",
            "likely",
            none,
        ),
        case(
            &["dns-nxdomain,host=proxy.golang.org"],
            &["interference.dns.nxdomain"],
            "dns",
            "confirmed",
            none,
        ),
        case(
            &["dns-refused,host=proxy.golang.org"],
            &["anomaly.dns.refused"],
            "dns",
            "confirmed",
            none,
        ),
        case(
            &["dns-servfail,host=proxy.golang.org"],
            &["anomaly.dns.refused"],
            "dns",
            "confirmed",
            none,
        ),
        case(
            &["dns-lame,host=proxy.golang.org"],
            &["anomaly.dns.refused"],
            "dns",
            "confirmed",
            none,
        ),
        // What `go` gets over is no fault.
        case(&["dns-truncated"], &["ok"], "", "confirmed", none),
        case(
            &["dns-truncated,host=proxy.golang.org"],
            &["ok"],
            "",
            "confirmed",
            none,
        ),
        case(&["dns-wrong-id"], &["ok"], "", "confirmed", none),
        case(&["dns-wrong-source"], &["ok"], "", "confirmed", none),
        case(
            &["dns-dead-first"],
            &["interference.tcp.syn_timeout"],
            "connect",
            "confirmed",
            none,
        ),
        case(
            &["dns-delay=2s,host=proxy.golang.org"],
            &["anomaly.dns.slow"],
            "dns",
            "confirmed",
            |evidence| {
                assert!(
                    evidence["median_ms"].as_u64().unwrap() >= 2000,
                    "{evidence:#}"
                );
            },
        ),
        two_nameservers(case(
            &["dns-nxdomain,host=proxy.golang.org,server=2"],
            &["interference.dns.inconsistent"],
            "dns",
            "confirmed",
            |evidence| {
                assert_eq!(
                    evidence["servers"],
                    serde_json::json!(["198.18.1.2"]),
                    "{evidence:#}"
                );
            },
        )),
        two_nameservers(case(
            &["dns-drop,server=1"],
            &["anomaly.dns.timeout"],
            "dns",
            "likely",
            none,
        )),
        case(
            &["silence"],
            &["anomaly.request.stalled"],
            "request",
            "likely",
            none,
        ),
        case(
            &["body-cut=30%"],
            &["interference.volume_cut"],
            "body",
            "likely",
            |evidence| assert_eq!(evidence["how"], "closed", "{evidence:#}"),
        ),
        case(
            &["body-reset=30%"],
            &["interference.volume_cut"],
            "body",
            "likely",
            none,
        ),
        case(
            &["body-stop=30%"],
            &["interference.volume_cut"],
            "body",
            "likely",
            |evidence| assert_eq!(evidence["how"], "stopped", "{evidence:#}"),
        ),
        case(
            &["body-slow=2000"],
            &["interference.throttling"],
            "body",
            "likely",
            |evidence| {
                assert!(
                    evidence["bytes_per_second"].as_u64().unwrap() < 4000,
                    "{evidence:#}"
                );
            },
        ),
        // Two at once: both are told.
        case(
            &["sni-reset", "dns-delay=2s"],
            &["interference.sni.reset", "anomaly.dns.slow"],
            "hello",
            "confirmed",
            none,
        ),
        case(
            &["untrusted-certificate", "syn-drop,family=v6"],
            &["interception.tls", "interference.tcp.syn_timeout"],
            "connect",
            "confirmed",
            none,
        ),
        // A control that is down says nothing against a host that is well.
        case(
            &["syn-drop,host=www.example.com"],
            &["ok"],
            "",
            "confirmed",
            none,
        ),
        case(&[], &["ok"], "", "confirmed", |evidence| {
            let issuer = evidence["issuer"].as_str().unwrap();
            assert!(!issuer.is_empty(), "{evidence:#}");
        }),
        // The server, not the network: told beside the verdict.
        case(&["status=404"], &["ok"], "", "confirmed", |evidence| {
            let transfer = evidence["transfer"].as_str().unwrap();
            assert!(transfer.contains("status 404"), "{evidence:#}");
        }),
    ]
}

pub(super) fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = cases()
        .into_iter()
        .map(|case| {
            let name = if case.faults.is_empty() {
                "none".to_owned()
            } else {
                case.faults.join("+")
            };
            let name = format!("probe::{name}");
            trial(name.clone(), PROBES.iter().copied(), move || {
                run(&name, &case);
            })
        })
        .collect();
    for (rtt, loss) in [(0, 0.0), (200, 0.0), (50, 0.01)] {
        let name = format!("probe::none_at_{rtt}_ms_with_loss_{loss}");
        trials.push(trial(name.clone(), PROBES.iter().copied(), move || {
            let lab = lab()
                .rtt(Duration::from_millis(rtt))
                .loss(loss)
                .seed(7)
                .start()
                .unwrap();
            let probed = Probed::in_lab(&name, &lab, &[]);
            assert_eq!(probed.tokens(), BTreeSet::from(["ok"]), "{}", probed.stdout);
            assert_eq!(probed.code, Some(0));
        }));
    }
    trials
}

fn run(name: &str, case: &Case) {
    let mut builder = lab().nameservers(case.nameservers);
    for fault in case.faults {
        builder = builder.fault(fault.parse::<gomod_lab::Fault>().unwrap());
    }
    let lab = builder.start().unwrap();
    let module = &lab.modules()[0];
    // The proxy protocol's escape for upper case (golang.org/ref/mod#goproxy-protocol).
    let escaped: String = module
        .path
        .chars()
        .flat_map(|letter| {
            let mark = letter.is_ascii_uppercase().then_some('!');
            mark.into_iter().chain([letter.to_ascii_lowercase()])
        })
        .collect();
    let zip = format!("/{escaped}/@v/{}.zip", module.version);
    let is_body = case.faults.iter().any(|fault| BODIES.contains(fault));
    let words: &[&str] = if is_body { &["--path", &zip] } else { &[] };
    let probed = Probed::in_lab(name, &lab, words);
    let seen = format!("{}{}{:#}", probed.stdout, probed.stderr, probed.report);
    assert_eq!(
        probed.tokens(),
        case.verdicts.iter().copied().collect::<BTreeSet<_>>(),
        "{seen}"
    );
    let first = &probed.verdicts()[0];
    assert_eq!(first["stage"], case.stage, "{seen}");
    assert_eq!(first["confidence"], case.confidence, "{seen}");
    (case.evidence)(&first["evidence"]);
    let well = case.verdicts == ["ok"];
    assert_eq!(probed.code, Some(if well { 0 } else { 3 }), "{seen}");
    for verdict in case.verdicts {
        assert!(probed.stdout.contains(verdict), "{seen}");
    }
    assert_eq!(probed.stderr, "", "something besides the table");
    let advice = probed.report["hosts"][0]["advice"].as_array().unwrap();
    assert_eq!(advice.is_empty(), well, "{seen}");
}
