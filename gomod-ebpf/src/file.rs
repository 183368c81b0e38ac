// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Files of the module cache: which `@v/…` file is looked for, written, completed; which lock is waited for.
//!
//! All hooks are system call tracepoints (they need CONFIG_FTRACE_SYSCALLS), kernel 4.7, CAP_PERFMON. Without
//! them modules and lock waits have no names.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user_str},
    macros::{map, tracepoint},
    maps::LruHashMap,
    programs::TracePointContext,
};
use gomod_ebpf_common::{FileOperation, FileRecord, PATH_BYTES, RecordKind};

use crate::{
    process::string_length,
    ring::{self, Wake},
    scope,
};

/// Offset of argument `n` in the record of a `syscalls:sys_enter_*` tracepoint.
const fn argument(n: usize) -> usize {
    16 + 8 * n
}

/// Offset of the result in the record of a `syscalls:sys_exit_*` tracepoint.
const RESULT: usize = 16;

/// An `openat` under way.
#[derive(Clone, Copy)]
struct Opening {
    path: u64,
    flags: u64,
}

/// `openat` calls under way, by thread.
#[map]
static OPENING: LruHashMap<u64, Opening> = LruHashMap::with_max_entries(4_096, 0);

/// New names (addresses of them) in `renameat` calls under way, by thread.
#[map]
static RENAMING: LruHashMap<u64, u64> = LruHashMap::with_max_entries(4_096, 0);

/// Descriptors that threads wait for in `flock`, by thread.
#[map]
static LOCKING: LruHashMap<u64, u32> = LruHashMap::with_max_entries(4_096, 0);

/// Remembers the arguments of an `openat`.
#[tracepoint]
pub fn openat_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        // SAFETY: arguments in the record of syscalls:sys_enter_openat.
        if let (Ok(path), Ok(flags)) =
            unsafe { (ctx.read_at(argument(1)), ctx.read_at(argument(2))) }
            && !is_extraction(flags)
        {
            let _ = OPENING.insert(bpf_get_current_pid_tgid(), Opening { path, flags }, 0);
        }
    }
    0
}

/// True for the flags with which `go` makes the files of an extracted module, by far the most of its opens and of no
/// interest here (`modzip.Unzip` of golang.org/x/mod/zip). Files of the download cache are made with `O_RDWR` or without
/// `O_EXCL`.
#[inline(always)]
fn is_extraction(flags: u64) -> bool {
    const O_WRONLY: u64 = 0o1;
    const O_CREAT: u64 = 0o100;
    const O_EXCL: u64 = 0o200;
    const NEW: u64 = O_WRONLY | O_CREAT | O_EXCL;
    flags & NEW == NEW
}

/// Reports an `openat` of a file of the module cache with its result: a file that is not there is one that
/// `go` will fetch.
#[tracepoint]
pub fn openat_exit(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let _ = try_openat_exit(&ctx);
    }
    0
}

fn try_openat_exit(ctx: &TracePointContext) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied out at once.
    let opening = *unsafe { OPENING.get(thread) }?;
    let _ = OPENING.remove(thread);
    // SAFETY: the result in the record of syscalls:sys_exit_openat.
    let result = unsafe { ctx.read_at::<i64>(RESULT) }.ok()?;
    report_path(
        FileOperation::Open,
        opening.path,
        result as i32,
        opening.flags as u32,
    )
}

/// Remembers the new name of a file that is being renamed.
#[tracepoint]
pub fn renameat_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        // SAFETY: an argument in the record of syscalls:sys_enter_renameat.
        if let Ok(path) = unsafe { ctx.read_at::<u64>(argument(3)) } {
            let _ = RENAMING.insert(bpf_get_current_pid_tgid(), path, 0);
        }
    }
    0
}

/// Reports the new name of a file that was renamed: `go` completes a file of the cache by renaming it.
#[tracepoint]
pub fn renameat_exit(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let _ = try_renameat_exit(&ctx);
    }
    0
}

fn try_renameat_exit(ctx: &TracePointContext) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied out at once.
    let path = *unsafe { RENAMING.get(thread) }?;
    let _ = RENAMING.remove(thread);
    // SAFETY: the result in the record of syscalls:sys_exit_renameat.
    let result = unsafe { ctx.read_at::<i64>(RESULT) }.ok()?;
    if result != 0 {
        return None;
    }
    report_path(FileOperation::Rename, path, 0, 0)
}

/// Reports a removed file: `go` removes what it could not complete.
#[tracepoint]
pub fn unlinkat_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        // SAFETY: an argument in the record of syscalls:sys_enter_unlinkat.
        if let Ok(path) = unsafe { ctx.read_at(argument(1)) } {
            let _ = report_path(FileOperation::Unlink, path, 0, 0);
        }
    }
    0
}

/// Reports that a thread asks for a lock and may wait from now on.
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
    let _ = LOCKING.insert(bpf_get_current_pid_tgid(), descriptor as u32, 0);
    report_lock(FileOperation::LockWait, descriptor as i32, operation as u32)
}

/// Reports that the lock was taken, or refused.
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
    let descriptor = *unsafe { LOCKING.get(thread) }?;
    let _ = LOCKING.remove(thread);
    // SAFETY: the result in the record of syscalls:sys_exit_flock.
    let result = unsafe { ctx.read_at::<i64>(RESULT) }.ok()?;
    report_lock(FileOperation::LockDone, result as i32, descriptor)
}

#[inline(always)]
fn report_lock(operation: FileOperation, result: i32, flags: u32) -> Option<()> {
    let mut entry = ring::reserve::<FileRecord>()?;
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points at reserved memory of its size; the agent reads no byte of the path.
    unsafe {
        (*record).header = ring::header(RecordKind::File, scope::current_pid());
        (*record).tid = scope::current_tid();
        (*record).operation = operation as u32;
        (*record).result = result;
        (*record).flags = flags;
        (*record).path_len = 0;
        (*record).padding = 0;
    }
    ring::submit(entry, Wake::Later);
    Some(())
}

#[inline(always)]
fn report_path(operation: FileOperation, path: u64, result: i32, flags: u32) -> Option<()> {
    let mut entry = ring::reserve::<FileRecord>()?;
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points at reserved memory of its size; every field is written before it is submitted, and
    // the agent reads only `path_len` bytes of the path.
    let wanted = unsafe {
        (*record).header = ring::header(RecordKind::File, scope::current_pid());
        (*record).tid = scope::current_tid();
        (*record).operation = operation as u32;
        (*record).result = result;
        (*record).flags = flags;
        (*record).padding = 0;
        let read = bpf_probe_read_user_str(
            (&raw mut (*record).path).cast(),
            PATH_BYTES as u32,
            path as *const _,
        );
        let length = string_length(read);
        (*record).path_len = length;
        length >= 5 && length < PATH_BYTES as u32 && {
            let path = (&raw const (*record).path).cast::<u8>();
            let at = |back: u32| *path.add(((length - back) as usize) & (PATH_BYTES - 1));
            is_of_module_cache([at(5), at(4), at(3), at(2), at(1)])
        }
    };
    if wanted {
        ring::submit(entry, Wake::Later);
        Some(())
    } else {
        entry.discard(0);
        None
    }
}

/// True for the endings of `.info`, `.mod`, `.zip`, `.lock`, `.tmp`, `.ziphash`, `.partial`, `@v/list` and `cache/lock`.
/// Go's sources (`cmd/go/internal/modfetch`) name them all.
#[inline(always)]
fn is_of_module_cache(tail: [u8; 5]) -> bool {
    let [a, b, c, d, e] = tail;
    matches!(
        [a, b, c, d, e],
        [b'.', b'i', b'n', b'f', b'o']
            | [_, b'.', b'm', b'o', b'd']
            | [_, b'.', b'z', b'i', b'p']
            | [b'.', b'l', b'o', b'c', b'k']
            | [_, b'.', b't', b'm', b'p']
            | [b'p', b'h', b'a', b's', b'h']
            | [b'r', b't', b'i', b'a', b'l']
            | [b'/', b'l', b'i', b's', b't']
            | [b'/', b'l', b'o', b'c', b'k']
    )
}
