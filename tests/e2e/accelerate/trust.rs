// SPDX-License-Identifier: MIT OR Apache-2.0
//! The certificate of a run: where `go` can't be made to trust it, and where its key must not be.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use gomod_lab::{Modules, PROXY, Project};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{PlainGo, Run, is_complete, near, trial, ways};
use crate::harness::{Outcome, Running, Scratch, newest_go, product};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("a_machine_without_certificates_fails_as_it_would", nothing),
        trial(
            "a_go_that_reads_other_certificates_is_passed_through",
            others,
        ),
        trial("a_crash_leaves_no_core_dump", crash),
    ]
}

/// Neither bundle nor directory: `go` trusts nobody, and we don't either.
fn nothing() {
    let lab = near(0).modules(Modules::many(2)).start().unwrap();
    let run = Run::default().with(&[
        ("SSL_CERT_FILE", "/nonexistent/bundle.pem"),
        ("SSL_CERT_DIR", "/nonexistent"),
    ]);
    let words = "certificate signed by unknown authority";
    run.plain("nothing", &lab.project().unwrap(), PlainGo::Fails(words));
    let outcome = run.carried("nothing", &lab.project().unwrap());
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    says(&outcome, "only observed: no trusted certificate was found");
    assert!(
        lab.requests().is_empty(),
        "something was asked of a host that nobody trusts"
    );
}

/// The command sets the variables for its `go`, which then does not read the file that we covered.
fn others() {
    let lab = near(0).modules(Modules::many(3)).start().unwrap();
    let project = lab.project().unwrap();
    let file = project.root().join("authority.pem");
    fs::write(&file, lab.authority()).unwrap();
    let words = format!(
        "SSL_CERT_FILE={} SSL_CERT_DIR=/nonexistent go mod download",
        file.display()
    );
    let run = Run::of(&["sh", "-c", &words]);
    run.plain("others", &project, PlainGo::Succeeds);
    project.clear_module_cache().unwrap();
    let outcome = run.carried("others", &project);
    assert!(outcome.status.success(), "{}", outcome.stderr);
    is_complete(&outcome, &lab);
    let passed = BTreeSet::from([("spliced", Some("process reads other certificate files"))]);
    assert_eq!(ways(&outcome)[PROXY], passed);
    says(&outcome, "passed through, not carried: go is told to read");
}

/// Says it in one line, once.
fn says(outcome: &Outcome, words: &str) {
    let lines = outcome.stderr.lines();
    let said = lines.filter(|line| line.contains(words)).count();
    assert_eq!(said, 1, "{}", outcome.stderr);
}

/// A command that says what its own core dumps may be, then waits.
const WAITS: &str = "ulimit -c; sleep 3";

/// The key would be in it.
fn crash() {
    let lab = near(0).modules(Modules::many(1)).start().unwrap();
    let project = lab.project().unwrap();
    assert!(
        dies_of_a_fault(&project, "plain", "sleep 10").0,
        "this machine makes no core dumps: nothing can be shown"
    );
    let product = product::path();
    let words = format!("{} run -- sh -c '{WAITS}'", product.display());
    let (dumped, stdout) = dies_of_a_fault(&project, "carried", &words);
    assert!(!dumped, "the agent left a core dump");
    assert_eq!(stdout.trim(), "unlimited", "the command's limit is its own");
}

/// Whether a process that dies of a fault (one that Rust's runtime does not catch) leaves a core dump, where its caller allows any; and what it printed.
fn dies_of_a_fault(project: &Project<'_>, name: &str, words: &str) -> (bool, String) {
    let mut command = project.command(&newest_go(), "sh");
    command.args(["-c", &format!("ulimit -c unlimited; exec {words}")]);
    let scratch = Scratch::new(&format!("accelerate::crash_{name}"));
    let mut process = Running::start(command, &scratch, name);
    // Long enough for a run to have begun: the command's words are there.
    crate::harness::eventually("it has begun", String::new, || {
        let begun = name == "plain" || !process.stdout().is_empty();
        begun.then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(100));
    process.signal(Signal::SIGFPE);
    let status = process.wait();
    assert_eq!(status.signal(), Some(Signal::SIGFPE as i32));
    (status.core_dumped(), process.stdout())
}
