// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cgroup of one run: a child of ours, in which the command and all its descendants live.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use tokio::io::Interest;

use super::ancestors::{own_pid, start_time};
use super::evacuate::{evacuate, members};
use super::hierarchy::{Hierarchy, unified_path};
use super::watch::watch;
use super::{LaunchError, ancestors};

/// First part of the name of every cgroup of ours.
const PREFIX: &str = "gomod-trace.";

/// A cgroup that exists until [`dismantle`](Self::dismantle), or until it is dropped.
///
/// Its directory is locked by `flock` as long as this process lives, which is how [`sweep`](super::sweep()) knows, from
/// any pid namespace, that a run is not a crashed one. Needs root, or write access to our own cgroup.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    parent: PathBuf,
    membership: Membership,
    directory: File,
    id: u64,
    level: Option<u32>,
    gone: bool,
}

impl Cgroup {
    /// Creates `gomod-trace.<pid>.<start time>` below our own cgroup.
    ///
    /// # Errors
    /// [`LaunchError::Cgroup`], with the remedy.
    pub fn create(hierarchy: &Hierarchy) -> Result<Self, LaunchError> {
        let base = format!(
            "{PREFIX}{}.{}",
            own_pid(),
            start_time(own_pid()).unwrap_or_default()
        );
        for attempt in 0..1000 {
            let name = if attempt == 0 {
                base.clone()
            } else {
                format!("{base}.{attempt}")
            };
            let path = hierarchy.own.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(LaunchError::cgroup("create", path)(error)),
            }
            // A sweep in another pid namespace may have taken it for a dead one before it was locked.
            let Some(directory) = lock(&path).map_err(LaunchError::cgroup("open", &path))? else {
                continue;
            };
            let Ok(found) = fs::metadata(&path) else {
                continue;
            };
            return Ok(Self {
                membership: Membership(format!(
                    "{}/{name}",
                    hierarchy.own_path.trim_end_matches('/')
                )),
                parent: hierarchy.own.clone(),
                path,
                directory,
                id: found.ino(),
                level: hierarchy.own_level.map(|level| level + 1),
                gone: false,
            });
        }
        Err(LaunchError::cgroup("create", hierarchy.own.join(base))(
            io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// The cgroup's id, as `bpf_get_current_cgroup_id` gives it.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Depth in the whole hierarchy, as `bpf_get_current_ancestor_cgroup_id(level)` counts (the root is 0).
    ///
    /// `None` inside a cgroup namespace whose mount does not show the real root: then nobody here can know it, and a
    /// kernel program has to compare [`id`](Self::id) at each level.
    #[must_use]
    pub const fn level(&self) -> Option<u32> {
        self.level
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Processes in it, not counting those in cgroups they made below it.
    ///
    /// # Errors
    /// [`LaunchError::Cgroup`].
    pub fn members(&self) -> Result<Vec<i32>, LaunchError> {
        members(&self.path).map_err(LaunchError::cgroup("read cgroup.procs of", &self.path))
    }

    /// Whether a living process is in it or below it.
    ///
    /// # Errors
    /// [`LaunchError::Cgroup`].
    pub fn populated(&self) -> Result<bool, LaunchError> {
        populated(&self.events()?).map_err(LaunchError::cgroup("read cgroup.events of", &self.path))
    }

    /// Waits until no living process is in it or below it. Needs a tokio runtime; may be cancelled at any time.
    /// Call it after the child was spawned: a new cgroup is empty.
    ///
    /// # Errors
    /// [`LaunchError::Cgroup`].
    pub async fn emptied(&self) -> Result<(), LaunchError> {
        let failed = |error| LaunchError::cgroup("watch cgroup.events of", &self.path)(error);
        // The kernel reports a change of the file as POLLPRI to whoever has read it before.
        let events = watch(self.events()?, Interest::PRIORITY).map_err(failed)?;
        while populated(events.get_ref()).map_err(failed)? {
            events
                .ready(Interest::PRIORITY)
                .await
                .map_err(failed)?
                .clear_ready();
        }
        Ok(())
    }

    /// Moves those who still live to the cgroup they would have been in without us, and removes it with all cgroups
    /// made inside. Nobody is killed. Returns how many were moved.
    ///
    /// # Errors
    /// [`LaunchError::Cgroup`]; the next run's [`sweep`](super::sweep()) tries again.
    pub fn dismantle(mut self) -> Result<usize, LaunchError> {
        self.gone = true;
        evacuate(&self.path, &self.parent)
    }

    /// For a child that was born outside: it joins by writing `0` there.
    pub(super) fn open_procs(&self) -> Result<File, LaunchError> {
        let procs = self.path.join("cgroup.procs");
        OpenOptions::new()
            .write(true)
            .open(&procs)
            .map_err(LaunchError::cgroup("open", procs))
    }

    pub(super) fn membership(&self) -> Membership {
        self.membership.clone()
    }

    fn events(&self) -> Result<File, LaunchError> {
        let path = self.path.join("cgroup.events");
        File::open(&path).map_err(LaunchError::cgroup("open", path))
    }
}

impl AsFd for Cgroup {
    /// The directory, to which programs are attached.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if !self.gone {
            // On the way out of an error: a failure is mended by the next run's sweep.
            let _ = evacuate(&self.path, &self.parent);
        }
    }
}

/// Tells whether a process lives in the cgroup or below it.
#[derive(Clone, Debug)]
pub(super) struct Membership(String);

impl Membership {
    pub(super) fn contains(&self, pid: i32) -> bool {
        ancestors::read(pid, "cgroup")
            .ok()
            .and_then(|text| unified_path(&text))
            .and_then(|path| {
                path.strip_prefix(&self.0)
                    .map(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .unwrap_or(false)
    }
}

/// Opens and locks a cgroup directory; `None` if another process holds the lock or it is gone.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let directory = match OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY)
        .open(path)
    {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(directory)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a directory name is one of ours, and the process it names no longer lives (here, at least).
pub(super) fn names_a_dead_run(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    let mut numbers = rest.split('.').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(began))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    numbers.all(|number| number.is_ok())
        && i32::try_from(pid).is_ok_and(|pid| start_time(pid) != Some(began))
}

fn populated(events: &File) -> io::Result<bool> {
    let mut text = [0; 256];
    match events.read_at(&mut text, 0) {
        Ok(length) => Ok(text[..length]
            .split(|byte| *byte == b'\n')
            .any(|line| line == b"populated 1")),
        // Removed by somebody else: so it was empty.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_dead_runs_are_swept() {
        let began = start_time(own_pid()).unwrap();
        assert!(!names_a_dead_run(&format!("{PREFIX}{}.{began}", own_pid())));
        assert!(!names_a_dead_run(&format!(
            "{PREFIX}{}.{began}.1",
            own_pid()
        )));
        assert!(names_a_dead_run(&format!(
            "{PREFIX}{}.{}",
            own_pid(),
            began + 1
        )));
        assert!(names_a_dead_run("gomod-trace.2147483647.5"));
        for foreign in [
            "gomod-trace.service",
            "gomod-trace.",
            "gomod-trace.1",
            "gomod-trace.7.x",
            "user.slice",
        ] {
            assert!(!names_a_dead_run(foreign), "{foreign}");
        }
    }
}
