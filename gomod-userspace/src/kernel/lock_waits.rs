// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waits for the locks of the module cache: who waits, since when, for which file, and who holds it.
//!
//! The kernel programs keep the threads that are inside `flock` in a map; it's looked at a few times a second, as nearly
//! all of these calls return at once.

use std::{
    collections::HashMap,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use aya::maps::{HashMap as BpfHashMap, MapData};
use gomod_ebpf_common::Locking;

use super::{
    events::{Event, EventKind, File, FileOperation, MonotonicNanos, Pid},
    locks,
};

/// A wait is told of when it has lasted this long. The kernel programs tell of the end of any wait half as long.
const TOLD: Duration = Duration::from_millis(100);
const _: () = assert!(TOLD.as_nanos() == 2 * gomod_ebpf_common::LOCK_WAIT_NS as u128);

/// After this long it's worth a look at who holds the lock.
const ASK_FOR_HOLDER: Duration = Duration::from_secs(1);

/// What a system call returns to the kernel itself, never to the process, when it shall be made again after a signal such
/// as the stop of Ctrl-Z: `ERESTARTSYS` to `ERESTART_RESTARTBLOCK` (`include/linux/errno.h`).
const RESTARTED: RangeInclusive<i32> = 512..=516;

pub(super) struct LockWaits {
    /// Threads in `flock`, by `bpf_get_current_pid_tgid`.
    locking: BpfHashMap<MapData, u64, Locking>,
    told: Told,
}

/// Waits that were told of, by thread.
#[derive(Debug, Default)]
struct Told(HashMap<u32, Wait>);

#[derive(Debug)]
struct Wait {
    pid: Pid,
    path: PathBuf,
    since: MonotonicNanos,
    holder: Option<Pid>,
    asked: MonotonicNanos,
    /// By a signal, after which the kernel makes the call again.
    interrupted: bool,
}

impl LockWaits {
    pub(super) fn new(locking: BpfHashMap<MapData, u64, Locking>) -> Self {
        Self {
            locking,
            told: Told::default(),
        }
    }

    /// Completes the end of a wait; `None` if the wait was not told of, or goes on.
    pub(super) fn done(&mut self, file: File) -> Option<File> {
        self.told.done(file)
    }

    /// Forgets a process that has ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.told.0.retain(|_, wait| wait.pid != pid);
    }

    /// Tells of new waits and of the holders of locks that are waited for.
    pub(super) fn sample(&mut self, now: MonotonicNanos, events: &mut Vec<Event>) {
        // An entry that changes while it's read belongs to no wait worth telling.
        for (thread, locking) in self.locking.iter().filter_map(Result::ok) {
            let since = MonotonicNanos(locking.since_ns);
            if now.since(since) < TOLD {
                continue;
            }
            let (pid, tid) = (Pid((thread >> 32) as u32), thread as u32);
            // The thread can't close it while it waits. In a pid namespace of our own there is nothing to read.
            let link = format!("/proc/{pid}/fd/{}", locking.descriptor);
            if let Ok(path) = fs::read_link(link)
                && is_of_module_cache(&path)
            {
                events.extend(self.told.begin(pid, tid, path, since));
            }
        }
        self.told.ask_for_holders(now, events);
    }
}

impl Told {
    /// The start of a wait, unless it's known: the same one goes on after an interruption.
    fn begin(&mut self, pid: Pid, tid: u32, path: PathBuf, since: MonotonicNanos) -> Option<Event> {
        if let Some(wait) = self.0.get_mut(&tid)
            && wait.path == path
            && (wait.interrupted || wait.since == since)
        {
            // Since the call was made again.
            wait.since = since;
            wait.interrupted = false;
            return None;
        }
        let wait = Wait {
            pid,
            path: path.clone(),
            since,
            holder: None,
            asked: since,
            interrupted: false,
        };
        self.0.insert(tid, wait);
        Some(Event {
            at: since,
            pid,
            kind: EventKind::File(File {
                tid,
                operation: FileOperation::LockWait,
                result: 0,
                flags: 0,
                path,
            }),
        })
    }

    fn done(&mut self, mut file: File) -> Option<File> {
        if RESTARTED.contains(&file.result.saturating_neg()) {
            self.0.get_mut(&file.tid)?.interrupted = true;
            return None;
        }
        file.path = self.0.remove(&file.tid)?.path;
        Some(file)
    }

    fn ask_for_holders(&mut self, now: MonotonicNanos, events: &mut Vec<Event>) {
        for wait in self.0.values_mut() {
            if now.since(wait.since) < ASK_FOR_HOLDER || now.since(wait.asked) < ASK_FOR_HOLDER {
                continue;
            }
            wait.asked = now;
            let Ok(Some((holder, command))) = locks::holder(&wait.path) else {
                continue;
            };
            if wait.holder != Some(holder) {
                wait.holder = Some(holder);
                events.push(Event {
                    at: now,
                    pid: wait.pid,
                    kind: EventKind::LockHolder {
                        path: wait.path.clone(),
                        holder,
                        command,
                    },
                });
            }
        }
    }
}

/// A module's lock, or the one of former Go versions' go.sum edits (`docs/go-module-cache.md`).
fn is_of_module_cache(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "lock") || path.ends_with("cache/lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TID: u32 = 11;

    fn done(result: i32) -> File {
        File {
            tid: TID,
            operation: FileOperation::LockDone,
            result,
            flags: 0,
            path: PathBuf::new(),
        }
    }

    fn begin(told: &mut Told, since: u64) -> Option<Event> {
        told.begin(Pid(1), TID, "/m/@v/v1.lock".into(), MonotonicNanos(since))
    }

    #[test]
    fn a_wait_is_told_once_and_its_end_has_its_path() {
        let mut told = Told::default();
        let event = begin(&mut told, 5).unwrap();
        assert_eq!(event.at, MonotonicNanos(5));
        assert_eq!(begin(&mut told, 5), None);
        assert_eq!(told.done(done(0)).unwrap().path, Path::new("/m/@v/v1.lock"));
        assert_eq!(told.done(done(0)), None, "it was not told of");
        assert!(begin(&mut told, 9).is_some(), "another one");
    }

    #[test]
    fn a_wait_that_was_stopped_and_continued_is_one_wait() {
        let mut told = Told::default();
        assert!(begin(&mut told, 2).is_some());
        assert_eq!(told.done(done(-512)), None);
        assert_eq!(begin(&mut told, 4), None);
        assert!(told.done(done(0)).is_some());
    }

    #[test]
    fn a_wait_whose_end_was_lost_does_not_hide_the_next() {
        let mut told = Told::default();
        assert!(begin(&mut told, 2).is_some());
        assert!(begin(&mut told, 8).is_some());
    }

    #[test]
    fn only_locks_of_the_module_cache_count() {
        assert!(is_of_module_cache(Path::new(
            "/m/cache/download/x/@v/v1.lock"
        )));
        assert!(is_of_module_cache(Path::new("/m/cache/lock")));
        assert!(!is_of_module_cache(Path::new("/src/go.sum")));
    }
}
