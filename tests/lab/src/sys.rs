// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few system calls that have no safe wrapper: making a TAP device, and what a child does between fork and exec.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};

/// The device through which TAP interfaces are made.
pub(crate) const TUN_DEVICE: &str = "/dev/net/tun";

/// `struct ifreq` of linux/if.h as `TUNSETIFF` reads it: a name, flags, and room for the larger members of its union.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(
    /// `TUNSETIFF` of linux/if_tun.h.
    tun_set_interface,
    libc::TUNSETIFF,
    InterfaceRequest
);

nix::ioctl_write_int_bad!(
    /// `TUNSETOFFLOAD` of linux/if_tun.h.
    tun_set_offload,
    libc::TUNSETOFFLOAD
);

/// Size of `struct virtio_net_hdr` of `linux/virtio_net.h`, which stands before each frame of an interface that leaves
/// segmentation to others.
pub(crate) const OFFLOAD_HEADER: usize = 10;

/// Makes a TAP interface called `name` in the calling thread's network namespace. It lives as long as the returned file.
/// With `offload`, TCP segments of up to 64 KiB pass in one frame, behind an [`OFFLOAD_HEADER`], and without checksums.
pub(crate) fn open_tap(name: &str, offload: bool) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(TUN_DEVICE)?;
    let mut request = InterfaceRequest {
        name: [0; libc::IFNAMSIZ],
        flags: (libc::IFF_TAP | libc::IFF_NO_PI | if offload { libc::IFF_VNET_HDR } else { 0 })
            as libc::c_short,
        rest: [0; 22],
    };
    let length = name.len().min(libc::IFNAMSIZ - 1);
    request.name[..length].copy_from_slice(&name.as_bytes()[..length]);
    #[expect(unsafe_code, reason = "an ioctl reads memory by pointer")]
    // SAFETY: `request` has the size and layout of `struct ifreq` and outlives the call, which only reads it.
    unsafe { tun_set_interface(file.as_raw_fd(), &raw const request) }?;
    if offload {
        let features = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
        #[expect(unsafe_code, reason = "an ioctl")]
        // SAFETY: the argument is a number.
        unsafe { tun_set_offload(file.as_raw_fd(), features as libc::c_int) }?;
    }
    Ok(file)
}

/// The user that a command inside the lab runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id; the only group the command has.
    pub gid: u32,
}

/// What a child process takes on after fork: namespaces, then identity.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) network: Arc<OwnedFd>,
    pub(crate) mounts: Option<Arc<OwnedFd>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) die_with_parent: bool,
}

/// Makes `command` enter the namespaces of `entry` before it executes.
pub(crate) fn enter_before_exec(command: &mut Command, entry: Entry) {
    let parent = std::process::id() as libc::pid_t;
    #[expect(
        unsafe_code,
        reason = "only the child itself can enter namespaces, between fork and exec"
    )]
    // SAFETY: `take_on` makes system calls only, on memory of its own stack frame: no allocation, no lock.
    unsafe {
        command.pre_exec(move || take_on(&entry, parent));
    }
}

/// Makes `command` hold an exclusive flock on its standard input, taken by its own process id.
pub(crate) fn lock_stdin_before_exec(command: &mut Command) {
    #[expect(
        unsafe_code,
        reason = "/proc/locks names the process that called flock, so the child must call it"
    )]
    // SAFETY: one system call on a descriptor number; no allocation, no lock.
    unsafe {
        command.pre_exec(|| {
            let stdin: RawFd = 0;
            checked(libc::flock(stdin, libc::LOCK_EX))?;
            checked(libc::prctl(
                libc::PR_SET_PDEATHSIG,
                libc::SIGKILL as libc::c_ulong,
            ))
        });
    }
}

/// Runs in the child of a fork of a process with threads: async-signal-safe calls only.
fn take_on(entry: &Entry, parent: libc::pid_t) -> io::Result<()> {
    enter(entry.network.as_fd(), CloneFlags::CLONE_NEWNET)?;
    if let Some(mounts) = &entry.mounts {
        // Entering a mount namespace moves the working directory to its root: come back by name.
        let mut directory = [0u8; libc::PATH_MAX as usize];
        #[expect(unsafe_code, reason = "the standard library's current_dir allocates")]
        // SAFETY: the buffer is ours and its size is passed; getcwd ends what it writes by a zero.
        let known =
            unsafe { libc::syscall(libc::SYS_getcwd, directory.as_mut_ptr(), directory.len()) } > 0;
        enter(mounts.as_fd(), CloneFlags::CLONE_NEWNS)?;
        if known && let Ok(path) = CStr::from_bytes_until_nul(&directory) {
            #[expect(
                unsafe_code,
                reason = "the standard library's set_current_dir may allocate"
            )]
            // SAFETY: `path` is a C string that outlives the call.
            checked(unsafe { libc::chdir(path.as_ptr()) })?;
        }
    }
    if let Some(Identity { uid, gid }) = entry.identity {
        #[expect(
            unsafe_code,
            reason = "identity must change after the namespaces, so std's uid() comes too early"
        )]
        // SAFETY: plain system calls on numbers and on one group id of this frame. By number, not by libc's wrappers:
        // those signal all threads of the process that they remember, which the forked child does not have.
        unsafe {
            checked(libc::syscall(libc::SYS_setgroups, 1usize, &raw const gid) as libc::c_int)?;
            checked(libc::syscall(libc::SYS_setresgid, gid, gid, gid) as libc::c_int)?;
            checked(libc::syscall(libc::SYS_setresuid, uid, uid, uid) as libc::c_int)?;
        }
    }
    if entry.die_with_parent {
        #[expect(
            unsafe_code,
            reason = "prctl has no safe wrapper that is known not to allocate"
        )]
        // SAFETY: plain system calls on numbers.
        unsafe {
            checked(libc::prctl(
                libc::PR_SET_PDEATHSIG,
                libc::SIGKILL as libc::c_ulong,
            ))?;
            // The parent may have died before the signal was asked for.
            if libc::getppid() != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
    }
    Ok(())
}

fn enter(namespace: BorrowedFd<'_>, kind: CloneFlags) -> io::Result<()> {
    setns(namespace, kind).map_err(|errno| io::Error::from_raw_os_error(errno as i32))
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
