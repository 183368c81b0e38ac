// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Processes of the run: who forked them, what they execute, how they end.

use aya_ebpf::{
    EbpfContext as _, Global,
    helpers::{bpf_get_current_uid_gid, generated::bpf_probe_read_kernel_str},
    macros::{map, tracepoint},
    maps::LruHashMap,
    programs::TracePointContext,
};
use aya_log_ebpf::debug;
use gomod_ebpf_common::{ExecRecord, ExitRecord, PATH_BYTES, RecordKind};

use crate::{
    file, redirect,
    ring::{self, Wake},
    scope,
    syscall::argument,
};

/// Offset of `group_dead` in `sched:sched_process_exit`; 0 where the kernel does not tell (before 6.16):
/// then the end of the thread that leads the group is taken as the end of the process.
#[unsafe(no_mangle)]
static GROUP_DEAD_OFFSET: Global<u32> = Global::new(0);

/// Thread group that forked a task, by the task's id.
#[map]
static PARENTS: LruHashMap<u32, u32> = LruHashMap::with_max_entries(16_384, 0);

/// Argument of `exit_group`, by thread group.
#[map]
static EXIT_CODES: LruHashMap<u32, i32> = LruHashMap::with_max_entries(4_096, 0);

/// Remembers who forked whom.
///
/// Tracepoint, kernel 4.7, CAP_PERFMON. Without it, parents are unknown.
#[tracepoint]
pub fn process_fork(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        const CHILD_PID: usize = 20;
        // SAFETY: within the record of sched:sched_process_fork, whose format the agent has checked.
        if let Ok(child) = unsafe { ctx.read_at::<u32>(CHILD_PID) } {
            let _ = PARENTS.insert(child, scope::current_pid(), 0);
        }
    }
    0
}

/// Reports a process that executes a program.
///
/// Tracepoint, kernel 4.7, CAP_PERFMON. Without it, processes have no names and `go` is not recognised.
#[tracepoint]
pub fn process_exec(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let _ = try_process_exec(&ctx);
    }
    0
}

fn try_process_exec(ctx: &TracePointContext) -> Option<()> {
    const FILENAME: usize = 8;
    // SAFETY: within the record of sched:sched_process_exec, whose format the agent has checked.
    let location = unsafe { ctx.read_at::<u32>(FILENAME) }.ok()?;
    let pid = scope::current_pid();
    let mut entry = ring::reserve::<ExecRecord>()?;
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points at reserved memory of its size; every field is written before it is submitted,
    // and only `filename_len` bytes of `filename` are read by the agent.
    let is_go = unsafe {
        (*record).header = ring::header(RecordKind::Exec, pid);
        (*record).parent = PARENTS.get(pid).copied().unwrap_or(0);
        (*record).uid = bpf_get_current_uid_gid() as u32;
        (*record).padding = 0;
        let read = bpf_probe_read_kernel_str(
            (&raw mut (*record).filename).cast(),
            PATH_BYTES as u32,
            ctx.as_ptr().add((location & 0xffff) as usize).cast_const(),
        );
        let length = string_length(read);
        (*record).filename_len = length;
        length >= 2 && length < PATH_BYTES as u32 && {
            let name = (&raw const (*record).filename).cast::<u8>();
            let at = |back: u32| *name.add(((length - back) as usize) & (PATH_BYTES - 1));
            at(1) == b'o' && at(2) == b'g' && (length == 2 || at(3) == b'/')
        }
    };
    redirect::mark(pid, is_go);
    file::forget_found(pid);
    ring::submit(entry, Wake::Now);
    debug!(ctx, "exec pid {}", pid);
    Some(())
}

/// Length without the final NUL of what a `bpf_probe_read_*_str` helper returned.
#[inline(always)]
pub fn string_length(read: i64) -> u32 {
    if read > 0 { (read - 1) as u32 } else { 0 }
}

/// Remembers the exit code of a process.
///
/// Tracepoint (needs CONFIG_FTRACE_SYSCALLS), kernel 4.7, CAP_PERFMON. Without it, exit codes are unknown.
#[tracepoint]
pub fn exit_group(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let code = (argument::<0>(&ctx) & 0xff) as i32;
        let _ = EXIT_CODES.insert(scope::current_pid(), code, 0);
    }
    0
}

/// Reports a process that has ended.
///
/// Tracepoint, kernel 4.7, CAP_PERFMON. Without it, processes seem to live until the end of the run.
#[tracepoint]
pub fn process_exit(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        try_process_exit(&ctx);
    }
    0
}

fn try_process_exit(ctx: &TracePointContext) {
    let pid = scope::current_pid();
    let offset = GROUP_DEAD_OFFSET.load() as usize;
    let last = if offset == 0 {
        scope::current_tid() == pid
    } else {
        // SAFETY: the agent read this offset from the tracepoint's own format.
        unsafe { ctx.read_at::<u8>(offset) }.is_ok_and(|dead| dead != 0)
    };
    if !last {
        return;
    }
    // SAFETY: the value is copied out at once.
    let code = unsafe { EXIT_CODES.get(pid) }.copied().unwrap_or(-1);
    let _ = EXIT_CODES.remove(pid);
    let _ = PARENTS.remove(pid);
    redirect::mark(pid, false);
    ring::send(
        ExitRecord {
            header: ring::header(RecordKind::Exit, pid),
            code,
            padding: 0,
        },
        Wake::Now,
    );
}
