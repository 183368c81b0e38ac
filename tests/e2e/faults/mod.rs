// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every fault of the lab: what plain `go` makes of it, then what `gomod-trace` says of it, while it happens.

mod cases;

use std::collections::BTreeSet;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use gomod_lab::{CATALOGUE, FaultKind, HeldLock, Lab, PROXY, Project};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use self::cases::{CASES, Case};
use crate::harness::needs::DOWNLOADS;
use crate::harness::{DOWNLOAD, Outcome, Running, Scratch, Traced, newest_go, product, trial};

/// How long plain `go` is watched where it hangs: longer than any of its retries that would be told on stderr.
const WATCHED: Duration = Duration::from_secs(8);

/// What plain `go` makes of a fault.
#[derive(Clone, Copy, Debug)]
enum PlainGo {
    /// It ends with an error that says this.
    Fails(&'static str),
    /// It still runs after [`WATCHED`], and has printed nothing.
    Waits,
    /// It succeeds, late.
    Succeeds,
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = CASES
        .iter()
        .map(|case| {
            trial(
                format!("faults::{}", case.name()),
                DOWNLOADS.iter().copied(),
                || run(case),
            )
        })
        .collect::<Vec<_>>();
    trials.push(trial("faults::all_of_the_lab_are_tried", [], all_are_tried));
    trials
}

fn all_are_tried() {
    let tried = CASES
        .iter()
        .map(|case| case.fault.split(['=', ',']).next().unwrap())
        .collect::<BTreeSet<_>>();
    // `go` itself says at once what is wrong, and no stall is to be named.
    let told_by_go = BTreeSet::from(["status", "body-corrupt"]);
    let known = CATALOGUE
        .iter()
        .map(|entry| entry.name)
        .filter(|name| !told_by_go.contains(name))
        .collect();
    assert_eq!(tried, known);
}

fn run(case: &'static Case) {
    let fault = case.fault.parse::<gomod_lab::Fault>().unwrap();
    let holds_lock = fault.kind == FaultKind::LockHeld;
    // Each side has its own, as some faults count what they have done.
    let lab = || {
        let lab = Lab::builder().rtt(Duration::from_millis(case.rtt_ms));
        // The lock is held by hand, to know by whom.
        let lab = if holds_lock {
            lab
        } else {
            lab.fault(fault.clone())
        };
        lab.start().unwrap()
    };

    let status = {
        let lab = lab();
        let project = lab.project().unwrap();
        let _held = holds_lock.then(|| hold_lock(&lab, &project));
        plain(case, &project)
    };

    let lab = lab();
    let project = lab.project().unwrap();
    let held = holds_lock.then(|| hold_lock(&lab, &project));
    let outcome = traced(case, &project);
    assert_eq!(
        outcome.status, status,
        "another end than without us: {}",
        outcome.stderr
    );
    judge(case, &outcome, held.as_ref().map(HeldLock::pid));
}

fn hold_lock(lab: &Lab, project: &Project<'_>) -> HeldLock {
    project.hold_lock(&lab.modules()[0]).unwrap()
}

/// Two requests at once on every machine: rates and retries depend on it.
fn prepared(mut command: Command) -> Command {
    command.env("GOMAXPROCS", "2");
    command
}

fn plain(case: &Case, project: &Project<'_>) -> ExitStatus {
    let scratch = Scratch::new(&case.name());
    let go = prepared(project.go(&newest_go(), &DOWNLOAD[1..]));
    let mut go = Running::start(go, &scratch, "plain");
    match case.plain {
        PlainGo::Fails(text) => {
            let status = go.wait();
            assert!(!status.success(), "plain go succeeded");
            let stderr = go.stderr();
            assert!(stderr.contains(text), "plain go: {stderr}");
            status
        }
        PlainGo::Waits => {
            thread::sleep(WATCHED);
            assert_eq!(go.ended(), None, "plain go ended: {}", go.stderr());
            assert_eq!(go.stderr(), "", "plain go said something");
            go.signal(Signal::SIGINT);
            go.wait()
        }
        PlainGo::Succeeds => {
            let status = go.wait();
            assert!(status.success(), "plain go: {}", go.stderr());
            status
        }
    }
}

fn traced(case: &Case, project: &Project<'_>) -> Outcome {
    let command = prepared(project.command(&newest_go(), product::path()));
    let mut traced = Traced::start(&case.name(), command, DOWNLOAD);
    if matches!(case.plain, PlainGo::Waits) {
        let verdict = case.verdict.expect("a fault for which go waits is told");
        traced.stall_while_go_runs(verdict);
        traced.signal(Signal::SIGINT);
    }
    traced.finish()
}

/// The right verdict and no other, the right place, and the numbers.
fn judge(case: &Case, outcome: &Outcome, holder: Option<u32>) {
    let stalls = outcome.list("stalls");
    assert_eq!(
        outcome.verdicts(),
        case.verdict.into_iter().collect(),
        "{stalls:#?}\n{}",
        outcome.stderr
    );
    let host = if case.stage == "lock" {
        serde_json::Value::Null
    } else {
        PROXY.into()
    };
    for stall in stalls {
        assert_eq!(stall["stage"], case.stage, "{stall:#}");
        assert_eq!(stall["host"], host, "{stall:#}");
        for words in ["story", "action"] {
            assert!(!stall[words].as_str().unwrap().is_empty(), "{stall:#}");
        }
        (case.evidence)(&stall["evidence"], stall);
        if let Some(holder) = holder {
            assert_eq!(stall["evidence"]["holder_pid"], holder, "{stall:#}");
        }
    }
    assert_eq!(outcome.stdout, "", "something of ours on stdout");
    // Once while it happened, once in the summary.
    if let Some(verdict) = case.verdict {
        assert!(
            outcome.stderr.matches(verdict).count() >= 2,
            "{}",
            outcome.stderr
        );
    }
    if matches!(case.plain, PlainGo::Fails(text) if !outcome.stderr.contains(text)) {
        panic!("go's own error is missing: {}", outcome.stderr);
    }
}
