// SPDX-License-Identifier: MIT OR Apache-2.0
//! Private modules: their names and credentials reach the host that `go` itself asks, and no other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use gomod_lab::{Lab, Modules, PRIVATE, PRIVATE_LOGIN, PROXY};
use libtest_mimic::Trial;

use super::{REFUSED_ONCE, Run, are_complete, fault, is_complete, near, trial, ways};
use crate::harness::{Outcome, Scratch};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("private_modules_stay_with_their_host", at_their_own_host),
        trial("a_private_module_proxy_gets_its_login", by_a_private_proxy),
        trial("a_login_of_goauth_reaches_its_host", by_goauth),
        trial("a_login_does_not_follow_a_redirect", redirected),
    ]
}

fn lab(refused_once: &str) -> Lab {
    near(5)
        .modules(Modules::many(4))
        .private_modules(2)
        .fault(fault(refused_once))
        .start()
        .unwrap()
}

fn at_their_own_host() {
    // Where we don't look inside, we mend nothing.
    let lab = lab("status=503,times=1");
    let run = Run::default().with(&[("GOPRIVATE", PRIVATE)]);
    let (outcome, _project) = run.mended("private", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    are_complete(&outcome, lab.private_modules());
    keeps_to_itself(&lab, &outcome);
    // Its host is no module proxy: we don't even look inside.
    for (way, why) in &ways(&outcome)[PRIVATE] {
        assert_eq!((*way, *why), ("spliced", Some("not a module host")));
    }
}

fn by_a_private_proxy() {
    let lab = lab(REFUSED_ONCE);
    let proxies = format!("https://{PRIVATE}/modules,https://{PROXY}");
    let run = Run::default().with(&[("GOPROXY", &proxies), ("GOSUMDB", "off")]);
    let (outcome, _project) = run.mended("private_proxy", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    are_complete(&outcome, lab.private_modules());
    keeps_to_itself(&lab, &outcome);
    for (way, why) in &ways(&outcome)[PRIVATE] {
        assert_eq!((*way, *why), ("accelerated", Some("module host")));
    }
    // What the private proxy does not know is asked for at the next, as `go` does: by a 404 that it sent.
    assert!(
        outcome
            .list("requests")
            .iter()
            .any(|request| request["host"] == PRIVATE && request["status"] == 404)
    );
}

/// `GOAUTH` names a program that knows the login; there is no netrc.
fn by_goauth() {
    let lab = lab(REFUSED_ONCE);
    let own = Scratch::new("accelerate::goauth_program");
    let program = own.file("login");
    let answer = format!(
        "https://{PRIVATE}\n\nAuthorization: {}\n\n",
        PRIVATE_LOGIN.basic()
    );
    fs::write(&program, format!("#!/bin/sh\ncat <<END\n{answer}END\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let proxies = format!("https://{PRIVATE}/modules,https://{PROXY}");
    let run = Run::default().with(&[
        ("GOPROXY", &proxies),
        ("GOSUMDB", "off"),
        ("GOAUTH", program.to_str().unwrap()),
        ("NETRC", "/dev/null"),
    ]);
    let (outcome, _project) = run.mended("goauth", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    are_complete(&outcome, lab.private_modules());
    keeps_to_itself(&lab, &outcome);
}

/// The private proxy has its zips elsewhere: who is sent there shows no login.
fn redirected() {
    let lab = near(5)
        .modules(Modules::many(1))
        .private_modules(2)
        .zips_elsewhere()
        .fault(fault(REFUSED_ONCE))
        .start()
        .unwrap();
    let proxies = format!("https://{PRIVATE}/modules,https://{PROXY}");
    let run = Run::default().with(&[("GOPROXY", &proxies), ("GOSUMDB", "off")]);
    let (outcome, _project) = run.mended("redirected", &lab, || lab.project().unwrap());
    is_complete(&outcome, &lab);
    are_complete(&outcome, lab.private_modules());
    let requests = lab.requests();
    let stored = format!("/stored/{PRIVATE}/");
    let stored = requests
        .iter()
        .filter(|request| request.path.starts_with(&stored) && request.status == 200)
        .collect::<Vec<_>>();
    assert!(stored.len() >= lab.private_modules().len(), "{requests:#?}");
    for request in requests.iter().filter(|request| request.host != PRIVATE) {
        assert_eq!(request.authorization, None, "{request:?}");
    }
    keeps_no_secret(&outcome);
}

/// The lab's own log is the proof.
fn keeps_to_itself(lab: &Lab, outcome: &Outcome) {
    let login = PRIVATE_LOGIN.basic();
    let mut logins = 0;
    for request in lab.requests() {
        if request.host == PRIVATE {
            logins += usize::from(request.authorization.as_deref() == Some(&login));
            continue;
        }
        assert_eq!(request.authorization, None, "{request:?}");
        assert!(!request.path.contains(PRIVATE), "{request:?}");
    }
    assert!(logins > 0, "nobody showed the login");
    keeps_no_secret(outcome);
}

/// Neither report, events, recording nor what is printed.
fn keeps_no_secret(outcome: &Outcome) {
    let login = PRIVATE_LOGIN.basic();
    let secrets = [PRIVATE_LOGIN.password, login.trim_start_matches("Basic ")];
    for entry in fs::read_dir(outcome.scratch.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for secret in secrets {
            assert!(!text.contains(secret), "a secret in {}", path.display());
        }
    }
}
