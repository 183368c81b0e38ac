// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading files with the rights of the user who called us.

use std::io;
use std::panic::resume_unwind;
use std::thread;

use nix::unistd::{setfsgid, setfsuid};
use rustix::process::Gid;
use rustix::thread::{CapabilitySet, capabilities, set_thread_groups};

use super::super::{Invoker, Source};
use super::OverlayError;

/// Does `work` on a thread that has the invoker's file system identity and ends afterwards, so that nothing has to be
/// undone. Only that identity changes: the user gains no right to signal or trace us.
pub(super) fn with_rights_of<T: Send>(
    invoker: &Invoker,
    work: impl FnOnce() -> T + Send,
) -> Result<T, OverlayError> {
    if matches!(invoker.source, Source::Plain) {
        return Ok(work());
    }
    let (uid, gid) = (invoker.uid, invoker.gid);
    let groups: Vec<_> = invoker.groups.iter().copied().map(Gid::from_raw).collect();
    let failed = |source| OverlayError::Identity { uid, source };
    thread::scope(|scope| {
        thread::Builder::new()
            .spawn_scoped(scope, move || {
                // Both calls are of the thread alone.
                set_thread_groups(&groups)?;
                take_identity(uid, gid)?;
                Ok(work())
            })
            .map_err(failed)?
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
            .map_err(failed)
    })
}

fn take_identity(uid: u32, gid: u32) -> io::Result<()> {
    setfsgid(gid.into());
    setfsuid(uid.into());
    // These two report no error: each answers with the identity before it, so asking again tells.
    let gained = setfsgid(gid.into()).as_raw() == gid && setfsuid(uid.into()).as_raw() == uid;
    // The kernel takes these with root's identity, unless the process was told otherwise (securebits).
    let beyond = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    if !gained || (uid != 0 && capabilities(None)?.effective.intersects(beyond)) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}
