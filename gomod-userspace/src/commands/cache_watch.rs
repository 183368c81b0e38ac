// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds out where the caches of the `go` processes of a run lie: by what they are set to, and by what they open.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::{
    doctor::place::{FileSystems, build_cache_around_of, module_cache_of},
    golang::{
        CachePlace, GoVersion, build_cache_of,
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
    /// Build caches that were looked at.
    build: HashSet<PathBuf>,
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

    /// A file of a cache that was opened, or looked for.
    fn opened(&mut self, pid: Pid, file: &File) -> Option<Caches> {
        if !matches!(file.operation, FileOperation::Open | FileOperation::Rename)
            || self.is_known(pid, &file.path)
        {
            return None;
        }
        match module_cache_of(&file.path) {
            Some(directory) => self.opened_modules(pid, &directory),
            None => self.opened_build(pid, build_cache_of(&file.path)?),
        }
    }

    /// True for a file of a module cache of this process that was looked at. Nearly all are; they need no further look.
    fn is_known(&self, pid: Pid, file: &Path) -> bool {
        let is_below = |directory: &PathBuf| {
            let file = file.as_os_str().as_bytes();
            file.strip_prefix(directory.as_os_str().as_bytes())
                .is_some_and(|rest| rest.starts_with(b"/cache/download/"))
        };
        self.go
            .get(&pid)
            .is_some_and(|directories| directories.iter().any(is_below))
    }

    /// Compilers read the build cache in the name of their `go`. One that has ended is not the last.
    fn opened_build(&mut self, pid: Pid, directory: PathBuf) -> Option<Caches> {
        // Without a `go` that we know of, process numbers may not be ours.
        if self.go.is_empty() || self.build.contains(&directory) {
            return None;
        }
        let build = FileSystems::of(pid).ok()?.place(&directory).ok()?;
        self.build.insert(directory);
        Some(Caches {
            source: CacheSource::Opened,
            modules: None,
            build: Some(build),
        })
    }

    fn opened_modules(&mut self, pid: Pid, directory: &Path) -> Option<Caches> {
        if !self.go.get_mut(&pid)?.insert(directory.to_owned()) {
            return None;
        }
        let systems = FileSystems::of(pid).ok()?;
        let opened = systems.place(directory).ok()?;
        // Beside it may be a build cache that no process of this run is set to.
        let build = build_cache_around_of(pid, &opened.path);
        Some(Caches {
            source: if build.is_some() {
                CacheSource::FoundOnDisk
            } else {
                CacheSource::Opened
            },
            build: place(&systems, build.as_deref()),
            modules: Some(opened),
        })
    }
}

fn place(systems: &FileSystems, directory: Option<&Path>) -> Option<CachePlace> {
    systems.place(directory?).ok()
}
