// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Files of the module cache: which `@v/…` file is looked for, written, completed. And where the build cache is: the first
//! file of it that each process opens.
//!
//! All hooks are system call tracepoints (they need CONFIG_FTRACE_SYSCALLS), kernel 4.7, CAP_PERFMON. Without
//! them modules have no names.

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::{map, tracepoint},
    maps::LruHashMap,
    programs::TracePointContext,
};
use gomod_ebpf_common::{FileOperation, FileRecord, RecordKind};

use crate::{
    cache_name::{Kind, Name},
    ring::{self, Wake},
    scope,
    syscall::{self, Calls, argument, no_calls, result},
};

/// `openat` calls under way.
#[map]
static OPENING: Calls = no_calls();

/// `renameat` calls under way, with their new names.
#[map]
static RENAMING: Calls = no_calls();

/// When that was told last of the module files that a process has looked for in vain and not completed, by process and
/// [`Name::hash`]. What is found after all is told of these alone: the rest is most of what `go` opens.
/// Large, as kernels before 6.17 let each CPU keep 128 entries that are free.
#[map]
static SOUGHT: LruHashMap<(u64, u64), u64> = LruHashMap::with_max_entries(16_384, 0);

/// How many files of its caches each process was told to have found, by process and [`Cache`].
#[map]
static FOUND: LruHashMap<(u32, u32), u32> = LruHashMap::with_max_entries(4_096, 0);

/// Remembers the arguments of an `openat`.
#[tracepoint]
pub fn openat_enter(ctx: TracePointContext) -> u32 {
    let flags = argument::<2>(&ctx);
    if is_of_interest(flags) && scope::is_traced() {
        syscall::begin(&OPENING, argument::<1>(&ctx), flags);
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

/// Reports an `openat` of a file of the caches with its result: a file that is not there is one that `go` will fetch.
#[tracepoint]
pub fn openat_exit(ctx: TracePointContext) -> u32 {
    if let Some(call) = syscall::end(&OPENING) {
        report(
            FileOperation::Open,
            call.path,
            result(&ctx) as i32,
            call.flags as u32,
        );
    }
    0
}

/// Remembers the new name of a file that is being renamed.
#[tracepoint]
pub fn renameat_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        syscall::begin(&RENAMING, argument::<3>(&ctx), 0);
    }
    0
}

/// Reports the new name of a file that was renamed: `go` completes a file of the cache by renaming it.
#[tracepoint]
pub fn renameat_exit(ctx: TracePointContext) -> u32 {
    if let Some(call) = syscall::end(&RENAMING)
        && result(&ctx) == 0
    {
        report(FileOperation::Rename, call.path, 0, 0);
    }
    0
}

/// Reports a removed file: `go` removes what it could not complete.
#[tracepoint]
pub fn unlinkat_enter(ctx: TracePointContext) -> u32 {
    if scope::is_traced() {
        report(FileOperation::Unlink, argument::<1>(&ctx), 0, 0);
    }
    0
}

#[inline(always)]
fn report(operation: FileOperation, path: u64, result: i32, flags: u32) {
    let Some(mut entry) = ring::reserve::<FileRecord>() else {
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points at reserved memory of its size; every field is written before it is submitted, and
    // the agent reads only `path_len` bytes of the path.
    let name = unsafe {
        (*record).header = ring::header(RecordKind::File, scope::current_pid());
        (*record).tid = scope::current_tid();
        (*record).operation = operation as u32;
        (*record).result = result;
        (*record).flags = flags;
        (*record).padding = 0;
        let name = Name::read(&raw mut (*record).path, path);
        (*record).path_len = name.length();
        name
    };
    if is_wanted(operation, result, flags, name) {
        ring::submit(entry, Wake::Later);
    } else {
        ring::discard(entry);
    }
}

/// True for what changes which files are fetched, or says where a cache is.
#[inline(always)]
fn is_wanted(operation: FileOperation, result: i32, flags: u32, name: Name) -> bool {
    const ENOENT: i32 = 2;
    const O_CREAT: u32 = 0o100;
    match (name.kind(), operation) {
        (None, _) => false,
        (Some(Kind::Module), FileOperation::Open) => {
            let file = Sought::of(name);
            match result {
                0.. => file.ends() || is_among_first(Cache::Modules),
                _ => result == -ENOENT && file.begins(),
            }
        }
        (Some(Kind::Module), FileOperation::Rename) => {
            Sought::of(name).ends();
            true
        }
        // `.info` and `.mod` are written when they have come whole; only a zip is written as it comes.
        (Some(Kind::Temporary), FileOperation::Open) => {
            result >= 0 && (flags & O_CREAT == 0 || name.is_temporary_zip())
        }
        (Some(Kind::Build), _) => is_among_first(Cache::Build),
        (Some(Kind::Module | Kind::Temporary), _) => true,
    }
}

/// A key of [`SOUGHT`].
#[derive(Clone, Copy)]
struct Sought((u64, u64));

impl Sought {
    #[inline(always)]
    fn of(name: Name) -> Self {
        Self((scope::current_pid().into(), name.hash()))
    }

    /// The file was looked for in vain. False if that was told already: `go` looks for a `.mod` twice before it fetches it.
    /// Much later it may be another process with the same number.
    #[inline(always)]
    fn begins(self) -> bool {
        const AGAIN_NS: u64 = 1_000_000_000;
        // SAFETY: plain helper call without pointers.
        let now = unsafe { bpf_ktime_get_ns() };
        // SAFETY: the value is copied out at once.
        let told = unsafe { SOUGHT.get(self.0) }.copied();
        if told.is_some_and(|told| now.wrapping_sub(told) < AGAIN_NS) {
            return false;
        }
        let _ = SOUGHT.insert(self.0, now, 0);
        true
    }

    /// The file is there. True if it was looked for in vain before.
    #[inline(always)]
    fn ends(self) -> bool {
        // SAFETY: the value is not looked at.
        unsafe { SOUGHT.get(self.0) }.is_some() && SOUGHT.remove(self.0).is_ok()
    }
}

/// A cache that is found by a file of it.
#[derive(Clone, Copy)]
enum Cache {
    Modules = 0,
    Build = 1,
}

/// Another program runs in the process: its caches may be others.
#[inline(always)]
pub fn forget_found(pid: u32) {
    for cache in [Cache::Modules, Cache::Build] {
        let _ = FOUND.remove((pid, cache as u32));
    }
}

/// A build opens thousands of files of its caches: the first few tell where they are. Compilers open the build cache alone,
/// but there are many of them; of modules, the first may lie elsewhere (`-modfile`).
#[inline(always)]
fn is_among_first(cache: Cache) -> bool {
    let few = match cache {
        Cache::Modules => 4,
        Cache::Build => 1,
    };
    let key = (scope::current_pid(), cache as u32);
    // SAFETY: the value is copied out at once.
    let known = unsafe { FOUND.get(key) }.copied().unwrap_or(0);
    known < few && FOUND.insert(key, known + 1, 0).is_ok()
}
