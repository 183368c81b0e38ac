// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong before the child runs, each with its remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::OverlayError;

/// A step of the new process between fork and exec, in the order they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Writing itself to `cgroup.procs`.
    JoinCgroup,
    /// Setting up the [`TrustOverlay`](super::TrustOverlay).
    Trust,
    /// `setgroups(2)`.
    Groups,
    /// `setresgid(2)`.
    Gid,
    /// `setresuid(2)`.
    Uid,
    /// `sigaction(2)` and `sigprocmask(2)`.
    Signals,
    /// `execve(2)`.
    Exec,
}

impl Step {
    pub(super) fn from_raw(raw: u32) -> Self {
        [
            Self::JoinCgroup,
            Self::Trust,
            Self::Groups,
            Self::Gid,
            Self::Uid,
            Self::Signals,
        ]
        .into_iter()
        .find(|step| *step as u32 == raw)
        .unwrap_or(Self::Exec)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JoinCgroup => "join its cgroup (write to cgroup.procs)",
            Self::Trust => "be given a trusted certificate",
            Self::Groups => "take the caller's supplementary groups (setgroups needs CAP_SETGID)",
            Self::Gid => "take the caller's group (setresgid needs CAP_SETGID)",
            Self::Uid => "take the caller's identity (setresuid needs CAP_SETUID)",
            Self::Signals => "restore the inherited signals (sigaction)",
            Self::Exec => "execute the command (execve)",
        })
    }
}

/// Why the child could not be run, or could not be watched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A `/proc` file of this process or of an ancestor can't be read.
    #[error(
        "cannot read /proc/{pid}/{file}: {source}; the caller's environment is read there, which needs root with CAP_SYS_PTRACE (in a container: --cap-add SYS_PTRACE or --privileged)"
    )]
    Proc {
        /// The process, as this pid namespace numbers it.
        pid: i32,
        /// File below `/proc/PID`.
        file: &'static str,
        /// The error of open or read.
        source: io::Error,
    },
    /// A sudo process is our ancestor, but who called it can't be known.
    #[error(
        "started by sudo (pid {pid}), but neither SUDO_UID and SUDO_GID nor a parent process say who called it; call `sudo gomod-trace …` directly"
    )]
    UnknownCaller {
        /// The outermost sudo.
        pid: i32,
    },
    /// The group database could not answer.
    #[error(
        "cannot look up the groups of uid {uid}: {source}; check `getent passwd {uid}` and /etc/nsswitch.conf"
    )]
    Groups {
        /// The user whose groups were asked for.
        uid: u32,
        /// The error of getpwuid or getgrouplist.
        source: io::Error,
    },
    /// No cgroup v2 hierarchy is mounted.
    #[error(
        "no cgroup v2 hierarchy is mounted; gomod-trace attaches its programs to one: mount it by `mount --mkdir -t cgroup2 none /sys/fs/cgroup/unified`"
    )]
    NoCgroup2,
    /// cgroup v2 is mounted, but our own cgroup can't be found below any mount.
    #[error(
        "our own cgroup {path} is not visible under any cgroup v2 mount; in a container, start it with `--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw` or `--privileged`"
    )]
    CgroupNotVisible {
        /// What `/proc/self/cgroup` says.
        path: String,
    },
    /// Every cgroup v2 mount that shows our cgroup is read-only.
    #[error(
        "{mount} is mounted read-only, so no cgroup can be made for the command; in a container, start it with `--privileged`, or with `--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw`"
    )]
    CgroupReadOnly {
        /// The mount point.
        mount: PathBuf,
    },
    /// A file operation in cgroupfs failed.
    #[error("cannot {action} {path}: {source}; {}", cgroup_remedy(source))]
    Cgroup {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The command does not exist.
    #[error("{command}: not found ({detail})")]
    NotFound {
        /// As the user wrote it.
        command: String,
        /// Where it was looked for.
        detail: String,
    },
    /// The command exists, but can't be executed.
    #[error("{path}: cannot be executed ({detail})")]
    NotExecutable {
        /// The file found.
        path: String,
        /// Why not.
        detail: String,
    },
    /// No command at all, or an argument that can't be passed to a program.
    #[error("{0}")]
    BadCommand(&'static str),
    /// The command can't be made to trust our certificate; it can be started without.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// A step between fork and exec failed.
    #[error("the new process could not {step}: {source}")]
    Step {
        /// Which one.
        step: Step,
        /// The system's answer.
        source: io::Error,
    },
    /// A system call of our own failed.
    #[error("{call} failed: {source}; {remedy}")]
    System {
        /// The call.
        call: &'static str,
        /// The system's answer.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
}

impl LaunchError {
    /// The exit code a shell user expects: 127 not found, 126 found but not executable, 125 an error of our own.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            _ => 125,
        }
    }

    pub(super) fn cgroup(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Cgroup {
            action,
            path: path.into(),
            source,
        }
    }

    pub(super) fn system(
        call: &'static str,
        remedy: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System {
            call,
            source,
            remedy,
        }
    }
}

fn cgroup_remedy(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            "run as root (`sudo gomod-trace …`); in a container, with `--privileged`"
        }
        Some(libc::EROFS) => {
            "the mount is read-only: in a container, use `--privileged` or `--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw`"
        }
        Some(libc::EAGAIN) => {
            "a limit is reached: raise cgroup.max.descendants of the cgroups above"
        }
        Some(libc::EBUSY) => {
            "the target distributes controllers to its children and may hold no process itself: see cgroup.subtree_control there"
        }
        Some(libc::EOPNOTSUPP) => {
            "our own cgroup is threaded (see cgroup.type): start from a domain cgroup"
        }
        _ => "see cgroups(7)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_the_pipe() {
        for step in [
            Step::JoinCgroup,
            Step::Trust,
            Step::Groups,
            Step::Gid,
            Step::Uid,
            Step::Signals,
            Step::Exec,
        ] {
            assert_eq!(Step::from_raw(step as u32), step);
        }
    }
}
