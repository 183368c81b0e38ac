// SPDX-License-Identifier: MIT OR Apache-2.0
//! Touching files as the caller would, although we are root: what the caller may not read or write by name, we must
//! not read or write in the caller's name, and no link that somebody else put in the way may make us.

use std::io;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::invoker::Source;
use super::{Duty, Invoker, LaunchError, drop_privileges};

impl Invoker {
    /// Runs `work` with the caller's rights on files and directories: the kernel checks each path as for the caller, and
    /// files made belong to the caller. Descriptors that are open already work as before.
    ///
    /// It runs on a thread of its own, as these rights belong to a thread (setfsuid(2), credentials(7)). Started as plain
    /// root, it simply runs.
    ///
    /// # Errors
    /// [`LaunchError::System`] without `CAP_SETUID` and `CAP_SETGID`; `work` is not run then.
    pub fn with_file_rights<T: Send>(
        &self,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, LaunchError> {
        if matches!(self.source, Source::Plain) {
            return Ok(work());
        }
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.take_file_rights().map_err(LaunchError::system(
                        "setfsuid",
                        "writing files as the caller needs CAP_SETUID and CAP_SETGID",
                    ))?;
                    Ok(work())
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread that runs `work` with the caller's rights on files, for as long as that takes. Unlike
    /// [`Self::with_file_rights`], its files are never writable by others, whatever the umask, and it has no capabilities
    /// but those that a caller who is root needs to write files.
    ///
    /// # Errors
    /// [`LaunchError::System`] without the right to do so; `work` is not run then.
    pub fn spawn_with_file_rights(
        &self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), LaunchError> {
        let invoker = self.clone();
        let (sender, taken) = std::sync::mpsc::sync_channel(1);
        let run = move || {
            let ready = invoker.become_file_thread();
            let goes_on = ready.is_ok();
            let _ = sender.send(ready);
            if goes_on {
                work();
            }
        };
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        spawned
            .map_err(LaunchError::system(
                "clone",
                "the process has too many threads",
            ))
            .and_then(|_| {
                taken
                    .recv()
                    .unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
                    .map_err(LaunchError::system(
                        "setfsuid",
                        "writing files as the caller needs CAP_SETUID and CAP_SETGID",
                    ))
            })
    }

    fn become_file_thread(&self) -> io::Result<()> {
        let duty = if matches!(self.source, Source::Plain) {
            Duty::Files
        } else {
            self.take_file_rights()?;
            Duty::Plain
        };
        // No such thread looks into a map, whatever the kernel asks for that. A sandbox may forbid to give anything up; what
        // the thread can do, it can do with the caller's rights alone, or the caller is root.
        if let Err(error) = drop_privileges(duty, (u32::MAX, 0)) {
            tracing::info!(%error, "a thread of the store keeps its capabilities");
        }
        // The umask is shared by all threads until one asks for its own (unshare(2), CLONE_FS). A sandbox may forbid that;
        // the umask is the process's then.
        if unshare(CloneFlags::CLONE_FS).is_ok() {
            let others = Mode::S_IWGRP | Mode::S_IWOTH;
            let of_caller = Mode::from_bits_truncate(self.umask.unwrap_or(0));
            let before = umask(others);
            umask(before | others | of_caller);
        }
        Ok(())
    }

    /// For the calling thread alone. The user comes last: leaving root also gives up `CAP_DAC_OVERRIDE` and its like
    /// (capabilities(7), "Effect of user ID changes on capabilities").
    fn take_file_rights(&self) -> io::Result<()> {
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|group| rustix::process::Gid::from_raw(*group))
            .collect();
        rustix::thread::set_thread_groups(&groups)?;
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        setfsgid(gid);
        setfsuid(uid);
        // Both only answer what was before, so they are asked again, with an id that nobody has.
        let now = (
            setfsuid(Uid::from_raw(u32::MAX)),
            setfsgid(Gid::from_raw(u32::MAX)),
        );
        if now == (uid, gid) {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}
