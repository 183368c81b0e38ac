// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lookups that stay without an answer, or get one that does not help.

use std::time::Duration;

use super::{Cause, HOST, PROXY, Script, TcpMoment, Verdict, moment, none, only, stalls};
use crate::kernel::events::NameReply;

#[test]
fn a_silent_nameserver_is_one_stall_for_both_types() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .query(2, 2, "AAAA", HOST)
        .at(5000.0)
        .query(3, 3, "A", HOST)
        .query(4, 4, "AAAA", HOST)
        .at(10_000.0)
        .exit(1);
    let stall = only(&script, 14_000.0, Verdict::DnsTimeout);
    assert_eq!(stall.evidence["types"], serde_json::json!(["A", "AAAA"]));
    assert_eq!(stall.evidence["attempts"], 2);
    assert_eq!(
        stall.evidence["servers"],
        serde_json::json!(["198.18.0.2:53"])
    );
    assert_eq!(
        (stall.began, stall.ended),
        (moment(0.0), Some(moment(10_000.0)))
    );
    assert!(stall.known <= moment(5000.0));
}

#[test]
fn a_missing_aaaa_answer_is_a_timeout_of_that_type_and_ends_with_the_connect() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .query(2, 2, "AAAA", HOST)
        .at(1.0)
        .answer(1, 1, "A", HOST, 0, &["198.18.0.10"])
        .at(5001.0)
        .query(3, 3, "AAAA", HOST)
        .at(10_001.0)
        .connected(10, PROXY);
    let stall = only(&script, 14_000.0, Verdict::DnsTimeout);
    assert_eq!(stall.evidence["types"], serde_json::json!(["AAAA"]));
    assert_eq!(stall.evidence["answered_types"], serde_json::json!(["A"]));
    assert_eq!(stall.ended, Some(moment(10_001.0)));
}

#[test]
fn a_lookup_that_is_cancelled_or_answered_in_time_is_no_stall() {
    none(
        &Script::new().query(1, 1, "A", HOST).at(2000.0).exit(1),
        9000.0,
    );
    none(
        &Script::new()
            .query(1, 1, "A", HOST)
            .at(200.0)
            .query(2, 2, "A", HOST)
            .at(900.0)
            .answer(1, 1, "A", HOST, 0, &["198.18.0.10"])
            .answer(2, 2, "A", HOST, 0, &["198.18.0.10"]),
        9000.0,
    );
    none(&Script::new().at(1.0).resolved(), 9000.0);
}

#[test]
fn refusals_of_a_nameserver_count_once_however_often_tried() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .at(1.0)
        .answer(1, 1, "A", HOST, 5, &[])
        .at(3000.0)
        .query(2, 2, "A", HOST)
        .at(3001.0)
        .answer(2, 2, "A", HOST, 5, &[]);
    let stall = only(&script, 9000.0, Verdict::DnsRefused);
    assert_eq!(stall.evidence["rcode"], "REFUSED");
    assert_eq!(stall.evidence["tries"], 2);
    assert_eq!(stall.ended, Some(moment(1.0)));
    let closed = Script::new()
        .query(1, 1, "A", HOST)
        .at(1.0)
        .udp_error(1, 111)
        .exit(1);
    assert_eq!(
        only(&closed, 3000.0, Verdict::DnsRefused).evidence["errno"],
        111
    );
}

#[test]
fn a_second_nameserver_that_answers_at_once_makes_up_for_the_first() {
    none(
        &Script::new()
            .query(1, 1, "A", HOST)
            .at(1.0)
            .answer(1, 1, "A", HOST, 2, &[])
            .at(2.0)
            .query(2, 2, "A", HOST)
            .at(3.0)
            .answer(2, 2, "A", HOST, 0, &["198.18.0.10"]),
        9000.0,
    );
}

#[test]
fn a_name_that_does_not_exist_is_told_once_without_its_search_suffixes() {
    let suffixed = format!("{HOST}.corp.test");
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .at(1.0)
        .answer(1, 1, "A", HOST, 3, &[])
        .at(2.0)
        .query(2, 2, "A", &suffixed)
        .at(3.0)
        .answer(2, 2, "A", &suffixed, 3, &[]);
    let stall = only(&script, 5000.0, Verdict::DnsNxdomain);
    assert_eq!(stall.host.as_deref(), Some(HOST));
    assert_eq!(stall.ended, Some(moment(1.0)));
    only(&script.at(4.0).exit(1), 5000.0, Verdict::DnsNxdomain);
}

#[test]
fn search_suffixes_that_fail_before_the_plain_name_resolves_are_no_stall() {
    for gap in [1.0, 400.0] {
        let suffixed = format!("{HOST}.default.svc.cluster.local");
        let script = Script::new()
            .query(1, 1, "A", &suffixed)
            .at(gap)
            .answer(1, 1, "A", &suffixed, 3, &[])
            .at(gap + 0.5)
            .query(2, 2, "A", HOST)
            .at(gap * 2.0 + 0.5)
            .answer(2, 2, "A", HOST, 0, &["198.18.0.10"]);
        none(&script, 5000.0);
    }
}

#[test]
fn a_late_answer_is_slow_by_the_measure_of_the_run() {
    let late = |srtt| {
        Script::new()
            .connect(9, "198.18.0.9:443")
            .syn(9)
            .syn_ack(9, 57)
            .tcp(9, TcpMoment::Established, srtt, 0, 1)
            .query(1, 1, "A", HOST)
            .at(2000.0)
            .answer(1, 1, "A", HOST, 0, &["198.18.0.10"])
    };
    let stall = only(&late(1000), 5000.0, Verdict::DnsSlow);
    assert_eq!(stall.evidence["latency_ms"], 2000.0);
    assert_eq!(
        (stall.began, stall.ended),
        (moment(0.0), Some(moment(2000.0)))
    );
    none(&late(200_000), 5000.0);
}

const FIRST: &str = "198.18.0.2:53";
const SECOND: &str = "198.18.0.3:53";

fn answered(ms: u64) -> NameReply {
    NameReply::Answered {
        latency: Duration::from_millis(ms),
        rcode: "NOERROR".to_owned(),
    }
}

fn silent(ms: u64, given_up: bool) -> NameReply {
    NameReply::Silent {
        waited: Duration::from_millis(ms),
        given_up,
    }
}

#[test]
fn a_dead_nameserver_is_told_of_even_though_nobody_waited_for_it() {
    let script = Script::new()
        .resolved()
        .asked(FIRST, HOST, silent(900, true))
        .asked(SECOND, HOST, answered(20))
        .at(1_000.0)
        .asked(FIRST, "sum.golang.org", silent(900, true));
    let stall = only(&script, 9_000.0, Verdict::DnsTimeout);
    assert_eq!(stall.evidence["servers"], serde_json::json!([FIRST]));
    assert_eq!(
        (&stall.evidence["attempts"], &stall.evidence["answered"]),
        (&serde_json::json!(2), &serde_json::json!(0))
    );
    assert_eq!((stall.began, stall.ended), (moment(0.0), None));
    let back = script.at(4_000.0).asked(FIRST, HOST, answered(20));
    let stall = only(&back, 9_000.0, Verdict::DnsTimeout);
    assert_eq!(stall.ended, Some(moment(4_020.0)));
}

#[test]
fn two_short_silences_of_an_unknown_nameserver_make_a_suspicion() {
    use crate::diagnose::Confidence;
    let script = Script::new().asked(FIRST, HOST, silent(110, false));
    none(&script, 9_000.0);
    let script = script.asked(FIRST, "sum.golang.org", silent(110, false));
    let stall = only(&script, 9_000.0, Verdict::DnsTimeout);
    assert_eq!(stall.confidence, Confidence::Suspected);
}

#[test]
fn a_nameserver_that_was_only_overtaken_is_not_silent() {
    let overtaken = Script::new()
        .asked(FIRST, HOST, answered(200))
        .asked(FIRST, HOST, silent(400, false))
        .asked(SECOND, HOST, silent(90, false));
    none(&overtaken, 9_000.0);
    let late = overtaken.asked(FIRST, HOST, silent(600, false));
    only(&late, 9_000.0, Verdict::DnsTimeout);
}

#[test]
fn a_late_answer_that_nobody_waited_for_is_the_networks() {
    let script = Script::new().resolved().asked(FIRST, HOST, answered(3_000));
    let stall = only(&script, 9_000.0, Verdict::DnsSlow);
    assert_eq!(stall.evidence["latency_ms"], 3_000.0);
}

#[test]
fn one_cause_is_told_once_where_a_process_waited() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .asked(FIRST, HOST, silent(900, true))
        .asked(FIRST, HOST, answered(3_000))
        .at(3_000.0)
        .answer(1, 1, "A", HOST, 0, &["198.18.0.10"]);
    let stall = only(&script, 9_000.0, Verdict::DnsSlow);
    assert_eq!(stall.host.as_deref(), Some(HOST), "it is the lookup's");
}

#[test]
fn an_answer_to_the_repeated_question_tells_that_a_packet_got_lost() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .at(5000.0)
        .query(2, 2, "A", HOST)
        .at(5020.0)
        .answer(2, 2, "A", HOST, 0, &["198.18.0.10"]);
    let stall = only(&script, 9000.0, Verdict::DnsTimeout);
    assert_eq!(stall.cause, Some(Cause::LostAnswers), "{stall:#?}");
    assert!(stall.story.contains("within 20 ms"), "{}", stall.story);
    assert_eq!(stall.evidence["answered_again_ms"], 20.0);
}

#[test]
fn a_nameserver_that_answers_nothing_is_of_no_known_cause() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .at(5000.0)
        .query(2, 2, "A", HOST)
        .at(10_000.0)
        .exit(1);
    assert_eq!(only(&script, 14_000.0, Verdict::DnsTimeout).cause, None);
}

#[test]
fn aaaa_alone_unanswered_is_told_after_two_of_them() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .query(2, 2, "AAAA", HOST)
        .at(1.0)
        .answer(1, 1, "A", HOST, 0, &["198.18.0.10"])
        .at(5001.0)
        .query(3, 3, "AAAA", HOST);
    assert_eq!(only(&script, 9000.0, Verdict::DnsTimeout).cause, None);
    let script = script.at(10_101.0).connected(10, PROXY);
    let stall = only(&script, 14_000.0, Verdict::DnsTimeout);
    assert_eq!(stall.cause, Some(Cause::UnansweredAaaa), "{stall:#?}");
}

#[test]
fn one_late_answer_is_a_slow_resolver() {
    let script = Script::new().query(1, 1, "A", HOST).at(3000.0).answer(
        1,
        1,
        "A",
        HOST,
        0,
        &["198.18.0.10"],
    );
    let stall = only(&script, 9000.0, Verdict::DnsSlow);
    assert_eq!(stall.cause, Some(Cause::SlowResolver));
}

#[test]
fn a_nameserver_is_silent_beside_another_one_that_answers() {
    let silent = NameReply::Silent {
        waited: Duration::from_millis(900),
        given_up: false,
    };
    let answered = NameReply::Answered {
        latency: Duration::from_millis(9),
        rcode: "NOERROR".to_owned(),
    };
    let (dead, alive) = ("198.18.0.2:53", "198.18.0.3:53");
    let script = Script::new().asked(alive, HOST, answered.clone());
    let both = script
        .clone()
        .asked(dead, HOST, silent.clone())
        .at(1.0)
        .asked(dead, "sum.golang.org", silent.clone());
    let stall = only(&both, 5000.0, Verdict::DnsTimeout);
    assert_eq!(stall.cause, Some(Cause::SilentNameserver), "{stall:#?}");
    // The other one may be the one that lost a packet.
    let lossy = script.at(1.0).asked(alive, "sum.golang.org", silent);
    let stall = only(&lossy, 5000.0, Verdict::DnsTimeout);
    assert_eq!(stall.cause, Some(Cause::LostAnswers), "{stall:#?}");
}

#[test]
fn a_question_that_gets_lost_and_is_then_refused_is_told_as_both() {
    let script = |rcode| {
        Script::new()
            .query(1, 1, "A", HOST)
            .at(5000.0)
            .query(2, 2, "A", HOST)
            .at(5020.0)
            .answer(2, 2, "A", HOST, rcode, &[])
            .at(5030.0)
            .exit(1)
    };
    for (rcode, verdict) in [(5, Verdict::DnsRefused), (3, Verdict::DnsNxdomain)] {
        let told: Vec<_> = stalls(&script(rcode), 9000.0)
            .iter()
            .map(|stall| (stall.verdict, stall.cause))
            .collect();
        let expected = [
            (Verdict::DnsTimeout, Some(Cause::LostAnswers)),
            (verdict, None),
        ];
        assert_eq!(told, expected);
    }
}
