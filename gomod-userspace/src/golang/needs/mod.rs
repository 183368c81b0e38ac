// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a `go` command is about to ask a module proxy for, foreseen from its command line and the project's files.
//!
//! Measured on Go 1.21 to 1.27 with a cold cache and a tidy go.sum, which lists the `.mod` files of the module graph
//! and the `.zip` files of the modules that provide packages. An untidy project gives fewer files, or some that
//! nobody asks for; never one of a module that `go` would not ask a module proxy for.

mod command;
mod lookups;
mod toolchain;

use std::collections::BTreeSet;

pub use command::{GoCommand, Subcommand};

use super::go_sum::{GoSum, Hashed};
use super::go_version::GoVersion;
use super::module_path::{ModuleVersion, check_path, check_version};
use super::proxy_file::{ProxyFile, ProxyFileKind};
use super::settings::Settings;
use super::{
    go_mod::{GoMod, Require},
    go_work::GoWork,
    replace::Replace,
};

/// The files of a project; whoever reads them goes by [`GoCommand`] and [`Settings::workspace`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// The main module's go.mod, or those of a workspace's modules.
    pub mods: Vec<GoMod>,
    /// All go.sum and go.work.sum files, merged.
    pub sums: GoSum,
    /// go.work, if the command uses one.
    pub work: Option<GoWork>,
    /// Whether there is a directory `vendor` next to go.mod or go.work.
    pub vendor: bool,
}

/// The `go` command itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Its version.
    pub version: GoVersion,
    /// What it was built for, such as `linux-amd64`.
    pub platform: String,
}

/// What will be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The zip of another toolchain, which comes before all else: the command waits for it, then starts anew with it.
    pub toolchain: Option<ProxyFile>,
    /// Files in the order in which they are asked for, small ones first.
    pub files: Vec<ProxyFile>,
    /// Files of modules that are fetched from their own hosts, no proxy being asked first.
    pub direct: Vec<ProxyFile>,
    /// Modules whose hashes go.sum lacks and that the checksum database will be asked for. Empty for commands that stop
    /// where a hash is missing.
    pub lookups: BTreeSet<ModuleVersion>,
}

impl Plan {
    /// Foresees what the command asks for. Modules that the first GOPROXY entry is not asked for are left out.
    pub fn new(
        command: &GoCommand,
        project: &Project,
        local: Option<&Local>,
        settings: &Settings,
    ) -> Self {
        let asked = |file: &ProxyFile| {
            let route = settings.route(&file.module.path);
            let mut first = route.first_proxy().into_iter();
            first.any(|url| url.scheme() != "file")
        };
        let (go_line, toolchain_line) = match (&project.work, project.mods.first()) {
            (Some(work), _) => (work.go.as_deref(), work.toolchain.as_deref()),
            (None, Some(file)) => (file.go.as_deref(), file.toolchain.as_deref()),
            (None, None) => (None, None),
        };
        let toolchain = local.and_then(|local| {
            let Local { version, platform } = local;
            let setting = &settings.toolchain;
            toolchain::wanted(setting, version, platform, go_line, toolchain_line)
        });
        let by_default = go_line
            .and_then(GoVersion::parse)
            .is_some_and(|version| version.is_at_least(1, 14));
        let (files, mut lookups) =
            if project.mods.is_empty() || command.is_vendored(project.vendor, by_default) {
                (BTreeSet::new(), BTreeSet::new())
            } else {
                let files = files(command, project);
                let lookups = lookups::of(command, project, &files);
                (files, lookups)
            };
        let (files, others): (Vec<_>, Vec<_>) = files.into_iter().partition(asked);
        let direct = others
            .into_iter()
            .filter(|file| settings.route(&file.module.path).is_direct())
            .collect();
        // It's checked like any module, by go.sum or else by the database.
        lookups.extend(
            toolchain
                .clone()
                .filter(|module| !project.sums.has(module, Hashed::Zip)),
        );
        lookups.retain(|module| settings.route(&module.path).sumdb && asked(&zip(module)));
        Self {
            toolchain: toolchain.map(|module| zip(&module)).filter(asked),
            files,
            direct,
            lookups,
        }
    }
}

/// The files by subcommand; their order is that of the set.
fn files(command: &GoCommand, project: &Project) -> BTreeSet<ProxyFile> {
    let requires = requires(project);
    let listed = |file| {
        let of_kind = move |entry: &(&ModuleVersion, Hashed)| entry.1 == file;
        project
            .sums
            .files()
            .filter(of_kind)
            .map(|(module, _)| module)
    };
    let graph = || listed(Hashed::GoMod).map(|module| of(module, ProxyFileKind::Mod));
    let named = || {
        let modules = command.arguments.iter().filter_map(|word| exact(word));
        modules.collect::<BTreeSet<_>>()
    };
    let pruned = project.work.is_none() && project.mods.iter().all(GoMod::lists_whole_build);
    let mut files = BTreeSet::new();
    match command.subcommand {
        Subcommand::Tidy => {
            files.extend(graph());
            files.extend(listed(Hashed::Zip).map(zip));
        }
        Subcommand::Graph => files.extend(graph()),
        Subcommand::Packages | Subcommand::Vendor => {
            let providing = requires
                .iter()
                .filter(|module| project.sums.has(module, Hashed::Zip));
            files.extend(providing.flat_map(all));
            if !pruned {
                files.extend(graph());
            }
        }
        Subcommand::Download => {
            let everything = command.arguments.iter().any(|word| word == "all")
                || (command.arguments.is_empty() && !pruned);
            if command.arguments.is_empty() || everything {
                files.extend(graph());
                files.extend(requires.iter().flat_map(all));
            }
            if everything {
                files.extend(listed(Hashed::Zip).flat_map(all));
            }
            files.extend(named().iter().flat_map(all));
        }
        Subcommand::Get => {
            files.extend(graph());
            // A package path looks the same: only what is a module already is known to be one.
            let is_module = |module: &ModuleVersion| {
                let mut known = requires.iter().map(|known| &known.path);
                known.any(|path| *path == module.path)
            };
            files.extend(
                named()
                    .iter()
                    .filter(|module| is_module(module))
                    .flat_map(all),
            );
        }
    }
    files
}

/// The requirements of all main modules, replaced and without the excluded ones and the main modules themselves.
fn requires(project: &Project) -> BTreeSet<ModuleVersion> {
    let mains: BTreeSet<_> = project
        .mods
        .iter()
        .filter_map(|file| file.module.as_deref())
        .collect();
    let mut together = GoMod::default();
    // What go.work replaces goes before what its modules replace.
    if let Some(work) = &project.work {
        together.replaces.clone_from(&work.replaces);
    }
    for file in &project.mods {
        let others = |require: &&Require| !mains.contains(require.module.path.as_str());
        together
            .requires
            .extend(file.requires.iter().filter(others).cloned());
        together.excludes.extend_from_slice(&file.excludes);
        let work = project.work.as_ref().map_or(&[][..], |work| &work.replaces);
        let theirs = |replace: &&Replace| {
            !work.iter().any(|other| {
                other.path == replace.path
                    && (other.version.is_none() || other.version == replace.version)
            })
        };
        together
            .replaces
            .extend(file.replaces.iter().filter(theirs).cloned());
    }
    together.downloads()
}

/// `PATH@VERSION` with an exact version.
fn exact(word: &str) -> Option<ModuleVersion> {
    let (path, version) = word.split_once('@')?;
    check_path(path).ok()?;
    check_version(version).ok()?;
    Some(ModuleVersion {
        path: path.to_owned(),
        version: version.to_owned(),
    })
}

fn of(module: &ModuleVersion, kind: ProxyFileKind) -> ProxyFile {
    ProxyFile {
        kind,
        module: module.clone(),
    }
}

fn zip(module: &ModuleVersion) -> ProxyFile {
    of(module, ProxyFileKind::Zip)
}

fn all(module: &ModuleVersion) -> [ProxyFile; 3] {
    [ProxyFileKind::Mod, ProxyFileKind::Info, ProxyFileKind::Zip].map(|kind| of(module, kind))
}

#[cfg(test)]
mod tests;
