// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waits for a lock of the module cache.

use std::path::Path;

use serde_json::json;

use super::{
    Cause, Confidence, Evidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
    cause::Explanation,
    words::{evidence, ms, time},
};
use crate::{kernel::events::Pid, timeline::LockWait};

#[derive(Clone, Debug, Default)]
pub(super) struct Locks {
    seen: usize,
    /// Places in the timeline of the waits that go on.
    waiting: Vec<usize>,
}

impl Locks {
    pub(super) fn examine(&mut self, view: View<'_>, ledger: &mut Ledger) {
        let locks = &view.timeline.locks;
        self.waiting.extend(self.seen..locks.len());
        self.seen = locks.len();
        // Of several threads of a process that wait for the same lock, the one that waits longest counts.
        self.waiting.retain(|place| {
            let Some(wait) = locks.get(*place) else {
                return false;
            };
            match wait.ended {
                None if view.now.since(wait.began) >= view.limits.lock() => {
                    ledger.report(view, contention(view, wait));
                    true
                }
                None => true,
                Some(ended) => {
                    let subject = subject(wait);
                    let current = ledger.current(&subject);
                    if current.is_some_and(|stall| stall.began == wait.began)
                        && let Some(ended) = view.first_end(wait.pid, wait.began, [Some(ended)])
                    {
                        ledger.end(&subject, ended);
                    }
                    false
                }
            }
        });
    }
}

fn subject(wait: &LockWait) -> StallSubject {
    StallSubject::Lock {
        pid: wait.pid,
        path: wait.path.clone(),
    }
}

fn contention(view: View<'_>, wait: &LockWait) -> Finding {
    let waited = view.now.since(wait.began);
    let (pid, command) = wait.holder.clone().unzip();
    let what = match &wait.module {
        Some((module, version)) => format!("{module}@{version}"),
        None => wait.path.display().to_string(),
    };
    let holder = match (&pid, &command) {
        (Some(pid), _) if *pid == wait.pid => format!("; process {pid} itself holds it"),
        (Some(pid), Some(command)) if !command.is_empty() => {
            format!("; process {pid} (`{command}`) holds it")
        }
        (Some(pid), _) => format!("; process {pid} holds it"),
        (None, _) => String::new(),
    };
    Finding {
        subject: subject(wait),
        pid: wait.pid,
        verdict: Verdict::LockContention,
        stage: Stage::Lock,
        confidence: Confidence::Confirmed,
        host: None,
        began: wait.began,
        ended: None,
        evidence: evidence(json!({
            "path": wait.path,
            "module": wait.module.as_ref().map(|(module, _)| module),
            "version": wait.module.as_ref().map(|(_, version)| version),
            "holder_pid": pid.map(|pid| pid.0),
            "holder_command": command,
            "holder_is_self": pid.map(|pid| pid == wait.pid),
            "waited_ms": ms(waited),
        })),
        story: format!(
            "process {} has waited {} for the lock of {what}{holder}",
            wait.pid,
            time(waited)
        ),
        action: "Find the other `go` that uses this module cache and let it finish, or end it if it hangs; a GOMODCACHE of \
                 its own for each avoids the wait."
            .to_owned(),
        explanation: wait
            .holder
            .as_ref()
            .filter(|(pid, _)| *pid != wait.pid)
            .map(|(pid, command)| held_by(view, wait, *pid, command)),
    }
}

/// Whose lock it is: that is the cause.
fn held_by(view: View<'_>, wait: &LockWait, pid: Pid, command: &str) -> Explanation {
    let traced = view.timeline.process_at(pid, wait.began);
    let named_go = command
        .split(' ')
        .next()
        .is_some_and(|program| Path::new(program).file_name() == Some("go".as_ref()));
    let is_go = traced.map_or(named_go, crate::timeline::Process::is_go);
    let (cause, because, action) = if is_go {
        (
            Cause::LockOfAnotherGo,
            "so another `go` is downloading the same, or hangs",
            format!(
                "Let the other `go` (process {pid}) finish, or end it if it hangs: `go` waits for the lock as long as it is held."
            ),
        )
    } else {
        (
            Cause::LockOfAnotherProgram,
            "which is no `go`",
            format!(
                "Find out why process {pid} holds a lock of the module cache, and let it finish or end it: `go` waits as long as it is held."
            ),
        )
    };
    Explanation {
        cause,
        because: because.to_owned(),
        action,
        evidence: Evidence::new(),
    }
}
