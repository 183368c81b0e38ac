// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nameservers that fail under a download of the real `go`, whose resolver is its own.

use std::collections::BTreeSet;
use std::time::Instant;

use gomod_lab::{Fault, Lab, PROXY};
use libtest_mimic::Trial;

use super::{
    PATIENT_MS, RESOLVER_MS, addresses_are_right, all_answered_soon, answered, latency,
    questions_at, rows, watched,
};
use crate::harness::{DOWNLOAD, Outcome, needs::DOWNLOADS, newest_go, trial};

pub(super) fn trials() -> Vec<Trial> {
    let trial =
        |name: &str, test: fn()| trial(format!("names::{name}"), DOWNLOADS.iter().copied(), test);
    vec![
        trial("a_dead_first_nameserver_costs_nothing", dead_first),
        trial(
            "a_quicker_nameserver_does_not_hide_what_the_first_knows",
            split,
        ),
        trial("a_lossy_first_nameserver_keeps_the_last_word", lossy_first),
        trial(
            "a_dead_nameserver_gives_way_to_one_that_knows_of_nothing",
            no_one_knows,
        ),
        trial("lost_questions_are_asked_again_soon", || lossy(30)),
        trial("most_questions_may_get_lost", || lossy(60)),
        trial("a_far_nameserver_is_asked_once", far),
        trial("a_type_that_is_never_answered_stays_so", no_aaaa),
        trial("truncated_answers_reach_go_whole", truncated),
        trial("a_burst_of_failures_passes", burst),
        trial("a_name_that_does_not_exist_does_not", nxdomain),
        trial("a_lame_nameserver_is_passed_by", lame),
        trial("answers_with_another_id_are_ignored", || {
            forged("dns-wrong-id");
        }),
        trial("answers_from_elsewhere_are_ignored", || {
            forged("dns-wrong-source");
        }),
    ]
}

fn lab(nameservers: u8, faults: &[&str]) -> Lab {
    let builder = Lab::builder().nameservers(nameservers);
    faults
        .iter()
        .fold(builder, |builder, fault| {
            builder.fault(fault.parse::<Fault>().unwrap())
        })
        .start()
        .unwrap()
}

/// The same download by plain `go`, watched, and with names answered by us, each in a lab of its own.
fn both(name: &str, nameservers: u8, faults: &[&str]) -> (Outcome, Outcome, Lab) {
    let plain = {
        let lab = lab(nameservers, faults);
        let project = lab.project().unwrap();
        watched(name, &project, &DOWNLOAD)
    };
    let lab = lab(nameservers, faults);
    let ours = answered(name, &lab.project().unwrap(), &DOWNLOAD);
    addresses_are_right(&ours, &lab, PROXY);
    (plain, ours, lab)
}

fn succeeded(outcome: &Outcome) {
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(outcome.report["mode"], "accelerate");
}

/// Questions without an answer for which the resolver waited to the end.
fn given_up(outcome: &Outcome) -> usize {
    outcome
        .list("dns")
        .iter()
        .filter(|row| latency(row).is_none())
        .count()
}

fn dead_first() {
    let (plain, ours, lab) = both("dead_first", 2, &["dns-drop,server=1"]);
    // Plain `go` asks the dead one first, every time, and asks the other one only 5 s later.
    let asked = rows(&plain, PROXY);
    let first = asked[0];
    assert_eq!(first["server"], "198.18.1.1:53");
    assert_eq!(latency(first), None);
    let then = asked
        .iter()
        .find(|row| row["type"] == first["type"] && row["server"] == "198.18.1.2:53")
        .unwrap();
    let waited = then["sent_ms"].as_f64().unwrap() - first["sent_ms"].as_f64().unwrap();
    assert!(waited >= RESOLVER_MS, "{waited}");

    succeeded(&ours);
    all_answered_soon(&ours);
    for row in ours.list("dns") {
        assert_eq!(
            row["server"], "198.18.1.1:53",
            "the one that go asks answers, as far as go can see"
        );
    }
    assert!(
        lab.questions().iter().any(|question| question.server == 2),
        "the answer came from the other one"
    );
    // What the network did is told nevertheless.
    assert_eq!(ours.verdicts(), BTreeSet::from(["anomaly.dns.timeout"]));
    let stall = &ours.list("stalls")[0];
    assert_eq!(stall["host"], "198.18.1.1:53");
    assert_eq!(stall["evidence"]["answered"], 0);
}

/// For any name.
const KNOWS_NOTHING: &str = "dns-nxdomain,server=2";

/// The first nameserver knows the module hosts, as a company's does; the second one is quicker and knows of nothing.
fn split() {
    let (plain, ours, lab) = both("split", 2, &["dns-delay=40ms,server=1", KNOWS_NOTHING]);
    assert!(plain.status.success(), "{}", plain.stderr);
    let asked = rows(&plain, PROXY);
    assert!(!asked.is_empty(), "nothing was asked");
    for row in asked {
        assert_eq!(row["server"], "198.18.1.1:53", "plain go asks in order");
    }

    succeeded(&ours);
    all_answered_soon(&ours);
    assert_eq!(ours.verdicts(), BTreeSet::new());
    assert!(questions_at(&lab, 1, PROXY) > 0);
    assert_eq!(questions_at(&lab, 2, PROXY), 0, "it learns of no name");

    // So far that nobody would wait for it who knows nothing of it yet.
    let lab = self::lab(2, &["dns-delay=250ms,server=1", KNOWS_NOTHING]);
    let ours = answered("split_far", &lab.project().unwrap(), &DOWNLOAD);
    succeeded(&ours);
    all_answered_soon(&ours);
    assert!(
        questions_at(&lab, 2, PROXY) > 0,
        "it was asked, and not believed"
    );
}

/// The same download by plain `go`, which waits for the first nameserver to the end and then believes the second one.
fn ends_without_host(faults: &[&str]) {
    let lab = lab(2, faults);
    let project = lab.project().unwrap();
    let began = Instant::now();
    let output = project.go(&newest_go(), &DOWNLOAD[1..]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no such host"), "{said}");
    assert!(began.elapsed().as_secs_f64() * 1000.0 > RESOLVER_MS);
}

/// The same, where questions to the first one get lost: it is asked again.
fn lossy_first() {
    let lost = ["dns-drop,server=1,times=1", KNOWS_NOTHING];
    ends_without_host(&lost);
    for (name, faults) in [
        ("lost_first", lost),
        ("lossy_first", ["dns-loss=30,server=1", KNOWS_NOTHING]),
    ] {
        let lab = lab(2, &faults);
        let ours = answered(name, &lab.project().unwrap(), &DOWNLOAD);
        succeeded(&ours);
        all_answered_soon(&ours);
        addresses_are_right(&ours, &lab, PROXY);
        assert!(
            questions_at(&lab, 2, PROXY) > 0,
            "it was asked, and not believed"
        );
    }
}

/// A name that does not exist, and the first nameserver is dead: the second one's word comes late, but comes.
fn no_one_knows() {
    let faults = ["dns-drop,server=1", KNOWS_NOTHING];
    ends_without_host(&faults);
    let lab = lab(2, &faults);
    let ours = answered("no_one_knows", &lab.project().unwrap(), &DOWNLOAD);
    assert_eq!(ours.status.code(), Some(1), "{}", ours.stderr);
    assert!(ours.stderr.contains("no such host"), "{}", ours.stderr);
    all_answered_soon(&ours);
}

fn lossy(percent: u8) {
    let (plain, ours, _lab) = both(
        &format!("lossy_{percent}"),
        1,
        &[&format!("dns-loss={percent}")],
    );
    assert!(given_up(&plain) > 0, "{}", plain.stderr);
    succeeded(&ours);
    all_answered_soon(&ours);
}

fn far() {
    let lab = lab(1, &["dns-delay=400ms"]);
    let project = lab.project().unwrap();
    let words = [
        "sh",
        "-c",
        "go version; getent ahosts proxy.golang.org; getent ahosts proxy.golang.org",
    ];
    let plain = watched("far", &project, &words);
    let plain_rows = rows(&plain, PROXY);
    assert_eq!(plain_rows.len(), 4, "A and AAAA, twice");
    for row in plain_rows {
        assert!(latency(row).unwrap() >= 399.0, "{row}");
        assert_eq!(row["source"], "network");
    }
    let ours = answered("far", &project, &words);
    all_answered_soon(&ours);
    let ours_rows = rows(&ours, PROXY);
    assert_eq!(ours_rows.len(), 4, "no question is told twice");
    for row in &ours_rows[2..] {
        assert!(
            row["source"] == "prewarmed" || row["source"] == "cache",
            "{row}"
        );
        assert!(latency(row).unwrap() < 399.0, "{row}");
        assert!(row["network_ms"].as_f64().unwrap() >= 399.0, "{row}");
    }
    assert!(
        ours.stderr.contains("known before they were asked for"),
        "{}",
        ours.stderr
    );
}

/// No nameserver has said that there is no such address, so nobody else may.
fn no_aaaa() {
    let (plain, ours, _lab) = both("no_aaaa", 1, &["dns-drop,family=v6"]);
    for outcome in [&plain, &ours] {
        assert!(outcome.status.success(), "{}", outcome.stderr);
        for row in rows(outcome, PROXY) {
            assert_eq!(latency(row).is_none(), row["type"] == "AAAA", "{row}");
        }
    }
    assert_eq!(ours.verdicts(), BTreeSet::from(["anomaly.dns.timeout"]));
}

fn truncated() {
    let (plain, ours, lab) = both("truncated", 1, &["dns-truncated"]);
    let by_tcp = |outcome: &Outcome| {
        let rows = outcome.list("dns").iter();
        rows.filter(|row| row["transport"] == "tcp").count()
    };
    assert!(by_tcp(&plain) > 0, "plain go asks again by TCP");
    succeeded(&ours);
    all_answered_soon(&ours);
    assert_eq!(by_tcp(&ours), 0, "we did that for it");
    assert!(lab.questions().iter().any(|question| question.tcp));
}

fn burst() {
    let (plain, ours, _lab) = both("burst", 1, &["dns-servfail,times=2"]);
    assert!(!plain.status.success());
    assert!(
        plain.stderr.contains("server misbehaving"),
        "{}",
        plain.stderr
    );
    succeeded(&ours);
}

fn nxdomain() {
    let (plain, ours, _lab) = both("nxdomain", 1, &["dns-nxdomain"]);
    for outcome in [&plain, &ours] {
        assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("no such host"),
            "{}",
            outcome.stderr
        );
        assert_eq!(outcome.verdicts(), BTreeSet::from(["anomaly.dns.nxdomain"]));
    }
}

fn lame() {
    let (plain, ours, _lab) = both("lame", 1, &["dns-lame"]);
    for outcome in [&plain, &ours] {
        assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("lame referral"),
            "{}",
            outcome.stderr
        );
    }
    let lab = lab(2, &["dns-lame,server=1"]);
    let ours = answered("lame_first", &lab.project().unwrap(), &DOWNLOAD);
    succeeded(&ours);
    all_answered_soon(&ours);
}

fn forged(fault: &str) {
    let (plain, ours, lab) = both(fault, 1, &[fault]);
    assert!(plain.status.success(), "{}", plain.stderr);
    succeeded(&ours);
    all_answered_soon(&ours);
    assert!(!lab.acts().is_empty(), "nothing was forged");
    let slowest = ours
        .list("dns")
        .iter()
        .filter_map(latency)
        .fold(0.0, f64::max);
    assert!(slowest < PATIENT_MS, "{slowest}");
}
