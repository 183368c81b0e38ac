// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Files of the module cache: which `@v/…` file is looked for, written, completed. And where the build cache is: the first
//! file of it that each process opens.
//!
//! All hooks are system call tracepoints (they need CONFIG_FTRACE_SYSCALLS), kernel 4.7, CAP_PERFMON. Without
//! them modules have no names.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_user_str},
    macros::{map, tracepoint},
    maps::{HashMap, LruHashMap},
    programs::TracePointContext,
};
use gomod_ebpf_common::{FileOperation, FileRecord, PATH_BYTES, RecordKind};

use crate::{
    process::string_length,
    ring::{self, Wake},
    scope,
    syscall::{argument, result},
};

/// An `openat` under way.
#[derive(Clone, Copy)]
struct Opening {
    path: u64,
    flags: u64,
}

/// `openat` calls under way, by thread. A thread that is killed in one passes its exit all the same, so that no entry stays.
#[map]
static OPENING: HashMap<u64, Opening> = HashMap::with_max_entries(4_096, 0);

/// New names (addresses of them) in `renameat` calls under way, by thread.
#[map]
static RENAMING: HashMap<u64, u64> = HashMap::with_max_entries(4_096, 0);

/// Processes of which the build cache is known, by id.
#[map]
static BUILDING: LruHashMap<u32, u8> = LruHashMap::with_max_entries(4_096, 0);

/// Remembers the arguments of an `openat`.
#[tracepoint]
pub fn openat_enter(ctx: TracePointContext) -> u32 {
    let flags = argument::<2>(&ctx);
    if is_of_interest(flags) && scope::is_traced() {
        let opening = Opening {
            path: argument::<1>(&ctx),
            flags,
        };
        ring::or_lost(OPENING.insert(bpf_get_current_pid_tgid(), opening, 0));
    }
    0
}

/// True for the flags with which `go` looks for a file of the cache (`O_RDONLY`) and with which it makes a temporary one
/// (`O_RDWR|O_CREAT|O_EXCL`, `tempFile` in modfetch/cache.go). Not for those of extracted modules
/// (`O_WRONLY|O_CREAT|O_EXCL`, `modzip.Unzip` of golang.org/x/mod/zip), of locks and lists (`O_RDWR|O_CREAT`), which are
/// by far the most of its opens, nor for directories.
#[inline(always)]
fn is_of_interest(flags: u64) -> bool {
    const O_ACCMODE: u64 = 0o3;
    const O_RDONLY: u64 = 0o0;
    const O_RDWR: u64 = 0o2;
    const O_CREAT: u64 = 0o100;
    const O_EXCL: u64 = 0o200;
    const O_DIRECTORY: u64 = 0o200_000;
    const TEMPORARY: u64 = O_RDWR | O_CREAT | O_EXCL;
    matches!(
        flags & (O_ACCMODE | O_CREAT | O_EXCL | O_DIRECTORY),
        O_RDONLY | TEMPORARY
    )
}

/// Reports an `openat` of a file of the module cache with its result: a file that is not there is one that
/// `go` will fetch.
#[tracepoint]
pub fn openat_exit(ctx: TracePointContext) -> u32 {
    let _ = try_openat_exit(&ctx);
    0
}

fn try_openat_exit(ctx: &TracePointContext) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied out at once.
    let opening = *unsafe { OPENING.get(thread) }?;
    let _ = OPENING.remove(thread);
    report_path(
        FileOperation::Open,
        opening.path,
        result(ctx) as i32,
        opening.flags as u32,
    )
}

/// Remembers the new name of a file that is being renamed.
#[tracepoint]
pub fn renameat_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let path = argument::<3>(&ctx);
        ring::or_lost(RENAMING.insert(bpf_get_current_pid_tgid(), path, 0));
    }
    0
}

/// Reports the new name of a file that was renamed: `go` completes a file of the cache by renaming it.
#[tracepoint]
pub fn renameat_exit(ctx: TracePointContext) -> u32 {
    let _ = try_renameat_exit(&ctx);
    0
}

fn try_renameat_exit(ctx: &TracePointContext) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied out at once.
    let path = *unsafe { RENAMING.get(thread) }?;
    let _ = RENAMING.remove(thread);
    if result(ctx) != 0 {
        return None;
    }
    report_path(FileOperation::Rename, path, 0, 0)
}

/// Reports a removed file: `go` removes what it could not complete.
#[tracepoint]
pub fn unlinkat_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        let _ = report_path(FileOperation::Unlink, argument::<1>(&ctx), 0, 0);
    }
    0
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
            let tail = [at(5), at(4), at(3), at(2), at(1)];
            is_of_module_cache(tail)
                || (is_of_build_cache(tail) && length > BUILD_CACHE_NAME && is_first_of_process())
        }
    };
    if wanted {
        ring::submit(entry, Wake::Later);
        Some(())
    } else {
        ring::discard(entry);
        None
    }
}

/// Length of a build cache's file name: 64 hexadecimal digits, `-a` or `-d`.
const BUILD_CACHE_NAME: u32 = 66;

/// True for the endings of an action (`-a`) or of an output (`-d`) of Go's build cache (`fileName` of
/// cmd/go/internal/cache).
#[inline(always)]
fn is_of_build_cache(tail: [u8; 5]) -> bool {
    matches!(
        tail,
        [
            b'0'..=b'9' | b'a'..=b'f',
            b'0'..=b'9' | b'a'..=b'f',
            b'0'..=b'9' | b'a'..=b'f',
            b'-',
            b'a' | b'd',
        ]
    )
}

/// A build opens thousands of these files: one tells where they are.
#[inline(always)]
fn is_first_of_process() -> bool {
    const BPF_NOEXIST: u64 = 1;
    BUILDING
        .insert(scope::current_pid(), 1, BPF_NOEXIST)
        .is_ok()
}

/// True for the endings of `.info`, `.mod`, `.zip` and `.tmp`. Go's sources (`cmd/go/internal/modfetch`) name them all.
#[inline(always)]
fn is_of_module_cache(tail: [u8; 5]) -> bool {
    matches!(
        tail,
        [b'.', b'i', b'n', b'f', b'o']
            | [_, b'.', b'm', b'o', b'd']
            | [_, b'.', b'z', b'i', b'p']
            | [_, b'.', b't', b'm', b'p']
    )
}
