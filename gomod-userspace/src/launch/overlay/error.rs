// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the command can't be made to trust our certificate. It can always be started without.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A step of the new process on the way to its overlay, in the order they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum OverlayStep {
    /// `unshare(CLONE_NEWNS)`.
    Unshare,
    /// `mount(MS_REC|MS_SLAVE)` on `/`.
    Propagation,
    /// `open(O_PATH)` of what is to be covered.
    Open,
    /// `fstat` of it; ESTALE if it is not what was read before.
    Recognize,
    /// `mount` of a tmpfs.
    Scratch,
    /// `mkdir`, `open`, `write` and `chmod` in the tmpfs.
    Write,
    /// `mount(MS_REMOUNT|MS_RDONLY)`.
    ReadOnly,
    /// `open_tree(OPEN_TREE_CLONE)`.
    Clone,
    /// `move_mount`.
    Cover,
    /// `umount2(MNT_DETACH)` of the tmpfs.
    Detach,
}

impl OverlayStep {
    const ALL: [Self; 10] = [
        Self::Unshare,
        Self::Propagation,
        Self::Open,
        Self::Recognize,
        Self::Scratch,
        Self::Write,
        Self::ReadOnly,
        Self::Clone,
        Self::Cover,
        Self::Detach,
    ];

    pub(in crate::launch) fn from_raw(raw: u32) -> Self {
        Self::ALL
            .into_iter()
            .find(|step| *step as u32 == raw)
            .unwrap_or(Self::Detach)
    }
}

impl fmt::Display for OverlayStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unshare => {
                "unshare(CLONE_NEWNS) (needs CAP_SYS_ADMIN; in a container: --privileged)"
            }
            Self::Propagation => {
                "mount(MS_SLAVE) on / (the root directory must be a mount point, not a chroot)"
            }
            Self::Open => "open",
            Self::Recognize => "fstat (it was replaced since it was read: run the command again)",
            Self::Scratch => "mount of a tmpfs (needs CAP_SYS_ADMIN; in a container: --privileged)",
            Self::Write => "write to a tmpfs",
            Self::ReadOnly => "mount(MS_REMOUNT|MS_RDONLY)",
            Self::Clone => "open_tree (needs Linux 5.2, and a seccomp filter that allows it)",
            Self::Cover => "move_mount (needs Linux 5.2, and a seccomp filter that allows it)",
            Self::Detach => "umount2",
        })
    }
}

/// Why there is no overlay.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// What should be added is no certificate in PEM.
    #[error("what the command should trust is not a certificate in PEM form")]
    NotACertificate,
    /// The command reads no certificate at all, nor from anywhere one could be put.
    #[error(
        "the command finds no certificate authorities, so there is no file to add one to (looked at: {}); install the ca-certificates package, or set SSL_CERT_FILE to a PEM file",
        list(looked_at)
    )]
    NoPlace {
        /// Files, then directories.
        looked_at: Vec<PathBuf>,
    },
    /// The caller's rights could not be taken on to read the files.
    #[error(
        "cannot read certificate files with the rights of uid {uid}: {source}; needs CAP_SETUID and CAP_SETGID"
    )]
    Identity {
        /// The caller.
        uid: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// The new process could not set it up.
    #[error("cannot cover {} for the command alone: {step}: {source}", target.display())]
    Refused {
        /// What was to be covered.
        target: PathBuf,
        /// What failed.
        step: OverlayStep,
        /// The system's answer.
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_the_pipe() {
        for step in OverlayStep::ALL {
            assert_eq!(OverlayStep::from_raw(step as u32), step);
        }
    }
}
