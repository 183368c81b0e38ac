// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests without a response, and responses that stop, break off or crawl.

use super::{
    Confidence, HOST, LOCK, MOD, Script, Stage, Verdict, ZIP, fetching, moment, none, only, shaken,
};

#[test]
fn a_request_that_nothing_answers_is_stalled_until_the_process_ends() {
    let script = fetching();
    let stall = only(
        &script.clone().at(60_000.0).exit(1),
        63_000.0,
        Verdict::RequestStalled,
    );
    assert_eq!(
        (stall.began, stall.ended),
        (moment(10.0), Some(moment(60_000.0)))
    );
    assert_eq!(stall.modules, ["golang.org/x/text@v0.3.0.zip"]);
    assert_eq!(
        (stall.stage, stall.confidence),
        (Stage::Request, Confidence::Confirmed)
    );
    assert_eq!(
        only(
            &script.at(9000.0).response(10, 5000),
            12_000.0,
            Verdict::RequestStalled
        )
        .ended,
        Some(moment(9000.0))
    );
}

#[test]
fn a_process_that_was_killed_never_saw_the_end_of_its_stall() {
    let stall = only(
        &fetching().at(60_000.0).killed().close(10),
        63_000.0,
        Verdict::RequestStalled,
    );
    assert_eq!(stall.ended, None);
    let asking = Script::new().query(1, 1, "A", HOST).at(5500.0).killed();
    assert_eq!(only(&asking, 20_000.0, Verdict::DnsTimeout).ended, None);
    let waiting = Script::new().lock_wait(LOCK).at(7000.0).killed();
    assert_eq!(
        only(&waiting, 20_000.0, Verdict::LockContention).ended,
        None
    );
}

#[test]
fn session_tickets_are_no_response() {
    let script = shaken()
        .at(3.0)
        .missing(MOD)
        .request(10)
        .at(4.0)
        .response(10, 600);
    only(&script, 9000.0, Verdict::RequestStalled);
}

#[test]
fn a_request_that_no_file_tells_of_is_stalled_if_no_byte_came() {
    only(
        &shaken().at(3.0).request(10),
        9000.0,
        Verdict::RequestStalled,
    );
    none(
        &shaken().at(3.0).request(10).at(4.0).response(10, 600),
        20_000.0,
    );
}

#[test]
fn an_idle_connection_without_unfinished_work_is_no_stall() {
    let idle = shaken()
        .at(3.0)
        .missing(MOD)
        .request(10)
        .at(4.0)
        .response(10, 4000)
        .completed(MOD);
    none(&idle, 60_000.0);
    // The compiler runs, and a file that nobody wants was looked for.
    none(
        &idle
            .at(5.0)
            .missing("golang.org/x/net/@v/v0.1.0.info")
            .by(101)
            .exec("", 100),
        60_000.0,
    );
}

#[test]
fn a_connection_that_idles_while_another_one_works_is_no_stall() {
    let mut script = shaken()
        .at(3.0)
        .request(10)
        .at(4.0)
        .response(10, 500)
        .shaken(11, "198.18.0.11:443")
        .at(5.0)
        .missing(ZIP)
        .temporary(ZIP)
        .request(11);
    for tick in 1..200u32 {
        script = script
            .at(f64::from(tick) * 100.0)
            .response(11, 20_000)
            .size(ZIP, u64::from(tick) * 20_000);
    }
    none(&script.at(20_000.0).read_back(ZIP).completed(ZIP), 40_000.0);
}

#[test]
fn a_response_that_stops_is_a_stalled_body() {
    let script = fetching()
        .at(20.0)
        .response(10, 100_000)
        .at(60.0)
        .size(ZIP, 99_000);
    let stall = only(&script, 60_000.0, Verdict::BodyStalled);
    assert_eq!((stall.began, stall.ended), (moment(20.0), None));
    assert_eq!(stall.evidence["file_bytes"], 99_000);
    assert_eq!(stall.evidence["bytes_received"], 100_000);
    let again = only(
        &script
            .at(15_000.0)
            .response(10, 9000)
            .read_back(ZIP)
            .completed(ZIP),
        60_000.0,
        Verdict::BodyStalled,
    );
    assert_eq!(again.ended, Some(moment(15_000.0)));
}

#[test]
fn the_body_stalls_on_the_connection_that_carried_it() {
    let script = fetching()
        .at(12.0)
        .response(10, 900)
        .at(15.0)
        .shaken(11, "198.18.0.11:443")
        .at(16.0)
        .request(11)
        .at(3000.0)
        .response(11, 100_000)
        .size(ZIP, 90_000);
    let stall = only(&script, 60_000.0, Verdict::BodyStalled);
    assert!(stall.story.contains("198.18.0.11"), "{}", stall.story);
}

#[test]
fn a_response_that_is_cut_is_told_with_its_bytes() {
    let script = fetching()
        .at(20.0)
        .response(10, 100_000)
        .size(ZIP, 99_000)
        .at(30.0);
    let stall = only(
        &script
            .clone()
            .fin(10)
            .at(31.0)
            .discarded(ZIP)
            .close(10)
            .exit(1),
        5000.0,
        Verdict::BodyCut,
    );
    assert_eq!(
        (stall.ended, stall.confidence),
        (Some(moment(30.0)), Confidence::Confirmed)
    );
    assert_eq!(stall.evidence["file_bytes"], 99_000);
    let reset = only(
        &script.clone().rst(10, 64).at(31.0).discarded(ZIP),
        9000.0,
        Verdict::BodyCut,
    );
    assert_eq!(reset.evidence["failure"], "connection_reset");
    // HTTP/2 ends one response and keeps the connection.
    let stream = only(&script.discarded(ZIP), 9000.0, Verdict::BodyCut);
    assert_eq!(stream.confidence, Confidence::Likely);
}

#[test]
fn a_connection_closed_after_its_work_or_a_file_with_a_wrong_hash_is_not_cut() {
    let script = fetching()
        .at(20.0)
        .response(10, 100_000)
        .size(ZIP, 99_000)
        .at(30.0);
    none(
        &script
            .clone()
            .fin(10)
            .at(31.0)
            .read_back(ZIP)
            .completed(ZIP),
        9000.0,
    );
    none(
        &script.clone().read_back(ZIP).at(31.0).discarded(ZIP),
        9000.0,
    );
    none(
        &script
            .read_back(ZIP)
            .completed(ZIP)
            .at(60_000.0)
            .response(10, 24)
            .fin(10),
        70_000.0,
    );
}

#[test]
fn a_stalled_body_that_is_cut_at_last_stays_one_stall() {
    let script = fetching()
        .at(20.0)
        .response(10, 100_000)
        .size(ZIP, 99_000)
        .at(30_000.0)
        .rst(10, 64)
        .at(30_001.0)
        .discarded(ZIP);
    let stall = only(&script, 40_000.0, Verdict::BodyStalled);
    assert_eq!(stall.ended, Some(moment(30_000.0)));
}

fn trickle(bytes_per_second: u64) -> Script {
    let mut script = fetching();
    for second in 1..=30u32 {
        script = script
            .at(f64::from(second) * 1000.0)
            .response(10, bytes_per_second)
            .size(ZIP, u64::from(second) * bytes_per_second);
    }
    script.at(31_000.0).read_back(ZIP).completed(ZIP)
}

#[test]
fn a_body_that_crawls_is_slow_and_one_that_walks_is_not() {
    let stall = only(&trickle(4000), 40_000.0, Verdict::BodySlow);
    assert_eq!(stall.ended, Some(moment(31_000.0)));
    assert!(stall.evidence["bytes_per_second"].as_u64().unwrap() <= 4400);
    none(&trickle(40_000), 40_000.0);
}
