// SPDX-License-Identifier: MIT OR Apache-2.0
//! Resource limits that are ours alone: the command gets its caller's.
//!
//! - Open files (`ulimit -n`) go up to what is allowed. The usual soft limit of 1024 is for programs that call select(2),
//!   which can't see more. We hold two sockets for each connection that is carried, and must not run out where the command
//!   alone would not.
//! - Core dumps are not made: the key of the run's authority would be in them.

use std::io;
use std::sync::OnceLock;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Limits as this process got them, once they were changed.
static OPEN_FILES: OnceLock<Rlimit> = OnceLock::new();
static CORE: OnceLock<Rlimit> = OnceLock::new();

/// Too small for any core dump to be written to a file. Programs that the kernel pipes them to (`core_pattern`) know no
/// limits, except that this very number stands for "none" (`do_coredump` of the kernel).
const NO_CORE: u64 = 1;

/// Raises this process's soft limit of open files to the hard one, and returns what holds now (`None`: unlimited).
/// Commands started later by [`Child::spawn`](super::Child::spawn) get the limit from before. Where the kernel
/// refuses, the limit stays as it is.
pub fn raise_descriptor_limit() -> Option<u64> {
    let before = *OPEN_FILES.get_or_init(|| getrlimit(Resource::Nofile));
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        },
    );
    getrlimit(Resource::Nofile).current
}

/// Keeps this process out of core dumps, and out of reach of debuggers without privileges, from here to its end. Commands
/// started later by [`Child::spawn`](super::Child::spawn) get the limit from before.
///
/// # Errors
/// The kernel's, which is not expected.
pub fn forbid_core_dumps() -> io::Result<()> {
    let before = *CORE.get_or_init(|| getrlimit(Resource::Core));
    // A hard limit of 0 can't be raised by everybody: it holds for files just as well.
    let maximum = before.maximum.map(|maximum| maximum.max(NO_CORE));
    let ours = Rlimit {
        current: Some(NO_CORE),
        maximum,
    };
    setrlimit(Resource::Core, ours).or_else(|_| {
        let current = Some(0);
        setrlimit(Resource::Core, Rlimit { current, ..before })
    })?;
    // Alone it would not do: each change of a thread's identity sets it anew, by the system's `fs.suid_dumpable`.
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// A resource as the C library numbers it, and a limit of it.
pub(super) type Limit = (libc::__rlimit_resource_t, libc::rlimit);

/// What a command must get instead of ours.
pub(super) fn for_child() -> [Option<Limit>; 2] {
    let raw = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
    [
        (libc::RLIMIT_NOFILE, &OPEN_FILES),
        (libc::RLIMIT_CORE, &CORE),
    ]
    .map(|(resource, callers)| {
        let callers = callers.get()?;
        let limit = libc::rlimit {
            rlim_cur: raw(callers.current),
            rlim_max: raw(callers.maximum),
        };
        Some((resource, limit))
    })
}
