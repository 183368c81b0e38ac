// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `gomod-trace` binary under test: built once, as these tests were, and copied to where every user may execute it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

static COPY: Mutex<Option<TempDir>> = Mutex::new(None);

/// Path of the binary.
pub(crate) fn path() -> PathBuf {
    let mut copy = COPY.lock().unwrap_or_else(PoisonError::into_inner);
    copy.get_or_insert_with(build)
        .path()
        .join("bin/gomod-trace")
}

/// Removes the copy; without one, does nothing.
pub(crate) fn clean_up() {
    drop(COPY.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// `cargo test` builds libraries of other packages, but not their binaries.
fn build() -> TempDir {
    let own = std::env::current_exe().unwrap();
    // <target>/<profile>/deps/<this test>
    let profile = own.ancestors().nth(2).unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace)
        .args([
            "build",
            "--quiet",
            "--locked",
            "-p",
            "gomod-userspace",
            "--bin",
            "gomod-trace",
        ])
        .arg("--target-dir")
        .arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output().unwrap();
    assert!(
        output.status.success(),
        "{cargo:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let copy = tempfile::Builder::new()
        .prefix("gomod-e2e-")
        .tempdir()
        .unwrap();
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(copy.path().join("bin")).unwrap();
    // By another process: a child that another trial starts meanwhile would inherit a descriptor of ours that is open for
    // writing, and nobody could execute the file before that child does its own exec (ETXTBSY).
    let copied = Command::new("cp")
        .arg(profile.join("gomod-trace"))
        .arg(copy.path().join("bin/gomod-trace"))
        .status()
        .unwrap();
    assert!(copied.success(), "cp: {copied}");
    copy
}
