// SPDX-License-Identifier: MIT OR Apache-2.0
//! Setting the overlay up in the new process, between fork and exec: system calls on what was prepared, no more.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, fchmod, fstat, mkdir, open};
use rustix::io::{Errno, write};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{OverlayError, OverlayStep, TrustOverlay};

/// Covered by our tmpfs for a moment, in a namespace where this process is still alone: it exists wherever we run, as
/// much of what we know comes from there.
const SCRATCH: &CStr = c"/proc";
const SCRATCH_DIRECTORY: &CStr = c"/proc/trust";
const SCRATCH_FILE: &CStr = c"/proc/trust/gomod-trace.pem";

/// The step that failed, as it goes through a pipe.
#[derive(Clone, Copy, Debug)]
pub(in crate::launch) struct Refusal {
    pub(in crate::launch) step: OverlayStep,
    pub(in crate::launch) errno: i32,
}

/// Names the step of an error.
trait During<T> {
    fn during(self, step: OverlayStep) -> Result<T, Refusal>;
}

impl<T> During<T> for rustix::io::Result<T> {
    fn during(self, step: OverlayStep) -> Result<T, Refusal> {
        self.map_err(|errno| Refusal {
            step,
            errno: errno.raw_os_error(),
        })
    }
}

impl TrustOverlay {
    /// Moves this process to a mount namespace with the overlay in it. Needs `CAP_SYS_ADMIN`, Linux 5.2.
    ///
    /// For the time between fork and exec: system calls only, nothing is allocated. After an error the process is
    /// in between and has to end.
    #[expect(
        unsafe_code,
        reason = "unshare is unsafe for the sake of other flags than the one used"
    )]
    pub(in crate::launch) fn apply(&self) -> Result<(), Refusal> {
        // SAFETY: of the flags, only CLONE_FILES breaks what Rust relies on (descriptors of other threads).
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.during(OverlayStep::Unshare)?;
        // What the host mounts still arrives here, what we mount goes nowhere.
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount_change(c"/", slave).during(OverlayStep::Propagation)?;
        let target = self.open_target()?;

        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(c"gomod-trace", SCRATCH, c"tmpfs", flags, c"mode=0755")
            .during(OverlayStep::Scratch)?;
        self.write_scratch().during(OverlayStep::Write)?;
        // A copy of a mount is as read-only as its original.
        let read_only = flags | MountFlags::BIND | MountFlags::RDONLY;
        mount_remount(SCRATCH, read_only, c"").during(OverlayStep::ReadOnly)?;
        let cover = if self.into_directory {
            SCRATCH_DIRECTORY
        } else {
            SCRATCH_FILE
        };
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let cover = open_tree(CWD, cover, clone).during(OverlayStep::Clone)?;
        // On what was opened, not on a path, which its owner might have pointed elsewhere meanwhile.
        let onto =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&cover, c"", &target, c"", onto).during(OverlayStep::Cover)?;
        unmount(SCRATCH, UnmountFlags::DETACH).during(OverlayStep::Detach)
    }

    /// Opened here and not before: what was opened before belongs to the host's mounts.
    fn open_target(&self) -> Result<OwnedFd, Refusal> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target =
            open(self.target_c.as_c_str(), flags, Mode::empty()).during(OverlayStep::Open)?;
        let found = fstat(&target).during(OverlayStep::Recognize)?;
        if (found.st_dev, found.st_ino) == (self.target.device, self.target.inode) {
            Ok(target)
        } else {
            Err(Errno::STALE).during(OverlayStep::Recognize)
        }
    }

    fn write_scratch(&self) -> rustix::io::Result<()> {
        mkdir(SCRATCH_DIRECTORY, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = open(SCRATCH_FILE, flags, Mode::from_raw_mode(0o444))?;
        let mut rest = self.content.as_slice();
        while !rest.is_empty() {
            match write(&file, rest) {
                Ok(0) => return Err(Errno::NOSPC),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        // Our umask may have taken the right to read from the user.
        fchmod(&file, Mode::from_raw_mode(0o444))?;
        rustix::fs::chmod(SCRATCH_DIRECTORY, Mode::from_raw_mode(0o755))
    }

    /// The error of a refusal.
    pub(in crate::launch) fn refused(&self, refusal: Refusal) -> OverlayError {
        OverlayError::Refused {
            target: PathBuf::from(self.target()),
            step: refusal.step,
            source: io::Error::from_raw_os_error(refusal.errno),
        }
    }
}
