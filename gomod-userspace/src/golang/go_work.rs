// SPDX-License-Identifier: MIT OR Apache-2.0
//! go.work, as far as it tells what `go mod download` fetches.

use super::{
    directives::{LineError, each_directive, not_understood},
    replace::{Replace, replace},
};

/// What a go.work file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoWork {
    /// The `go` line.
    pub go: Option<String>,
    /// The `toolchain` line.
    pub toolchain: Option<String>,
    /// Directories of the workspace's modules, relative to the file's own.
    pub uses: Vec<String>,
    /// The `replace` lines.
    pub replaces: Vec<Replace>,
    /// Lines that were left out.
    pub errors: Vec<LineError>,
}

impl GoWork {
    /// Reads a go.work file. Lines that are not understood are in [`Self::errors`].
    pub fn parse(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        let text = String::from_utf8_lossy(bytes);
        file.errors = each_directive(&text, |verb, arguments, _| {
            match (verb, arguments) {
                ("go", [version]) => file.go = Some(version.clone()),
                ("toolchain", [name]) => file.toolchain = Some(name.clone()),
                ("use", [directory]) => file.uses.push(directory.clone()),
                ("replace", arguments) => file.replaces.push(replace(arguments)?),
                ("godebug", _) => {}
                _ => return Err(not_understood(verb)),
            }
            Ok(())
        });
        file
    }
}
