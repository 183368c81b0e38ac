// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signs of life: what hangs must not be asked.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a loop last showed life, and whether it is to end.
#[derive(Debug)]
pub(in super::super) struct Life {
    started: Instant,
    /// Milliseconds from `started`.
    beat: AtomicU64,
    over: AtomicBool,
}

impl Life {
    /// How often there is a sign at least.
    pub(in super::super) const BEAT: Duration = Duration::from_millis(250);

    pub(in super::super) fn new() -> Self {
        Self {
            started: Instant::now(),
            beat: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    pub(in super::super) fn beat(&self) {
        let since = self.started.elapsed().as_millis() as u64;
        self.beat.store(since, Ordering::Relaxed);
    }

    pub(in super::super) fn quiet_for(&self) -> Duration {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(beat)
    }

    /// The loop is to end.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}
