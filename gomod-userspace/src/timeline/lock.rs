// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks of the module cache that `go` waits for.

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::Timeline;
use crate::{
    golang::{CacheEntry, CacheFile},
    kernel::events::{MonotonicNanos, Pid},
};

/// A `go` process waits, or waited, for a lock of the module cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// Who waits.
    pub pid: Pid,
    /// Its thread.
    pub tid: u32,
    /// The lock file.
    pub path: PathBuf,
    /// Module and version, for `@v/VERSION.lock`.
    pub module: Option<(String, String)>,
    /// Since when.
    pub began: MonotonicNanos,
    /// Until when.
    pub ended: Option<MonotonicNanos>,
    /// Who holds it: id and command line.
    pub holder: Option<(Pid, String)>,
}

/// Places in [`Timeline::locks`] of the waits that go on, by process and thread: a thread waits for one lock.
#[derive(Clone, Debug, Default)]
pub(super) struct LockIndex {
    waiting: BTreeMap<(Pid, u32), usize>,
    /// A `LockDone` that came before its `LockWait`.
    early_done: BTreeMap<(Pid, u32), (MonotonicNanos, PathBuf)>,
}

impl Timeline {
    pub(super) fn lock_wait(&mut self, at: MonotonicNanos, pid: Pid, tid: u32, path: &Path) {
        let early = self.index.locks.early_done.remove(&(pid, tid));
        let ended = early
            .filter(|(done, of)| *done >= at && of == path)
            .map(|(done, _)| done);
        let place = self.locks.len();
        let module = match CacheFile::parse(path.as_os_str().as_bytes()).map(|file| file.what) {
            Some(CacheEntry::Module { module, .. }) => Some((module.path, module.version)),
            _ => None,
        };
        self.locks.push(LockWait {
            pid,
            tid,
            path: path.to_owned(),
            module,
            began: at,
            ended,
            holder: None,
        });
        if ended.is_some() {
            return;
        }
        // The same thread can only have begun another wait because the earlier one is over.
        if let Some(earlier) = self.index.locks.waiting.insert((pid, tid), place)
            && let Some(earlier) = self.locks.get_mut(earlier)
        {
            earlier.ended.get_or_insert(at);
        }
    }

    pub(super) fn lock_done(&mut self, at: MonotonicNanos, pid: Pid, tid: u32, path: &Path) {
        let place = self.index.locks.waiting.get(&(pid, tid)).copied();
        match place.and_then(|place| self.locks.get_mut(place)) {
            Some(wait) if wait.began <= at => {
                wait.ended = Some(at);
                self.index.locks.waiting.remove(&(pid, tid));
            }
            _ => {
                let early = (at, path.to_owned());
                self.index.locks.early_done.insert((pid, tid), early);
            }
        }
    }

    pub(super) fn lock_holder(&mut self, path: &Path, holder: Pid, command: &str) {
        for place in self.index.locks.waiting.values() {
            if let Some(wait) = self.locks.get_mut(*place).filter(|wait| wait.path == path) {
                wait.holder = Some((holder, command.to_owned()));
            }
        }
    }

    pub(super) fn end_lock_waits(&mut self, at: MonotonicNanos, pid: Pid) {
        let all = (pid, 0)..=(pid, u32::MAX);
        let over: Vec<_> = self
            .index
            .locks
            .waiting
            .range(all)
            .map(|(key, place)| (*key, *place))
            .collect();
        for (key, place) in over {
            self.index.locks.waiting.remove(&key);
            if let Some(wait) = self.locks.get_mut(place) {
                wait.ended.get_or_insert(at);
            }
        }
    }
}
