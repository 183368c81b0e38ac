// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fetch took, counted while it goes on.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a fetch took so far. The numbers grow until the body has ended.
#[derive(Debug, Default)]
pub struct Account {
    attempts: AtomicU32,
    resumes: AtomicU32,
    resumed_bytes: AtomicU64,
    refetched_bytes: AtomicU64,
    body_bytes: AtomicU64,
}

impl Account {
    /// Requests sent, with retries, raced ones and those for the rest of the body; 1 if all went well.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// How often the body broke off and was continued.
    pub fn resumes(&self) -> u32 {
        self.resumes.load(Ordering::Relaxed)
    }

    /// Bytes that had been received when the body broke off and did not have to be fetched again.
    pub fn resumed_bytes(&self) -> u64 {
        self.resumed_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that were fetched again, because the host can't continue in the middle.
    pub fn refetched_bytes(&self) -> u64 {
        self.refetched_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the body handed on so far.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn attempted(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn continued(&self, kept: u64) {
        self.resumes.fetch_add(1, Ordering::Relaxed);
        self.resumed_bytes.fetch_add(kept, Ordering::Relaxed);
    }

    pub(super) fn restarted(&self) {
        self.resumes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refetched(&self, bytes: u64) {
        self.refetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn handed_on(&self, bytes: u64) {
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
