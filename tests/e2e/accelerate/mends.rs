// SPDX-License-Identifier: MIT OR Apache-2.0
//! Networks on which plain `go` hangs or fails, and a download that we carry completes.

use gomod_lab::{Lab, LabBuilder, Modules, Rate};
use libtest_mimic::Trial;
use serde_json::Value;

use super::PlainGo::{self, Fails, Succeeds, Waits};
use super::{Run, asked_for, count_anew, fault, is_complete, near, succeeded, trial};
use crate::harness::{Outcome, traced::number};

/// A network, what plain `go` makes of it, and what the report must say that we did.
struct Case {
    name: &'static str,
    faults: &'static [&'static str],
    network: fn(LabBuilder) -> LabBuilder,
    plain: PlainGo,
    done: fn(&Outcome, &Lab),
}

const fn case(
    name: &'static str,
    faults: &'static [&'static str],
    plain: PlainGo,
    done: fn(&Outcome, &Lab),
) -> Case {
    Case {
        name,
        faults,
        network: |lab| lab,
        plain,
        done,
    }
}

const CASES: &[Case] = &[
    case(
        "silence_after_a_request",
        &["silence,path=*.zip,times=1"],
        Waits,
        asked_again,
    ),
    case(
        "a_body_that_stops",
        &["body-stop=50%,times=1"],
        Waits,
        continued,
    ),
    case(
        "a_nameserver_that_takes_three_seconds",
        &["dns-delay=3s"],
        Succeeds,
        |_, _| {},
    ),
    case(
        "a_dead_first_address",
        &["dns-dead-first"],
        Waits,
        |_, _| {},
    ),
    case(
        "large_hellos_that_vanish",
        &["large-hello-drop"],
        Waits,
        |_, _| {},
    ),
    case(
        "hellos_that_offer_h2_and_stall",
        &["h2-hello-silence"],
        Waits,
        |_, _| {},
    ),
    // Happy eyeballs save plain `go` here, too.
    case(
        "a_host_without_ipv6_in_fact",
        &["syn-drop,family=v6"],
        Succeeds,
        |_, _| {},
    ),
    case(
        "bodies_cut_at_any_byte",
        &["body-cut=random:7,path=*,times=1"],
        Fails("unexpected EOF"),
        asked_anew_or_continued,
    ),
    case(
        "bodies_cut_twice",
        &["body-cut=random:8,times=2"],
        Fails("unexpected EOF"),
        continued,
    ),
    case(
        "bodies_reset",
        &["body-reset=50%,times=1"],
        Fails("connection reset by peer"),
        continued,
    ),
    case(
        "a_burst_of_503",
        &["status=503,times=1"],
        Fails("503 Service Unavailable"),
        asked_again,
    ),
    case(
        "a_burst_of_500_and_502",
        &["status=500,times=1", "status=502,times=1"],
        Fails("500 Internal Server Error"),
        asked_again,
    ),
    case(
        "a_503_that_says_when_to_come_back",
        &["status=503/1,path=*.zip,times=1"],
        Fails("503 Service Unavailable"),
        asked_again,
    ),
    case(
        "connections_closed_at_first",
        &["tls-close,times=2"],
        Fails("EOF"),
        |_, _| {},
    ),
    Case {
        network: |lab| lab.loss(0.01).seed(3),
        ..case("one_packet_lost_in_a_hundred", &[], Succeeds, |_, _| {})
    },
    Case {
        network: |lab| lab.loss(0.05).seed(5),
        ..case("five_packets_lost_in_a_hundred", &[], Succeeds, |_, _| {})
    },
    Case {
        network: |lab| {
            lab.loss(0.05)
                .seed(11)
                .rate(Rate::mbit(100))
                .modules(Modules {
                    count: 4,
                    average_bytes: 200_000,
                    seed: 1,
                })
        },
        ..case(
            "loss_and_stops_at_once",
            &["body-stop=70%,times=1"],
            Waits,
            continued,
        )
    },
];

pub(super) fn trials() -> Vec<Trial> {
    CASES
        .iter()
        .map(|case| trial(&format!("mends::{}", case.name), || mends(case)))
        .collect()
}

fn mends(case: &'static Case) {
    let faults = case.faults.iter().copied().map(fault);
    let lab = faults.fold((case.network)(near(20)), LabBuilder::fault);
    let lab = lab.start().unwrap();
    let run = Run::default();
    run.plain(case.name, &lab.project().unwrap(), case.plain);
    count_anew(&lab);
    let outcome = run.carried(case.name, &lab.project().unwrap());
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    for request in outcome.list("requests") {
        assert_eq!(request["status"], 200, "{request}");
    }
    (case.done)(&outcome, &lab);
}

fn zips<'outcome>(outcome: &'outcome Outcome, lab: &Lab) -> Vec<&'outcome Value> {
    let zips = asked_for(outcome, ".zip").collect::<Vec<_>>();
    assert_eq!(zips.len(), lab.modules().len());
    zips
}

/// Each zip took more than one request, and none was continued.
fn asked_again(outcome: &Outcome, lab: &Lab) {
    for zip in zips(outcome, lab) {
        assert!(number(&zip["attempts"]) >= 2, "{zip}");
        assert_eq!(zip["resumed"], 0, "{zip}");
    }
}

/// Each zip was continued where it had broken off.
fn continued(outcome: &Outcome, lab: &Lab) {
    for zip in zips(outcome, lab) {
        assert!(number(&zip["attempts"]) >= 2, "{zip}");
        assert!(number(&zip["resumed"]) >= 1, "{zip}");
    }
    assert!(
        lab.requests()
            .iter()
            .any(|request| request.first_byte.is_some()),
        "nothing was asked for from the middle on"
    );
    assert!(
        outcome.stderr.contains("continued"),
        "the summary does not say so: {}",
        outcome.stderr
    );
}

/// Each file took another request, for its rest or from its start.
fn asked_anew_or_continued(outcome: &Outcome, _lab: &Lab) {
    for request in outcome.list("requests") {
        assert!(number(&request["attempts"]) >= 2, "{request}");
    }
}
