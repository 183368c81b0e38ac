// SPDX-License-Identifier: MIT OR Apache-2.0
//! Completes what the kernel programs say of files: absolute paths, and sizes.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use crate::golang::final_name;

use super::events::{Event, EventKind, File, FileOperation, MonotonicNanos, Pid};

#[derive(Debug, Default)]
pub(super) struct ModuleFiles {
    /// Temporary files that each process writes, by their final names. As bytes: they are clean, and paths would be taken
    /// to pieces for each comparison.
    writing: HashMap<Pid, HashMap<OsString, Writing>>,
    /// Final names whose size is still to be looked at.
    renamed: Vec<(Pid, PathBuf)>,
    /// When such sizes were looked at last, or the first sample taken.
    settled: Option<MonotonicNanos>,
}

/// Sizes of complete files are looked at this often: they change nothing any more, and a file may be complete every
/// millisecond.
const SETTLE: Duration = Duration::from_secs(1);

/// A temporary file.
#[derive(Debug)]
struct Writing {
    path: PathBuf,
    /// Its last known size.
    bytes: u64,
}

impl ModuleFiles {
    /// Completes an operation and remembers what later ones need.
    pub(super) fn complete(&mut self, pid: Pid, mut file: File, cwd: Option<&Path>) -> File {
        file.path = absolute(file.path, cwd);
        match file.operation {
            FileOperation::Open => {
                let writes = file.flags & (libc::O_WRONLY | libc::O_RDWR) as u32 != 0;
                if file.result >= 0
                    && writes
                    && let Some(name) = final_name(&file.path)
                    && is_module_file(name)
                {
                    let path = file.path.clone();
                    self.writing
                        .entry(pid)
                        .or_default()
                        .insert(name.into(), Writing { path, bytes: 0 });
                }
            }
            FileOperation::Rename => {
                if is_module_file(&file.path) {
                    self.written(pid, file.path.as_os_str());
                    self.renamed.push((pid, file.path.clone()));
                }
            }
            FileOperation::Unlink => {
                if let Some(name) = final_name(&file.path) {
                    self.written(pid, name.as_os_str());
                }
            }
            FileOperation::LockWait | FileOperation::LockDone => {}
        }
        file
    }

    fn written(&mut self, pid: Pid, name: &OsStr) {
        if let Some(files) = self.writing.get_mut(&pid) {
            files.remove(name);
        }
    }

    /// Forgets a process that has ended, after a last look at the sizes of its files.
    pub(super) fn forget(&mut self, at: MonotonicNanos, pid: Pid, events: &mut Vec<Event>) {
        self.writing.remove(&pid);
        self.settle(at, events);
    }

    /// Looks at the sizes of the files that got their final name since the last time.
    pub(super) fn settle(&mut self, now: MonotonicNanos, events: &mut Vec<Event>) {
        self.settled = Some(now);
        for (pid, path) in self.renamed.drain(..) {
            // One that is gone already had no size worth telling.
            if let Ok(metadata) = fs::metadata(&path) {
                events.push(size(now, pid, path, metadata.len()));
            }
        }
    }

    /// Looks at the sizes of the files being written, and now and then of those that are complete.
    pub(super) fn sample(&mut self, now: MonotonicNanos, events: &mut Vec<Event>) {
        if now.since(*self.settled.get_or_insert(now)) >= SETTLE {
            self.settle(now, events);
        }
        for (pid, files) in &mut self.writing {
            files.retain(|_, Writing { path, bytes }| {
                let Ok(metadata) = fs::metadata(&path) else {
                    return false;
                };
                if metadata.len() != *bytes {
                    *bytes = metadata.len();
                    events.push(size(now, *pid, path.clone(), *bytes));
                }
                true
            });
        }
    }
}

fn is_module_file(name: &Path) -> bool {
    let name = name.as_os_str().as_bytes();
    [".info", ".mod", ".zip"]
        .iter()
        .any(|ending| name.ends_with(ending.as_bytes()))
}

fn size(at: MonotonicNanos, pid: Pid, path: PathBuf, bytes: u64) -> Event {
    Event {
        at,
        pid,
        kind: EventKind::FileSize { path, bytes },
    }
}

/// The path made absolute and cleaned by its words alone: links are not followed. `go` names nearly all in that form.
fn absolute(path: PathBuf, cwd: Option<&Path>) -> PathBuf {
    if path.is_absolute() && is_clean(path.as_os_str().as_bytes()) {
        return path;
    }
    let joined = match cwd {
        Some(cwd) if path.is_relative() => cwd.join(path),
        _ => path,
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

/// Without `//`, `/./` and `/../`.
fn is_clean(path: &[u8]) -> bool {
    let is_end = |at: usize| matches!(path.get(at), None | Some(b'/'));
    !path.iter().enumerate().any(|(at, byte)| {
        *byte == b'/'
            && match path.get(at + 1) {
                Some(b'/') => true,
                Some(b'.') => is_end(at + 2) || (path[at + 2] == b'.' && is_end(at + 3)),
                _ => false,
            }
    })
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
        for (given, expected) in [
            ("../go/./x.zip", "/home/u/go/x.zip"),
            ("x.mod", "/home/u/src/x.mod"),
            ("/a/b.mod", "/a/b.mod"),
            ("/a//b/../c.mod", "/a/c.mod"),
            ("/a/.cache/b.mod", "/a/.cache/b.mod"),
        ] {
            assert_eq!(absolute(given.into(), cwd), Path::new(expected));
        }
    }

    #[test]
    fn a_renamed_file_has_its_final_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("v1.zip");
        fs::write(&path, [0; 10]).unwrap();
        let gone = directory.path().join("v2.zip");
        let mut files = ModuleFiles::default();
        for path in [&path, &gone] {
            let renamed = file(FileOperation::Rename, path.to_str().unwrap(), 0, 0);
            files.complete(Pid(1), renamed, None);
        }
        let mut events = Vec::new();
        files.sample(MonotonicNanos(2), &mut events);
        assert_eq!(events, [], "not at once");
        let later = MonotonicNanos(2) + SETTLE;
        files.sample(later, &mut events);
        files.forget(later + SETTLE, Pid(1), &mut events);
        assert_eq!(events, [size(later, Pid(1), path, 10)]);
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
        files.complete(Pid(1), open, None);
        let mut events = Vec::new();
        files.sample(MonotonicNanos(2), &mut events);
        files.sample(MonotonicNanos(3), &mut events);
        let [event] = events.as_slice() else {
            panic!("one event expected, not {events:?}");
        };
        assert_eq!(event.kind, EventKind::FileSize { path, bytes: 10 });
    }
}
