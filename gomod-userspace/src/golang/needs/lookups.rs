// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which modules a command will look up in the checksum database.
//!
//! Rules: `checkModSum`, `checkMod` of cmd/go/internal/modfetch: a hash that go.sum has is compared, one that it lacks
//! is looked up, if the command may add to go.sum; since Go 1.16 most may not.

use std::collections::BTreeSet;

use super::{GoCommand, Project, Subcommand, requires};
use crate::golang::{
    go_sum::Hashed,
    module_path::ModuleVersion,
    proxy_file::{ProxyFile, ProxyFileKind},
};

impl GoCommand {
    /// Whether the command adds the hashes to go.sum that it lacks; others stop where one is missing.
    pub fn adds_sums(&self) -> bool {
        matches!(
            self.subcommand,
            Subcommand::Download | Subcommand::Tidy | Subcommand::Get
        ) || self.flags.value("mod") == Some("mod")
    }
}

/// Modules of `files`, and direct requirements, whose hashes are missing.
pub(super) fn of(
    command: &GoCommand,
    project: &Project,
    files: &BTreeSet<ProxyFile>,
) -> BTreeSet<ModuleVersion> {
    if !command.adds_sums() {
        return BTreeSet::new();
    }
    let is_missing = |module: &ModuleVersion, hashed| !project.sums.has(module, hashed);
    let asked_for = files.iter().filter(|file| match file.kind {
        ProxyFileKind::Mod => is_missing(&file.module, Hashed::GoMod),
        ProxyFileKind::Zip => is_missing(&file.module, Hashed::Zip),
        ProxyFileKind::Info => false,
    });
    let modules = asked_for.map(|file| file.module.clone());
    // Their go.mod files are read in any case.
    let required = requires(project).into_iter();
    modules
        .chain(required.filter(|module| is_missing(module, Hashed::GoMod)))
        .collect()
}
