// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many files and sockets may be open at once (`ulimit -n`): ours goes up to what is allowed, the command's stays.
//!
//! The usual soft limit of 1024 is for programs that call select(2), which can't see more. We hold two sockets for
//! each connection that is carried, and must not run out where the command alone would not.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit as this process got it, once it was raised.
static CALLERS: OnceLock<Rlimit> = OnceLock::new();

/// Raises this process's soft limit of open files to the hard one, and returns what holds now (`None`: unlimited).
/// Commands started later by [`Child::spawn`](super::Child::spawn) get the limit from before. Where the kernel
/// refuses, the limit stays as it is.
pub fn raise_descriptor_limit() -> Option<u64> {
    let before = *CALLERS.get_or_init(|| getrlimit(Resource::Nofile));
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        },
    );
    getrlimit(Resource::Nofile).current
}

/// What a command must get instead of ours; `None` if ours is the caller's.
pub(super) fn for_child() -> Option<libc::rlimit> {
    let raw = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
    CALLERS.get().map(|callers| libc::rlimit {
        rlim_cur: raw(callers.current),
        rlim_max: raw(callers.maximum),
    })
}
