// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tells recorded runs again and compares the verdicts with what each run is known to have suffered.
//!
//! `recordings/NAME.jsonl` is what `gomod-trace run --record` writes: one event a line. `recordings/NAME.verdicts`
//! holds the expected stalls, one a line in any order, as `TOKEN STAGE HOST` (`-` for no host), and then `CAUSE` where
//! one is known; lines that begin with `#` are notes. An empty list says that nothing stalled.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use gomod_trace::{
    diagnose::{Diagnosis, StallChange},
    kernel::events::{Event, MonotonicNanos},
    timeline::Timeline,
};

/// How often a live run is looked at.
const STEP: Duration = Duration::from_millis(100);
/// Looked at for this long after the last event, as a run that ends looks a last time.
const AFTER: Duration = Duration::from_secs(3);
/// A gap between two events longer than this is stepped through, not a day of suspend.
const LONGEST_GAP: Duration = Duration::from_secs(600);

struct Replay {
    timeline: Timeline,
    diagnosis: Diagnosis,
    now: MonotonicNanos,
    changes: Vec<StallChange>,
}

impl Replay {
    fn new(began: MonotonicNanos) -> Self {
        Self {
            timeline: Timeline::new(began),
            diagnosis: Diagnosis::new(),
            now: began,
            changes: Vec::new(),
        }
    }

    fn pass_time(&mut self, until: MonotonicNanos) {
        if until.since(self.now) > LONGEST_GAP {
            self.now = until;
        }
        while self.now + STEP <= until {
            self.now = self.now + STEP;
            self.changes
                .extend(self.diagnosis.examine(&self.timeline, self.now));
        }
    }
}

/// Reads line by line: recordings may be long.
fn replay(path: &Path) -> Replay {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut replay: Option<Replay> = None;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if line.trim().is_empty() {
            continue;
        }
        let event: Event = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{}:{}: {error}", path.display(), number + 1));
        let replay = replay.get_or_insert_with(|| Replay::new(event.at));
        replay.pass_time(event.at);
        replay.timeline.apply(&event);
    }
    let mut replay = replay.unwrap_or_else(|| panic!("{} holds no event", path.display()));
    replay.timeline.finish(replay.now);
    replay.pass_time(replay.now + AFTER);
    replay
}

fn expected(path: &Path) -> Vec<String> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

fn recordings() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the directory stays readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    paths.sort();
    paths
}

#[test]
fn recorded_runs_get_the_verdicts_they_deserve() {
    let recordings = recordings();
    assert!(!recordings.is_empty(), "no recordings");
    let mut wrong = Vec::new();
    for path in recordings {
        let replay = replay(&path);
        let mut found: Vec<String> = replay
            .diagnosis
            .stalls()
            .iter()
            .map(|stall| {
                let stage = serde_json::to_value(stall.stage).unwrap();
                let host = stall.host.as_deref().unwrap_or("-");
                let cause = stall.cause.map(|cause| format!(" {cause}"));
                format!(
                    "{} {} {host}{}",
                    stall.verdict,
                    stage.as_str().unwrap_or_default(),
                    cause.unwrap_or_default()
                )
            })
            .collect();
        found.sort();
        let expected = expected(&path.with_extension("verdicts"));
        if found != expected {
            wrong.push(format!(
                "{}: expected {expected:?}, found {found:?}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_stall_of_a_recorded_run_is_announced_before_it_ends() {
    for path in recordings() {
        let replay = replay(&path);
        let mut known = Vec::new();
        for change in &replay.changes {
            match change {
                StallChange::Known(stall) => known.push(stall.id),
                StallChange::Explained { stall, .. } | StallChange::Ended(stall) => {
                    assert!(known.contains(&stall.id), "{}: {stall:?}", path.display());
                }
            }
        }
        assert_eq!(
            known.len(),
            replay.diagnosis.stalls().len(),
            "{}",
            path.display()
        );
    }
}
