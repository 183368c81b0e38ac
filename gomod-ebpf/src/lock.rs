// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Waits for locks: which thread is in `flock`, on which descriptor, since when. The agent looks a few times a second;
//! nearly all of the calls are over by then and cost no event.
//!
//! System call tracepoints (they need CONFIG_FTRACE_SYSCALLS), kernel 4.7, CAP_PERFMON. Without them waits for locks are
//! not seen.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{map, tracepoint},
    maps::HashMap,
    programs::TracePointContext,
};
use gomod_ebpf_common::{FileOperation, FileRecord, LOCK_WAIT_NS, Locking, RecordKind};

use crate::{
    ring::{self, Wake},
    scope,
    syscall::{argument, result},
};

/// Threads in `flock`. One that is killed there passes its exit all the same, so that no entry stays.
#[map]
static LOCKING: HashMap<u64, Locking> = HashMap::with_max_entries(4_096, 0);

/// Remembers that a thread asks for a lock and may wait from now on.
#[tracepoint]
pub fn flock_enter(ctx: TracePointContext) -> u32 {
    const LOCK_NB: u64 = 4;
    const LOCK_UN: u64 = 8;
    if argument::<1>(&ctx) & (LOCK_NB | LOCK_UN) == 0 && scope::is_traced() {
        let locking = Locking {
            // SAFETY: plain helper call without pointers.
            since_ns: unsafe { bpf_ktime_get_ns() },
            descriptor: argument::<0>(&ctx) as u32,
            padding: 0,
        };
        ring::or_lost(LOCKING.insert(bpf_get_current_pid_tgid(), locking, 0));
    }
    0
}

/// Reports that a lock was taken, or refused, if the wait may have been told of.
#[tracepoint]
pub fn flock_exit(ctx: TracePointContext) -> u32 {
    let _ = try_flock_exit(&ctx);
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
    let mut entry = ring::reserve::<FileRecord>()?;
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points at reserved memory of its size; the agent reads no byte of the path.
    unsafe {
        (*record).header = ring::header(RecordKind::File, scope::current_pid());
        (*record).tid = scope::current_tid();
        (*record).operation = FileOperation::LockDone as u32;
        (*record).result = result(ctx) as i32;
        (*record).flags = 0;
        (*record).path_len = 0;
        (*record).padding = 0;
    }
    ring::submit(entry, Wake::Later);
    Some(())
}
