// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a subcommand looks up before it starts.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use tracing_subscriber::EnvFilter;

use crate::{
    golang::go_mod::GoMod,
    kernel,
    launch::{self, Duty},
};

/// Diagnostic log on stderr: silent unless `GOMOD_TRACE_LOG` (a tracing filter) says otherwise;
/// `--debug-kernel` adds what the kernel programs say.
pub(super) fn start_log(debug_kernel: bool) {
    let default = if debug_kernel {
        "warn,gomod_ebpf=trace,gomod_trace::kernel=debug"
    } else {
        "warn"
    };
    let filter = EnvFilter::try_from_env("GOMOD_TRACE_LOG").unwrap_or_else(|_| default.into());
    // A second call in one process (tests) changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // It would tell of a closed stderr on stderr, and panic.
        .log_internal_errors(false)
        .try_init();
}

/// How many modules the go.mod of this directory, or of one above it, asks for.
pub(super) fn modules_expected() -> Option<usize> {
    let directory = env::current_dir().ok()?;
    let bytes = directory
        .ancestors()
        .find_map(|directory| read_go_mod(&directory.join("go.mod")))?;
    Some(GoMod::parse(&bytes).downloads().len()).filter(|count| *count > 0)
}

/// A regular file of sensible size. A directory above may belong to anybody: a pipe there would block us for ever.
fn read_go_mod(path: &Path) -> Option<Vec<u8>> {
    /// `go` itself takes no larger one from a module (`MaxGoMod`, golang.org/x/mod/zip).
    const LARGEST: u64 = 16 << 20;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Gives up what this thread does not need for `duty`; that it can't be given up is no reason to stop.
pub(super) fn drop_privileges(duty: Duty) {
    let version = kernel::version(&kernel_release()).unwrap_or_default();
    if let Err(error) = launch::drop_privileges(duty, version) {
        tracing::warn!(%error, "privileges that are not needed any more could not be dropped");
    }
}

/// Release of the running kernel, as `uname -r` prints it.
pub(super) fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_go_mod_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("go.mod");
        std::fs::write(&file, "module m\n").unwrap();
        assert_eq!(read_go_mod(&file).unwrap(), b"module m\n");
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read_go_mod(&pipe), None);
        assert_eq!(read_go_mod(directory.path()), None);
        assert_eq!(read_go_mod(&directory.path().join("absent")), None);
    }
}
