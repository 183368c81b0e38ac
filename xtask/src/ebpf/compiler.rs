// SPDX-License-Identifier: MIT OR Apache-2.0
//! A compiler that can build `core` for `bpfel-unknown-none`: it must come with the sources of `core`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{process, workspace::Workspace};

/// Debian's packages that make a usable pair of rustc and cargo.
pub(crate) const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "cargo-web"];

/// Oldest minor version of Debian's rustc (1.x) that is known to build the programs.
const DEBIAN_MINOR: u32 = 96;

/// What is taken from the environment of the command that started us, and would lead another toolchain astray.
const INHERITED: [&str; 9] = [
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// What `rustc -vV` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The first line, for people and for the manifest.
    pub(crate) line: String,
    /// The minor of 1.x.
    pub(crate) minor: u32,
    /// The LLVM inside, such as `22.1.8`.
    pub(crate) llvm: String,
}

impl Version {
    fn parse(verbose: &str) -> Option<Self> {
        let field = |name: &str| {
            verbose
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        let release = field("release:")?;
        let minor = release.split('.').nth(1)?.parse().ok()?;
        let line = verbose
            .lines()
            .next()
            .filter(|line| line.starts_with("rustc "))?;
        Some(Self {
            line: line.trim().to_owned(),
            minor,
            llvm: field("LLVM version:")?.to_owned(),
        })
    }

    /// The major version of the LLVM inside.
    pub(crate) fn llvm_major(&self) -> Option<u32> {
        self.llvm.split('.').next()?.parse().ok()
    }
}

/// A rustc and the cargo that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    rustc: PathBuf,
    cargo: PathBuf,
    /// Where it came from: the name of a rustup toolchain, or the package.
    pub(crate) origin: String,
    pub(crate) version: Version,
    sysroot: PathBuf,
}

impl Compiler {
    /// All usable ones: rustup's nightlies first, then Debian's.
    pub(crate) fn find_all() -> Vec<Self> {
        rustup_nightlies().into_iter().chain(debian()).collect()
    }

    /// The compiler's cargo, free of the environment of the one that started us, with our tools on its `PATH`.
    pub(crate) fn cargo(&self, workspace: &Workspace, tools: &[&Path]) -> Result<Command> {
        let own = self.rustc.parent().map(Path::to_path_buf);
        let before = tools.iter().map(|tool| tool.to_path_buf()).chain(own);
        let path = env::var_os("PATH").unwrap_or_default();
        let path =
            env::join_paths(before.chain(env::split_paths(&path))).context("joining PATH")?;
        let mut command = Command::new(&self.cargo);
        for name in INHERITED {
            command.env_remove(name);
        }
        command
            .current_dir(workspace.root.join("gomod-ebpf"))
            .env("PATH", path)
            .env("RUSTC", &self.rustc)
            // Debian's is a stable release; a nightly does not mind.
            .env("RUSTC_BOOTSTRAP", "1");
        Ok(command)
    }

    /// Is `cargo clippy` there too?
    pub(crate) fn has_clippy(&self) -> bool {
        self.rustc.with_file_name("cargo-clippy").is_file()
            && self.rustc.with_file_name("clippy-driver").is_file()
    }

    /// The compiler's own copy of the standard library's sources.
    pub(crate) fn library(&self) -> PathBuf {
        library_in(&self.sysroot)
    }

    fn inspect(rustc: PathBuf, cargo: PathBuf, origin: String) -> Option<Self> {
        let isolated = || {
            let mut command = Command::new(&rustc);
            for name in INHERITED {
                command.env_remove(name);
            }
            command
        };
        let version = Version::parse(&process::capture(isolated().arg("-vV")).ok()?)?;
        let sysroot = PathBuf::from(
            process::capture(isolated().args(["--print", "sysroot"]))
                .ok()?
                .trim(),
        );
        let usable = library_in(&sysroot).join("core/src/lib.rs").is_file()
            && process::is_executable(&cargo);
        usable.then_some(Self {
            rustc,
            cargo,
            origin,
            version,
            sysroot,
        })
    }
}

fn library_in(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

fn rustup_nightlies() -> Vec<Compiler> {
    let Ok(list) = process::capture(Command::new("rustup").args(["toolchain", "list"])) else {
        return Vec::new();
    };
    nightly_names(&list)
        .filter_map(|name| {
            let mut which = Command::new("rustup");
            let rustc = PathBuf::from(
                process::capture(which.args(["which", "--toolchain", name, "rustc"]))
                    .ok()?
                    .trim(),
            );
            let cargo = rustc.with_file_name("cargo");
            Compiler::inspect(rustc, cargo, format!("rustup's {name}"))
        })
        .collect()
}

fn nightly_names(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
}

fn debian() -> Option<Compiler> {
    let compiler = Compiler::inspect(
        "/usr/bin/rustc".into(),
        "/usr/bin/cargo".into(),
        "Debian's rustc-web".into(),
    )?;
    (compiler.version.minor >= DEBIAN_MINOR).then_some(compiler)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
        commit-date: 2026-05-25\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn rustc_and_llvm_versions_are_read() {
        let version = Version::parse(DEBIAN).unwrap();
        assert_eq!(
            version.line,
            "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"
        );
        assert_eq!(
            (version.minor, version.llvm.as_str(), version.llvm_major()),
            (96, "22.1.8", Some(22))
        );
    }

    #[test]
    fn a_nightly_release_is_read() {
        let nightly = DEBIAN.replace("release: 1.96.0", "release: 1.97.0-nightly");
        assert_eq!(Version::parse(&nightly).unwrap().minor, 97);
    }

    #[test]
    fn other_output_is_no_version() {
        let codeless = DEBIAN.replace("LLVM version: 22.1.8\n", "");
        for text in [
            "",
            "rustc 1.96.0",
            "cargo 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8",
            &codeless,
        ] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_nightlies_are_taken_from_the_list_of_toolchains() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default)\nnightly-2026-05-20-x86_64-unknown-linux-gnu\n\
            nightly-x86_64-unknown-linux-gnu (override)\n1.95.0-x86_64-unknown-linux-gnu\n";
        let names: Vec<_> = nightly_names(list).collect();
        assert_eq!(
            names,
            [
                "nightly-2026-05-20-x86_64-unknown-linux-gnu",
                "nightly-x86_64-unknown-linux-gnu"
            ]
        );
    }
}
