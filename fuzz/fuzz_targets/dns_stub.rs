// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stub's path of a message: whatever is asked and answered, the client gets its own number and question back, in
//! no more bytes than it takes, and what is written out is an answer still.
#![no_main]

use gomod_trace::nameserver::answer::{Age, Answer};
use gomod_trace::nameserver::question::{Asked, Question};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((len, rest)) = bytes.split_first() else {
        return;
    };
    let (query, answer) = rest.split_at(usize::from(*len).min(rest.len()));
    let Asked::Question(question) = Asked::read(query) else {
        return;
    };
    assert_eq!(question.wire(question.id()), query);
    let _ = (question.name(), question.type_name());
    // An answer with this number and question reaches deeper than noise does.
    check(&question, answer.to_vec());
    let mut fitting = question.wire(question.id());
    fitting[2] |= 0x80;
    fitting.extend(answer);
    for (at, byte) in answer.iter().take(6).enumerate() {
        fitting[6 + at] = byte & 3;
    }
    check(&question, fitting);
});

fn check(question: &Question, wire: Vec<u8>) {
    let Ok(answer) = Answer::read(wire.clone(), question, question.id()) else {
        return;
    };
    let mut out = Vec::new();
    answer.write(question, Age::New, usize::MAX, &mut out);
    assert!(out.len() <= wire.len());
    for age in [Age::New, Age::Seconds(7), Age::Stale] {
        answer.write(question, age, question.udp_len(), &mut out);
        // A question longer than the client takes in answers can't be shortened any more.
        assert!(out.len() <= question.udp_len().max(wire.len()));
        let again = Answer::read(out.clone(), question, question.id()).expect("an answer no more");
        assert!(again.truncated() || again.rcode() == answer.rcode());
        if answer.worth().is_answer() && !again.truncated() {
            assert_eq!(again.addresses(), answer.addresses());
        }
    }
}
