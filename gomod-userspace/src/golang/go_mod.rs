// SPDX-License-Identifier: MIT OR Apache-2.0
//! go.mod, as far as it tells what `go mod download` fetches.

use std::collections::BTreeSet;

use super::{
    directives::{LineError, each_directive, not_understood},
    module_path::ModuleVersion,
    replace::{Replace, Replacement, module_version, replace},
};

/// What a go.mod file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoMod {
    /// The main module's path.
    pub module: Option<String>,
    /// The `go` line, such as `1.27.0`.
    pub go: Option<String>,
    /// The `toolchain` line, such as `go1.27.3`.
    pub toolchain: Option<String>,
    /// The `require` lines.
    pub requires: Vec<Require>,
    /// The `replace` lines.
    pub replaces: Vec<Replace>,
    /// The `exclude` lines.
    pub excludes: Vec<ModuleVersion>,
    /// Lines that were left out.
    pub errors: Vec<LineError>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// The module and its lowest version.
    pub module: ModuleVersion,
    /// Whether it is marked `// indirect`.
    pub indirect: bool,
}

impl GoMod {
    /// Reads a go.mod file. Lines that are not understood are in [`Self::errors`].
    pub fn parse(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        let text = String::from_utf8_lossy(bytes);
        file.errors = each_directive(&text, |verb, arguments, comment| {
            match (verb, arguments) {
                ("module", [path]) => file.module = Some(path.clone()),
                ("go", [version]) => file.go = Some(version.clone()),
                ("toolchain", [name]) => file.toolchain = Some(name.clone()),
                ("require", [path, version]) => file.requires.push(Require {
                    module: module_version(path, version)?,
                    indirect: is_indirect(comment),
                }),
                ("exclude", [path, version]) => file.excludes.push(module_version(path, version)?),
                ("replace", arguments) => file.replaces.push(replace(arguments)?),
                ("retract" | "godebug" | "tool" | "ignore", _) => {}
                _ => return Err(not_understood(verb)),
            }
            Ok(())
        });
        file
    }

    /// The module zips that `go mod download` fetches into an empty cache: the requirements, replaced and without
    /// the excluded ones, in order. All of them if [`Self::lists_whole_build`], else a lower bound.
    pub fn downloads(&self) -> BTreeSet<ModuleVersion> {
        self.requires
            .iter()
            .filter(|require| !self.excludes.contains(&require.module))
            .filter_map(|require| self.replaced(&require.module))
            .collect()
    }

    /// Whether the requirements are the whole build list: since `go 1.17` they are (module graph pruning).
    pub fn lists_whole_build(&self) -> bool {
        let Some((major, rest)) = self.go.as_deref().and_then(|go| go.split_once('.')) else {
            return false;
        };
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        matches!((major.parse::<u32>(), minor.parse::<u32>()), (Ok(major), Ok(minor)) if (major, minor) >= (1, 17))
    }

    /// What is downloaded in a module's place; `None`: a directory.
    fn replaced(&self, module: &ModuleVersion) -> Option<ModuleVersion> {
        let of_path = |replace: &&Replace| replace.path == module.path;
        let exact = self
            .replaces
            .iter()
            .filter(of_path)
            .find(|replace| replace.version.as_ref() == Some(&module.version));
        let found = exact.or_else(|| {
            self.replaces
                .iter()
                .filter(of_path)
                .find(|replace| replace.version.is_none())
        });
        match found.map(|replace| &replace.with) {
            None => Some(module.clone()),
            Some(Replacement::Module(with)) => Some(with.clone()),
            Some(Replacement::Directory(_)) => None,
        }
    }
}

/// `// indirect`, perhaps with more behind a semicolon.
fn is_indirect(comment: &str) -> bool {
    comment
        .split(';')
        .next()
        .is_some_and(|first| first.trim() == "indirect")
}

#[cfg(test)]
mod tests;
