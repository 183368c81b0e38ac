// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which locks of a module cache are held at this moment, and by whom.
//!
//! `/proc/locks` names the locked files by their inodes. Directory entries name inodes too, so that no file has to be
//! looked at: a cache of ten thousand modules is walked in some 100 ms, and only if anything on its file system is
//! locked at all.

use std::{
    fs, io,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    events::Pid,
    locks::{self, Lock},
};

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// The lock file.
    pub path: PathBuf,
    /// Who took it.
    pub holder: Pid,
    /// Its command line, words joined by spaces; empty if unknown.
    pub command: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldLocks {
    /// In no particular order.
    pub locks: Vec<HeldLock>,
    /// False if time ran out before all directories were looked into.
    pub complete: bool,
}

/// Looks for locks below `directory`; a directory that does not exist has none.
pub fn held_locks(directory: &Path, patience: Duration) -> io::Result<HeldLocks> {
    let device = match fs::metadata(directory) {
        Ok(metadata) => metadata.dev(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(HeldLocks {
                locks: Vec::new(),
                complete: true,
            });
        }
        Err(error) => return Err(error),
    };
    let mut wanted: Vec<Lock> = locks::held()?
        .into_iter()
        .filter(|lock| lock.is_on(device))
        .collect();
    let began = Instant::now();
    let mut found = HeldLocks {
        locks: Vec::new(),
        complete: true,
    };
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        if wanted.is_empty() {
            break;
        }
        if began.elapsed() > patience {
            found.complete = false;
            break;
        }
        // One that was removed meanwhile, or may not be read, holds nothing that we could name.
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                directories.push(entry.path());
            } else if is_lock(&entry.path())
                && let Some(place) = wanted.iter().position(|lock| lock.inode == entry.ino())
            {
                let lock = wanted.swap_remove(place);
                found.locks.push(HeldLock {
                    path: entry.path(),
                    holder: lock.holder,
                    command: locks::command_line(lock.holder),
                });
            }
        }
    }
    Ok(found)
}

fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "lock") || path.ends_with("cache/lock")
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FlockOperation, flock};

    use super::*;

    #[test]
    fn a_held_lock_is_found_below_and_one_let_go_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("cache/download/example.com/a/@v");
        fs::create_dir_all(&below).unwrap();
        let [held, free, other] =
            ["v1.0.0.lock", "v1.1.0.lock", "v1.0.0.zip"].map(|name| below.join(name));
        let files = [&held, &free, &other].map(|path| fs::File::create(path).unwrap());
        let search = || held_locks(directory.path(), Duration::from_secs(60)).unwrap();
        assert_eq!(search().locks, []);
        flock(&files[0], FlockOperation::LockExclusive).unwrap();
        flock(&files[2], FlockOperation::LockExclusive).unwrap();
        let found = search();
        assert!(found.complete);
        let [lock] = found.locks.as_slice() else {
            panic!("not one lock: {found:?}");
        };
        assert_eq!(lock.path, held);
        assert_eq!(lock.holder, Pid(std::process::id()));
        assert!(!lock.command.is_empty());
        flock(&files[0], FlockOperation::Unlock).unwrap();
        assert_eq!(search().locks, []);
    }

    #[test]
    fn a_cache_that_is_not_there_has_no_locks() {
        let found = held_locks(Path::new("/nonexistent/cache"), Duration::ZERO).unwrap();
        assert!(found.locks.is_empty() && found.complete);
    }
}
