// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules on written streams of events: one file for each stage, here what concerns all of them, and locks.

mod causes;
mod connect;
mod dns;
mod dual;
mod hazard;
mod hello;
mod transfer;
mod tunnel;
mod upstream;

use proptest::prelude::*;

use super::{Cause, Confidence, Diagnosis, Stage, Stall, StallChange, Verdict};
use crate::{
    kernel::events::{Event, TcpMoment, TcpState},
    timeline::{
        Timeline,
        script::{HOST, PROXY, Script, client_hello, moment, server_flight},
    },
};

const ZIP: &str = "golang.org/x/text/@v/v0.3.0.zip";
const MOD: &str = "golang.org/x/text/@v/v0.3.0.mod";
const LOCK: &str = "golang.org/x/text/@v/v0.3.0.lock";

/// Plays events and looks ten times a second, until some time after the last one.
fn play(events: &[Event], until_ms: f64) -> (Vec<Stall>, Vec<StallChange>) {
    let mut timeline = Timeline::new(moment(0.0));
    let mut diagnosis = Diagnosis::new();
    let mut changes = Vec::new();
    let mut events = events.iter().peekable();
    let mut now = 0.0;
    while now <= until_ms {
        while let Some(event) = events.next_if(|event| event.at <= moment(now)) {
            timeline.apply(event);
        }
        changes.extend(diagnosis.examine(&timeline, moment(now)));
        now += 100.0;
    }
    (diagnosis.stalls().to_vec(), changes)
}

fn stalls(script: &Script, until_ms: f64) -> Vec<Stall> {
    play(&script.events, until_ms).0
}

#[track_caller]
fn only(script: &Script, until_ms: f64, verdict: Verdict) -> Stall {
    let stalls = stalls(script, until_ms);
    let [stall] = stalls.as_slice() else {
        panic!("not one stall: {stalls:#?}")
    };
    assert_eq!(stall.verdict, verdict, "{stall:#?}");
    assert!(
        !stall.story.is_empty() && stall.action.ends_with('.'),
        "{stall:#?}"
    );
    stall.clone()
}

#[track_caller]
fn none(script: &Script, until_ms: f64) {
    let stalls = stalls(script, until_ms);
    assert!(stalls.is_empty(), "{stalls:#?}");
}

fn open() -> Script {
    Script::new()
        .at(1.0)
        .resolved()
        .at(2.0)
        .connected(10, PROXY)
}

fn shaken() -> Script {
    Script::new().at(1.0).resolved().at(2.0).shaken(10, PROXY)
}

/// A zip is asked for at 10 ms, after an earlier response on the same connection.
fn fetching() -> Script {
    shaken()
        .at(5.0)
        .request(10)
        .at(6.0)
        .response(10, 4000)
        .at(10.0)
        .missing(ZIP)
        .temporary(ZIP)
        .request(10)
}

#[test]
fn the_verdicts_are_those_of_the_list() {
    let tokens: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.token()).collect();
    assert_eq!(
        tokens,
        [
            "anomaly.dns.timeout",
            "anomaly.dns.refused",
            "anomaly.dns.nxdomain",
            "anomaly.dns.slow",
            "anomaly.connect.timeout",
            "anomaly.connect.refused",
            "anomaly.connect.unreachable",
            "anomaly.tunnel.refused",
            "anomaly.hello.reset",
            "anomaly.hello.timeout",
            "anomaly.hello.alert",
            "anomaly.hello.closed",
            "anomaly.handshake.untrusted",
            "anomaly.request.stalled",
            "anomaly.body.stalled",
            "anomaly.body.cut",
            "anomaly.body.slow",
            "anomaly.dual_channel",
            "contention.lock",
            "hazard.cache.shared",
        ]
    );
    let causes: Vec<&str> = Cause::ALL.iter().map(|cause| cause.token()).collect();
    assert_eq!(
        causes,
        [
            "slow_resolver",
            "lost_answers",
            "silent_nameserver",
            "unanswered_aaaa",
            "dead_address",
            "ipv6_black_hole",
            "clienthello_size",
            "alpn_h2",
            "clienthello_form",
            "server_name",
            "interception",
            "lock_of_another_go",
            "lock_of_another_program",
        ]
    );
    let stages = [
        Stage::Dns,
        Stage::Connect,
        Stage::Hello,
        Stage::Handshake,
        Stage::Request,
        Stage::Body,
        Stage::Lock,
    ];
    let words = serde_json::to_value(stages).unwrap();
    assert_eq!(
        words,
        serde_json::json!([
            "dns",
            "connect",
            "hello",
            "handshake",
            "request",
            "body",
            "lock"
        ])
    );
    let sure = serde_json::to_value([
        Confidence::Suspected,
        Confidence::Likely,
        Confidence::Confirmed,
    ])
    .unwrap();
    assert_eq!(
        sure,
        serde_json::json!(["suspected", "likely", "confirmed"])
    );
}

#[test]
fn every_verdict_and_cause_is_documented() {
    let documented = include_str!("../../../../docs/verdicts.md");
    let (_, documented) = documented
        .split_once("# Verdicts of `gomod-trace run`")
        .unwrap();
    let verdicts = Verdict::ALL.iter().map(|verdict| verdict.token());
    let causes = Cause::ALL.iter().map(|cause| cause.token());
    for token in verdicts.chain(causes) {
        assert!(documented.contains(&format!("`{token}`")), "{token}");
    }
}

#[test]
fn a_wait_for_a_lock_names_its_holder() {
    let script = Script::new()
        .lock_wait(LOCK)
        .at(1000.0)
        .lock_holder(LOCK, 55, "go build ./...");
    let stall = only(
        &script.clone().at(8000.0).lock_done(LOCK),
        9000.0,
        Verdict::LockContention,
    );
    assert_eq!(
        (stall.evidence["holder_pid"].as_u64(), stall.ended),
        (Some(55), Some(moment(8000.0)))
    );
    assert!(stall.story.contains("go build ./..."));
    assert_eq!(stall.cause, Some(Cause::LockOfAnotherGo));
    assert!(stall.action.contains("process 55"), "{}", stall.action);
    none(&script.at(2000.0).lock_done(LOCK), 9000.0);
}

#[test]
fn a_lock_is_another_program_s_or_nobody_s_that_is_known() {
    let waiting = Script::new().lock_wait(LOCK);
    let of = |script: &Script| only(script, 9000.0, Verdict::LockContention).cause;
    let program = waiting
        .clone()
        .at(1.0)
        .lock_holder(LOCK, 55, "/usr/bin/sleep infinity");
    assert_eq!(of(&program), Some(Cause::LockOfAnotherProgram));
    assert_eq!(of(&waiting), None);
    let itself = waiting.at(1.0).lock_holder(LOCK, 100, "go mod download");
    assert_eq!(of(&itself), None);
}

#[test]
fn a_holder_that_becomes_known_later_explains_the_wait() {
    let script = Script::new()
        .lock_wait(LOCK)
        .at(4000.0)
        .lock_holder(LOCK, 55, "/usr/local/go/bin/go mod tidy")
        .at(8000.0)
        .lock_done(LOCK);
    let (_, changes) = play(&script.events, 9000.0);
    let [
        StallChange::Known(known),
        StallChange::Explained { stall, because, at },
        StallChange::Ended(ended),
    ] = changes.as_slice()
    else {
        panic!("{changes:#?}")
    };
    assert_eq!((known.cause, *at), (None, moment(4000.0)));
    assert_eq!(stall.cause, Some(Cause::LockOfAnotherGo));
    assert!(stall.story.ends_with(because.as_str()), "{}", stall.story);
    assert_eq!(ended.cause, stall.cause);
    // Renewed since, and still told once.
    assert_eq!(ended.story.matches(because.as_str()).count(), 1);
}

#[test]
fn far_and_lossy_links_give_no_stall() {
    let rtt = 200.0;
    let mut script =
        Script::new()
            .query(1, 1, "A", HOST)
            .at(rtt)
            .answer(1, 1, "A", HOST, 0, &["198.18.0.10"]);
    // One SYN is lost, one segment of the hello too.
    script = script
        .connect(10, PROXY)
        .syn(10)
        .at(rtt + 1000.0)
        .syn(10)
        .at(2.0 * rtt + 1000.0)
        .syn_ack(10, 57);
    script = script
        .tcp(10, TcpMoment::Established, 200_000, 1, 1)
        .send(10, client_hello())
        .at(1900.0);
    script = script
        .resend(10, client_hello())
        .at(2300.0)
        .receive(10, server_flight())
        .at(2301.0);
    let mut finished = vec![20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53];
    finished.extend([0; 53]);
    script = script.send(10, finished);
    for file in 0..40u32 {
        let start = 2310.0 + f64::from(file) * 600.0;
        let zip = format!("golang.org/x/m{file}/@v/v1.0.0.zip");
        script = script
            .at(start)
            .missing(&zip)
            .temporary(&zip)
            .request(10)
            .at(start + rtt)
            .response(10, 3000);
        script = script
            .size(&zip, 2900)
            .at(start + rtt + 1.0)
            .read_back(&zip)
            .completed(&zip);
    }
    none(&script, 60_000.0);
}

#[test]
fn each_stall_is_announced_once_and_ended_once() {
    let (stalls, changes) = play(&connect::silent_syns().at(9000.0).exit(1).events, 15_000.0);
    let [StallChange::Known(known), StallChange::Ended(ended)] = changes.as_slice() else {
        panic!("{changes:#?}")
    };
    assert_eq!((known.ended, ended.ended), (None, Some(moment(9000.0))));
    assert_eq!(stalls, std::slice::from_ref(ended));
}

#[test]
fn ten_thousand_short_connections_are_let_go_of() {
    let mut script = Script::new();
    for cookie in 10..10_010 {
        script = script
            .at(f64::from(cookie as u32))
            .shaken(cookie, PROXY)
            .close(cookie);
    }
    let mut timeline = Timeline::new(moment(0.0));
    let mut diagnosis = Diagnosis::new();
    for (number, event) in script.events.iter().enumerate() {
        timeline.apply(event);
        if number % 1000 == 0 {
            assert_eq!(diagnosis.examine(&timeline, event.at), []);
            assert!(diagnosis.connections.live.len() < 4000);
        }
    }
    diagnosis.examine(&timeline, moment(60_000.0));
    assert!(diagnosis.connections.live.is_empty());
}

/// A palette of moves: any sequence of them, at any times, is a possible stream of events.
fn pick(script: Script, choice: u8, cookie: u64) -> Script {
    let known = script.knows(cookie);
    match (choice % 24, known) {
        (0, _) => script.query(cookie + 100, cookie as u16, "A", HOST),
        (1, _) => script.answer(
            cookie + 100,
            cookie as u16,
            "A",
            HOST,
            (cookie % 6) as u16,
            &["198.18.0.10"],
        ),
        (2, _) => script.connect(cookie, PROXY),
        (3, true) => script.syn(cookie),
        (4, true) => script.syn_ack(cookie, 57),
        (5, true) => script.send(cookie, client_hello()),
        (6, true) => script.receive(cookie, server_flight()),
        (7, true) => script.encrypted_alert(cookie),
        (8, true) => script.rst(cookie, 64),
        (9, true) => script.fin(cookie),
        (10, true) => script.close(cookie),
        (11, true) => script.request(cookie),
        (12, true) => script.response(cookie, cookie * 700),
        (13, _) => script.missing(ZIP),
        (14, _) => script.temporary(ZIP),
        (15, _) => script.size(ZIP, cookie * 10),
        (16, _) => script.completed(ZIP),
        (17, _) => script.discarded(ZIP),
        (18, _) => script.lock_wait(LOCK),
        (19, _) => script.lock_done(LOCK),
        (20, _) => script.exec("go1.27.3", 1),
        (21, _) => script.exit(1),
        (22, true) => script.tcp(cookie, TcpMoment::Retransmit, 1000, 3, 1),
        _ => script.connect_failed(cookie, 101),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_stream_is_told_the_same_way_twice_and_never_panics(
        moves in proptest::collection::vec((any::<u8>(), 10u64..14, 0u32..3000, 99u32..102), 0..80),
    ) {
        let mut script = Script::new();
        let mut now = 0.0;
        for (choice, cookie, later, pid) in moves {
            now += f64::from(later);
            // Some events are late by some milliseconds.
            script = pick(script.at(now - f64::from(later % 7)).by(pid), choice, cookie);
        }
        let (stalls, changes) = play(&script.events, now + 12_000.0);
        let again = play(&script.events, now + 12_000.0);
        prop_assert_eq!((&stalls, &changes), (&again.0, &again.1));
        for stall in &stalls {
            prop_assert!(stall.ended.is_none_or(|ended| ended >= stall.began));
            prop_assert!(stall.began <= stall.known);
        }
        let known = changes.iter().filter(|change| matches!(change, StallChange::Known(_))).count();
        prop_assert_eq!(known, stalls.len());
    }
}
