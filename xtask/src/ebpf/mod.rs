// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask build-ebpf`: the kernel programs from source to the stripped object that ships.

mod compiler;
mod linker;
mod object;
pub(crate) mod rustc_wrapper;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use self::{compiler::Compiler, linker::Linker};
use crate::{apt, process, source_hash, workspace::Workspace};

const TARGET: &str = "bpfel-unknown-none";

/// What `prebuilt/manifest.json` records.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    sources_sha256: String,
    object_sha256: String,
    rustc: String,
    llvm: String,
    bpf_linker: String,
}

impl Manifest {
    fn same_toolchain(&self, other: &Self) -> bool {
        (&self.rustc, &self.llvm, &self.bpf_linker)
            == (&other.rustc, &other.llvm, &other.bpf_linker)
    }
}

/// A compiler and a linker that fit together.
#[derive(Debug)]
pub(crate) struct Toolchain {
    compiler: Compiler,
    linker: Linker,
}

/// What keeps us from building.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Compiler,
    Linker,
}

/// Builds the object and puts it, with its manifest, into `gomod-ebpf/prebuilt`.
pub(crate) fn build(workspace: &Workspace, install: bool) -> Result<()> {
    let toolchain = Toolchain::find(workspace, install)?;
    let (object, manifest) = toolchain.build(workspace)?;
    let shipped = workspace.root.join(source_hash::OBJECT);
    let prebuilt = shipped
        .parent()
        .context("the object lies in no directory")?;
    fs::create_dir_all(prebuilt).with_context(|| format!("creating {}", prebuilt.display()))?;
    fs::write(&shipped, &object).with_context(|| format!("writing {}", shipped.display()))?;
    let mut json = serde_json::to_string_pretty(&manifest).context("writing the manifest")?;
    json.push('\n');
    let path = workspace.root.join(source_hash::MANIFEST);
    fs::write(&path, json).with_context(|| format!("writing {}", path.display()))?;
    println!(
        "{}: {} bytes, {}",
        source_hash::OBJECT,
        object.len(),
        manifest.object_sha256
    );
    Ok(())
}

/// Rebuilds the object and compares it with the shipped one, which is not touched.
pub(crate) fn check(workspace: &Workspace, install: bool) -> Result<()> {
    let shipped = source_hash::fresh_object(&workspace.root)
        .map_err(|problem| anyhow::anyhow!("{problem}; run `cargo xtask build-ebpf`"))?;
    object::check(&shipped).with_context(|| format!("{} cannot be used", source_hash::OBJECT))?;
    let recorded = recorded_manifest(workspace)?;
    let toolchain = Toolchain::find(workspace, install)?;
    let (rebuilt, manifest) = toolchain.build(workspace)?;
    if rebuilt == shipped {
        println!(
            "{} is reproduced byte for byte: {}",
            source_hash::OBJECT,
            manifest.object_sha256
        );
    } else if manifest.same_toolchain(&recorded) {
        bail!(
            "{} does not come out of its sources: {}; run `cargo xtask build-ebpf`",
            source_hash::OBJECT,
            object::difference(&shipped, &rebuilt)
        );
    } else {
        println!("{} differs, as the toolchains do:", source_hash::OBJECT);
        println!(
            "  shipped: {}, LLVM {}, {}",
            recorded.rustc, recorded.llvm, recorded.bpf_linker
        );
        println!(
            "  here:    {}, LLVM {}, {}",
            manifest.rustc, manifest.llvm, manifest.bpf_linker
        );
        println!("  {}", object::difference(&shipped, &rebuilt));
    }
    Ok(())
}

impl Toolchain {
    /// Finds a pair that fits; with `install`, installs what is missing first.
    pub(crate) fn find(workspace: &Workspace, install: bool) -> Result<Self> {
        let recorded = recorded_manifest(workspace).ok();
        loop {
            let missing = match Self::select(workspace, recorded.as_ref()) {
                Ok(toolchain) => return Ok(toolchain),
                Err(missing) => missing,
            };
            if !install {
                bail!("{}", missing.explained(workspace));
            }
            match missing {
                Missing::Compiler => apt::install(&compiler::DEBIAN_PACKAGES)?,
                Missing::Linker => linker::install(workspace)?,
            }
            // Each round must bring something, or the next one would be the same.
            if Self::select(workspace, recorded.as_ref())
                .err()
                .is_some_and(|still| still == missing)
            {
                bail!(
                    "what was installed can't be used: {}",
                    missing.explained(workspace)
                );
            }
        }
    }

    /// The compiler that the shipped object was made with is taken first, so that it can be reproduced.
    fn select(workspace: &Workspace, recorded: Option<&Manifest>) -> Result<Self, Missing> {
        let mut compilers = Compiler::find_all();
        compilers.sort_by_key(|compiler| {
            recorded.is_none_or(|manifest| manifest.rustc != compiler.version.line)
        });
        let linkers = Linker::find_all(workspace);
        for compiler in &compilers {
            if let Some(linker) = linkers
                .iter()
                .find(|linker| linker.reads_output_of(compiler))
            {
                return Ok(Self {
                    compiler: compiler.clone(),
                    linker: linker.clone(),
                });
            }
        }
        let can_be_served =
            |compiler: &Compiler| compiler.version.llvm_major() <= Some(linker::LLVM_MAJOR);
        Err(if compilers.iter().any(can_be_served) {
            Missing::Linker
        } else {
            Missing::Compiler
        })
    }

    /// `cargo clippy` on the kernel programs; `false` if this compiler has none.
    pub(crate) fn clippy(&self, workspace: &Workspace) -> Result<bool> {
        if !self.compiler.has_clippy() {
            return Ok(false);
        }
        let mut cargo = self.cargo(workspace, "clippy")?;
        process::run(cargo.args(["--", "-D", "warnings"]))?;
        Ok(true)
    }

    /// Where the compiler came from, for messages.
    pub(crate) fn origin(&self) -> &str {
        &self.compiler.origin
    }

    fn build(&self, workspace: &Workspace) -> Result<(Vec<u8>, Manifest)> {
        let sources_sha256 = source_hash::sources_sha256(&workspace.root)?;
        println!(
            "building the kernel programs with {} ({}), {}",
            self.compiler.version.line,
            self.compiler.origin,
            self.linker.described()
        );
        process::run(&mut self.cargo(workspace, "build")?)?;
        let linked = self
            .target_directory(workspace)
            .join(TARGET)
            .join("release/gomod-ebpf");
        let stripped = self.target_directory(workspace).join("gomod-ebpf.o");
        object::strip(&linked, &stripped)?;
        let content = fs::read(&stripped).with_context(|| stripped.display().to_string())?;
        let manifest = Manifest {
            sources_sha256,
            object_sha256: source_hash::bytes_sha256(&content),
            rustc: self.compiler.version.line.clone(),
            llvm: self.compiler.version.llvm.clone(),
            bpf_linker: self.linker.described(),
        };
        Ok((content, manifest))
    }

    fn cargo(&self, workspace: &Workspace, subcommand: &str) -> Result<Command> {
        let linker = self
            .linker
            .path
            .parent()
            .context("bpf-linker lies in no directory")?;
        let mut cargo = self.compiler.cargo(workspace, &[linker])?;
        cargo
            .args([
                subcommand,
                "--release",
                "--locked",
                "-Z",
                "build-std=core",
                "--target",
                TARGET,
            ])
            // Debug information makes the BTF; the profile is set here so that no one's configuration changes the object.
            .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
            .env("CARGO_PROFILE_RELEASE_STRIP", "none")
            .env("CARGO_TARGET_DIR", self.target_directory(workspace))
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                self.rustflags(workspace)?.join("\x1f"),
            );
        rustc_wrapper::put_between(&mut cargo)?;
        Ok(cargo)
    }

    /// Apart from the workspace's own, where another compiler would only push artifacts out, and one for each pair:
    /// cargo itself would not link again for another linker.
    fn target_directory(&self, workspace: &Workspace) -> PathBuf {
        let pair = format!(
            "{}\n{}\n{}",
            self.compiler.version.line,
            self.compiler.origin,
            self.linker.described()
        );
        workspace
            .target
            .join("ebpf")
            .join(&source_hash::bytes_sha256(pair.as_bytes())[..12])
    }

    fn rustflags(&self, workspace: &Workspace) -> Result<Vec<String>> {
        let mut flags = vec![
            // Selects the layout of `pt_regs` in aya's bindings, which no program of ours reads: one value for all
            // machines keeps the object the same everywhere.
            r#"--cfg=bpf_target_arch="x86_64""#.to_owned(),
            "-Clink-arg=--btf".to_owned(),
        ];
        let mut remap = |from: &Path, to: &str| -> Result<()> {
            let from = from
                .to_str()
                .with_context(|| format!("{} is not UTF-8", from.display()))?;
            flags.push(format!("--remap-path-prefix={from}={to}"));
            Ok(())
        };
        remap(&workspace.root, "/gomod-trace")?;
        remap(&self.target_directory(workspace), "/target")?;
        remap(&self.compiler.library(), "/rust/library")?;
        // Below it lies one directory for each index, whose name depends on the configuration.
        for directory in fs::read_dir(cargo_home()?.join("registry/src"))
            .into_iter()
            .flatten()
            .flatten()
        {
            remap(&directory.path(), "/registry")?;
        }
        Ok(flags)
    }
}

impl Missing {
    fn explained(&self, workspace: &Workspace) -> String {
        match self {
            Self::Compiler => format!(
                "no compiler with the sources of core and LLVM <= {} found: run `cargo xtask build-ebpf --install`, \
                 or `{}`, or `rustup toolchain install nightly --component rust-src`",
                linker::LLVM_MAJOR,
                apt::install_command(&compiler::DEBIAN_PACKAGES)
            ),
            Self::Linker => format!(
                "no bpf-linker on LLVM >= the compiler's found: run `cargo xtask build-ebpf --install`, or `{}`",
                linker::install_command(workspace)
            ),
        }
    }
}

fn recorded_manifest(workspace: &Workspace) -> Result<Manifest> {
    let path = workspace.root.join(source_hash::MANIFEST);
    let json = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&json).with_context(|| path.display().to_string())
}

fn cargo_home() -> Result<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_keeps_its_field_names() {
        let json =
            r#"{"sources_sha256":"s","object_sha256":"o","rustc":"r","llvm":"l","bpf_linker":"b"}"#;
        let manifest: Manifest = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&manifest).unwrap(), json);
    }

    #[test]
    fn a_toolchain_differs_by_any_of_its_versions() {
        let manifest = |linker: &str| Manifest {
            sources_sha256: String::new(),
            object_sha256: linker.to_owned(),
            rustc: "r".to_owned(),
            llvm: "l".to_owned(),
            bpf_linker: linker.to_owned(),
        };
        assert!(!manifest("a").same_toolchain(&manifest("b")));
        let rebuilt = Manifest {
            object_sha256: "other".to_owned(),
            ..manifest("a")
        };
        assert!(rebuilt.same_toolchain(&manifest("a")));
    }
}
