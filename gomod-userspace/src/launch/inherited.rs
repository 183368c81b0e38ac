// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signal mask and dispositions as this process got them from its parent.
//!
//! They have to be noted before `main`: Rust's runtime ignores SIGPIPE, and we block what we forward; the child must
//! get neither.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static CAPTURED: AtomicBool = AtomicBool::new(false);
static IGNORED: AtomicU64 = AtomicU64::new(0);
static BLOCKED: AtomicU64 = AtomicU64::new(0);

/// Linux has signals 1 to 64.
pub(super) const LAST_SIGNAL: i32 = 64;

/// What an exec hands on: which signals are ignored and which are blocked; bit n-1 is signal n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InheritedSignals {
    ignored: u64,
    blocked: u64,
}

impl InheritedSignals {
    /// As they were when this process began.
    #[must_use]
    pub fn at_start() -> Self {
        if !CAPTURED.load(Ordering::Acquire) {
            // Linked in a way that runs no initializers: the present state is the best that is known.
            note();
        }
        Self {
            ignored: IGNORED.load(Ordering::Relaxed),
            blocked: BLOCKED.load(Ordering::Relaxed),
        }
    }

    /// Whether our parent had us ignore this signal, as `nohup` and background jobs of scripts do.
    #[must_use]
    pub const fn is_ignored(self, signal: i32) -> bool {
        contains(self.ignored, signal)
    }

    /// Whether our parent had this signal blocked.
    #[must_use]
    pub const fn is_blocked(self, signal: i32) -> bool {
        contains(self.blocked, signal)
    }
}

const fn contains(set: u64, signal: i32) -> bool {
    signal >= 1 && signal <= LAST_SIGNAL && set & (1 << (signal - 1)) != 0
}

#[used]
#[expect(
    unsafe_code,
    reason = "nothing else runs before Rust's runtime changes SIGPIPE"
)]
// SAFETY: the section holds pointers to functions that the C runtime calls once, before `main`, on the only thread;
// `note` allocates nothing and uses nothing that the runtime has to set up.
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

#[expect(unsafe_code, reason = "the std library can't ask for dispositions")]
extern "C" fn note() {
    let mut ignored = 0;
    let mut blocked = 0;
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: zeroed bytes are a valid `sigaction`, the call only writes to it, and asks without changing.
        let handler = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            (libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0)
                .then_some(action.sa_sigaction)
        };
        if handler == Some(libc::SIG_IGN) {
            ignored |= 1 << (signal - 1);
        }
    }
    // SAFETY: as above; `sigismember` only reads the set just written.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        if libc::sigprocmask(libc::SIG_SETMASK, std::ptr::null(), &raw mut set) == 0 {
            for signal in 1..=LAST_SIGNAL {
                if libc::sigismember(&raw const set, signal) == 1 {
                    blocked |= 1 << (signal - 1);
                }
            }
        }
    }
    IGNORED.store(ignored, Ordering::Relaxed);
    BLOCKED.store(blocked, Ordering::Relaxed);
    CAPTURED.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_was_noted_before_main() {
        assert!(CAPTURED.load(Ordering::Acquire));
        // Nobody can ignore or block SIGKILL.
        assert!(!InheritedSignals::at_start().is_ignored(libc::SIGKILL));
        assert!(!InheritedSignals::at_start().is_blocked(libc::SIGKILL));
    }

    #[test]
    fn sets_hold_the_first_and_the_last_signal_and_no_other() {
        assert!(contains(1, 1) && contains(1 << 63, LAST_SIGNAL));
        assert!(!contains(u64::MAX, 0) && !contains(u64::MAX, 65));
    }
}
