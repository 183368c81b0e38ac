// SPDX-License-Identifier: MIT OR Apache-2.0
//! `HTTPS_PROXY`: there is no other way out, and the way has a password.

use std::collections::BTreeSet;

use gomod_lab::{Modules, PROXY, WEB_PROXY, WEB_PROXY_LOGIN, WEB_PROXY_PORT};
use libtest_mimic::Trial;

use super::{PlainGo, Run, count_anew, fault, is_complete, near, succeeded, trial};
use crate::harness::traced::number;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_company_s_proxy_is_used_with_its_login", used),
        trial("a_proxy_that_only_the_process_knows_is_used", own),
        trial("a_company_s_proxy_that_refuses_is_go_s_own_error", refused),
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

fn refused() {
    let lab = near(5).modules(Modules::many(2)).start().unwrap();
    let url = url("wrong");
    let run = Run::default().with(&[("HTTPS_PROXY", &url)]);
    let outcome = run.carried("company_proxy_refuses", &lab.project().unwrap());
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("407") && !outcome.stderr.contains("wrong"),
        "{}",
        outcome.stderr
    );
    let statuses = outcome
        .list("requests")
        .iter()
        .map(|request| number(&request["status"]))
        .collect::<BTreeSet<_>>();
    assert_eq!(statuses, BTreeSet::from([502]));
}
