// SPDX-License-Identifier: MIT OR Apache-2.0
//! Causes that a comparison of connections tells.

use super::{
    Cause, HOST, PROXY, Script, StallChange, TcpMoment, TcpState, Verdict, client_hello, moment,
    only, play, server_flight, stalls,
};
use crate::{
    kernel::events::{AttemptStep, OwnHello, Way},
    timeline::script::{patched, small_hello},
};

const OTHER: &str = "198.18.0.11:443";
const V6: &str = "[2001:2::10]:443";
/// What the captured hellos name.
const NAME: &str = "localhost";
const OTHER_NAME: &str = "otherhost";

fn without_h2(hello: Vec<u8>) -> Vec<u8> {
    patched(hello, "\u{2}h2\u{8}http/1.1", "\u{2}xx\u{8}http/1.1")
}

fn named_otherwise(hello: Vec<u8>) -> Vec<u8> {
    patched(hello, NAME, OTHER_NAME)
}

/// A hello that nobody acknowledges, given up after ten seconds.
fn dropped(script: Script, cookie: u64, remote: &str, at: f64, hello: Vec<u8>) -> Script {
    script
        .at(at)
        .connected(cookie, remote)
        .send(cookie, hello.clone())
        .at(at + 300.0)
        .resend(cookie, hello)
        .tcp(cookie, TcpMoment::Retransmit, 400, 1, 1)
        .at(at + 10_000.0)
        .close(cookie)
}

/// A hello that is answered by a reset of another TTL than the server's.
fn reset(script: Script, cookie: u64, at: f64, hello: Vec<u8>) -> Script {
    script
        .at(at)
        .connected(cookie, PROXY)
        .send(cookie, hello)
        .at(at + 0.4)
        .rst(cookie, 64)
        .state(cookie, TcpState::Established, TcpState::Close)
}

fn open() -> Script {
    Script::new().at(1.0).resolved()
}

#[track_caller]
fn cause(script: &Script, expected: Option<Cause>) {
    let stalls = stalls(script, 60_000.0);
    let first = stalls.first().unwrap();
    assert_eq!(first.cause, expected, "{first:#?}");
    assert!(first.action.ends_with('.'), "{first:#?}");
}

#[test]
fn a_small_hello_that_passes_tells_the_size() {
    let alone = dropped(open(), 10, PROXY, 2.0, client_hello());
    cause(&alone, None);
    let script = alone
        .at(11_000.0)
        .shaken_with(11, PROXY, small_hello())
        .close(11);
    let stall = only(&script, 20_000.0, Verdict::HelloTimeout);
    assert_eq!(stall.cause, Some(Cause::ClientHelloSize), "{stall:#?}");
    assert!(stall.action.contains("tlsmlkem=0"), "{}", stall.action);
    assert!(stall.story.contains("11.0 s later"), "{}", stall.story);
    assert_eq!(stall.evidence["passed_by"], "the command");
    assert_eq!(stall.evidence["passed_ms"], 11_000.0);
    assert_eq!(
        stall.evidence["passed_client_hello_bytes"],
        small_hello().len()
    );
    // The stall was over when its cause became known: that is told once.
    let (_, changes) = play(&script.events, 20_000.0);
    let [
        StallChange::Known(_),
        StallChange::Ended(_),
        StallChange::Explained { stall, at, .. },
    ] = changes.as_slice()
    else {
        panic!("{changes:#?}")
    };
    assert_eq!(stall.ended, Some(moment(10_002.0)));
    assert_eq!(*at, moment(11_000.0));
}

#[test]
fn a_hello_without_h2_that_passes_tells_the_alpn() {
    let script = dropped(open(), 10, PROXY, 2.0, client_hello())
        .at(11_000.0)
        .shaken_with(11, PROXY, without_h2(client_hello()));
    cause(&script, Some(Cause::AlpnH2));
}

#[test]
fn two_differences_are_not_told_apart_but_acquit_the_name() {
    let script = dropped(open(), 10, PROXY, 2.0, client_hello()).at(11_000.0);
    let both = script
        .clone()
        .shaken_with(11, PROXY, without_h2(small_hello()));
    cause(&both, Some(Cause::ClientHelloForm));
    // At another address, it may be the address as well.
    cause(
        &script.shaken_with(11, OTHER, without_h2(small_hello())),
        None,
    );
}

#[test]
fn the_same_form_that_passes_before_or_later_acquits_everything() {
    let later = dropped(open(), 10, PROXY, 2.0, client_hello())
        .at(11_000.0)
        .shaken_with(11, PROXY, small_hello())
        .shaken(12, PROXY);
    // Told at the first of the two, as far as was known then; taken in together, nothing is told.
    assert_eq!(stalls(&later, 60_000.0).first().unwrap().cause, None);
    let before = dropped(
        open().at(1.5).shaken(9, PROXY),
        10,
        PROXY,
        2.0,
        client_hello(),
    )
    .at(11_000.0)
    .shaken_with(11, PROXY, small_hello());
    cause(&before, None);
}

#[test]
fn the_name_is_told_only_if_every_form_fails_on_the_path_and_another_name_passes() {
    let other = |script: Script| {
        script
            .at(14_000.0)
            .shaken_with(13, OTHER, named_otherwise(client_hello()))
    };
    let large = reset(open(), 10, 2.0, client_hello());
    cause(&other(large.clone()), None);
    let all = reset(large.clone(), 11, 12_000.0, without_h2(small_hello()));
    cause(&all, None);
    cause(&other(all), Some(Cause::ServerName));
    // A reset that may be the server's own says nothing of the path.
    let own = |script: Script, cookie, at, hello| {
        script
            .at(at)
            .connected(cookie, PROXY)
            .send(cookie, hello)
            .at(at + 3.0)
            .rst(cookie, 57)
            .state(cookie, TcpState::Established, TcpState::Close)
    };
    let of_server = own(open(), 10, 2.0, client_hello());
    let of_server = own(of_server, 11, 12_000.0, without_h2(small_hello()));
    cause(&other(of_server), None);
}

#[test]
fn ipv6_is_told_where_the_same_hello_passes_over_ipv4() {
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .query(2, 2, "AAAA", HOST)
        .answer(1, 1, "A", HOST, 0, &["198.18.0.10"])
        .answer(2, 2, "AAAA", HOST, 0, &["2001:2::10"]);
    let script = dropped(script, 10, V6, 2.0, client_hello());
    cause(&script, None);
    cause(
        &script.at(11_000.0).shaken(11, PROXY),
        Some(Cause::Ipv6BlackHole),
    );
}

#[test]
fn an_address_is_dead_where_another_of_the_host_answers() {
    let script = Script::new()
        .query(1, 1, "A", NAME)
        .answer(1, 1, "A", NAME, 0, &["198.18.0.10", "198.18.0.11"])
        .at(2.0)
        .connect(10, PROXY)
        .syn(10)
        .at(1002.0)
        .syn(10)
        .at(2002.0)
        .syn(10)
        .at(15_002.0)
        .state(10, TcpState::SynSent, TcpState::Close)
        .shaken(11, OTHER);
    let stall = only(&script, 30_000.0, Verdict::ConnectTimeout);
    assert_eq!(stall.cause, Some(Cause::DeadAddress), "{stall:#?}");
    assert!(stall.action.contains("198.18.0.10"), "{}", stall.action);
}

fn our_own(script: Script, hello: Option<OwnHello>) -> Script {
    script
        .attempt(1, NAME, PROXY, AttemptStep::Began)
        .attempt(1, NAME, PROXY, AttemptStep::Connected)
        .attempt(
            1,
            NAME,
            PROXY,
            AttemptStep::Open {
                client_hello: hello,
            },
        )
}

#[test]
fn our_own_hello_is_compared_as_well() {
    let hello = OwnHello {
        bytes: 230,
        alpn: vec!["http/1.1".to_owned()],
    };
    let script = dropped(open(), 10, PROXY, 2.0, client_hello()).at(5000.0);
    let script = our_own(script, Some(hello));
    let stall = only(&script, 60_000.0, Verdict::HelloTimeout);
    assert_eq!(stall.cause, Some(Cause::ClientHelloForm), "{stall:#?}");
    assert_eq!(stall.evidence["passed_by"], "gomod-trace");
    assert!(stall.story.contains("our own of 230 bytes"), "{stall:#?}");
}

#[test]
fn what_we_answer_ourselves_says_nothing_of_the_network() {
    let script = dropped(open(), 10, PROXY, 2.0, client_hello())
        .at(11_000.0)
        .connected(11, PROXY)
        .carried(11, Way::Accelerated, HOST)
        .send(11, small_hello())
        .receive(11, server_flight())
        .send(
            11,
            [&[20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53][..], &[0; 53]].concat(),
        );
    cause(&script, None);
}
