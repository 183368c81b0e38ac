// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds out where the caches of the `go` processes of a run lie: by what they are set to, and by what they open.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    doctor::place::{FileSystems, build_cache_around_of, module_cache_of},
    golang::{
        CachePlace, GoVersion,
        settings::{CacheDirectories, Environment},
    },
    kernel::events::{CacheSource, Caches, Event, EventKind, Exec, File, FileOperation, Pid},
    launch::GoSettings,
};

/// Looks at each `go` process, and at each module cache that one of them opens a file of, once.
#[derive(Default)]
pub(super) struct CacheWatch {
    /// Module caches of each process that were looked at.
    go: HashMap<Pid, HashSet<PathBuf>>,
}

impl CacheWatch {
    /// Events about caches that follow from these. What can't be read, mostly because the process has ended, is not told.
    pub(super) fn look(&mut self, batch: &[Event]) -> Vec<Event> {
        let mut found = Vec::new();
        for event in batch {
            let caches = match &event.kind {
                EventKind::Exec(exec) => self.executed(event.pid, exec),
                EventKind::File(file) => self.opened(event.pid, file),
                EventKind::Exit { .. } => {
                    self.go.remove(&event.pid);
                    None
                }
                _ => None,
            };
            found.extend(caches.map(|caches| Event {
                at: event.at,
                pid: event.pid,
                kind: EventKind::Caches(caches),
            }));
        }
        found
    }

    fn executed(&mut self, pid: Pid, exec: &Exec) -> Option<Caches> {
        let Some(version) = &exec.go_version else {
            self.go.remove(&pid);
            return None;
        };
        self.go.insert(pid, HashSet::new());
        let block = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let environment = Environment::from_block(&block);
        let version = GoVersion::of_toolchain(version);
        let settings = GoSettings::read(environment, &exec.exe, version);
        let directories = CacheDirectories::effective(&settings.sources())
            .inspect_err(|error| tracing::info!(%error, %pid, "caches unknown"))
            .ok()?;
        let systems = FileSystems::of(pid).ok()?;
        Some(Caches {
            source: CacheSource::Settings,
            modules: place(&systems, directories.modules.as_deref()),
            build: place(&systems, directories.build.as_deref()),
        })
    }

    /// A file of a module cache that was opened, or looked for: beside it may be a build cache that no process of this
    /// run is set to.
    fn opened(&mut self, pid: Pid, file: &File) -> Option<Caches> {
        if !matches!(file.operation, FileOperation::Open | FileOperation::Rename) {
            return None;
        }
        let looked_at = self.go.get_mut(&pid)?;
        let directory = module_cache_of(&file.path)?;
        if !looked_at.insert(directory.clone()) {
            return None;
        }
        let systems = FileSystems::of(pid).ok()?;
        let modules = systems.place(&directory).ok()?;
        let build = build_cache_around_of(pid, &modules.path);
        Some(Caches {
            source: if build.is_some() {
                CacheSource::FoundOnDisk
            } else {
                CacheSource::Opened
            },
            build: place(&systems, build.as_deref()),
            modules: Some(modules),
        })
    }
}

fn place(systems: &FileSystems, directory: Option<&Path>) -> Option<CachePlace> {
    systems.place(directory?).ok()
}
