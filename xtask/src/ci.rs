// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask ci`: everything but the tests, one named step after the other.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::{ebpf, process, workspace::Workspace};

/// The version that is installed when there is none. Built without optimisation: it runs for seconds.
const CARGO_DENY: &str = "0.20.2";

type Step = (&'static str, fn(&Workspace) -> Result<()>);

const STEPS: [Step; 7] = [
    ("format", format),
    ("clippy", clippy),
    ("docs", docs),
    ("fuzz targets", fuzz_targets),
    ("kernel object", kernel_object),
    ("kernel clippy", kernel_clippy),
    ("licences and sources", deny),
];

/// Runs all steps; stops at the first that fails, with its name.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    for (name, step) in STEPS {
        println!("== {name}");
        let began = Instant::now();
        step(workspace).with_context(|| {
            format!(
                "step `{name}` failed after {:.1} s",
                began.elapsed().as_secs_f64()
            )
        })?;
        println!("== {name}: ok, {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

fn format(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo().args(["fmt", "--all", "--check"]))?;
    // These are outside of the workspace.
    for excluded in ["gomod-ebpf", "fuzz"] {
        let manifest = workspace.root.join(excluded).join("Cargo.toml");
        if manifest.is_file() {
            process::run(
                workspace
                    .cargo()
                    .args(["fmt", "--check", "--manifest-path"])
                    .arg(manifest),
            )?;
        }
    }
    Ok(())
}

fn clippy(workspace: &Workspace) -> Result<()> {
    process::run(workspace.cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

fn docs(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    process::run(
        cargo
            .args(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// That they compile: they are outside of the workspace, so that nothing else does it.
fn fuzz_targets(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    process::run(
        cargo
            .args(["check", "--locked", "--manifest-path"])
            .arg(workspace.root.join("fuzz/Cargo.toml"))
            .env("CARGO_TARGET_DIR", &workspace.target),
    )
}

fn kernel_object(workspace: &Workspace) -> Result<()> {
    ebpf::check(workspace, true)
}

fn kernel_clippy(workspace: &Workspace) -> Result<()> {
    let toolchain = ebpf::Toolchain::find(workspace, true)?;
    if !toolchain.clippy(workspace)? {
        println!("not run: {} has no clippy", toolchain.origin());
    }
    Ok(())
}

fn deny(workspace: &Workspace) -> Result<()> {
    if workspace.find_tool("cargo-deny").is_none() {
        let mut cargo = workspace.cargo();
        cargo.args([
            "install",
            "cargo-deny",
            "--version",
            &format!("={CARGO_DENY}"),
            "--locked",
            "--debug",
            "--root",
        ]);
        process::run(
            cargo
                .arg(workspace.tools())
                .env("CARGO_TARGET_DIR", workspace.target.join("tools-build")),
        )?;
        std::fs::remove_dir_all(workspace.target.join("tools-build"))
            .context("removing the scratch build of cargo-deny")?;
    }
    let tool = workspace
        .find_tool("cargo-deny")
        .context("cargo-deny was installed and is not there")?;
    let mut deny = std::process::Command::new(tool);
    process::run(
        deny.args([
            "--all-features",
            "--locked",
            "check",
            "licenses",
            "bans",
            "sources",
        ])
        .current_dir(&workspace.root),
    )
}
