// SPDX-License-Identifier: MIT OR Apache-2.0
//! `HTTPS_PROXY`: there is no other way out, and the way has a password.

use std::collections::BTreeSet;

use gomod_lab::{Lab, Modules, PROXY, WEB_PROXY, WEB_PROXY_LOGIN, WEB_PROXY_PORT};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{PlainGo, Run, count_anew, fault, is_complete, near, succeeded, trial};
use crate::harness::traced::number;
use crate::harness::{DOWNLOAD, Outcome, Traced, newest_go, product};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_company_s_proxy_is_used_with_its_login", used),
        trial("a_proxy_that_only_the_process_knows_is_used", own),
        trial(
            "a_company_s_proxy_that_wants_a_password_is_told_of",
            password,
        ),
        trial("a_company_s_proxy_that_forbids_is_told_of", forbidden),
        trial(
            "a_company_s_proxy_that_does_not_answer_is_told_of_until_it_does",
            silent,
        ),
        trial("a_tunnel_that_ends_is_the_proxy_s_doing", cut),
    ]
}

fn url(password: &str) -> String {
    let name = WEB_PROXY_LOGIN.name;
    format!("http://{name}:{password}@{WEB_PROXY}:{WEB_PROXY_PORT}")
}

fn used() {
    let lab = near(5)
        .modules(Modules::many(6))
        .fault(fault("syn-drop"))
        .fault(fault("body-cut=50%,times=1"))
        .start()
        .unwrap();
    let url = url(WEB_PROXY_LOGIN.password);
    let run = Run::default().with(&[("HTTPS_PROXY", &url)]);
    let plain = PlainGo::Fails("unexpected EOF");
    run.plain("company_proxy", &lab.project().unwrap(), plain);
    count_anew(&lab);
    let outcome = run.carried("company_proxy", &lab.project().unwrap());
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    let tunnels = lab.requests();
    let tunnels = tunnels
        .iter()
        .filter(|request| request.host == WEB_PROXY)
        .collect::<Vec<_>>();
    assert!(!tunnels.is_empty());
    for tunnel in tunnels {
        assert_eq!(tunnel.path, format!("{PROXY}:443"));
        assert_eq!(tunnel.status, 200);
        assert_eq!(tunnel.authorization, Some(WEB_PROXY_LOGIN.basic()));
    }
    assert!(
        lab.requests()
            .iter()
            .all(|request| { request.host == WEB_PROXY || request.authorization.is_none() })
    );
    for connection in outcome.list("connections") {
        assert_eq!(connection["path"], "accelerated", "{connection}");
    }
}

/// The command sets it for its `go`: without it there is no way out.
fn own() {
    let lab = near(5)
        .modules(Modules::many(4))
        .fault(fault("syn-drop"))
        .start()
        .unwrap();
    let words = format!(
        "HTTPS_PROXY={} go mod download",
        url(WEB_PROXY_LOGIN.password)
    );
    let run = Run::of(&["sh", "-c", &words]);
    Run::default().plain("own_proxy", &lab.project().unwrap(), PlainGo::Waits);
    let outcome = run.carried("own_proxy", &lab.project().unwrap());
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    let ahead = outcome
        .list("requests")
        .iter()
        .filter(|request| request["source"] != "upstream");
    assert!(ahead.count() > 0, "nothing was fetched ahead through it");
    let requests = lab.requests();
    let tunnels = requests.iter().filter(|request| request.host == WEB_PROXY);
    assert!(
        tunnels.clone().count() > 0
            && tunnels
                .clone()
                .all(|tunnel| tunnel.authorization == Some(WEB_PROXY_LOGIN.basic())),
        "{requests:#?}"
    );
}

/// `HTTPS_PROXY` with the right password, in a lab where that happens.
fn through(text: &str) -> (Lab, String) {
    let lab = near(5)
        .modules(Modules::many(2))
        .fault(fault(text))
        .start()
        .unwrap();
    (lab, url(WEB_PROXY_LOGIN.password))
}

/// The one stall that is told, which must be of our own connection through the proxy.
fn only_stall<'outcome>(outcome: &'outcome Outcome, verdict: &str) -> &'outcome Value {
    let [stall] = outcome.list("stalls") else {
        panic!("not one stall: {:#?}", outcome.list("stalls"))
    };
    assert_eq!(stall["verdict"], verdict, "{stall:#}");
    assert_eq!(stall["host"], PROXY, "{stall:#}");
    assert_eq!(stall["cause"], Value::Null, "{stall:#}");
    assert_eq!(stall["evidence"]["seen_by"], "gomod-trace", "{stall:#}");
    assert_eq!(stall["evidence"]["proxy"], WEB_PROXY, "{stall:#}");
    let named = ["story", "action"].map(|words| stall[words].as_str().unwrap());
    assert!(
        named.iter().all(|words| words.contains(WEB_PROXY)),
        "{stall:#}"
    );
    stall
}

fn is_refused(outcome: &Outcome, status: u64) {
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains(&status.to_string()),
        "{}",
        outcome.stderr
    );
    let statuses = outcome
        .list("requests")
        .iter()
        .map(|request| number(&request["status"]))
        .collect::<BTreeSet<_>>();
    assert_eq!(statuses, BTreeSet::from([502]));
    let stall = only_stall(outcome, "anomaly.tunnel.refused");
    assert_eq!(stall["stage"], "request", "{stall:#}");
    assert_eq!(stall["evidence"]["proxy_status"], status, "{stall:#}");
}

fn password() {
    let lab = near(5).modules(Modules::many(2)).start().unwrap();
    let url = url("wrong");
    let run = Run::default().with(&[("HTTPS_PROXY", &url)]);
    let plain = PlainGo::Fails("Who Are You");
    run.plain("company_proxy_password", &lab.project().unwrap(), plain);
    let outcome = run.carried("company_proxy_password", &lab.project().unwrap());
    is_refused(&outcome, 407);
    assert!(!outcome.stderr.contains("wrong"), "{}", outcome.stderr);
}

fn forbidden() {
    let (lab, url) = through(&format!("status=403,host={WEB_PROXY}"));
    let run = Run::default().with(&[("HTTPS_PROXY", &url)]);
    let plain = PlainGo::Fails("The Lab Says So");
    run.plain("company_proxy_forbids", &lab.project().unwrap(), plain);
    let outcome = run.carried("company_proxy_forbids", &lab.project().unwrap());
    is_refused(&outcome, 403);
}

fn silent() {
    let (lab, url) = through(&format!("silence,host={WEB_PROXY}"));
    let run = Run::default().with(&[("HTTPS_PROXY", &url)]);
    run.plain(
        "company_proxy_silent",
        &lab.project().unwrap(),
        PlainGo::Waits,
    );
    observed_silence(&lab, &url);
    let project = lab.project().unwrap();
    let mut traced = run.start("company_proxy_silent", &project);
    traced.stall_while_go_runs("anomaly.request.stalled");
    lab.set_faults([]).unwrap();
    let outcome = traced.finish();
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    let stall = only_stall(&outcome, "anomaly.request.stalled");
    assert_eq!(stall["stage"], "request", "{stall:#}");
    assert!(
        stall["story"].as_str().unwrap().contains("CONNECT"),
        "{stall:#}"
    );
    assert!(!stall["lasted_ms"].is_null(), "{stall:#}");
}

/// Without us in between, it is the command's CONNECT, and the same verdict.
fn observed_silence(lab: &Lab, url: &str) {
    let project = lab.project().unwrap();
    let mut command = project.command(&newest_go(), product::path());
    command.env("HTTPS_PROXY", url);
    let mut traced = Traced::start("accelerate::company_proxy_observed", command, DOWNLOAD);
    traced.stall_while_go_runs("anomaly.request.stalled");
    traced.signal(Signal::SIGINT);
    let outcome = traced.finish();
    let [stall] = outcome.list("stalls") else {
        panic!("not one stall: {:#?}", outcome.list("stalls"))
    };
    assert_eq!(stall["host"], WEB_PROXY, "{stall:#}");
    assert!(!stall["connection"].is_null(), "{stall:#}");
}

/// The host closes: what we see is the proxy's doing, and no cause.
fn cut() {
    let (lab, url) = through("tls-close");
    let run = Run::default().with(&[("HTTPS_PROXY", &url)]);
    let plain = PlainGo::Fails("EOF");
    run.plain("company_proxy_cut", &lab.project().unwrap(), plain);
    let outcome = run.carried("company_proxy_cut", &lab.project().unwrap());
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    let stall = only_stall(&outcome, "anomaly.hello.closed");
    let story = stall["story"].as_str().unwrap();
    assert!(story.contains("the proxy closed the tunnel"), "{stall:#}");
}
