// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Waits for locks: which thread is in `flock`, on which descriptor, since when. The agent looks a few times a second;
//! nearly all of the calls are over by then and cost no event.
//!
//! System call tracepoints (they need CONFIG_FTRACE_SYSCALLS), kernel 4.7, CAP_PERFMON. Without them waits for locks are
//! not seen.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{map, tracepoint},
    maps::LruHashMap,
    programs::TracePointContext,
};
use gomod_ebpf_common::{FileOperation, FileRecord, LOCK_WAIT_NS, Locking, RecordKind};

use crate::{
    file::{RESULT, argument},
    ring::{self, Wake},
    scope,
};

/// Threads in `flock`. One that is killed there leaves its entry, which is the first to be evicted.
#[map]
static LOCKING: LruHashMap<u64, Locking> = LruHashMap::with_max_entries(4_096, 0);

/// Remembers that a thread asks for a lock and may wait from now on.
#[tracepoint]
pub fn flock_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let _ = try_flock_enter(&ctx);
    }
    0
}

fn try_flock_enter(ctx: &TracePointContext) -> Option<()> {
    const LOCK_NB: u64 = 4;
    const LOCK_UN: u64 = 8;
    // SAFETY: arguments in the record of syscalls:sys_enter_flock.
    let (descriptor, operation) = unsafe {
        (
            ctx.read_at::<u64>(argument(0)).ok()?,
            ctx.read_at::<u64>(argument(1)).ok()?,
        )
    };
    if operation & (LOCK_NB | LOCK_UN) != 0 {
        return None;
    }
    let locking = Locking {
        // SAFETY: plain helper call without pointers.
        since_ns: unsafe { bpf_ktime_get_ns() },
        descriptor: descriptor as u32,
        padding: 0,
    };
    let _ = LOCKING.insert(bpf_get_current_pid_tgid(), locking, 0);
    Some(())
}

/// Reports that a lock was taken, or refused, if the wait may have been told of.
#[tracepoint]
pub fn flock_exit(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let _ = try_flock_exit(&ctx);
    }
    0
}

fn try_flock_exit(ctx: &TracePointContext) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied out at once.
    let locking = *unsafe { LOCKING.get(thread) }?;
    let _ = LOCKING.remove(thread);
    // SAFETY: plain helper call without pointers.
    let now = unsafe { bpf_ktime_get_ns() };
    if now.wrapping_sub(locking.since_ns) < LOCK_WAIT_NS {
        return None;
    }
    // SAFETY: the result in the record of syscalls:sys_exit_flock.
    let result = unsafe { ctx.read_at::<i64>(RESULT) }.ok()?;
    let mut entry = ring::reserve::<FileRecord>()?;
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points at reserved memory of its size; the agent reads no byte of the path.
    unsafe {
        (*record).header = ring::header(RecordKind::File, scope::current_pid());
        (*record).tid = scope::current_tid();
        (*record).operation = FileOperation::LockDone as u32;
        (*record).result = result as i32;
        (*record).flags = 0;
        (*record).path_len = 0;
        (*record).padding = 0;
    }
    ring::submit(entry, Wake::Later);
    Some(())
}
