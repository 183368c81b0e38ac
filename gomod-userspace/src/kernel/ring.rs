// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader of the ring buffer.

use std::{io, time::Duration};

use aya::maps::{MapData, MapError, PerCpuArray, RingBuf};
use tokio::io::{Interest, unix::AsyncFd};

use super::{decode, events::Event};

/// The kernel wakes the reader for urgent events only; others are found within this time.
const POLL: Duration = Duration::from_millis(5);

pub(super) struct Ring {
    buffer: AsyncFd<RingBuf<MapData>>,
    lost: PerCpuArray<MapData, u64>,
    lost_reported: u64,
}

impl Ring {
    /// Must be called within a tokio runtime.
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    pub(super) fn new(
        buffer: RingBuf<MapData>,
        lost: PerCpuArray<MapData, u64>,
    ) -> io::Result<Self> {
        // SAFETY: the ring owns its map's descriptor for as long as it lives and returns no other.
        let buffer = unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE) }?;
        Ok(Self {
            buffer,
            lost,
            lost_reported: 0,
        })
    }

    /// Waits until there may be something to read; if there is already (`behind`), only as long as others that wait
    /// on this thread need to get their turn. Safe to cancel.
    pub(super) async fn wait(&self, behind: bool) -> io::Result<()> {
        if behind {
            tokio::task::yield_now().await;
            return Ok(());
        }
        tokio::select! {
            guard = self.buffer.readable() => guard?.clear_ready(),
            () = tokio::time::sleep(POLL) => {}
        }
        Ok(())
    }

    /// Moves what is there into `events`, at most `limit` records. True if there may be more.
    pub(super) fn drain(&mut self, events: &mut Vec<Event>, limit: usize) -> bool {
        let buffer = self.buffer.get_mut();
        for _ in 0..limit {
            let Some(record) = buffer.next() else {
                return false;
            };
            // A record that cannot be decoded would be a fault of the object's build, which the manifest rules out.
            match decode::decode(&record) {
                Ok(event) => events.push(event),
                Err(error) => tracing::warn!(%error, "unreadable record from the kernel"),
            }
        }
        true
    }

    /// Records lost since the last call.
    pub(super) fn newly_lost(&mut self) -> Result<u64, MapError> {
        let total = self.lost.get(&0, 0)?.iter().sum::<u64>();
        let new = total.saturating_sub(self.lost_reported);
        self.lost_reported = total;
        Ok(new)
    }
}
