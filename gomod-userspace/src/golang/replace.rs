// SPDX-License-Identifier: MIT OR Apache-2.0
//! `replace` lines of go.mod and go.work.

use super::module_path::{ModuleVersion, check_path, check_version};

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The module to be replaced.
    pub path: String,
    /// The version to be replaced; `None`: all.
    pub version: Option<String>,
    /// What stands in for it.
    pub with: Replacement,
}

/// What stands in for a replaced module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    /// A directory: nothing is downloaded.
    Directory(String),
    /// Another module.
    Module(ModuleVersion),
}

/// Reads the arguments of a `replace` line.
pub(super) fn replace(arguments: &[String]) -> Result<Replace, String> {
    let arrow = arguments
        .iter()
        .position(|token| token == "=>")
        .ok_or("replace without =>")?;
    let (path, version) = match &arguments[..arrow] {
        [path] => (path, None),
        [path, version] => (path, Some(version.clone())),
        _ => {
            return Err("replace needs a module path, and perhaps a version, before =>".to_owned());
        }
    };
    let with = match &arguments[arrow + 1..] {
        [directory] => Replacement::Directory(directory.clone()),
        [path, version] => Replacement::Module(module_version(path, version)?),
        _ => {
            return Err(
                "replace needs a directory, or a module path and version, after =>".to_owned(),
            );
        }
    };
    Ok(Replace {
        path: path.clone(),
        version,
        with,
    })
}

/// A module's path and version, both well-formed.
pub(super) fn module_version(path: &str, version: &str) -> Result<ModuleVersion, String> {
    check_path(path).map_err(|error| error.to_string())?;
    check_version(version).map_err(|error| error.to_string())?;
    Ok(ModuleVersion {
        path: path.to_owned(),
        version: version.to_owned(),
    })
}
