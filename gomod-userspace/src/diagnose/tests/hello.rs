// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS handshakes that break off or stop.

use super::{
    Confidence, HOST, Stage, TcpMoment, TcpState, Verdict, client_hello, moment, none, only, open,
    server_flight, shaken,
};
use crate::kernel::events::Way;

#[test]
fn a_reset_after_the_hello_names_the_path_by_its_ttl() {
    let script = open().send(10, client_hello()).at(2.4).rst(10, 64).state(
        10,
        TcpState::Established,
        TcpState::Close,
    );
    let stall = only(&script, 5000.0, Verdict::HelloReset);
    assert_eq!(stall.stage, Stage::Hello);
    assert_eq!(stall.evidence["rst_ttl"], 64);
    assert_eq!(stall.evidence["syn_ack_ttl"], 57);
    assert_eq!(stall.evidence["us_after_hello"], 400);
    assert_eq!(stall.evidence["client_hello_segments"], 2);
    assert!(
        stall.story.contains("something on the path") && stall.story.contains("0.4 ms"),
        "{}",
        stall.story
    );
    assert!(stall.action.contains("tlsmlkem=0"));
    let in_handshake = open()
        .send(10, client_hello())
        .at(3.0)
        .receive(10, server_flight()[..200].to_vec())
        .rst(10, 57);
    assert_eq!(
        only(&in_handshake, 5000.0, Verdict::HelloReset).stage,
        Stage::Handshake
    );
}

#[test]
fn a_reset_after_the_own_goodbye_is_none_of_our_business() {
    none(
        &open()
            .send(10, client_hello())
            .at(3.0)
            .close(10)
            .at(4.0)
            .rst(10, 57),
        9000.0,
    );
    none(&shaken().at(3.0).rst(10, 57), 9000.0);
}

#[test]
fn a_hello_without_answer_times_out_and_says_whether_it_was_acknowledged() {
    let script = open().send(10, client_hello());
    let lost = script.clone().at(300.0).resend(10, client_hello()).tcp(
        10,
        TcpMoment::Retransmit,
        400,
        1,
        1,
    );
    let stall = only(&lost, 9000.0, Verdict::HelloTimeout);
    assert_eq!(
        (stall.stage, &stall.evidence["acked"]),
        (Stage::Hello, &serde_json::json!(false))
    );
    let ignored = only(
        &script.clone().at(20_000.0).close(10),
        22_000.0,
        Verdict::HelloTimeout,
    );
    assert_eq!(ignored.evidence["acked"], true);
    assert_eq!(ignored.ended, Some(moment(20_000.0)));
    // It is one thing, though a reset comes at last.
    only(
        &script.at(9000.0).rst(10, 64),
        22_000.0,
        Verdict::HelloTimeout,
    );
}

#[test]
fn a_slow_answer_within_the_limit_is_no_stall() {
    none(
        &open()
            .send(10, client_hello())
            .at(2500.0)
            .receive(10, server_flight())
            .at(2501.0)
            .close(10),
        9000.0,
    );
}

#[test]
fn a_handshake_that_stops_half_way_times_out_in_its_stage() {
    let script = open()
        .send(10, client_hello())
        .at(3.0)
        .receive(10, server_flight()[..500].to_vec());
    let stall = only(&script, 9000.0, Verdict::HelloTimeout);
    assert_eq!((stall.stage, stall.began), (Stage::Handshake, moment(3.0)));
}

/// The FIN of a server that sends an alert and closes may overtake the alert.
#[test]
fn a_close_counts_when_all_before_it_has_come() {
    const ALERT: u32 = 7;
    let script = open()
        .send(10, client_hello())
        .at(3.0)
        .loses(10, ALERT)
        .fin(10)
        .at(250.0)
        .again(10, ALERT)
        .plain_alert(10, 40)
        .state(10, TcpState::Established, TcpState::CloseWait);
    only(&script, 5000.0, Verdict::HelloAlert);
}

#[test]
fn a_server_that_closes_or_alerts_is_named() {
    only(
        &open().send(10, client_hello()).at(3.0).fin(10),
        5000.0,
        Verdict::HelloClosed,
    );
    let alert = only(
        &open()
            .send(10, client_hello())
            .at(3.0)
            .plain_alert(10, 40)
            .fin(10),
        5000.0,
        Verdict::HelloAlert,
    );
    assert_eq!(alert.evidence["alert"], "handshake_failure");
}

#[test]
fn a_client_that_rejects_the_certificate_is_told_of() {
    let script = open()
        .send(10, client_hello())
        .at(3.0)
        .receive(10, server_flight())
        .at(4.0);
    let stall = only(
        &script.clone().encrypted_alert(10).close(10),
        5000.0,
        Verdict::HandshakeUntrusted,
    );
    assert_eq!(
        (stall.stage, stall.confidence),
        (Stage::Handshake, Confidence::Likely)
    );
    let readable = only(
        &script.clone().send(10, vec![21, 3, 3, 0, 2, 2, 42]),
        5000.0,
        Verdict::HandshakeUntrusted,
    );
    assert_eq!(readable.confidence, Confidence::Confirmed);
    none(&script.send(10, vec![21, 3, 3, 0, 2, 1, 0]), 5000.0);
}

#[test]
fn what_goes_through_us_says_nothing_of_the_path() {
    let spliced = open()
        .carried(10, Way::Spliced, HOST)
        .send(10, client_hello());
    let reset =
        spliced
            .clone()
            .at(2.4)
            .rst(10, 64)
            .state(10, TcpState::Established, TcpState::Close);
    let stall = only(&reset, 5000.0, Verdict::HelloReset);
    assert_eq!(stall.evidence["rst_ttl"], serde_json::Value::Null);
    assert!(!stall.story.contains("TTL"), "{}", stall.story);
    let silent = only(&spliced, 9000.0, Verdict::HelloTimeout);
    assert_eq!(silent.evidence["acked"], serde_json::Value::Null);
    assert!(silent.story.contains("through us"), "{}", silent.story);
}
