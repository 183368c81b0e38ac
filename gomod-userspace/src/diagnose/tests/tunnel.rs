// SPDX-License-Identifier: MIT OR Apache-2.0
//! HTTP proxies that the accelerator goes through.

use super::{
    Cause, Confidence, HOST, PROXY, Script, Stage, StallChange, Verdict, ZIP, moment, none, only,
    play, stalls,
};
use crate::kernel::events::{AttemptFailure, AttemptStep, OwnHello, Way};

const WEB_PROXY: &str = "webproxy.example.net";
const DOOR: &str = "198.18.0.99:3128";
const SUMDB: &str = "sum.golang.org";

fn step(script: Script, number: u64, host: &str, step: AttemptStep) -> Script {
    script.attempt_through(Some(WEB_PROXY), number, host, DOOR, step)
}

/// The proxy accepts, and is asked for a tunnel 5 ms later.
fn asked(script: Script, number: u64, host: &str, at: f64) -> Script {
    let script = step(script.at(at), number, host, AttemptStep::Began);
    let script = step(script.at(at + 5.0), number, host, AttemptStep::Connected);
    step(script, number, host, AttemptStep::TunnelAsked)
}

/// The tunnel is open 50 ms after it was asked for.
fn tunnelled(script: Script, number: u64, host: &str, at: f64) -> Script {
    let script = asked(script, number, host, at).at(at + 55.0);
    step(script, number, host, AttemptStep::TunnelOpen)
}

fn hello() -> OwnHello {
    OwnHello {
        bytes: 230,
        alpn: vec!["http/1.1".to_owned()],
    }
}

fn failed(script: Script, number: u64, host: &str, failure: AttemptFailure) -> Script {
    let in_tunnel = !matches!(failure, AttemptFailure::TunnelRefused { .. });
    let failed = AttemptStep::Failed {
        client_hello: in_tunnel.then(hello),
        failure,
    };
    step(script, number, host, failed)
}

fn opened(script: Script, number: u64, host: &str, at: f64) -> Script {
    let open = AttemptStep::Open {
        client_hello: Some(hello()),
    };
    step(tunnelled(script, number, host, at), number, host, open)
}

/// A command waits for a module, through us.
fn waiting() -> Script {
    Script::new()
        .at(1.0)
        .shaken(10, PROXY)
        .carried(10, Way::Accelerated, HOST)
        .at(2.0)
        .missing(ZIP)
        .temporary(ZIP)
        .request(10)
}

#[test]
fn a_proxy_that_does_not_answer_is_what_we_wait_for() {
    let silent = asked(waiting(), 1, HOST, 10.0);
    let stall = only(&silent, 9000.0, Verdict::RequestStalled);
    assert_eq!((stall.stage, stall.ended), (Stage::Request, None));
    assert_eq!(stall.confidence, Confidence::Confirmed);
    assert_eq!(stall.host.as_deref(), Some(HOST));
    assert_eq!((stall.began, stall.known), (moment(15.0), moment(5100.0)));
    assert_eq!(stall.evidence["proxy"], WEB_PROXY);
    assert_eq!(stall.evidence["seen_by"], "gomod-trace");
    let said =
        format!("HTTP proxy {WEB_PROXY} ({DOOR}): it has not answered our CONNECT to {HOST}");
    assert!(stall.story.starts_with(&said), "{}", stall.story);
    assert!(stall.action.contains(WEB_PROXY), "{}", stall.action);
    assert!(
        stall
            .modules
            .iter()
            .any(|file| *file == "golang.org/x/text@v0.3.0.zip")
    );
}

#[test]
fn the_wait_for_a_tunnel_ends_when_it_opens() {
    let open = step(
        asked(waiting(), 1, HOST, 10.0).at(7000.0),
        1,
        HOST,
        AttemptStep::TunnelOpen,
    );
    let stall = only(&open, 9000.0, Verdict::RequestStalled);
    assert_eq!(stall.ended, Some(moment(7000.0)));
    // The host is slow in its turn: that is another stall.
    let all = stalls(&open, 70_000.0);
    let verdicts: Vec<Verdict> = all.iter().map(|stall| stall.verdict).collect();
    assert_eq!(verdicts, [Verdict::RequestStalled, Verdict::HelloTimeout]);
    assert_eq!(all[1].began, moment(7000.0));
    let said = format!("{HOST} through HTTP proxy {WEB_PROXY} ({DOOR}): no answer to our ");
    assert!(all[1].story.starts_with(&said), "{}", all[1].story);
}

#[test]
fn silence_that_another_tunnel_mends_ends_with_that() {
    let silent = asked(waiting(), 1, HOST, 10.0).at(14_000.0);
    let silent = failed(silent, 1, HOST, AttemptFailure::Silent);
    let mended = opened(silent, 2, HOST, 14_100.0);
    let mended = mended.at(15_000.0).response(10, 4000).completed(ZIP);
    let (all, changes) = play(&mended.events, 30_000.0);
    let [stall] = all.as_slice() else {
        panic!("{all:#?}")
    };
    assert_eq!(stall.ended, Some(moment(14_155.0)));
    assert!(
        matches!(
            changes.as_slice(),
            [StallChange::Known(_), StallChange::Ended(_)]
        ),
        "{changes:#?}"
    );
    // Another one that opens meanwhile: the proxy does answer.
    let beside = asked(Script::new(), 1, HOST, 10.0);
    none(&opened(beside, 2, HOST, 300.0), 9000.0);
}

#[test]
fn a_refused_tunnel_is_told_with_its_status() {
    for (status, advice) in [
        (
            407,
            "HTTPS_PROXY=http://USER:PASSWORD@webproxy.example.net:3128",
        ),
        (403, "to allow proxy.golang.org"),
        (502, "whether it can reach proxy.golang.org"),
    ] {
        let refused = asked(waiting(), 1, HOST, 10.0).at(20.0);
        let refused = failed(refused, 1, HOST, AttemptFailure::TunnelRefused { status });
        let refused = refused.at(40.0).exit(1);
        let stall = only(&refused, 3000.0, Verdict::TunnelRefused);
        assert_eq!(
            (stall.stage, stall.ended),
            (Stage::Request, Some(moment(40.0)))
        );
        assert_eq!(stall.evidence["proxy_status"], status);
        assert_eq!(stall.evidence["proxy"], WEB_PROXY);
        let said = format!("answered our CONNECT to {HOST} with status {status} (");
        assert!(stall.story.contains(&said), "{}", stall.story);
        assert!(stall.action.contains(advice), "{}", stall.action);
    }
}

#[test]
fn a_proxy_that_hangs_up_refuses_as_well() {
    for (failure, said) in [
        (AttemptFailure::Reset, "it reset our connection"),
        (AttemptFailure::Closed, "it closed our connection"),
    ] {
        let refused = failed(asked(waiting(), 1, HOST, 10.0).at(20.0), 1, HOST, failure);
        let stall = only(&refused.exit(1), 3000.0, Verdict::TunnelRefused);
        assert!(stall.story.contains(said), "{}", stall.story);
        assert!(stall.evidence["proxy_status"].is_null());
    }
}

#[test]
fn a_refusal_of_one_host_is_not_mended_by_a_tunnel_to_another() {
    let refusal = AttemptFailure::TunnelRefused { status: 403 };
    let script = failed(asked(Script::new(), 1, SUMDB, 10.0), 1, SUMDB, refusal);
    let stall = only(
        &opened(script, 2, HOST, 20.0),
        9000.0,
        Verdict::TunnelRefused,
    );
    assert_eq!((stall.host.as_deref(), stall.ended), (Some(SUMDB), None));
}

#[test]
fn a_proxy_that_does_not_accept_is_named_and_keeps_its_hosts_waiting() {
    let dialling = step(waiting().at(10.0), 1, HOST, AttemptStep::Began);
    let stall = only(&dialling, 9000.0, Verdict::ConnectTimeout);
    assert_eq!(stall.host.as_deref(), Some(WEB_PROXY));
    let said = format!("HTTP proxy {WEB_PROXY} ({DOOR}): no answer to our SYNs");
    assert!(stall.story.starts_with(&said), "{}", stall.story);
    // It ends when the proxy lets us in, whatever becomes of the tunnel.
    let accepted = asked(dialling.clone(), 2, HOST, 4000.0);
    let all = stalls(&accepted, 12_000.0);
    let told: Vec<_> = all
        .iter()
        .map(|stall| (stall.verdict, stall.ended))
        .collect();
    assert_eq!(
        told,
        [
            (Verdict::ConnectTimeout, Some(moment(4005.0))),
            (Verdict::RequestStalled, None)
        ]
    );
}

/// Through a tunnel, what ends the connection is the proxy, one short round trip away.
#[test]
fn an_end_within_a_tunnel_is_the_proxy_s_and_shows_nothing_of_the_path() {
    for (failure, verdict, said) in [
        (
            AttemptFailure::Reset,
            Verdict::HelloReset,
            "the proxy reset the tunnel",
        ),
        (
            AttemptFailure::Closed,
            Verdict::HelloClosed,
            "the proxy closed the tunnel",
        ),
    ] {
        // Sooner than CONNECT took; the other host passes, and so does nothing of this one: on a direct way, that would
        // be the server name.
        let script = opened(waiting(), 1, SUMDB, 10.0);
        let script = tunnelled(script, 2, HOST, 100.0).at(160.0);
        let script = failed(script, 2, HOST, failure).at(3000.0);
        let stall = only(&script, 4500.0, verdict);
        assert_eq!(stall.cause, None, "{stall:#?}");
        assert_eq!(stall.evidence["proxy"], WEB_PROXY);
        assert!(stall.story.contains(said), "{}", stall.story);
        assert!(stall.action.contains(WEB_PROXY), "{}", stall.action);
    }
}

#[test]
fn the_same_reset_without_a_proxy_is_the_server_name() {
    let connected = |script: Script, number, host: &str, remote: &str, at: f64| {
        let script = script
            .at(at)
            .attempt(number, host, remote, AttemptStep::Began);
        script
            .at(at + 50.0)
            .attempt(number, host, remote, AttemptStep::Connected)
    };
    let open = AttemptStep::Open {
        client_hello: Some(hello()),
    };
    let script = connected(waiting(), 1, SUMDB, "198.18.0.11:443", 10.0);
    let script = script.attempt(1, SUMDB, "198.18.0.11:443", open);
    let script = connected(script, 2, HOST, PROXY, 100.0).at(155.0);
    let reset = AttemptStep::Failed {
        client_hello: Some(hello()),
        failure: AttemptFailure::Reset,
    };
    let script = script.attempt(2, HOST, PROXY, reset);
    let stall = only(&script, 4500.0, Verdict::HelloReset);
    assert_eq!(stall.cause, Some(Cause::ServerName), "{stall:#?}");
}

/// The proxy's addresses are not the host's.
#[test]
fn a_proxy_s_second_address_acquits_no_address_of_the_host() {
    let script = tunnelled(Script::new(), 1, HOST, 10.0).at(6000.0);
    let script = failed(script, 1, HOST, AttemptFailure::Silent);
    let through = |script: Script, step| {
        script.attempt_through(Some(WEB_PROXY), 2, HOST, "[2001:2::99]:3128", step)
    };
    let script = through(script.at(6010.0), AttemptStep::Began);
    let script = through(script, AttemptStep::Connected);
    let script = through(script.at(6015.0), AttemptStep::TunnelAsked);
    let script = through(script.at(6050.0), AttemptStep::TunnelOpen);
    let open = AttemptStep::Open {
        client_hello: Some(hello()),
    };
    let stall = only(
        &through(script.at(6100.0), open),
        9000.0,
        Verdict::HelloTimeout,
    );
    assert_eq!((stall.cause, stall.ended), (None, Some(moment(6100.0))));
}
