// SPDX-License-Identifier: MIT OR Apache-2.0
//! Traffic that is not ours to carry: git, hosts of modules themselves, plain HTTP. It passes as if we weren't there.

use std::collections::BTreeSet;

use gomod_lab::{DIRECT, GIT, Modules, PROXY};
use libtest_mimic::Trial;

use super::{
    PlainGo, REFUSED_ONCE, Run, are_complete, fault, is_complete, near, succeeded, trial, ways,
};
use crate::harness::{Need, needs::DOWNLOADS};

pub(super) fn trials() -> Vec<Trial> {
    let needs = || DOWNLOADS.iter().copied().chain([Need::Program("git")]);
    let git = |name: &str, test: fn()| {
        crate::harness::trial(format!("accelerate::{name}"), needs(), test)
    };
    vec![
        git("modules_of_repositories_are_fetched_by_git", by_git),
        git("without_a_module_proxy_git_fetches_all", by_git_alone),
        git(
            "what_the_module_proxy_lacks_is_fetched_by_git",
            after_the_proxy,
        ),
        trial("insecure_hosts_are_asked_in_clear_text", insecure),
    ]
}

fn by_git() {
    let lab = near(5)
        .modules(Modules::many(3))
        .git_modules(2)
        .fault(fault("status=503,times=1"))
        .start()
        .unwrap();
    let run = Run::default().with(&[("GOPRIVATE", GIT)]);
    let (outcome, _project) = run.mended("by_git", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    are_complete(&outcome, lab.git_modules());
    let ways = ways(&outcome);
    assert_eq!(
        ways[PROXY],
        BTreeSet::from([("accelerated", Some("module host"))])
    );
    // `go` asks the host where the repository is; git goes its own way.
    let passed = &ways[GIT];
    assert!(
        passed.contains(&("spliced", Some("not a module host"))),
        "{ways:?}"
    );
    assert!(passed.iter().any(|(way, _)| *way == "direct"), "{ways:?}");
    assert!(
        passed.iter().all(|(way, _)| *way != "accelerated"),
        "{ways:?}"
    );
    for request in lab.requests() {
        assert!(
            request.host == GIT || !request.path.contains(GIT),
            "{request:?}"
        );
    }
}

/// The usual GOPROXY: the proxy is asked first, and its 404 sends `go` on.
fn after_the_proxy() {
    let lab = near(5)
        .modules(Modules::many(2))
        .git_modules(1)
        .fault(fault("status=503,times=1"))
        .start()
        .unwrap();
    let proxies = format!("https://{PROXY},direct");
    let run = Run::default().with(&[("GOPROXY", &proxies)]);
    let (outcome, _project) = run.mended("after_the_proxy", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    are_complete(&outcome, lab.git_modules());
    assert!(
        outcome
            .list("requests")
            .iter()
            .any(|request| request["host"] == PROXY && request["status"] == 404)
    );
}

fn by_git_alone() {
    let lab = near(5).modules(Modules::many(0)).git_modules(2);
    let lab = lab.start().unwrap();
    let run = Run::default().with(&[("GOPROXY", "direct"), ("GOSUMDB", "off")]);
    run.plain("by_git_alone", &lab.project().unwrap(), PlainGo::Succeeds);
    let outcome = run.carried("by_git_alone", &lab.project().unwrap());
    assert!(outcome.status.success(), "{}", outcome.stderr);
    are_complete(&outcome, lab.git_modules());
}

/// GOINSECURE lets `go` ask by HTTP where HTTPS fails.
fn insecure() {
    let lab = near(5)
        .modules(Modules::many(5))
        .fault(fault(REFUSED_ONCE).host(PROXY))
        .fault(fault("tls-close,host=code.example.org"))
        .start()
        .unwrap();
    let lab_owned = format!("{DIRECT}/Lab");
    let run = Run::default().with(&[("GONOPROXY", lab_owned.as_str()), ("GOINSECURE", DIRECT)]);
    let (outcome, _project) = run.mended("insecure", &lab, || lab.project().unwrap());
    succeeded(&outcome);
    is_complete(&outcome, &lab);
    let requests = lab.requests();
    assert!(
        requests
            .iter()
            .any(|request| request.host == DIRECT && !request.secure && request.status == 200)
    );
    assert!(
        requests
            .iter()
            .all(|request| request.host == DIRECT || !request.path.contains("!lab"))
    );
}
