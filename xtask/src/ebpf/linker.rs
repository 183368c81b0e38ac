// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bpf-linker`, which turns rustc's bitcode into the object: its LLVM must be at least as new as rustc's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::compiler::Compiler;
use crate::{apt, process, workspace::Workspace};

/// The version that `--install` builds.
const VERSION: &str = "0.13.0";

/// The LLVM it is built on.
pub(crate) const LLVM_MAJOR: u32 = 22;

/// Where Debian keeps that LLVM.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// What it is built against.
pub(crate) const DEBIAN_PACKAGES: [&str; 2] = ["llvm-22-dev", "libpolly-22-dev"];

/// A `bpf-linker` that runs.
#[derive(Clone, Debug)]
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    /// Such as `bpf-linker 0.13.0`.
    pub(crate) version: String,
    /// Such as `22.1`; unknown if LLVM is inside the binary.
    pub(crate) llvm: Option<String>,
}

impl Linker {
    /// One on `PATH`, and one that we installed.
    pub(crate) fn find_all(workspace: &Workspace) -> Vec<Self> {
        let installed = workspace.tools().join("bin/bpf-linker");
        process::find_on_path("bpf-linker")
            .into_iter()
            .chain([installed])
            .filter_map(Self::inspect)
            .collect()
    }

    /// Can it read what `compiler` writes? An unknown LLVM is given the benefit of the doubt: it fails with a message
    /// about bitcode if it is older.
    pub(crate) fn reads_output_of(&self, compiler: &Compiler) -> bool {
        let own = self
            .llvm
            .as_deref()
            .and_then(|llvm| llvm.split('.').next()?.parse::<u32>().ok());
        match (own, compiler.version.llvm_major()) {
            (Some(own), Some(theirs)) => own >= theirs,
            _ => true,
        }
    }

    /// For the manifest.
    pub(crate) fn described(&self) -> String {
        match &self.llvm {
            Some(llvm) => format!("{}, LLVM {llvm}", self.version),
            None => self.version.clone(),
        }
    }

    fn inspect(path: PathBuf) -> Option<Self> {
        let version = process::capture(Command::new(&path).arg("--version"))
            .ok()?
            .trim()
            .to_owned();
        let libraries = process::capture(Command::new("ldd").arg(&path)).unwrap_or_default();
        Some(Self {
            path,
            version,
            llvm: llvm_in(&libraries),
        })
    }
}

/// Installs [`VERSION`] below the target directory, on top of Debian's LLVM.
pub(crate) fn install(workspace: &Workspace) -> Result<()> {
    if !Path::new(LLVM_PREFIX).join("bin/llvm-config").is_file() {
        apt::install(&DEBIAN_PACKAGES)?;
    }
    let tools = workspace.tools();
    eprintln!(
        "building bpf-linker {VERSION} to {} (about a minute)",
        tools.display()
    );
    let scratch = workspace.target.join("tools-build");
    let mut cargo = workspace.cargo();
    cargo
        .args([
            "install",
            "bpf-linker",
            "--version",
            &format!("={VERSION}"),
            "--locked",
            "--force",
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{LLVM_MAJOR}"),
            "--root",
        ])
        .arg(&tools)
        .env("LLVM_PREFIX", LLVM_PREFIX)
        .env("CARGO_TARGET_DIR", &scratch);
    let installed = process::run(&mut cargo);
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))?;
    }
    installed
}

/// What `--install` does, for those who would rather do it by hand.
pub(crate) fn install_command(workspace: &Workspace) -> String {
    format!(
        "{} && LLVM_PREFIX={LLVM_PREFIX} cargo install bpf-linker --version ={VERSION} --locked --no-default-features \
         --features llvm-{LLVM_MAJOR} --root {}",
        apt::install_command(&DEBIAN_PACKAGES),
        workspace.tools().display()
    )
}

/// The version in the name of the LLVM library that `ldd` lists.
fn llvm_in(ldd: &str) -> Option<String> {
    let name = ldd
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .find_map(|name| {
            let rest = name.strip_prefix("libLLVM")?;
            // libLLVM.so.22.1, libLLVM-22.so.1 and libLLVM-22.so are all in use.
            rest.strip_prefix(".so.")
                .or_else(|| rest.strip_prefix('-')?.split(".so").next())
        })?;
    name.starts_with(|c: char| c.is_ascii_digit())
        .then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_llvm_is_read_from_its_libraries() {
        let with = |library: &str| {
            format!("\tlinux-vdso.so.1 (0x7f)\n\t{library} => /usr/lib/{library} (0x00007f)\n")
        };
        assert_eq!(llvm_in(&with("libLLVM.so.22.1")).as_deref(), Some("22.1"));
        assert_eq!(llvm_in(&with("libLLVM-22.so.1")).as_deref(), Some("22"));
        assert_eq!(llvm_in(&with("libLLVM-17.so")).as_deref(), Some("17"));
        assert_eq!(llvm_in(&with("libz.so.1")), None);
    }
}
