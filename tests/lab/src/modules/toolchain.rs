// SPDX-License-Identifier: MIT OR Apache-2.0
//! An installed Go toolchain as the module that `go` downloads when a project asks for a newer one (go.dev/doc/toolchain).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::source::Source;
use super::zip::Entry;
use crate::LabError;
use crate::toolchain::Toolchain;

const PATH: &str = "golang.org/toolchain";

/// The parts that a `go` command needs to run and to download; compiler and standard library are left out, as packing them
/// would take longer than most tests.
const PARTS: [&str; 5] = ["VERSION", "go.env", "bin", "lib/time", "pkg/tool"];
/// Below `pkg/tool`: only programs up to this size, so that the directory is there.
const LARGEST_TOOL: u64 = 4 << 20;

/// The module of `toolchain`, for the platform it was built for.
pub(super) fn source(toolchain: &Toolchain) -> Result<Source, LabError> {
    let version = format!("v0.0.1-go{}.{}", toolchain.version, platform());
    let prefix = format!("{PATH}@{version}");
    let mut files = Vec::new();
    for part in PARTS {
        collect(&toolchain.root.join(part), &mut files).map_err(|error| {
            LabError::setup(
                format!("read {} of {}", part, toolchain.root.display()),
                error,
            )
        })?;
    }
    files.sort();
    let entries = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(&toolchain.root).unwrap_or(file);
            Ok(Entry {
                name: format!("{prefix}/{}", name.display()),
                content: Bytes::from(fs::read(file)?),
            })
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| {
            LabError::setup(format!("read files of {}", toolchain.root.display()), error)
        })?;
    Ok(Source {
        path: PATH.to_owned(),
        version,
        go_mod: Bytes::from(format!("module {PATH}\n")),
        entries,
    })
}

/// GOOS-GOARCH of this machine.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux-{architecture}")
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let metadata = match fs::metadata(path) {
        // Not every release has every part.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if !path.components().any(|part| part.as_os_str() == "tool")
        || metadata.len() <= LARGEST_TOOL
    {
        files.push(path.to_owned());
    }
    Ok(())
}
