// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file systems as the loading thread needs them, in a mount namespace that only this thread sees and that ends
//! with it: the machine's mount table stays as it was.

use std::{io, path::Path};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};

const TRACEFS: &str = "/sys/kernel/tracing";
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Gives the calling thread tracefs, which containers and small systems often do not mount, and hides the kernel's BTF.
/// The thread should end after its use: it stays in this namespace.
///
/// None of the programs needs the kernel's BTF, but the loader would parse all of it: a tenth of a second and
/// 25 MiB, in each run.
#[expect(
    unsafe_code,
    reason = "leaving the mount namespace of the process is a raw system call"
)]
pub(super) fn prepare() -> io::Result<()> {
    // SAFETY: affects the calling thread alone, which shares neither its working directory nor descriptors of this
    // namespace with other threads.
    unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }?;
    mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )?;
    if !Path::new(TRACEFS).join("events").is_dir() {
        mount(
            "tracefs",
            TRACEFS,
            "tracefs",
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            None,
        )?;
    }
    if Path::new(BTF).exists() {
        // Only a saving: without it the loader works as well.
        let _ = mount_bind("/dev/null", BTF);
    }
    Ok(())
}
