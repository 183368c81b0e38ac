// SPDX-License-Identifier: MIT OR Apache-2.0
//! Worlds in which one thing is wrong, and what must be said of them.

mod encrypted;
mod nameservers;
mod transfers;
mod world;

use proptest::prelude::*;

use super::*;
use crate::{
    diagnose::Verdict as Passive,
    probe::{
        arm::Place,
        results::{Seen, Try, try_of},
        task::{Ending, Failure, Icmp, Transfer},
    },
};
use world::*;

#[test]
fn no_fault_is_ok() {
    assert_eq!(
        only(&world(5, |_, _| None)),
        (Verdict::Ok, Confidence::Confirmed)
    );
    assert_eq!(
        only(&world(1, |_, _| None)),
        (Verdict::Ok, Confidence::Suspected)
    );
}

#[test]
fn ok_names_who_signed_and_says_if_no_file_came() {
    let findings = infer(&world(5, |_, _| None));
    assert_eq!(findings[0].evidence.get("issuer").unwrap(), "CN=Lab");
    assert!(findings[0].evidence.get("transfer").is_none());
    let missing = world(5, |arm, _| {
        matches!(arm, Arm::Download { .. }).then_some(Ending::Downloaded(Transfer {
            status: 404,
            ..transfer(20, 10)
        }))
    });
    assert_eq!(only(&missing), (Verdict::Ok, Confidence::Confirmed));
    let findings = infer(&missing);
    let told = findings[0].evidence.get("transfer").unwrap().to_string();
    assert!(told.contains("status 404"), "{told}");
}

#[test]
fn a_proxy_that_opens_no_tunnel() {
    let refuses = |status| failed(Failure::ProxyRefused { status });
    let this_host = world(5, |arm, _| match arm {
        Arm::Tcp {
            at: Side::Target, ..
        } => refuses(403),
        _ => None,
    });
    let verdict = Verdict::Seen(Passive::TunnelRefused);
    assert_eq!(only(&this_host), (verdict, Confidence::Confirmed));
    assert_eq!(infer(&this_host)[0].evidence.get("status").unwrap(), 403);
    let any = world(5, |arm, _| match arm {
        Arm::Tcp { .. } => refuses(0),
        _ => None,
    });
    assert_eq!(only(&any), (verdict, Confidence::Likely));
    assert!(infer(&any)[0].evidence.get("status").is_none());
}

#[test]
fn one_lost_try_of_five_is_no_fault() {
    let experiment = world(5, |arm, number| {
        (number == 2 && !matches!(arm, Arm::Dns { .. })).then_some(Ending::Failed(Failure::Timeout))
    });
    assert_eq!(only(&experiment).0, Verdict::Ok);
}

#[test]
fn the_name_wherever_it_is_sent() {
    for (failure, verdict) in [
        (Failure::Reset, Verdict::SniReset),
        (Failure::Timeout, Verdict::SniTimeout),
        (Failure::Closed, Verdict::SniClosed),
    ] {
        let experiment = world(5, |arm, _| {
            kind_of(arm)
                .filter(|kind| kind.name() == Some(Side::Target))
                .and_then(|_| failed(failure.clone()))
        });
        assert_eq!(only(&experiment), (verdict, Confidence::Confirmed));
    }
    let alert = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| kind.name() == Some(Side::Target))
            .map(|_| Ending::Alert {
                code: 40,
                description: "handshake_failure".into(),
            })
    });
    assert_eq!(only(&alert).0, Verdict::SniAlert);
}

#[test]
fn a_filter_that_does_not_reassemble_is_named_with_what_passes() {
    let experiment = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| {
                kind.name() == Some(Side::Target)
                    && !is_large(*kind)
                    && !matches!(kind, Hello::SplitBeforeName | Hello::SplitInsideName)
            })
            .and_then(|_| failed(Failure::Reset))
    });
    let findings = infer(&experiment);
    assert_eq!(findings[0].verdict, Verdict::SniReset);
    let passes = findings[0].evidence.get("passes_nevertheless").unwrap();
    assert_eq!(
        *passes,
        serde_json::json!([
            "hello.split_before_name",
            "hello.split_inside_name",
            "hello.go"
        ])
    );
}

#[test]
fn a_server_that_does_not_know_the_controls_name_may_say_so() {
    let experiment = world(5, |arm, _| match kind_of(arm)? {
        Hello::ControlName | Hello::NoName => Some(Ending::Alert {
            code: 112,
            description: "unrecognized_name".into(),
        }),
        kind if kind.name() == Some(Side::Target) => failed(Failure::Reset),
        _ => None,
    });
    assert_eq!(only(&experiment).0, Verdict::SniReset);
}

#[test]
fn a_name_that_fails_at_its_own_address_alone_accuses_nobody() {
    let experiment = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| kind.name() == Some(Side::Target) && *kind != Hello::TargetNameAtControl)
            .and_then(|_| failed(Failure::Closed))
    });
    assert_eq!(
        only(&experiment),
        (Verdict::Seen(Passive::HelloClosed), Confidence::Suspected)
    );
}

#[test]
fn size_and_segments_are_told_apart() {
    let size = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| is_large(*kind))
            .and_then(|_| failed(Failure::Timeout))
    });
    assert_eq!(only(&size), (Verdict::HelloSize, Confidence::Confirmed));
    let splits = [Hello::SplitBeforeName, Hello::SplitInsideName];
    let segments = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| is_large(*kind) || splits.contains(kind))
            .and_then(|_| failed(Failure::Timeout))
    });
    assert_eq!(only(&segments).0, Verdict::HelloSegmentation);
    let only_small_splits = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| splits.contains(kind))
            .and_then(|_| failed(Failure::Reset))
    });
    assert_eq!(only(&only_small_splits).0, Verdict::HelloSegmentation);
    let records = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| *kind == Hello::SplitRecords)
            .and_then(|_| failed(Failure::Reset))
    });
    assert_eq!(only(&records).0, Verdict::HelloRecord);
}

#[test]
fn h2_in_alpn() {
    let experiment = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| {
                kind.at() == Side::Target
                    && kind.name() == Some(Side::Target)
                    && !matches!(kind, Hello::Http1 | Hello::NoAlpn)
            })
            .and_then(|_| failed(Failure::Timeout))
    });
    assert_eq!(only(&experiment), (Verdict::AlpnH2, Confidence::Confirmed));
}

#[test]
fn whatever_is_sent_to_the_address() {
    let experiment = world(5, |arm, _| match arm {
        Arm::NonTls { .. } => failed(Failure::Timeout),
        _ => kind_of(arm)
            .filter(|kind| kind.at() == Side::Target)
            .and_then(|_| failed(Failure::Timeout)),
    });
    assert_eq!(
        only(&experiment),
        (Verdict::PostHandshake, Confidence::Confirmed)
    );
}

#[test]
fn syns() {
    let prohibited = |code| Failure::Unreachable {
        errno: libc::EHOSTUNREACH,
        icmp: Some(Icmp {
            kind: 3,
            code,
            from: None,
        }),
    };
    for (failure, verdict) in [
        (Failure::ConnectTimeout, Verdict::SynTimeout),
        (Failure::ConnectRefused, Verdict::SynReset),
        (prohibited(13), Verdict::AdminProhibited),
        (prohibited(1), Verdict::Seen(Passive::ConnectUnreachable)),
    ] {
        let experiment = world(5, |arm, _| match arm {
            Arm::Tcp {
                at: Side::Target, ..
            } => failed(failure.clone()),
            Arm::Hello { .. }
            | Arm::NonTls { .. }
            | Arm::Handshake { .. }
            | Arm::Download { .. }
                if arm.place() == Place::Address(TARGET.parse::<SocketAddr>().unwrap().ip()) =>
            {
                failed(failure.clone())
            }
            _ => None,
        });
        assert_eq!(only(&experiment), (verdict, Confidence::Confirmed));
    }
}

#[test]
fn a_control_that_fails_leaves_nothing_to_say() {
    let experiment = world(5, |arm, _| match arm {
        Arm::Dns { .. } => None,
        _ => failed(Failure::ConnectTimeout),
    });
    assert_eq!(only(&experiment).0, Verdict::ControlFailed);
    let hellos = world(5, |arm, _| {
        kind_of(arm).and_then(|_| failed(Failure::Reset))
    });
    assert_eq!(only(&hellos).0, Verdict::ControlFailed);
}

#[test]
fn a_strange_issuer() {
    let experiment = world(5, |arm, _| match arm {
        Arm::Handshake { .. } => Some(Ending::Untrusted {
            issuer: "CN=Corp Inspection".into(),
            reason: "unknown issuer".into(),
            unknown_issuer: true,
        }),
        _ => None,
    });
    assert_eq!(only(&experiment).0, Verdict::Interception);
    assert_eq!(
        infer(&experiment)[0].evidence.get("issuer").unwrap(),
        "CN=Corp Inspection"
    );
}

#[test]
fn an_address_that_fares_like_the_matrix_is_told_with_it() {
    let mut experiment = world(5, |arm, _| {
        kind_of(arm)
            .filter(|kind| kind.name() == Some(Side::Target))
            .and_then(|_| failed(Failure::Reset))
    });
    let other: SocketAddr = TARGET_V6.parse().unwrap();
    experiment.targets.push(other);
    for _ in 0..5 {
        let arm = Arm::Hello {
            kind: Hello::Go,
            address: other,
        };
        experiment
            .results
            .add(arm, try_of(Ending::Failed(Failure::Reset)));
    }
    let findings = infer(&experiment);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(
        findings[0].evidence.get("addresses").unwrap(),
        &serde_json::json!([TARGET, TARGET_V6])
    );
}

#[test]
fn few_tries_are_never_confirmed() {
    for tries in 1..5 {
        let experiment = world(tries, |arm, _| {
            kind_of(arm)
                .filter(|kind| kind.name() == Some(Side::Target))
                .and_then(|_| failed(Failure::Reset))
        });
        let (verdict, confidence) = only(&experiment);
        assert_eq!(verdict, Verdict::SniReset);
        assert!(confidence < Confidence::Confirmed, "{tries} tries");
    }
}

#[test]
fn signs_of_an_injected_reset_are_counted() {
    let seen = Seen {
        syn_ack_ttl: Some(57),
        rst_ttl: Some(113),
        rsts: 3,
        rsts_stepped: true,
        rst_after_us: Some(10_000),
        data_after_rst: true,
        rtt_us: Some(50_000),
        ..Seen::default()
    };
    let tries: Vec<Try> = (0..5)
        .map(|_| Try {
            seen: Some(seen.clone()),
            ..try_of(Ending::Failed(Failure::Reset))
        })
        .collect();
    let finding = Finding::of_tries(Verdict::SniReset, &tries, &[]);
    assert_eq!(finding.evidence.get("rst_injected_signs").unwrap(), 4);
    let own = Seen {
        rst_ttl: Some(57),
        rsts: 1,
        rsts_stepped: false,
        rst_after_us: Some(51_000),
        data_after_rst: false,
        ..seen
    };
    let tries = [Try {
        seen: Some(own),
        ..try_of(Ending::Failed(Failure::Reset))
    }];
    let finding = Finding::of_tries(Verdict::SniReset, &tries, &[]);
    assert_eq!(finding.evidence.get("rst_injected_signs").unwrap(), 0);
}

fn any_ending() -> impl Strategy<Value = Option<Ending>> {
    prop_oneof![
        Just(None),
        Just(failed(Failure::Reset)),
        Just(failed(Failure::Timeout)),
        Just(failed(Failure::Closed)),
        Just(failed(Failure::ConnectTimeout)),
        Just(failed(Failure::System { what: "x".into() })),
        Just(Some(Ending::NoResponse)),
        Just(Some(Ending::Quiet)),
        Just(Some(Ending::Cut(transfer(1, 0)))),
        Just(Some(resolved("SERVFAIL", &[]))),
        Just(Some(Ending::NotTls {
            beginning: "<html>".into()
        })),
    ]
}

proptest! {
    /// Something is always said, once, and where the control never answers, no name is accused.
    #[test]
    fn whatever_happens_something_is_said(endings in proptest::collection::vec(any_ending(), 40), tries in 0usize..6) {
        let experiment = world(tries, |arm, number| {
            let place = all_arms().iter().position(|one| one == arm).unwrap();
            if kind_of(arm).is_some_and(|kind| matches!(kind, Hello::Control | Hello::ControlSmall)) {
                return failed(Failure::Timeout);
            }
            endings[(place + number) % endings.len()].clone()
        });
        let findings = infer(&experiment);
        prop_assert!(!findings.is_empty());
        let mut verdicts: Vec<_> = findings.iter().map(|finding| finding.verdict).collect();
        prop_assert!(!verdicts.iter().any(|verdict| matches!(
            verdict,
            Verdict::SniReset | Verdict::SniTimeout | Verdict::SniClosed | Verdict::SniAlert
        )));
        prop_assert!(verdicts.len() == 1 || !verdicts.contains(&Verdict::Ok));
        verdicts.sort();
        verdicts.dedup();
        prop_assert_eq!(verdicts.len(), findings.len());
    }
}
