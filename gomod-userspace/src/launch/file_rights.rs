// SPDX-License-Identifier: MIT OR Apache-2.0
//! Touching files as the caller would, although we are root: what the caller may not read or write by name, we must
//! not read or write in the caller's name, and no link that somebody else put in the way may make us.

use std::io;
use std::thread;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::invoker::Source;
use super::{Invoker, LaunchError};

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
