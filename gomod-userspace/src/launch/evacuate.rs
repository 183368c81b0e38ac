// SPDX-License-Identifier: MIT OR Apache-2.0
//! Emptying and removing a cgroup without killing anybody.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::LaunchError;

/// Processes fork while they are moved, and the dying stay members for a moment: how often to try again.
const ROUNDS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// Moves every process below `directory` to `target`, and removes `directory` with all cgroups made inside it.
/// One that is gone already counts as removed. Returns how many processes were moved.
pub(super) fn evacuate(directory: &Path, target: &Path) -> Result<usize, LaunchError> {
    let mut moved = 0;
    let mut busy = None;
    for round in 0..ROUNDS {
        if round > 0 {
            thread::sleep(PAUSE);
        }
        moved += move_members(directory, target)?;
        for child in children(directory) {
            moved += evacuate(&child, target)?;
        }
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(moved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(moved),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => busy = Some(error),
            Err(error) => return Err(LaunchError::cgroup("remove", directory)(error)),
        }
    }
    let error = busy.unwrap_or_else(|| io::ErrorKind::TimedOut.into());
    Err(LaunchError::cgroup("empty and remove", directory)(error))
}

/// Cgroups directly below this one.
pub(super) fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Process ids in the cgroup itself, not below it; 0 is a process this pid namespace can't name.
pub(super) fn members(directory: &Path) -> io::Result<Vec<i32>> {
    match fs::read_to_string(directory.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        // A threaded cgroup: its processes are listed by the domain cgroup above it.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Vec::new()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

fn move_members(directory: &Path, target: &Path) -> Result<usize, LaunchError> {
    let procs = target.join("cgroup.procs");
    let pids =
        members(directory).map_err(LaunchError::cgroup("read cgroup.procs of", directory))?;
    let mut moved = 0;
    for pid in pids {
        match fs::write(&procs, pid.to_string()) {
            Ok(()) => moved += 1,
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => return Err(LaunchError::cgroup("move a process to", procs)(error)),
        }
    }
    Ok(moved)
}
