// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the caches of a `go` process lie.

use crate::kernel::events::{Caches, MonotonicNanos, Pid};

/// Cache directories of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachesSeen {
    /// Whose.
    pub pid: Pid,
    /// When they became known.
    pub at: MonotonicNanos,
    /// Which.
    pub caches: Caches,
}
