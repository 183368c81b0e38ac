// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hosts that the accelerator can't reach.

use super::{
    Cause, HOST, PROXY, Script, Stage, StallChange, Verdict, ZIP, moment, none, only, play, stalls,
};
use crate::kernel::events::{AttemptFailure, AttemptStep, OwnHello, Way};

const V6: &str = "[2001:2::10]:443";

fn hello() -> OwnHello {
    OwnHello {
        bytes: 230,
        alpn: vec!["http/1.1".to_owned()],
    }
}

fn began(script: Script, number: u64, remote: &str) -> Script {
    script
        .attempt(number, HOST, remote, AttemptStep::Began)
        .attempt(number, HOST, remote, AttemptStep::Connected)
}

fn failed(script: Script, number: u64, remote: &str, failure: AttemptFailure) -> Script {
    script.attempt(
        number,
        HOST,
        remote,
        AttemptStep::Failed {
            client_hello: Some(hello()),
            failure,
        },
    )
}

fn opened(script: Script, number: u64, remote: &str) -> Script {
    let step = AttemptStep::Open {
        client_hello: Some(hello()),
    };
    began(script, number, remote).attempt(number, HOST, remote, step)
}

#[test]
fn resets_that_go_on_are_one_stall_until_one_passes() {
    let mut script = Script::new();
    for number in 0..4 {
        let at = 10.0 + number as f64 * 500.0;
        script = failed(
            began(script.at(at), number, PROXY),
            number,
            PROXY,
            AttemptFailure::Reset,
        );
    }
    let stall = only(&script, 5000.0, Verdict::HelloReset);
    assert_eq!(stall.evidence["tries"], 4);
    assert_eq!(stall.evidence["seen_by"], "gomod-trace");
    assert_eq!((stall.stage, stall.ended), (Stage::Hello, None));
    let script = opened(script.at(4000.0), 9, PROXY);
    let stall = only(&script, 9000.0, Verdict::HelloReset);
    assert_eq!(stall.ended, Some(moment(4000.0)));
}

#[test]
fn what_is_mended_within_a_moment_is_no_stall() {
    let script = failed(
        began(Script::new(), 1, PROXY),
        1,
        PROXY,
        AttemptFailure::Closed,
    );
    none(&opened(script.at(300.0), 2, PROXY), 9000.0);
    let dropped = Script::new()
        .attempt(1, HOST, V6, AttemptStep::Began)
        .at(250.0);
    let dropped = opened(dropped, 2, PROXY).attempt(1, HOST, V6, AttemptStep::Dropped);
    none(&dropped, 9000.0);
}

#[test]
fn a_command_that_ends_at_once_is_told_why() {
    let failure = AttemptFailure::Untrusted {
        issuer: "CN=Corp CA".to_owned(),
        reason: "unknown issuer".to_owned(),
        unknown_authority: true,
    };
    let script = failed(began(Script::new().at(5.0), 1, PROXY), 1, PROXY, failure)
        .at(20.0)
        .exit(1);
    let stall = only(&script, 3000.0, Verdict::HandshakeUntrusted);
    assert_eq!(stall.cause, Some(Cause::Interception));
    assert_eq!(stall.evidence["issuer"], "CN=Corp CA");
    assert!(stall.action.contains("CN=Corp CA") && stall.story.contains("CN=Corp CA"));
    assert_eq!(stall.ended, Some(moment(20.0)));
    // What was under way then fails as well: no news.
    let late = began(Script::new().at(5.0), 1, PROXY);
    let late = began(late.at(10.0), 2, PROXY);
    let late = failed(late, 1, PROXY, AttemptFailure::Reset)
        .at(20.0)
        .exit(1);
    let late = failed(late.at(200.0), 2, PROXY, AttemptFailure::Reset);
    only(&late, 3000.0, Verdict::HelloReset);
}

#[test]
fn an_expired_certificate_is_no_interception() {
    let failure = AttemptFailure::Untrusted {
        issuer: "CN=Known CA".to_owned(),
        reason: "certificate expired".to_owned(),
        unknown_authority: false,
    };
    let script = failed(began(Script::new(), 1, PROXY), 1, PROXY, failure).exit(1);
    assert_eq!(
        only(&script, 3000.0, Verdict::HandshakeUntrusted).cause,
        None
    );
}

#[test]
fn silence_is_told_while_it_lasts_and_ipv4_explains_it() {
    let script = began(Script::new().at(10.0), 1, V6);
    let stall = only(&script, 3500.0, Verdict::HelloTimeout);
    assert_eq!((stall.ended, stall.cause), (None, None));
    let script = failed(script.at(5500.0), 1, V6, AttemptFailure::Silent);
    let script = opened(script.at(5600.0), 2, PROXY);
    let stall = only(&script, 9000.0, Verdict::HelloTimeout);
    assert_eq!(stall.cause, Some(Cause::Ipv6BlackHole), "{stall:#?}");
    assert_eq!(stall.ended, Some(moment(5600.0)));
    let (_, changes) = play(&script.events, 9000.0);
    assert!(
        matches!(
            changes.as_slice(),
            [
                StallChange::Known(_),
                StallChange::Ended(_),
                StallChange::Explained { .. }
            ]
        ),
        "{changes:#?}"
    );
    // Others that began before the first one passed are no news when they fail as well.
    let late = began(Script::new().at(10.0), 1, V6).at(20.0);
    let late = failed(began(late, 3, V6).at(5500.0), 1, V6, AttemptFailure::Silent);
    let late = opened(late.at(5600.0), 2, PROXY).at(5700.0);
    only(
        &failed(late, 3, V6, AttemptFailure::Silent),
        9000.0,
        Verdict::HelloTimeout,
    );
    // One that passed at first does not excuse those that are silent from then on.
    let early = opened(began(Script::new().at(10.0), 1, V6).at(200.0), 2, PROXY);
    let early = early.at(5500.0);
    let stall = only(
        &failed(early, 1, V6, AttemptFailure::Silent),
        9000.0,
        Verdict::HelloTimeout,
    );
    assert_eq!(stall.began, moment(10.0));
    let unanswered = Script::new().attempt(1, HOST, PROXY, AttemptStep::Began);
    only(&unanswered, 3500.0, Verdict::ConnectTimeout);
}

#[test]
fn a_request_that_waits_for_our_connection_is_not_told_as_well() {
    let asked = Script::new()
        .at(1.0)
        .shaken(10, PROXY)
        .carried(10, Way::Accelerated, HOST)
        .at(10.0)
        .missing(ZIP)
        .temporary(ZIP)
        .request(10);
    only(&asked, 9000.0, Verdict::RequestStalled);
    only(&began(asked, 1, PROXY), 9000.0, Verdict::HelloTimeout);
}

#[test]
fn a_request_that_waited_for_our_connection_is_given_time_after_it() {
    let asked = Script::new()
        .at(1.0)
        .shaken(10, PROXY)
        .carried(10, Way::Accelerated, HOST)
        .at(10.0)
        .missing(ZIP)
        .temporary(ZIP)
        .request(10);
    let silent = failed(
        began(asked, 1, V6).at(5600.0),
        1,
        V6,
        AttemptFailure::Silent,
    );
    let mended = opened(silent.at(5900.0), 2, PROXY);
    only(
        &mended.clone().at(6900.0).response(10, 4000).completed(ZIP),
        30_000.0,
        Verdict::HelloTimeout,
    );
    assert_eq!(stalls(&mended, 30_000.0).len(), 2);
}
