// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that do not come about.

use super::{PROXY, Script, TcpState, Verdict, moment, none, only};

pub(super) fn silent_syns() -> Script {
    let mut script = Script::new().connect(10, PROXY).syn(10);
    for second in 1..=5 {
        script = script.at(f64::from(second) * 1000.0).syn(10);
    }
    script
}

#[test]
fn unanswered_syns_are_a_connect_timeout_until_the_process_gives_up() {
    let stall = only(
        &silent_syns()
            .at(30_000.0)
            .state(10, TcpState::SynSent, TcpState::Close),
        33_000.0,
        Verdict::ConnectTimeout,
    );
    assert!(stall.evidence["syn_retransmits"].as_u64().unwrap() >= 2);
    assert_eq!(
        (stall.began, stall.ended),
        (moment(0.0), Some(moment(30_000.0)))
    );
    assert_eq!(stall.known, moment(3000.0));
    assert_eq!(
        only(&silent_syns(), 9000.0, Verdict::ConnectTimeout).ended,
        None
    );
}

#[test]
fn a_lost_syn_and_a_lost_race_are_no_stalls() {
    none(
        &Script::new()
            .connect(10, PROXY)
            .syn(10)
            .at(1000.0)
            .syn(10)
            .at(1001.0)
            .syn_ack(10, 57),
        9000.0,
    );
    let race = Script::new()
        .connect(10, "[2001:2::10]:443")
        .syn(10)
        .at(300.0)
        .connected(11, PROXY)
        .state(10, TcpState::SynSent, TcpState::Close);
    none(&race, 9000.0);
}

#[test]
fn a_refused_connection_counts_once_however_often_tried() {
    let mut script = Script::new();
    for cookie in 10..15 {
        script = script
            .at(f64::from(cookie as u32))
            .connect(cookie, PROXY)
            .syn(cookie)
            .rst(cookie, 64)
            .state(cookie, TcpState::SynSent, TcpState::Close)
            .tcp_error(cookie, 111);
    }
    let stall = only(&script, 5000.0, Verdict::ConnectRefused);
    assert_eq!(stall.evidence["tries"], 5);
    assert_eq!(stall.ended, Some(moment(10.0)));
}

/// The kernel says ECONNRESET, not ECONNREFUSED, where the socket was given up at the same moment.
#[test]
fn a_reset_answer_to_the_syn_is_a_refusal_whatever_the_error() {
    let script = Script::new()
        .connect(10, PROXY)
        .syn(10)
        .at(100.0)
        .rst(10, 57)
        .state(10, TcpState::SynSent, TcpState::Close)
        .tcp_error(10, 104);
    only(&script, 5000.0, Verdict::ConnectRefused);
}

#[test]
fn no_route_is_unreachable_unless_the_other_family_has_one() {
    let script = Script::new().connect(10, PROXY).connect_failed(10, 101);
    let stall = only(
        &script.clone().at(1.0).exit(1),
        5000.0,
        Verdict::ConnectUnreachable,
    );
    assert_eq!(
        (
            stall.evidence["errno"].as_u64(),
            stall.evidence["failed_locally"].as_bool()
        ),
        (Some(101), Some(true))
    );
    let dual = |second: fn(Script) -> Script| {
        second(
            Script::new()
                .connect(9, "[2001:2::10]:443")
                .connect_failed(9, 101)
                .at(1.0),
        )
    };
    none(&dual(|script| script.connected(11, PROXY)), 5000.0);
    only(
        &dual(|script| {
            script
                .connect(11, PROXY)
                .syn(11)
                .at(1000.0)
                .syn(11)
                .at(2000.0)
                .syn(11)
        }),
        5000.0,
        Verdict::ConnectTimeout,
    );
}
