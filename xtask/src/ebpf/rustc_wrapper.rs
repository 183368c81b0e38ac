// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps the checkout's path out of the object's symbol names, by standing between cargo and rustc.
//!
//! Cargo derives `-C metadata`, and so the hash in every mangled name, from the absolute path of a path dependency that
//! lies outside of the workspace's root, as gomod-ebpf-common does for gomod-ebpf. Both get a constant instead: each
//! is compiled once in a build, so nothing can collide.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result};

/// Set for the cargo that builds the kernel programs; tells this very binary that it is called as a wrapper.
const MARK: &str = "GOMOD_XTASK_WRAPS_RUSTC";

/// The crates of this repository, as rustc knows them.
const OURS: [&str; 2] = ["gomod_ebpf", "gomod_ebpf_common"];

/// Makes `cargo` call rustc through us.
pub(super) fn put_between(cargo: &mut Command) -> Result<()> {
    let own: PathBuf = env::current_exe().context("finding the path of xtask")?;
    cargo.env("RUSTC_WRAPPER", own).env(MARK, "1");
    Ok(())
}

/// If cargo called us as a wrapper: becomes rustc, so it only returns when that fails.
pub(crate) fn act() -> Option<Result<()>> {
    env::var_os(MARK)?;
    let mut args = env::args_os().skip(1);
    let become_rustc = || -> Result<()> {
        let rustc = args.next().context("cargo named no rustc to wrap")?;
        let error = Command::new(&rustc)
            .args(with_constant_metadata(args.collect()))
            .exec();
        Err(error).with_context(|| format!("cannot start {}", rustc.display()))
    };
    Some(become_rustc())
}

fn with_constant_metadata(mut args: Vec<OsString>) -> Vec<OsString> {
    let ours = args.windows(2).any(|pair| {
        pair[0] == OsStr::new("--crate-name") && OURS.iter().any(|name| pair[1] == OsStr::new(name))
    });
    if ours {
        for arg in &mut args {
            if arg.as_encoded_bytes().starts_with(b"metadata=") {
                *arg = "metadata=gomod-trace".into();
            }
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let args = with_constant_metadata(line.split(' ').map(OsString::from).collect());
        args.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn only_our_crates_get_the_constant() {
        assert_eq!(
            rewritten("--crate-name gomod_ebpf_common -C metadata=12ab -C extra-filename=-12ab"),
            "--crate-name gomod_ebpf_common -C metadata=gomod-trace -C extra-filename=-12ab"
        );
        for line in [
            "--crate-name aya_ebpf -C metadata=12ab",
            "-vV",
            "--crate-name ___ --print=cfg",
        ] {
            assert_eq!(rewritten(line), line);
        }
    }
}
