// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader of the ring buffer.

use std::{io, os::fd::OwnedFd};

use aya::maps::{MapData, MapError, PerCpuArray, RingBuf};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{decode, events::Event};

/// The kernel wakes the reader for urgent events only; for the others it looks this often.
const POLL: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

pub(super) struct Ring {
    buffer: AsyncFd<RingBuf<MapData>>,
    poll: Poll,
    lost: PerCpuArray<MapData, u64>,
    lost_reported: u64,
}

/// A timer of the kernel's. tokio's own counts in milliseconds, so that it comes up to one late; and when it is set to less than
/// what the thread waits for already, it wakes that thread through a descriptor, which is one system call more.
struct Poll(AsyncFd<OwnedFd>);

impl Poll {
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    fn begin() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let period = Itimerspec {
            it_interval: POLL,
            it_value: POLL,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &period)?;
        // SAFETY: the descriptor is owned here and nowhere else.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self(timer))
    }

    /// The end of the present period. Safe to cancel.
    async fn tick(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        // The kernel starts the next period when the end of this one was read; so none can come before.
        let mut ticks = [0; size_of::<u64>()];
        match rustix::io::read(guard.get_inner(), &mut ticks) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
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
            poll: Poll::begin()?,
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
            tick = self.poll.tick() => tick?,
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
