// SPDX-License-Identifier: MIT OR Apache-2.0
//! Go toolchains of many versions, one directory each.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::LabError;

/// Points at the directory that holds `<full version>/bin/go`, if it is not `go` in the target directory.
pub const DIRECTORY_VARIABLE: &str = "GOMOD_TRACE_GO_DIR";

/// An installed Go toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// Its full version, such as `1.27.3`.
    pub version: String,
    /// Its GOROOT.
    pub root: PathBuf,
}

impl Toolchain {
    /// Its `go` command.
    pub fn go(&self) -> PathBuf {
        self.root.join("bin/go")
    }
}

/// Finds a toolchain by full version (`1.27.3`) or by release (`1.27`, then the highest patch level).
///
/// # Errors
/// [`LabError::Toolchain`] names the directory searched.
pub fn find(version: &str) -> Result<Toolchain, LabError> {
    let directory = directory();
    let wanted = format!("{version}.");
    installed_in(&directory)
        .into_iter()
        .rfind(|toolchain| toolchain.version == version || toolchain.version.starts_with(&wanted))
        .ok_or_else(|| LabError::Toolchain {
            version: version.to_owned(),
            directory,
        })
}

/// All installed toolchains, oldest first.
pub fn installed() -> Vec<Toolchain> {
    installed_in(&directory())
}

/// Where toolchains are looked for: what [`DIRECTORY_VARIABLE`] says, else `go` in cargo's target directory.
pub fn directory() -> PathBuf {
    env::var_os(DIRECTORY_VARIABLE).map_or_else(|| target_directory().join("go"), PathBuf::from)
}

/// Cargo's target directory. `sudo` takes `CARGO_TARGET_DIR` away, so the running program's own place is asked too: cargo
/// marks its target directories by a CACHEDIR.TAG.
fn target_directory() -> PathBuf {
    if let Some(directory) = env::var_os("CARGO_TARGET_DIR") {
        return directory.into();
    }
    let program = env::current_exe().unwrap_or_default();
    let marked = program
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").is_file());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."));
    marked.map_or_else(|| workspace.join("target"), Path::to_owned)
}

fn installed_in(directory: &Path) -> Vec<Toolchain> {
    let mut found = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some(Toolchain {
                version: entry.file_name().into_string().ok()?,
                root: entry.path(),
            })
        })
        .filter(|toolchain| toolchain.go().is_file())
        .collect::<Vec<_>>();
    found.sort_by_key(|toolchain| numbers(&toolchain.version));
    found
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|number| number.parse().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        let directory = tempfile::tempdir().unwrap();
        for version in ["1.9.0", "1.27.10", "1.27.3"] {
            fs::create_dir_all(directory.path().join(version).join("bin")).unwrap();
            fs::write(directory.path().join(version).join("bin/go"), "").unwrap();
        }
        fs::create_dir(directory.path().join("1.28.0")).unwrap();
        let versions = installed_in(directory.path())
            .into_iter()
            .map(|toolchain| toolchain.version)
            .collect::<Vec<_>>();
        assert_eq!(versions, ["1.9.0", "1.27.3", "1.27.10"]);
    }
}
