// SPDX-License-Identifier: MIT OR Apache-2.0
//! The new process between fork and exec: only what signal-safety(7) allows, on what was made before.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use rustix::process::Pid;

use super::failure::Failure;
use super::inherited::LAST_SIGNAL;
use super::limits::Limit;
use super::{InheritedSignals, Invoker, LaunchError, Step, TrustOverlay, search};

/// Flag of `clone3` (linux/sched.h, Linux 5.7): the child is born in the cgroup whose directory is given.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Everything the new process needs, made before fork: afterwards nothing may be allocated.
pub(super) struct Plan<'a> {
    /// The cgroup's directory, to be born in.
    pub(super) cgroup: BorrowedFd<'a>,
    /// Its `cgroup.procs`, to join where that is not possible.
    pub(super) procs: BorrowedFd<'a>,
    pub(super) failure: BorrowedFd<'a>,
    pub(super) trust: Option<&'a TrustOverlay>,
    /// `None` keeps ours; in a user namespace even setting the same groups again may be forbidden.
    pub(super) identity: Option<&'a Invoker>,
    pub(super) umask: Option<u32>,
    /// The caller's limits, where ours are others.
    pub(super) limits: [Option<Limit>; 2],
    pub(super) signals: InheritedSignals,
    pub(super) candidates: Vec<*const c_char>,
    pub(super) argv: Vec<*const c_char>,
    pub(super) shell_argv: Vec<*const c_char>,
    pub(super) environment: Vec<*const c_char>,
}

pub(super) fn null_terminated(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([ptr::null()])
        .collect()
}

#[expect(unsafe_code, reason = "fork has no safe form")]
pub(super) fn fork_into(plan: &mut Plan<'_>) -> Result<Pid, LaunchError> {
    // No handler of ours may run in the child; it sets its own mask before exec.
    let mut mask = SigSet::empty();
    pthread_sigmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut mask),
    )
    .map_err(|error| LaunchError::system("pthread_sigmask", "see signal(7)")(error.into()))?;
    // SAFETY: the child calls only `become_command`, which is async-signal-safe, and then `_exit`.
    let (pid, joined) = unsafe {
        match clone_into(plan.cgroup) {
            pid if pid >= 0 => (pid, true),
            // No such clone3 (a container's seccomp filter): join by hand, for which the kernel makes all processors wait.
            _ => (libc::fork(), false),
        }
    };
    let forked = if pid < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(pid)
    };
    if pid == 0 {
        // SAFETY: this is the new process, and every pointer of the plan is into strings that outlive it.
        let failed = unsafe { become_command(plan, joined) };
        let bytes = failed.to_bytes();
        // SAFETY: writes from a local array to an open descriptor, then ends without unwinding or handlers.
        unsafe {
            libc::write(plan.failure.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)
        .map_err(|error| LaunchError::system("pthread_sigmask", "see signal(7)")(error.into()))?;
    let pid = forked.map_err(LaunchError::system(
        "fork",
        "check `ulimit -u`, pids.max of the cgroup and free memory",
    ))?;
    Pid::from_raw(pid).ok_or(LaunchError::BadCommand("fork gave no process id"))
}

/// Like `fork`, but the child is born in the cgroup: to move there later takes the kernel some 15 ms (it waits for an RCU
/// grace period). Negative on failure.
///
/// The C library does not know of such a child and takes it to have the parent's threads. [`become_command`] therefore
/// calls the kernel where the library's function would speak to all threads.
///
/// # Safety
/// As for `fork`: the child may only call what is async-signal-safe.
#[expect(unsafe_code, reason = "fork has no safe form")]
unsafe fn clone_into(cgroup: BorrowedFd<'_>) -> libc::pid_t {
    // SAFETY: plain numbers, for all of which zero means "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = cgroup.as_raw_fd() as u64;
    // SAFETY: without CLONE_VM and a stack of its own the child gets a copy of everything, as with fork.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    pid as libc::pid_t
}

/// Returns only if a step failed. `joined`: whether it was born in the cgroup.
#[expect(
    unsafe_code,
    reason = "between fork and exec only raw system calls are allowed"
)]
unsafe fn become_command(plan: &mut Plan<'_>, joined: bool) -> Failure {
    // SAFETY: runs in a forked child; calls only async-signal-safe functions; pointers are valid as
    // the plan was made by `spawn`, which keeps the strings alive.
    unsafe {
        // First of all: a socket belongs to the cgroup it was created in.
        if !joined && libc::write(plan.procs.as_raw_fd(), c"0".as_ptr().cast(), 1) != 1 {
            return Failure::now(Step::JoinCgroup);
        }
        // While it still has the right to.
        if let Some(overlay) = plan.trust
            && let Err(refusal) = overlay.apply()
        {
            return Failure {
                step: Step::Trust,
                errno: refusal.errno,
                detail: refusal.step as u32,
            };
        }
        if let Some(umask) = plan.umask {
            libc::umask(umask);
        }
        // Soft limits within the hard ones, and lower hard ones, are always allowed, so that this does not fail.
        for (resource, limit) in plan.limits.iter().flatten() {
            libc::setrlimit(*resource, limit);
        }
        if let Some(invoker) = plan.identity {
            let Invoker { uid, gid, .. } = *invoker;
            let groups = &invoker.groups;
            if libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) != 0 {
                return Failure::now(Step::Groups);
            }
            if libc::syscall(libc::SYS_setresgid, gid, gid, gid) != 0 {
                return Failure::now(Step::Gid);
            }
            // Last: it takes the right to do the others. It leaves the process undumpable, which exec undoes.
            if libc::syscall(libc::SYS_setresuid, uid, uid, uid) != 0 {
                return Failure::now(Step::Uid);
            }
        }
        if !restore_signals(plan.signals) {
            return Failure::now(Step::Signals);
        }
        execute(plan)
    }
}

#[expect(
    unsafe_code,
    reason = "between fork and exec only raw system calls are allowed"
)]
unsafe fn restore_signals(inherited: InheritedSignals) -> bool {
    // SAFETY: as in `become_command`; both sets are initialized before use.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        for signal in 1..=LAST_SIGNAL {
            let disposition = if inherited.is_ignored(signal) {
                libc::SIG_IGN
            } else {
                libc::SIG_DFL
            };
            // SIGKILL, SIGSTOP and the C library's own two refuse, and are as they have to be.
            libc::signal(signal, disposition);
            if inherited.is_blocked(signal) {
                libc::sigaddset(&raw mut mask, signal);
            }
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut()) == 0
    }
}

#[expect(
    unsafe_code,
    reason = "between fork and exec only raw system calls are allowed"
)]
unsafe fn execute(plan: &mut Plan<'_>) -> Failure {
    let mut last = Failure {
        step: Step::Exec,
        errno: libc::ENOENT,
        detail: 0,
    };
    let mut denied = None;
    for (tried, file) in plan.candidates.iter().enumerate() {
        // SAFETY: as in `become_command`; all three arrays end in a null pointer.
        unsafe { libc::execve(*file, plan.argv.as_ptr(), plan.environment.as_ptr()) };
        last = Failure {
            detail: tried as u32,
            ..Failure::now(Step::Exec)
        };
        // SAFETY: as above.
        if last.errno == libc::ENOEXEC && unsafe { !is_binary(*file) } {
            plan.shell_argv[1] = *file;
            // SAFETY: as above; slot 1 exists, `spawn` left it for the script.
            unsafe {
                libc::execve(
                    plan.shell_argv[0],
                    plan.shell_argv.as_ptr(),
                    plan.environment.as_ptr(),
                )
            };
            last.errno = Failure::now(Step::Exec).errno;
            return last;
        }
        if !search::goes_on_after(last.errno) {
            return last;
        }
        if last.errno == libc::EACCES {
            denied = denied.or(Some(last));
        }
    }
    denied.unwrap_or(last)
}

/// A NUL before the first newline, by which shells refuse to run a program of another machine as a script.
#[expect(
    unsafe_code,
    reason = "between fork and exec only raw system calls are allowed"
)]
unsafe fn is_binary(file: *const c_char) -> bool {
    let mut start = [b'\n'; 128];
    // SAFETY: as in `become_command`; at most the array's length is read into it.
    unsafe {
        let descriptor = libc::open(file, libc::O_RDONLY | libc::O_CLOEXEC);
        if descriptor < 0 {
            return false;
        }
        libc::read(descriptor, start.as_mut_ptr().cast(), start.len());
        libc::close(descriptor);
    }
    start
        .iter()
        .take_while(|byte| **byte != b'\n')
        .any(|byte| *byte == 0)
}
