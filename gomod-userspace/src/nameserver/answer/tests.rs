// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers read, and written for clients.

use super::super::question::Asked;
use super::sections::{TYPE_NS, TYPE_SOA};
use super::*;

const NAME: &[u8] = b"\x05Proxy\x06golang\x03org\x00";

fn query(edns: bool) -> Question {
    let mut wire = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    wire.extend(NAME);
    wire.extend([0, 1, 0, 1]);
    if edns {
        wire.extend(OPT);
    }
    match Asked::read(&wire) {
        Asked::Question(question) => question,
        Asked::Foreign { .. } => panic!("foreign"),
    }
}

const OPT: [u8; 11] = [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0];

/// An answer to `query` with the number 9, the name in lower case, and these sections.
fn answer(rcode: u8, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
    let mut wire = vec![0, 9, 0x81, 0x80 | rcode, 0, 1];
    for section in sections {
        wire.extend((section.len() as u16).to_be_bytes());
    }
    wire.extend(NAME.to_ascii_lowercase());
    wire.extend([0, 1, 0, 1]);
    wire.extend(sections.concat().concat());
    wire
}

fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = vec![0xc0, 12];
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

fn soa(ttl: u32, minimum: u32) -> Vec<u8> {
    let mut data = vec![0, 0];
    data.extend([0; 16]);
    data.extend(minimum.to_be_bytes());
    record(TYPE_SOA, ttl, &data)
}

fn read(wire: Vec<u8>) -> Answer {
    Answer::read(wire, &query(true), 9).unwrap()
}

fn written(answer: &Answer, question: &Question, age: Age, limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    answer.write(question, age, limit, &mut out);
    out
}

fn seconds(answer: &Answer) -> Option<u64> {
    answer.lifetime().map(|lifetime| lifetime.as_secs())
}

#[test]
fn the_shortest_ttl_counts_and_counts_down() {
    let addresses = [
        record(1, 300, &[192, 0, 2, 1]),
        record(1, 60, &[192, 0, 2, 2]),
    ];
    let answer = read(answer(0, [&addresses, &[], &[OPT.to_vec()]]));
    assert_eq!(
        (answer.worth(), seconds(&answer)),
        (Worth::Positive, Some(60))
    );
    assert_eq!(answer.addresses().len(), 2);
    let later = Answer::read(
        written(&answer, &query(true), Age::Seconds(59), 512),
        &query(true),
        7,
    );
    assert_eq!(seconds(&later.unwrap()), Some(1));
    let stale = Answer::read(
        written(&answer, &query(true), Age::Stale, 512),
        &query(true),
        7,
    );
    assert_eq!(seconds(&stale.unwrap()), Some(1));
}

#[test]
fn number_and_case_are_the_clients() {
    let answer = read(answer(0, [&[record(1, 60, &[192, 0, 2, 1])], &[], &[]]));
    let out = written(&answer, &query(true), Age::New, 512);
    assert_eq!(out[..2], [0, 7]);
    assert_eq!(&out[12..12 + NAME.len()], NAME);
}

#[test]
fn nothing_is_kept_as_long_as_the_soa_says_and_not_at_all_without() {
    for rcode in [NOERROR, NXDOMAIN] {
        let known = read(answer(rcode, [&[], &[soa(900, 30)], &[]]));
        assert_eq!(
            (known.worth(), seconds(&known)),
            (Worth::Negative, Some(30))
        );
        let short = read(answer(rcode, [&[], &[soa(5, 30)], &[]]));
        assert_eq!(seconds(&short), Some(5));
        assert_eq!(seconds(&read(answer(rcode, [&[], &[], &[]]))), None);
    }
    let alias = record(5, 10, &[0xc0, 12]);
    let chain = read(answer(
        0,
        [std::slice::from_ref(&alias), &[soa(900, 30)], &[]],
    ));
    assert_eq!(
        (chain.worth(), seconds(&chain)),
        (Worth::Negative, Some(10)),
        "an alias is not what was asked for"
    );
    assert_eq!(seconds(&read(answer(0, [&[alias], &[], &[]]))), None);
}

#[test]
fn ttls_beyond_reason_are_zero_and_zero_is_not_kept() {
    for ttl in [0, 0x8000_0000, u32::MAX] {
        let answer = read(answer(0, [&[record(1, ttl, &[192, 0, 2, 1])], &[], &[]]));
        assert_eq!(answer.lifetime(), None);
    }
    let long = read(answer(
        0,
        [&[record(1, 0x7fff_ffff, &[192, 0, 2, 1])], &[], &[]],
    ));
    assert_eq!(seconds(&long), Some(86400));
}

#[test]
fn failures_and_servers_that_point_elsewhere_are_told_from_answers() {
    let worth = |wire| read(wire).worth();
    assert_eq!(worth(answer(2, [&[], &[], &[]])), Worth::Failed);
    assert_eq!(worth(answer(5, [&[], &[], &[]])), Worth::Poor);
    let elsewhere = [record(TYPE_NS, 60, &[0])];
    assert_eq!(worth(answer(0, [&[], &elsewhere, &[]])), Worth::Poor);
    assert_eq!(worth(answer(0, [&[], &[], &[]])), Worth::Negative);
    let mut badvers = OPT;
    badvers[5] = 1;
    assert_eq!(
        worth(answer(0, [&[], &[], &[badvers.to_vec()]])),
        Worth::Poor
    );
    let mut cut = answer(0, [&[record(1, 60, &[192, 0, 2, 1])], &[], &[]]);
    cut.pop();
    let cut = read(cut);
    assert_eq!((cut.worth(), cut.lifetime()), (Worth::Poor, None));
}

#[test]
fn what_answers_something_else_is_not_the_answer() {
    let good = answer(0, [&[], &[], &[]]);
    let refused = |spoil: fn(&mut Vec<u8>)| {
        let mut wire = good.clone();
        spoil(&mut wire);
        Answer::read(wire, &query(true), 9).unwrap_err()
    };
    assert_eq!(refused(|wire| wire[1] = 8), NotTheAnswer::WrongId);
    assert_eq!(refused(|wire| wire[13] = b'x'), NotTheAnswer::WrongQuestion);
    assert_eq!(refused(|wire| wire[5] = 0), NotTheAnswer::WrongQuestion);
    assert_eq!(refused(|wire| wire[2] = 1), NotTheAnswer::NoResponse);
    assert_eq!(refused(|wire| wire.truncate(4)), NotTheAnswer::NoResponse);
    // The type differs from A (1) only as upper from lower case would.
    assert_eq!(
        refused(|wire| wire[12 + NAME.len() + 1] |= 0x20),
        NotTheAnswer::WrongQuestion
    );
    let unread = vec![0, 9, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let unread = Answer::read(unread, &query(true), 9).unwrap();
    assert_eq!(
        (unread.worth(), unread.rcode().as_str()),
        (Worth::Poor, "FORMERR")
    );
}

#[test]
fn a_client_without_edns_sees_no_opt_record() {
    let address = [record(1, 60, &[192, 0, 2, 1])];
    let answer = read(answer(0, [&address, &[], &[OPT.to_vec()]]));
    assert!(answer.fits_without_edns());
    let out = written(&answer, &query(false), Age::New, 512);
    assert_eq!(u16_at(&out, 10), 0);
    assert_eq!(out.len(), answer.wire.len() - OPT.len());
    let out = written(&answer, &query(true), Age::New, 512);
    assert_eq!(u16_at(&out, 10), 1);
}

#[test]
fn what_is_too_long_says_that_there_is_more() {
    let many = vec![record(1, 60, &[192, 0, 2, 1]); 40];
    let answer = read(answer(0, [&many, &[], &[OPT.to_vec()]]));
    for edns in [false, true] {
        let question = query(edns);
        let out = written(&answer, &question, Age::New, 512);
        let short = Answer::read(out, &question, 7).unwrap();
        assert!(short.truncated());
        assert_eq!(short.worth(), Worth::Positive, "not that there is nothing");
        assert_eq!((short.addresses().len(), short.lifetime()), (0, None));
        assert_eq!(short.opt.is_some(), edns);
        let whole = written(&answer, &question, Age::New, usize::MAX);
        assert_eq!(
            Answer::read(whole, &question, 7).unwrap().addresses().len(),
            40
        );
    }
}
