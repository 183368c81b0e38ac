// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages as resolvers and nameservers send them, cut, damaged and invented.

use super::*;
use proptest::prelude::*;

/// `Proxy.GoLang.org` AAAA, id 0x1234, with an EDNS0 record as `go` sends it.
fn query() -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    bytes.extend_from_slice(b"\x05Proxy\x06GoLang\x03org\0\0\x1c\0\x01");
    bytes.extend_from_slice(&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn response(rcode: u8, truncation: bool) -> Vec<u8> {
    let mut bytes = vec![
        0x12,
        0x34,
        0x81 | u8::from(truncation) << 1,
        0x80 | rcode,
        0,
        1,
        0,
        3,
        0,
        0,
        0,
        0,
    ];
    bytes.extend_from_slice(b"\x05proxy\x06golang\x03org\0\0\x1c\0\x01");
    bytes.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x08\x05Other\xc0\x12");
    bytes.extend_from_slice(
        b"\xc0\x0c\0\x1c\0\x01\0\0\0\x3c\0\x10\x20\x01\0\x02\0\0\0\0\0\0\0\0\0\0\0\x01",
    );
    bytes.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x12\0\x01");
    bytes
}

fn parse_response(bytes: &[u8]) -> Response {
    match Message::parse(bytes).unwrap().complete().unwrap() {
        Message::Response(response) => response,
        Message::Query(query) => panic!("{query:?} is no response"),
    }
}

#[test]
fn reads_a_query_in_lower_case() {
    let expected = Query {
        id: 0x1234,
        name: "proxy.golang.org".into(),
        qtype: "AAAA".into(),
    };
    let message = Message::parse(&query()).unwrap().complete().unwrap();
    assert_eq!(message, Message::Query(expected));
}

#[test]
fn reads_addresses_and_aliases() {
    let response = parse_response(&response(0, false));
    assert_eq!(
        (
            response.rcode.as_str(),
            response.truncated,
            response.partial
        ),
        ("NOERROR", false, false)
    );
    let addresses: [IpAddr; 2] = ["2001:2::1".parse().unwrap(), "198.18.0.1".parse().unwrap()];
    assert_eq!(response.answers, addresses);
    assert_eq!(response.cnames, ["other.golang.org"]);
}

#[test]
fn names_the_response_codes() {
    for (code, name) in [
        (2, "SERVFAIL"),
        (3, "NXDOMAIN"),
        (5, "REFUSED"),
        (15, "RCODE15"),
    ] {
        assert_eq!(parse_response(&response(code, true)).rcode, name);
    }
    assert!(parse_response(&response(0, true)).truncated);
}

#[test]
fn an_answer_that_leads_nowhere_is_lame() {
    const AUTHORITATIVE: u8 = 0x04;
    const RECURSION_AVAILABLE: u8 = 0x80;
    let with = |flags: [u8; 2], answers: u8| {
        let mut message = response(0, false);
        message[2..4].copy_from_slice(&flags);
        message[7] = answers;
        parse_response(&message).lame
    };
    assert!(with([0x80, 0], 0));
    assert!(!with([0x80 | AUTHORITATIVE, 0], 0));
    assert!(!with([0x80, RECURSION_AVAILABLE], 0));
    assert!(!with([0x80, 0], 1));
    assert!(!with([0x80, 5], 0), "refused is refused");
}

#[test]
fn a_cut_capture_gives_all_up_to_the_cut() {
    let whole = response(3, false);
    let question_end = 12 + 18 + 4;
    for len in 0..whole.len() {
        let parsed = Message::parse(&whole[..len]).unwrap();
        assert_eq!(parsed.is_incomplete(), len < question_end, "{len} bytes");
        if len >= question_end {
            let response = parse_response(&whole[..len]);
            assert_eq!(response.name, "proxy.golang.org");
            assert_eq!(response.rcode, "NXDOMAIN");
            assert!(response.partial, "{len} bytes");
        }
    }
}

#[test]
fn a_tcp_stream_holds_several_messages() {
    let mut stream = Vec::new();
    for message in [query(), response(0, false)] {
        stream.extend_from_slice(&(message.len() as u16).to_be_bytes());
        stream.extend_from_slice(&message);
    }
    let Parsed::Complete {
        value: Message::Query(_),
        consumed,
    } = Message::parse_tcp(&stream).unwrap()
    else {
        panic!("the first message is a whole query");
    };
    let rest = &stream[consumed..];
    assert_eq!(
        Message::parse_tcp(&rest[..rest.len() - 3]).unwrap(),
        Parsed::Incomplete { needed: Some(3) }
    );
    let Parsed::Complete {
        value: Message::Response(_),
        consumed,
    } = Message::parse_tcp(rest).unwrap()
    else {
        panic!("the second message is a whole response");
    };
    assert_eq!(consumed, rest.len());
}

#[test]
fn a_name_that_points_at_itself_is_an_error() {
    let mut bytes = query();
    bytes.truncate(12);
    bytes.extend_from_slice(b"\xc0\x0c\0\x1c\0\x01");
    assert!(matches!(
        Message::parse(&bytes),
        Err(DnsError::Question { id: 0x1234, .. })
    ));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Message::parse(&bytes);
        let _ = Message::parse_tcp(&bytes);
    }

    #[test]
    fn changed_responses_never_panic(at in 0usize..100, byte: u8, len in 0usize..200) {
        let mut bytes = response(0, false);
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(len);
        let _ = Message::parse(&bytes);
    }
}
