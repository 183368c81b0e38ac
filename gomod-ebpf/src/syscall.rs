// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! What the tracepoints of system calls tell: arguments on the way in, the result on the way out.
//!
//! They are read in place. `TracePointContext::read_at` would copy each of them by `bpf_probe_read_kernel`, which costs
//! more than all the rest of a program that then finds the call to be of no interest; and most calls are.

use aya_ebpf::{EbpfContext as _, programs::TracePointContext};

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
