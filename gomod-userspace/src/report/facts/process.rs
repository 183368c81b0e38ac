// SPDX-License-Identifier: MIT OR Apache-2.0
//! `processes[]`.

use std::borrow::Cow;

use serde::Serialize;

use super::{Tell, at, at_if};
use crate::{
    kernel::events::MonotonicNanos,
    timeline::{Process, Timeline},
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct ProcessFact<'a> {
    pid: u32,
    parent: Option<u32>,
    exe: Cow<'a, str>,
    argv: &'a [String],
    go_version: Option<&'a str>,
    started_ms: f64,
    ended_ms: Option<f64>,
    exit_code: Option<i32>,
}

impl Tell for Process {
    type Fact<'a> = ProcessFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> ProcessFact<'_> {
        ProcessFact {
            pid: self.pid.0,
            parent: self.parent.map(|parent| parent.0),
            exe: self.exe.to_string_lossy(),
            argv: &self.argv,
            go_version: self.go_version.as_deref(),
            started_ms: at(self.started, began),
            ended_ms: at_if(self.ended, began),
            exit_code: self.exit_code,
        }
    }
}

/// All processes of a run, those whose id was used again included, in the order they started.
pub(in crate::report) fn in_order(timeline: &Timeline) -> Vec<ProcessFact<'_>> {
    let mut processes: Vec<&Process> = timeline
        .ended_processes
        .iter()
        .chain(timeline.processes.values())
        .collect();
    processes.sort_by_key(|process| (process.started, process.pid));
    processes
        .into_iter()
        .map(|process| process.tell(timeline.began))
        .collect()
}
