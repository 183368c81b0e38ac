// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of the project that a `go` command works on.

use std::path::{Path, PathBuf};

use crate::{
    golang::{
        GoMod, GoSum, GoWork, Settings,
        needs::{GoCommand, Project},
        settings::Workspace,
    },
    launch::read_bounded,
};

/// Reads them; `None` if there is no project.
pub(super) fn read(cwd: &Path, command: &GoCommand, settings: &Settings) -> Option<Project> {
    let directory = command
        .directory()
        .map_or_else(|| cwd.to_owned(), |directory| cwd.join(directory));
    let work = command
        .uses_workspace()
        .then(|| workspace(&directory, settings))
        .flatten();
    match work {
        Some(file) => of_workspace(&file),
        None => of_module(&directory, command),
    }
}

fn workspace(directory: &Path, settings: &Settings) -> Option<PathBuf> {
    match &settings.workspace {
        Workspace::Search => above(directory, "go.work"),
        Workspace::Off => None,
        Workspace::File(file) => Some(file.clone()),
    }
}

/// The file in this directory or the nearest one above.
fn above(directory: &Path, name: &str) -> Option<PathBuf> {
    directory
        .ancestors()
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

fn of_module(directory: &Path, command: &GoCommand) -> Option<Project> {
    let file = match command.mod_file() {
        Some(file) => directory.join(file),
        None => above(directory, "go.mod")?,
    };
    let content = read_bounded(&file).ok()?;
    Some(Project {
        mods: vec![GoMod::parse(&content)],
        sums: sums(&file.with_extension("sum")),
        work: None,
        vendor: file.parent()?.join("vendor/modules.txt").is_file(),
    })
}

fn of_workspace(file: &Path) -> Option<Project> {
    let work = GoWork::parse(&read_bounded(file).ok()?);
    let root = file.parent()?;
    let mut project = Project {
        sums: sums(&root.join("go.work.sum")),
        vendor: root.join("vendor/modules.txt").is_file(),
        ..Project::default()
    };
    for used in &work.uses {
        let file = root.join(used).join("go.mod");
        if let Ok(content) = read_bounded(&file) {
            project.mods.push(GoMod::parse(&content));
            project.sums.merge(sums(&file.with_extension("sum")));
        }
    }
    project.work = Some(work);
    Some(project)
}

fn sums(file: &Path) -> GoSum {
    GoSum::parse(&read_bounded(file).unwrap_or_default())
}
