// SPDX-License-Identifier: MIT OR Apache-2.0
//! Completes what the kernel programs say of files: absolute paths, the lock file behind a descriptor, the
//! temporary files being written, and who holds a lock that is waited for.

use std::{
    collections::{HashMap, HashSet},
    fs,
    ops::RangeInclusive,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    events::{Event, EventKind, File, FileOperation, MonotonicNanos, Pid},
    locks,
};

/// After this long a wait for a lock is worth a look at who holds it.
const ASK_FOR_HOLDER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct ModuleFiles {
    /// Lock files by the descriptor that a process has for them.
    locks: HashMap<(Pid, i32), PathBuf>,
    /// Waits under way, by thread.
    waits: HashMap<u32, Wait>,
    /// Temporary files being written, with their last known size.
    writing: HashMap<PathBuf, (Pid, u64)>,
    /// Final names that were not there yet when their renaming was told.
    renamed: Vec<(Pid, PathBuf)>,
}

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

/// What a system call returns to the kernel itself, never to the process, when it shall be made again after a signal such
/// as the stop of Ctrl-Z: `ERESTARTSYS` to `ERESTART_RESTARTBLOCK` (`include/linux/errno.h`).
const RESTARTED: RangeInclusive<i32> = 512..=516;

impl ModuleFiles {
    /// Completes an operation and remembers what later ones need. `None` for one that concerns no file of interest:
    /// a lock on a descriptor that isn't a lock file's.
    pub(super) fn complete(
        &mut self,
        at: MonotonicNanos,
        pid: Pid,
        mut file: File,
        cwd: Option<&Path>,
    ) -> Option<File> {
        match file.operation {
            FileOperation::Open => {
                file.path = absolute(&file.path, cwd);
                if file.result >= 0 {
                    self.opened(pid, &file);
                }
            }
            FileOperation::Rename | FileOperation::Unlink => {
                file.path = absolute(&file.path, cwd);
                self.writing.remove(&file.path);
            }
            FileOperation::LockWait => {
                file.path = self.locks.get(&(pid, file.result))?.clone();
                // The same wait after an interruption: it was told of.
                if self
                    .waits
                    .get(&file.tid)
                    .is_some_and(|wait| wait.interrupted && wait.path == file.path)
                {
                    return None;
                }
                let wait = Wait {
                    interrupted: false,
                    pid,
                    path: file.path.clone(),
                    since: at,
                    holder: None,
                    asked: at,
                };
                self.waits.insert(file.tid, wait);
            }
            FileOperation::LockDone if RESTARTED.contains(&file.result.saturating_neg()) => {
                self.waits.get_mut(&file.tid)?.interrupted = true;
                return None;
            }
            FileOperation::LockDone => file.path = self.waits.remove(&file.tid)?.path,
        }
        Some(file)
    }

    fn opened(&mut self, pid: Pid, file: &File) {
        let writes = file.flags & (libc::O_WRONLY | libc::O_RDWR) as u32 != 0;
        match file.path.extension().and_then(|e| e.to_str()) {
            Some("tmp") if writes => {
                self.writing.insert(file.path.clone(), (pid, 0));
            }
            Some("lock") => {
                self.locks.insert((pid, file.result), file.path.clone());
            }
            _ if file.path.ends_with("cache/lock") => {
                self.locks.insert((pid, file.result), file.path.clone());
            }
            _ => {
                // The descriptor is another file's now.
                self.locks.remove(&(pid, file.result));
            }
        }
    }

    /// The size of a file that gets its final name, right behind that event: most are written too fast for a sample.
    pub(super) fn final_size(&mut self, event: &Event) -> Option<Event> {
        let EventKind::File(file) = &event.kind else {
            return None;
        };
        let extension = file.path.extension()?.to_str()?;
        if file.operation != FileOperation::Rename || !matches!(extension, "info" | "mod" | "zip") {
            return None;
        }
        let size = size_of(event.at, event.pid, &file.path);
        if size.is_none() {
            // The call was seen when it began, and is still under way.
            self.renamed.push((event.pid, file.path.clone()));
        }
        size
    }

    /// Forgets a process that has ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.locks.retain(|(owner, _), _| *owner != pid);
        self.waits.retain(|_, wait| wait.pid != pid);
        self.writing.retain(|_, (owner, _)| *owner != pid);
        self.renamed.retain(|(owner, _)| *owner != pid);
    }

    /// Looks at the sizes of the files being written and at the holders of locks waited for.
    pub(super) fn sample(&mut self, now: MonotonicNanos, events: &mut Vec<Event>) {
        self.renamed.retain(|(pid, path)| {
            let size = size_of(now, *pid, path);
            let later = size.is_none();
            events.extend(size);
            later
        });
        let mut gone = HashSet::new();
        for (path, (pid, size)) in &mut self.writing {
            match fs::metadata(path) {
                Ok(metadata) if metadata.len() != *size => {
                    *size = metadata.len();
                    events.push(Event {
                        at: now,
                        pid: *pid,
                        kind: EventKind::FileSize {
                            path: path.clone(),
                            bytes: *size,
                        },
                    });
                }
                Ok(_) => {}
                Err(_) => {
                    gone.insert(path.clone());
                }
            }
        }
        // Renamed by a call that was not seen.
        self.writing.retain(|path, _| !gone.contains(path));
        for wait in self.waits.values_mut() {
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

fn size_of(at: MonotonicNanos, pid: Pid, path: &Path) -> Option<Event> {
    let bytes = fs::metadata(path).ok()?.len();
    let path = path.to_owned();
    Some(Event {
        at,
        pid,
        kind: EventKind::FileSize { path, bytes },
    })
}

/// The path made absolute and cleaned by its words alone: links are not followed.
fn absolute(path: &Path, cwd: Option<&Path>) -> PathBuf {
    let joined = match cwd {
        Some(cwd) if path.is_relative() => cwd.join(path),
        _ => path.to_path_buf(),
    };
    let mut clean = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(operation: FileOperation, path: &str, result: i32, flags: u32) -> File {
        File {
            tid: 11,
            operation,
            result,
            flags,
            path: path.into(),
        }
    }

    #[test]
    fn paths_become_absolute_and_clean() {
        let cwd = Some(Path::new("/home/u/src"));
        assert_eq!(
            absolute(Path::new("../go/./x.zip"), cwd),
            Path::new("/home/u/go/x.zip")
        );
        assert_eq!(absolute(Path::new("/a/b.mod"), cwd), Path::new("/a/b.mod"));
    }

    #[test]
    fn a_lock_wait_gets_the_path_of_its_descriptor() {
        let mut files = ModuleFiles::default();
        let at = MonotonicNanos(1);
        let open = file(FileOperation::Open, "/m/@v/v1.lock", 5, libc::O_RDWR as u32);
        files.complete(at, Pid(1), open, None).unwrap();
        let wait = file(FileOperation::LockWait, "", 5, libc::LOCK_EX as u32);
        let wait = files.complete(at, Pid(1), wait, None).unwrap();
        assert_eq!(wait.path, Path::new("/m/@v/v1.lock"));
        let done = files
            .complete(at, Pid(1), file(FileOperation::LockDone, "", 0, 5), None)
            .unwrap();
        assert_eq!(done.path, wait.path);
        let other = file(FileOperation::LockWait, "", 6, libc::LOCK_EX as u32);
        assert_eq!(files.complete(at, Pid(1), other, None), None);
    }

    #[test]
    fn a_wait_that_was_stopped_and_continued_is_one_wait() {
        let mut files = ModuleFiles::default();
        let mut complete = |at, file| files.complete(MonotonicNanos(at), Pid(1), file, None);
        let path = "/m/@v/v1.lock";
        complete(1, file(FileOperation::Open, path, 5, libc::O_RDWR as u32)).unwrap();
        let wait = || file(FileOperation::LockWait, "", 5, libc::LOCK_EX as u32);
        let done = |result| file(FileOperation::LockDone, "", result, 5);
        assert!(complete(2, wait()).is_some());
        assert_eq!(complete(3, done(-512)), None);
        assert_eq!(complete(4, wait()), None);
        assert_eq!(complete(5, done(0)).unwrap().path, Path::new(path));
        assert!(complete(6, wait()).is_some(), "another one");
    }

    #[test]
    fn a_renamed_file_has_its_final_size() {
        let directory = tempfile::tempdir().unwrap();
        let early = directory.path().join("v1.zip");
        let late = directory.path().join("v2.zip");
        fs::write(&early, [0; 10]).unwrap();
        let event = |operation, path: &Path| Event {
            at: MonotonicNanos(1),
            pid: Pid(1),
            kind: EventKind::File(file(operation, path.to_str().unwrap(), 0, 0)),
        };
        let mut files = ModuleFiles::default();
        assert_eq!(files.final_size(&event(FileOperation::Open, &early)), None);
        let size = files
            .final_size(&event(FileOperation::Rename, &early))
            .unwrap();
        let expected = EventKind::FileSize {
            path: early,
            bytes: 10,
        };
        assert_eq!(size.kind, expected);
        assert_eq!(files.final_size(&event(FileOperation::Rename, &late)), None);
        let mut events = Vec::new();
        files.sample(MonotonicNanos(2), &mut events);
        fs::write(&late, [0; 20]).unwrap();
        files.sample(MonotonicNanos(3), &mut events);
        files.sample(MonotonicNanos(4), &mut events);
        let [size] = events.as_slice() else {
            panic!("one event expected, not {events:?}");
        };
        let expected = EventKind::FileSize {
            path: late,
            bytes: 20,
        };
        assert_eq!(size.kind, expected);
    }

    #[test]
    fn growth_of_a_temporary_file_is_seen_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v1.zip1.tmp");
        fs::write(&path, [0; 10]).unwrap();
        let mut files = ModuleFiles::default();
        let open = file(
            FileOperation::Open,
            path.to_str().unwrap(),
            5,
            libc::O_RDWR as u32,
        );
        files
            .complete(MonotonicNanos(1), Pid(1), open, None)
            .unwrap();
        let mut events = Vec::new();
        files.sample(MonotonicNanos(2), &mut events);
        files.sample(MonotonicNanos(3), &mut events);
        let [event] = events.as_slice() else {
            panic!("one event expected, not {events:?}");
        };
        assert_eq!(event.kind, EventKind::FileSize { path, bytes: 10 });
    }
}
