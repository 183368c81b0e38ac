// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! What the tracepoints of system calls tell: arguments on the way in, the result on the way out; and arguments that are
//! kept between the two.
//!
//! They are read in place. `TracePointContext::read_at` would copy each of them by `bpf_probe_read_kernel`, which costs
//! more than all the rest of a program that then finds the call to be of no interest; and most calls are.

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_get_current_pid_tgid, maps::Array, programs::TracePointContext,
};

use crate::ring;

/// Where the arguments begin in the record of `syscalls:sys_enter_*`; each takes eight bytes.
const ARGUMENTS: usize = 16;

/// Where the result is in the record of `syscalls:sys_exit_*`.
const RESULT: usize = 16;

/// Argument `N` of the system call; only for `sys_enter_*`, and where the agent has checked the format.
#[inline(always)]
pub fn argument<const N: usize>(ctx: &TracePointContext) -> u64 {
    // SAFETY: within the record, at a constant, aligned offset, which the verifier checks. Volatile, so that two reads
    // stay two loads from the context: the verifier takes no other pointer into it.
    unsafe {
        ctx.as_ptr()
            .byte_add(ARGUMENTS + 8 * N)
            .cast::<u64>()
            .read_volatile()
    }
}

/// The system call's result: a negative errno if it failed; only for `sys_exit_*`, and where the agent has checked the
/// format.
#[inline(always)]
pub fn result(ctx: &TracePointContext) -> i64 {
    // SAFETY: as above.
    unsafe { ctx.as_ptr().byte_add(RESULT).cast::<i64>().read_volatile() }
}

/// Calls that may be under way at once; a power of two.
const CALLS: u32 = 4_096;

/// Arguments of calls under way, each in the place of its thread. A hash map would cost more than all else that is done for
/// a call of no interest.
pub type Calls = Array<Call>;

/// No calls.
pub const fn no_calls() -> Calls {
    Array::with_max_entries(CALLS, 0)
}

/// What is kept of a call. A thread that is killed in one passes its exit all the same, so that none stays.
#[derive(Clone, Copy)]
pub struct Call {
    /// Process and thread; 0 for none.
    thread: u64,
    /// Address of its path.
    pub path: u64,
    /// Its flags.
    pub flags: u64,
}

/// Keeps what a call was given. It takes the place of another thread's, which is lost then: their numbers must differ by a
/// multiple of [`CALLS`] and both be in the same call.
#[inline(always)]
pub fn begin(calls: &Calls, path: u64, flags: u64) {
    let thread = bpf_get_current_pid_tgid();
    let Some(place) = calls.get_ptr_mut(place_of(thread)) else {
        return;
    };
    // SAFETY: a value of the map; threads that share it may tear it, and then read a path that is none of theirs.
    unsafe {
        if (*place).thread != 0 && (*place).thread != thread {
            ring::count_lost();
        }
        *place = Call {
            thread,
            path,
            flags,
        };
    }
}

/// What the call that ends now was given; `None` for one of no interest.
#[inline(always)]
pub fn end(calls: &Calls) -> Option<Call> {
    let thread = bpf_get_current_pid_tgid();
    let place = calls.get_ptr_mut(place_of(thread))?;
    // SAFETY: as above.
    unsafe {
        if (*place).thread != thread {
            return None;
        }
        let call = *place;
        (*place).thread = 0;
        Some(call)
    }
}

#[inline(always)]
fn place_of(thread: u64) -> u32 {
    thread as u32 & (CALLS - 1)
}
