// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! The way to the agent: one ring buffer, and a count of what did not fit.
//!
//! Waking the reader dominates the cost of an event, so only urgent events wake it; it looks by itself
//! every 5 ms.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{PerCpuArray, RingBuf, ring_buf::RingBufEntry},
};
use gomod_ebpf_common::{RecordHeader, RecordKind};

/// All records. 4 MiB: 10,000 short connections in a burst fit while the agent is not scheduled for 50 ms.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Records that found no room, per CPU.
#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Whether the agent shall be woken at once.
#[derive(Clone, Copy)]
pub enum Wake {
    /// Yes.
    Now,
    /// No, it looks within 5 ms.
    Later,
}

impl Wake {
    #[inline(always)]
    fn flags(self) -> u64 {
        match self {
            Self::Now => u64::from(BPF_RB_FORCE_WAKEUP),
            Self::Later => u64::from(BPF_RB_NO_WAKEUP),
        }
    }
}

/// The common start of a record, with the present time.
#[inline(always)]
pub fn header(kind: RecordKind, pid: u32) -> RecordHeader {
    RecordHeader {
        // SAFETY: plain helper call without pointers.
        at_ns: unsafe { bpf_ktime_get_ns() },
        kind: kind as u32,
        pid,
    }
}

/// Room for a record that is too large for the stack; counted as lost if there is none.
#[inline(always)]
pub fn reserve<T: 'static>() -> Option<RingBufEntry<T>> {
    let entry = EVENTS.reserve::<T>(0);
    if entry.is_none() {
        count_lost();
    }
    entry
}

/// Hands a filled record to the agent.
#[inline(always)]
pub fn submit<T>(entry: RingBufEntry<T>, wake: Wake) {
    entry.submit(wake.flags());
}

/// Gives the room back. With no flag the kernel would wake a reader that has seen everything, for nothing.
#[inline(always)]
pub fn discard<T>(entry: RingBufEntry<T>) {
    entry.discard(u64::from(BPF_RB_NO_WAKEUP));
}

/// Sends a record that fits on the stack.
#[inline(always)]
pub fn send<T: 'static>(record: T, wake: Wake) {
    if let Some(mut entry) = reserve::<T>() {
        entry.write(record);
        submit(entry, wake);
    }
}

/// Counts an event as lost for which a map has no room: what would be told at the end of its call.
#[inline(always)]
pub fn or_lost(kept: Result<(), i32>) {
    if kept.is_err() {
        count_lost();
    }
}

/// Counts an event as lost.
#[inline(always)]
pub fn count_lost() {
    if let Some(count) = LOST.get_ptr_mut(0) {
        // SAFETY: a per-CPU slot; an interrupting program may make this miss a count, never corrupt it.
        unsafe { *count += 1 };
    }
}
