// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Signs of life of the agent, without which nothing is redirected: a process that is gone takes its links with it,
//! but one that hangs does not.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::map, maps::Array};
use gomod_ebpf_common::HEARTBEAT_LIMIT_NS;

/// When the accelerator and the DNS stub were last seen alive, ns of `CLOCK_MONOTONIC`.
#[map]
static HEARTBEATS: Array<u64> = Array::with_max_entries(2, 0);

/// True if whoever has this slot was alive a moment ago.
#[inline(always)]
pub fn is_fresh(slot: u32) -> bool {
    let Some(beat) = HEARTBEATS.get(slot).copied() else {
        return false;
    };
    // SAFETY: plain helper call without pointers.
    let age = unsafe { bpf_ktime_get_ns() }.wrapping_sub(beat);
    // A beat from another CPU may be a moment ahead.
    age < HEARTBEAT_LIMIT_NS || age > u64::MAX / 2
}
