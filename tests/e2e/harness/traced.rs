// SPDX-License-Identifier: MIT OR Apache-2.0
//! A command under `gomod-trace run`, and everything that came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use serde_json::Value;

use super::process::lives;
use super::{Running, Scratch, eventually, schema};

/// A run that goes on.
#[derive(Debug)]
pub(crate) struct Traced {
    process: Running,
    scratch: Scratch,
}

impl Traced {
    /// Appends `run --observe …` and `words`, the traced command, to `gomod_trace`, and starts it.
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(
        trial: &str,
        gomod_trace: Command,
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::start_in(Scratch::new(trial), gomod_trace, &[], words)
    }

    /// The same with the trial's own directory and further options.
    pub(crate) fn start_in<S: AsRef<std::ffi::OsStr>>(
        scratch: Scratch,
        gomod_trace: Command,
        options: &[&str],
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::begin(Some("--observe"), scratch, gomod_trace, options, words)
    }

    /// Like [`Self::start_in`], carried by us.
    pub(crate) fn carried_in<S: AsRef<std::ffi::OsStr>>(
        scratch: Scratch,
        gomod_trace: Command,
        options: &[&str],
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::begin(None, scratch, gomod_trace, options, words)
    }

    fn begin<S: AsRef<std::ffi::OsStr>>(
        mode: Option<&str>,
        scratch: Scratch,
        mut gomod_trace: Command,
        options: &[&str],
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        gomod_trace.arg("run").args(mode);
        for kind in ["report", "events", "record"] {
            gomod_trace
                .arg(format!("--{kind}"))
                .arg(scratch.file(&format!("{kind}.json")));
        }
        gomod_trace.args(options).arg("--").args(words);
        let process = Running::start(gomod_trace, &scratch, "traced");
        Self { process, scratch }
    }

    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The whole lines of the event stream so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.scratch.file("events.json")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Waits until the event stream tells a line that `picks` accepts.
    pub(crate) fn event(&mut self, what: &str, picks: impl Fn(&Value) -> bool) -> Value {
        let stderr = self.process.stderr();
        eventually(
            what,
            || format!("stderr: {stderr}"),
            || {
                // Ended first: what was written before the end is read after it.
                let over = self.process.ended();
                let found = self.events().into_iter().find(|event| picks(event));
                assert!(
                    found.is_some() || over.is_none(),
                    "the run ended ({over:?}) before: {what}\n{}",
                    self.process.stderr()
                );
                found
            },
        )
    }

    /// Process id of the traced `go`, from the event stream.
    pub(crate) fn go(&mut self) -> u32 {
        let started = self.event("a go process starts", |event| {
            event["kind"] == "process" && !event["go_version"].is_null()
        });
        number(&started["pid"]) as u32
    }

    /// Waits until the event stream and the terminal both tell of a stall, and shows that `go` still runs then.
    pub(crate) fn stall_while_go_runs(&mut self, verdict: &str) {
        let go = self.go();
        self.event(&format!("{verdict} becomes known"), |event| {
            event["kind"] == "stall" && event["state"] == "known" && event["verdict"] == verdict
        });
        eventually(&format!("{verdict} is printed"), String::new, || {
            self.process.stderr().contains(verdict).then_some(())
        });
        assert!(lives(go), "go had ended when {verdict} became known");
        assert!(
            !self.process.stderr().contains("exit code"),
            "the summary came before the end"
        );
    }

    /// Waits for the end; reads and checks what was written.
    pub(crate) fn finish(mut self) -> Outcome {
        let status = self.process.wait();
        let stderr = self.process.stderr();
        let path = self.scratch.file("report.json");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("no report ({error}), {status}: {stderr}"));
        let report: Value = serde_json::from_str(&text).unwrap();
        let outcome = Outcome {
            status,
            events: self.events(),
            stdout: self.process.stdout(),
            stderr,
            report,
            scratch: self.scratch,
        };
        outcome.check();
        outcome
    }
}

impl Deref for Traced {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.process
    }
}

impl DerefMut for Traced {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.process
    }
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) report: Value,
    pub(crate) events: Vec<Value>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Kept until the trial is over, and longer if it failed.
    pub(crate) scratch: Scratch,
}

impl Outcome {
    /// An array of the report.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        self.report[name].as_array().unwrap()
    }

    /// The different verdicts of the report.
    pub(crate) fn verdicts(&self) -> BTreeSet<&str> {
        self.list("stalls")
            .iter()
            .map(|stall| stall["verdict"].as_str().unwrap())
            .collect()
    }

    /// Kernel events for which there was no room.
    pub(crate) fn lost(&self) -> u64 {
        number(&self.report["events"]["lost"])
    }

    /// What must hold of every run, however it went.
    fn check(&self) {
        schema::check_report(&self.report);
        self.events.iter().for_each(schema::check_event);
        self.check_times();
        let exit_code = self.report["exit_code"].as_i64();
        let signal = self.report["signal"].as_i64();
        assert_eq!(
            (exit_code, signal),
            (
                self.status.code().map(i64::from),
                self.status.signal().map(i64::from)
            ),
            "the report's ending is not the process's"
        );
        assert_eq!(self.lost(), 0, "events were lost");
        let told = self
            .events
            .iter()
            .filter(|event| event["kind"] == "stall" && event["state"] == "known")
            .map(|event| event["verdict"].as_str().unwrap())
            .collect::<BTreeSet<_>>();
        assert_eq!(
            told,
            self.verdicts(),
            "event stream and report tell of different stalls"
        );
    }

    /// Nothing lies outside the run, and no thing goes back in time.
    fn check_times(&self) {
        let wall = self.report["wall_ms"].as_f64().unwrap();
        let mut latest: BTreeMap<String, f64> = BTreeMap::new();
        for event in &self.events {
            let at = event["t_ms"].as_f64().unwrap();
            assert!((0.0..=wall).contains(&at), "not within {wall} ms: {event}");
            let thing = [
                "kind",
                "pid",
                "id",
                "name",
                "type",
                "path",
                "version",
                "files",
                "sent_ms",
                "began_ms",
                "connection",
            ]
            .map(|name| event[name].to_string())
            .join(" ");
            let before = latest.entry(thing).or_insert(at);
            assert!(*before <= at, "comes after one of {before} ms: {event}");
            *before = at;
        }
    }
}

/// A number of a report.
pub(crate) fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("not a whole number: {value}"))
}
