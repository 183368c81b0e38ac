// SPDX-License-Identifier: MIT OR Apache-2.0
//! Registering a descriptor of ours with the runtime.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Needs a running tokio runtime.
#[expect(
    unsafe_code,
    reason = "the registration trusts the descriptor to stay open and the same"
)]
pub(super) fn watch<T: AsFd + AsRawFd>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: callers hand over the owner (`File`, `Signals`) by value; neither ever closes or replaces its one
    // descriptor before it is dropped, which `AsyncFd` does after deregistering.
    unsafe { AsyncFd::register_with_interest(owner, interest) }.map_err(io::Error::from)
}
