// SPDX-License-Identifier: MIT OR Apache-2.0
//! Causes of stalls: what plain `go` makes of a network, then what the run alone separates.

mod cases;

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::Duration;

use gomod_lab::{Lab, Project};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

use self::cases::{CASES, Case};
use crate::harness::needs::DOWNLOADS;
use crate::harness::{Outcome, Running, Scratch, Traced, newest_go, product, trial};

/// How long plain `go` is watched where it hangs.
const WATCHED: Duration = Duration::from_secs(8);

/// What becomes of the command without us.
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
    CASES
        .iter()
        .map(|case| {
            let name = format!("causes::{}", case.name);
            trial(name, DOWNLOADS.iter().copied(), || run(case))
        })
        .collect()
}

fn run(case: &'static Case) {
    let lab = lab(case);
    plain(case, &project(case, &lab));
    // Counted faults begin anew.
    lab.set_faults(lab.faults()).unwrap();
    let outcome = traced(case, &project(case, &lab));
    judge(case, &outcome);
}

fn lab(case: &Case) -> Lab {
    let builder = Lab::builder()
        .rtt(Duration::from_millis(5))
        .nameservers(case.nameservers);
    case.faults
        .iter()
        .fold(builder, |builder, fault| {
            builder.fault(fault.parse::<gomod_lab::Fault>().unwrap())
        })
        .start()
        .unwrap()
}

fn project<'lab>(case: &Case, lab: &'lab Lab) -> Project<'lab> {
    let project = lab.project().unwrap();
    if case.without_sums {
        return project.without_sums().unwrap();
    }
    project
}

/// Two requests at once on every machine.
fn prepared(mut command: Command) -> Command {
    command.env("GOMAXPROCS", "2");
    command
}

fn plain(case: &Case, project: &Project<'_>) {
    let scratch = Scratch::new(&format!("causes::{}", case.name));
    let mut command = prepared(project.command(&newest_go(), "sh"));
    command.args(["-c", case.script]);
    let mut go = Running::start(command, &scratch, "plain");
    match case.plain {
        PlainGo::Fails(text) => {
            assert!(!go.wait().success(), "plain go succeeded");
            assert!(go.stderr().contains(text), "plain go: {}", go.stderr());
        }
        PlainGo::Waits => {
            thread::sleep(WATCHED);
            assert_eq!(go.ended(), None, "plain go ended: {}", go.stderr());
            assert_eq!(go.stderr(), "", "plain go said something");
            // Dropped, it ends with all that the shell has started.
        }
        PlainGo::Succeeds => {
            let status = go.wait();
            assert!(status.success(), "plain go: {}", go.stderr());
        }
    }
}

fn traced(case: &Case, project: &Project<'_>) -> Outcome {
    let name = format!("causes::{}", case.name);
    let command = prepared(project.command(&newest_go(), product::path()));
    let words = ["sh", "-c", case.script];
    if case.carried {
        return Traced::carried_in(Scratch::new(&name), command, &[], words).finish();
    }
    let mut traced = Traced::start(&name, command, words);
    if matches!(case.plain, PlainGo::Waits) {
        for (verdict, cause) in case.told {
            traced.event(&format!("{verdict} because of {cause:?}"), |event| {
                event["kind"] == "stall"
                    && event["verdict"] == *verdict
                    && event["cause"] == cause.map_or(Value::Null, Value::from)
            });
        }
        traced.signal_group(Signal::SIGTERM);
    }
    traced.finish()
}

fn judge(case: &Case, outcome: &Outcome) {
    let stalls = outcome.list("stalls");
    let told = stalls
        .iter()
        .map(|stall| (stall["verdict"].as_str().unwrap(), stall["cause"].as_str()))
        .collect::<BTreeSet<_>>();
    let expected = case.told.iter().copied().collect();
    assert_eq!(told, expected, "{stalls:#?}\n{}", outcome.stderr);
    for stall in stalls {
        assert!(
            stall["action"].as_str().unwrap().ends_with('.'),
            "{stall:#}"
        );
        (case.check)(stall);
    }
    // Live and in the summary.
    for cause in case.told.iter().filter_map(|(_, cause)| *cause) {
        let words = format!("cause: {cause}");
        let said = outcome.stderr.matches(&words).count();
        assert!(said >= 2, "{said} times: {}", outcome.stderr);
    }
    if case.carried && matches!(case.plain, PlainGo::Waits) {
        assert!(outcome.status.success(), "{}", outcome.stderr);
    }
}
