// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking the programs off their tracepoints without making anybody wait.
//!
//! When the last program leaves a tracepoint, the kernel waits until no CPU can still be inside
//! (`tracepoint_synchronize_unregister`, tens of milliseconds), for one tracepoint after the other, and no process that
//! holds the links can end before. All together that would add most of a second to each run.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
};

use rustix::pipe::{PipeFlags, pipe_with};

/// A child process that holds the tracepoint links of this process too, so that closing them here does not wait.
/// It closes them, which ends it, once this value is dropped.
pub(super) struct Holder {
    /// Its end, however it comes, is what the child waits for.
    _until_closed: OwnedFd,
}

impl Holder {
    /// Makes the child. `None` if there is nothing to hold.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    pub(super) fn start() -> io::Result<Option<Self>> {
        let mut kept = tracepoint_links()?;
        if kept.is_empty() {
            return Ok(None);
        }
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
        kept.push(read_end.as_raw_fd());
        kept.sort_unstable();
        // SAFETY: the child makes system calls only, on memory that was there before: no allocation, no lock.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => hold(&kept, read_end.as_raw_fd()),
            _ => Ok(Some(Self {
                _until_closed: write_end,
            })),
        }
    }
}

/// The child's life. It lets go of everything else, above all of pipes that somebody else reads to their end.
#[expect(
    unsafe_code,
    reason = "only async-signal-safe calls may be made after fork"
)]
fn hold(kept: &[RawFd], read_end: RawFd) -> ! {
    // SAFETY: descriptors and one byte of this frame; nothing of the parent's state is touched, and `_exit` runs none
    // of its destructors.
    unsafe {
        libc::setsid();
        let mut next: RawFd = 0;
        for &descriptor in kept {
            if descriptor > next {
                libc::syscall(libc::SYS_close_range, next, descriptor - 1, 0);
            }
            next = descriptor + 1;
        }
        libc::syscall(libc::SYS_close_range, next, libc::c_uint::MAX, 0);
        let mut byte = 0u8;
        while libc::read(read_end, (&raw mut byte).cast(), 1) == -1
            && *libc::__errno_location() == libc::EINTR
        {}
        libc::_exit(0)
    }
}

/// Descriptors of links to tracepoints, and of perf events, which are the links before kernel 5.15.
fn tracepoint_links() -> io::Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let Some(descriptor) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // The directory's own descriptor is gone when it is looked at.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let is_one = match target.to_str() {
            Some("anon_inode:[perf_event]") => true,
            Some("anon_inode:bpf_link" | "anon_inode:bpf-link") => {
                fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"))
                    .is_ok_and(|info| info.contains("link_type:\tperf"))
            }
            _ => false,
        };
        if is_one {
            found.push(descriptor);
        }
    }
    Ok(found)
}
