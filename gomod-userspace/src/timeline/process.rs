// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process of the run.

use std::{collections::BTreeMap, path::PathBuf};

use super::Timeline;
use crate::kernel::events::{Exec, MonotonicNanos, Pid};

/// A process of the traced cgroup, from its last `execve` on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Id.
    pub pid: Pid,
    /// Who forked it; `None` if unknown.
    pub parent: Option<Pid>,
    /// Executable.
    pub exe: PathBuf,
    /// Arguments.
    pub argv: Vec<String>,
    /// Working directory at exec.
    pub cwd: Option<PathBuf>,
    /// "go1.27.3" for a `go` command, else `None`.
    pub go_version: Option<String>,
    /// When it executed.
    pub started: MonotonicNanos,
    /// When it ended.
    pub ended: Option<MonotonicNanos>,
    /// Exit code; `None` while it runs or if it died of a signal.
    pub exit_code: Option<i32>,
}

impl Process {
    /// True for the `go` command itself, false for its children (`git`, compilers) and others.
    pub fn is_go(&self) -> bool {
        self.go_version.is_some()
    }
}

/// What is needed to place events of processes, and to answer questions about them without searching.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessIndex {
    /// Exits of ids that no exec is known of: that exec may only be late. The newest one counts.
    exits_without_exec: BTreeMap<Pid, (MonotonicNanos, Option<i32>)>,
    /// Places in [`Timeline::ended_processes`].
    ended: BTreeMap<Pid, Vec<usize>>,
    /// Ids that each process forked.
    children: BTreeMap<Pid, Vec<Pid>>,
}

impl Timeline {
    pub(super) fn exec(&mut self, at: MonotonicNanos, pid: Pid, exec: &Exec) {
        let parent = (exec.parent != Pid(0)).then_some(exec.parent);
        let mut process = Process {
            pid,
            parent,
            exe: exec.exe.clone(),
            argv: exec.argv.clone(),
            cwd: exec.cwd.clone(),
            go_version: exec.go_version.clone(),
            started: at,
            ended: None,
            exit_code: None,
        };
        if let Some(parent) = parent {
            let children = self.index.processes.children.entry(parent).or_default();
            if !children.contains(&pid) {
                children.push(pid);
            }
        }
        match self.processes.remove(&pid) {
            Some(earlier) if earlier.ended.is_some_and(|ended| ended < at) => {
                let places = self.index.processes.ended.entry(pid).or_default();
                places.push(self.ended_processes.len());
                self.ended_processes.push(earlier);
            }
            Some(earlier) => {
                // The same process executes another program, or this event is late.
                process.parent = process.parent.or(earlier.parent);
                process.ended = earlier.ended;
                process.exit_code = earlier.exit_code;
                if earlier.started > at {
                    process = Process {
                        parent: process.parent,
                        ..earlier
                    };
                }
            }
            None => {}
        }
        if let Some((ended, code)) = self.index.processes.exits_without_exec.remove(&pid)
            && ended >= at
        {
            process.ended = Some(ended);
            process.exit_code = code;
        }
        self.processes.insert(pid, process);
    }

    pub(super) fn exit(&mut self, at: MonotonicNanos, pid: Pid, code: Option<i32>) {
        match self.processes.get_mut(&pid) {
            Some(process) if process.ended.is_none() && process.started <= at => {
                process.ended = Some(at);
                process.exit_code = code;
            }
            Some(process) if process.started > at => {}
            _ => {
                self.index
                    .processes
                    .exits_without_exec
                    .insert(pid, (at, code));
            }
        }
        self.fail_files(pid);
        self.end_lock_waits(at, pid);
        self.give_up_questions(at, pid);
    }

    /// The `go` process, or other process, that had this id at that moment, as far as known.
    pub fn process_at(&self, pid: Pid, moment: MonotonicNanos) -> Option<&Process> {
        let alive = |process: &&Process| process.ended.is_none_or(|ended| ended >= moment);
        self.ended_with_id(pid)
            .find(alive)
            .or_else(|| self.processes.get(&pid).filter(alive))
    }

    /// When the process ended that had this id at that moment; `None` while it lives or if nothing is known of it.
    pub fn process_end(&self, pid: Pid, moment: MonotonicNanos) -> Option<MonotonicNanos> {
        match self.process_at(pid, moment) {
            Some(process) => process.ended,
            None => self
                .index
                .processes
                .exits_without_exec
                .get(&pid)
                .map(|(ended, _)| *ended)
                .filter(|ended| *ended >= moment),
        }
    }

    /// True if a process that `pid` forked still runs, or began or ended after `since`.
    pub fn has_active_children(&self, pid: Pid, since: MonotonicNanos) -> bool {
        let children = self.index.processes.children.get(&pid);
        children.into_iter().flatten().any(|child| {
            self.processes
                .get(child)
                .is_some_and(|child| child.ended.is_none_or(|ended| ended >= since))
        })
    }

    /// Who forked the process with this id.
    pub fn parent_of(&self, pid: Pid) -> Option<Pid> {
        self.processes.get(&pid).and_then(|process| process.parent)
    }

    fn ended_with_id(&self, pid: Pid) -> impl Iterator<Item = &Process> {
        let places = self.index.processes.ended.get(&pid);
        places
            .into_iter()
            .flatten()
            .filter_map(|place| self.ended_processes.get(*place))
    }
}
