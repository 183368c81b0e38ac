// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module host and checksum database.

use super::{HOST, Script, Verdict, moment, stalls};
use crate::diagnose::Diagnosis;

const SUMDB: &str = "sum.golang.org";

fn late(script: Script, cookie: u64, name: &str, from: f64, to: f64) -> Script {
    let id = cookie as u16;
    script.at(from).query(cookie, id, "A", name).at(to).answer(
        cookie,
        id,
        "A",
        name,
        0,
        &["198.18.0.10"],
    )
}

fn dual(script: &Script) -> Option<crate::diagnose::Stall> {
    let mut found = stalls(script, 30_000.0)
        .into_iter()
        .filter(|stall| stall.verdict == Verdict::DualChannel);
    let first = found.next();
    assert!(found.next().is_none(), "told twice");
    first
}

#[test]
fn one_after_the_other_says_what_each_cost() {
    let script = late(Script::new(), 1, HOST, 0.0, 3000.0);
    assert_eq!(dual(&script), None);
    let script = late(script, 2, SUMDB, 4000.0, 6000.0);
    let stall = dual(&script).unwrap();
    assert_eq!(stall.evidence["module_hosts"], serde_json::json!([HOST]));
    assert_eq!(stall.evidence["module_ms"], 3000.0);
    assert_eq!(stall.evidence["checksum_ms"], 2000.0);
    assert_eq!(stall.evidence["at_once_ms"], 0.0);
    assert_eq!(
        (stall.began, stall.ended),
        (moment(0.0), Some(moment(6000.0)))
    );
    assert!(stall.story.contains("one after the other"), "{stall:#?}");
    // The single ones stand beside it.
    assert_eq!(stalls(&script, 30_000.0).len(), 3);
}

#[test]
fn both_at_once_overlap_and_go_on_together() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .at(2000.0)
        .query(2, 2, "A", SUMDB)
        .at(5000.0)
        .query(3, 3, "A", HOST)
        .at(7000.0)
        .query(4, 4, "A", SUMDB)
        .at(9000.0)
        .answer(3, 3, "A", HOST, 0, &["198.18.0.10"])
        .answer(4, 4, "A", SUMDB, 0, &["198.18.0.11"]);
    let stall = dual(&script).unwrap();
    assert_eq!(stall.known, moment(7000.0));
    assert_eq!(stall.evidence["module_ms"], 9000.0);
    assert_eq!(stall.evidence["checksum_ms"], 7000.0);
    assert_eq!(stall.evidence["at_once_ms"], 7000.0);
    assert_eq!(stall.ended, Some(moment(9000.0)));
}

#[test]
fn two_processes_or_two_module_hosts_are_no_pair() {
    let script = late(Script::new(), 1, HOST, 0.0, 3000.0);
    let other = late(script.clone().by(200), 2, SUMDB, 0.0, 3000.0);
    assert_eq!(dual(&other), None);
    assert_eq!(dual(&late(script, 2, "mirror.test", 0.0, 3000.0)), None);
}

#[test]
fn a_database_of_the_settings_is_one_too() {
    let script = late(Script::new(), 1, HOST, 0.0, 3000.0);
    let script = late(script, 2, "sums.corp.test", 3000.0, 6000.0);
    assert_eq!(dual(&script), None);
    let mut timeline = crate::timeline::Timeline::new(moment(0.0));
    let mut diagnosis = Diagnosis::with_databases(["sums.corp.test".to_owned()]);
    let mut told = 0;
    let mut events = script.events.iter().peekable();
    for step in 0..100 {
        let now = moment(f64::from(step) * 100.0);
        while let Some(event) = events.next_if(|event| event.at <= now) {
            timeline.apply(event);
        }
        diagnosis.examine(&timeline, now);
        told = diagnosis
            .stalls()
            .iter()
            .filter(|stall| stall.verdict == Verdict::DualChannel)
            .count();
    }
    assert_eq!(told, 1);
}
