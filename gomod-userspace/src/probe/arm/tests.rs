// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hellos as they are sent, and the names of arms.

use super::*;
use crate::wire::{Parsed, tls::ClientHello};

fn hello(kind: Hello) -> (Vec<usize>, ClientHello) {
    let mut random = fastrand::Rng::with_seed(3);
    let pieces = kind.pieces(GoRelease::NEWEST, "a.example", "b.example", &mut random);
    let lengths = pieces.iter().map(|piece| piece.0.len()).collect();
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.0).collect();
    let Parsed::Complete { value, .. } = ClientHello::parse(&bytes).unwrap() else {
        panic!("{kind:?} is incomplete")
    };
    (lengths, value)
}

#[test]
fn each_hello_differs_in_what_it_is_for() {
    for (kind, name, large) in [
        (Hello::Go, Some("a.example"), true),
        (Hello::Control, Some("b.example"), true),
        (Hello::Small, Some("a.example"), false),
        (Hello::ControlName, Some("b.example"), false),
        (Hello::NoName, None, false),
        (Hello::TargetNameAtControl, Some("a.example"), false),
        (Hello::Http1, Some("a.example"), true),
    ] {
        let (_, hello) = hello(kind);
        assert_eq!(hello.server_name.as_deref(), name, "{kind:?}");
        assert_eq!(hello.bytes > 1460, large, "{kind:?}");
    }
    assert_eq!(hello(Hello::Http1).1.alpn, ["http/1.1"]);
    assert!(hello(Hello::NoAlpn).1.alpn.is_empty());
    assert_eq!(hello(Hello::Tls12).1.versions, ["1.2"]);
    assert_eq!(hello(Hello::Tls13).1.versions, ["1.3"]);
}

#[test]
fn cuts_lie_where_they_should() {
    let (small, whole) = hello(Hello::Small);
    assert_eq!(small.len(), 1);
    let (before, _) = hello(Hello::SplitBeforeName);
    let (inside, _) = hello(Hello::SplitInsideName);
    assert_eq!((before.len(), inside.len()), (2, 2));
    assert_eq!(inside[0] - before[0], "a.example".len() / 2);
    let (records, split) = hello(Hello::SplitRecords);
    assert_eq!(records, [small[0] + 5]);
    assert_eq!(split.server_name, whole.server_name);
}

#[test]
fn names_in_the_report_are_one_each() {
    let mut names: Vec<_> = Hello::MATRIX.iter().map(|hello| hello.token()).collect();
    names.extend([Hello::Go, Hello::Control, Hello::ControlSmall].map(Hello::token));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_resolver_is_named_by_its_url() {
    let resolvers: Vec<DnsServer> = ["tls://192.0.2.1", "https://dns.example"]
        .map(|url| url.parse().unwrap())
        .to_vec();
    let arm = |of, https, v6, resolver| Arm::Encrypted {
        of,
        https,
        v6,
        resolver,
    };
    for (arm, name, label) in [
        (
            arm(Side::Target, false, false, 0),
            "dns.tls.a@tls://192.0.2.1:853",
            "A of the name by TLS",
        ),
        (
            arm(Side::Control, true, true, 1),
            "dns.control.https.aaaa@https://dns.example:443/dns-query",
            "AAAA of the control by HTTPS",
        ),
    ] {
        assert_eq!(arm.named(&resolvers).to_string(), name);
        assert_eq!(arm.label(), label);
    }
}
