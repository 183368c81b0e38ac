// SPDX-License-Identifier: MIT OR Apache-2.0
//! One command under `gomod-trace run` in a lab with a fault, until what must be said was said.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use gomod_lab::toolchain;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    Network,
    confusion::{Answer, Grade},
    passive_truth::{Passive, Way},
};

/// The release whose `go` is run: the newest.
const GO: &str = "1.27";
/// What is expected comes within this time, or not at all: longer than three dials of `go` in a row.
const PATIENCE: Duration = Duration::from_secs(100);
/// After the last of what is expected, something wrong may still come.
const AFTERMATH: Duration = Duration::from_secs(3);
/// What is ended has this long to write its report.
const ENDING: Duration = Duration::from_secs(20);

/// Runs the command; what is said of it.
pub(super) fn run(agent: &Path, truth: &Passive, network: Network) -> Result<Answer> {
    let lab = network.lab(truth.faults, truth.nameservers)?;
    let mut project = lab.project()?;
    if truth.without_sums {
        project = project.without_sums()?;
    }
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let (report, events) = (
        directory.path().join("report.json"),
        directory.path().join("events.json"),
    );
    let mut command = project.command(&toolchain::find(GO)?, agent);
    command.arg("run");
    if truth.way == Way::Observed {
        command.arg("--observe");
    }
    command
        .arg("--report")
        .arg(&report)
        .arg("--events")
        .arg(&events)
        .args(["--quiet", "--", "sh", "-c", truth.script])
        .env("GOMAXPROCS", "2")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let mut group = Group(command.spawn().context("cannot start gomod-trace")?);
    let expected = truth.expected();
    let began = Instant::now();
    let mut complete = None;
    while group.lives()? && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(100));
        let text = fs::read_to_string(&events).unwrap_or_default();
        let stalls = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["kind"] == "stall")
            .map(|stall| token(&stall))
            .collect::<BTreeSet<_>>();
        if !expected.is_empty() && stalls.is_superset(&expected) {
            let since = *complete.get_or_insert_with(Instant::now);
            if since.elapsed() >= AFTERMATH {
                break;
            }
        }
    }
    group.end()?;
    let text =
        fs::read(&report).with_context(|| format!("{}: no report was written", truth.name()))?;
    let report: Value = serde_json::from_slice(&text).context("the report is no JSON")?;
    let told = report["stalls"].as_array().cloned().unwrap_or_default();
    let said: BTreeSet<String> = told.iter().map(token).collect();
    Ok(Answer {
        fault: truth.name(),
        rtt: network.rtt,
        loss: network.loss,
        grade: grade(&said, &expected, network.loss),
        expected,
        said,
        told,
    })
}

/// Verdict and cause of a stall.
fn token(stall: &Value) -> String {
    let verdict = stall["verdict"].as_str().unwrap_or("?");
    match stall["cause"].as_str() {
        Some(cause) => format!("{verdict} ({cause})"),
        None => verdict.to_owned(),
    }
}

/// A verdict without the cause that it should have is not wrong. Where packets get lost, `go` does wait for names: to say
/// so is right, and undecided if both its questions got lost, so that nothing tells loss from a nameserver that is silent.
fn grade(said: &BTreeSet<String>, expected: &BTreeSet<String>, loss: f64) -> Grade {
    let of_loss =
        |token: &String| loss > 0.0 && token.as_str() == "anomaly.dns.timeout (lost_answers)";
    let undecided = |token: &String| {
        let with_cause = format!("{token} (");
        let lost_twice = loss > 0.0 && token.as_str() == "anomaly.dns.timeout";
        let has_cause = |expected: &String| expected.starts_with(&with_cause);
        !expected.contains(token) && (lost_twice || expected.iter().any(has_cause))
    };
    let wrong =
        |token: &&String| !expected.contains(*token) && !of_loss(token) && !undecided(token);
    if said.iter().any(|token| wrong(&token)) {
        Grade::Wrong
    } else if said.is_superset(expected) && !said.iter().any(undecided) {
        Grade::Right
    } else {
        Grade::Short
    }
}

/// A process group that ends with its value.
struct Group(Child);

impl Group {
    fn lives(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.lives()? {
            // Not waited for yet: the id is still its own.
            killpg(Pid::from_raw(self.0.id().cast_signed()), signal)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let began = Instant::now();
        while self.lives()? {
            if began.elapsed() > ENDING {
                bail!("gomod-trace does not end");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.signal(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_missing_is_undecided_and_another_one_is_wrong() {
        let set = |tokens: &[&str]| {
            tokens
                .iter()
                .map(|token| (*token).to_owned())
                .collect::<BTreeSet<_>>()
        };
        let lost = "anomaly.dns.timeout (lost_answers)";
        let lost_twice = "anomaly.dns.timeout";
        assert_eq!(
            grade(&set(&[lost_twice]), &set(&[lost_twice]), 0.01),
            Grade::Right
        );
        let expected = set(&["v.a (size)", "v.b"]);
        for (said, loss, wanted) in [
            (&["v.a (size)", "v.b"][..], 0.0, Grade::Right),
            (&["v.a", "v.b"], 0.0, Grade::Short),
            (&["v.a (size)", "v.a", "v.b"], 0.0, Grade::Short),
            (&["v.b"], 0.0, Grade::Short),
            (&["v.a (name)", "v.b"], 0.0, Grade::Wrong),
            (&["v.a (size)", "v.b (size)"], 0.0, Grade::Wrong),
            (&["v.a (size)", "v.b", "v.c"], 0.0, Grade::Wrong),
            (&["v.a (size)", "v.b", lost], 0.0, Grade::Wrong),
            (&["v.a (size)", "v.b", lost], 0.01, Grade::Right),
            (&["v.a (size)", "v.b", lost_twice], 0.0, Grade::Wrong),
            (&["v.a (size)", "v.b", lost_twice], 0.01, Grade::Short),
        ] {
            assert_eq!(grade(&set(said), &expected, loss), wanted, "{said:?}");
        }
        assert_eq!(grade(&set(&[]), &set(&[]), 0.0), Grade::Right);
        assert_eq!(grade(&set(&["v.a"]), &set(&[]), 0.0), Grade::Wrong);
    }
}
