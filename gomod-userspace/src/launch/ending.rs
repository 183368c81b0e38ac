// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the child ended, and ending in the same way.

use std::fmt;
use std::process::exit;

use rustix::process::{DumpableBehavior, Resource, Rlimit, WaitIdStatus};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By `exit`, with this code (0–255).
    Exited(i32),
    /// By a signal.
    Signaled {
        /// Its number.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
}

impl Ending {
    pub(super) fn from_status(status: &WaitIdStatus) -> Option<Self> {
        if let Some(code) = status.exit_status() {
            return Some(Self::Exited(code));
        }
        // For an ending by a signal, waitid(2) puts the number where an exit code would be.
        (status.killed() || status.dumped()).then(|| Self::Signaled {
            signal: status.terminating_signal().unwrap_or(libc::SIGKILL),
            core: status.dumped(),
        })
    }

    /// The code a shell shows for it: a signal counts as 128 and its number.
    #[must_use]
    pub const fn shell_code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled { signal, .. } => 128 + signal,
        }
    }

    /// Ends this process in the same way, so that the caller's shell sees what it would have seen without us: the same
    /// exit code, or death of the same signal (without a second core dump). Nothing is dropped: dismantle first.
    pub fn pass_on(self) -> ! {
        if let Self::Signaled { signal, .. } = self {
            die_of(signal);
        }
        exit(self.shell_code())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled { signal, core } => {
                match nix::sys::signal::Signal::try_from(*signal) {
                    Ok(known) => write!(f, "killed by {known}")?,
                    Err(_) => write!(f, "killed by signal {signal}")?,
                }
                f.write_str(if *core { " (core dumped)" } else { "" })
            }
        }
    }
}

/// Returns only if the signal does not kill.
#[expect(
    unsafe_code,
    reason = "real-time signals exist only as numbers, which the safe wrappers refuse"
)]
fn die_of(signal: i32) {
    // The child's core is the one to look at. A core_pattern with a pipe disregards the limit, not the attribute.
    let _ = rustix::process::setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // SAFETY: the disposition becomes the default, no handler of ours is involved; the set is initialized by
    // `sigemptyset` before it is read; `raise` takes any number.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_read_as_a_shell_user_expects() {
        assert_eq!(Ending::Exited(3).shell_code(), 3);
        let killed = Ending::Signaled {
            signal: libc::SIGSEGV,
            core: true,
        };
        assert_eq!(killed.shell_code(), 139);
        assert_eq!(killed.to_string(), "killed by SIGSEGV (core dumped)");
    }
}
