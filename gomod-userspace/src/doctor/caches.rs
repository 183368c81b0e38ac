// SPDX-License-Identifier: MIT OR Apache-2.0
//! GOMODCACHE and GOCACHE: where they lie, whether they share a directory, who holds their locks, what room there is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};
use serde_json::json;

use super::{
    Check,
    place::{FileSystems, build_cache_around},
};
use crate::{
    diagnose::{SharedCaches, Verdict},
    golang::{CachePlace, settings::CacheDirectories},
    kernel::{HeldLocks, held_locks},
    launch::GoSettings,
};

/// How long locks are looked for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Below this there is no room for a toolchain and its extraction.
const SCARCE: u64 = 2 << 30;
/// Below this `go` fails soon.
const FULL: u64 = 64 << 20;
/// Below this many files: each module has some hundreds.
const FEW_FILES: u64 = 10_000;

/// What is known of the caches.
#[derive(Clone, Debug)]
pub struct CacheFacts {
    /// GOMODCACHE; `None` if there is none.
    pub modules: Result<Option<DirectoryFacts>, String>,
    /// GOCACHE.
    pub build: Result<Option<DirectoryFacts>, String>,
    /// A build cache at, above or in the module cache, by what is on disk.
    pub found_on_disk: Option<CachePlace>,
    /// Locks of the module cache that are held.
    pub locks: Option<Result<HeldLocks, String>>,
}

/// A directory.
#[derive(Clone, Debug)]
pub struct DirectoryFacts {
    /// Where it is.
    pub place: CachePlace,
    /// It exists.
    pub exists: bool,
    /// The caller may write there, or make it.
    pub writable: bool,
    /// The room on its file system, if that tells.
    pub room: Option<Room>,
}

/// Room on a file system, for users without privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files; `None` where they are not counted.
    pub files: Option<u64>,
}

impl CacheFacts {
    /// Looks, with the rights of the calling thread.
    pub fn gather(settings: &GoSettings) -> Self {
        let read = || -> Result<_, String> {
            let directories = CacheDirectories::effective(&settings.sources())
                .map_err(|error| error.to_string())?;
            let systems = FileSystems::own().map_err(|error| error.to_string())?;
            Ok((directories, systems))
        };
        let (directories, systems) = match read() {
            Ok(read) => read,
            Err(reason) => {
                return Self {
                    modules: Err(reason.clone()),
                    build: Err(reason),
                    found_on_disk: None,
                    locks: None,
                };
            }
        };
        let look = |directory: Option<&Path>| {
            directory
                .map(|directory| {
                    look_at(&systems, directory)
                        .map_err(|error| format!("{}: {error}", directory.display()))
                })
                .transpose()
        };
        let modules = look(directories.modules.as_deref());
        let place = modules
            .as_ref()
            .ok()
            .and_then(|found| found.as_ref())
            .map(|found| &found.place);
        Self {
            build: look(directories.build.as_deref()),
            found_on_disk: place
                .and_then(|place| systems.place(&build_cache_around(&place.path)?).ok()),
            locks: place.map(|place| {
                held_locks(&place.path, LOCK_PATIENCE).map_err(|error| error.to_string())
            }),
            modules,
        }
    }

    /// Judges.
    pub fn judge(&self) -> Vec<Check> {
        let mut checks = vec![
            directory(
                "caches.modules",
                "GOMODCACHE",
                "downloads nothing",
                &self.modules,
            ),
            directory("caches.build", "GOCACHE", "builds nothing", &self.build),
        ];
        checks.extend(self.shared());
        checks.extend(self.locks());
        checks.extend(self.room());
        checks
    }

    fn known(&self) -> [Option<&DirectoryFacts>; 2] {
        [&self.modules, &self.build].map(|found| found.as_ref().ok().and_then(Option::as_ref))
    }

    fn shared(&self) -> Option<Check> {
        let token = "caches.shared";
        let [modules, build] = self.known();
        let modules = &modules?.place;
        let by_settings = build.and_then(|build| SharedCaches::between(&build.place, modules));
        let by_disk = || SharedCaches::between(self.found_on_disk.as_ref()?, modules);
        let (shared, how) = match by_settings {
            Some(shared) => (shared, "settings"),
            None => match by_disk() {
                Some(shared) => (shared, "found_on_disk"),
                None if build.is_none() => {
                    return Some(Check::unknown(token, "not known: GOCACHE is not known"));
                }
                None => {
                    return Some(Check::ok(token, "each cache has a directory of its own"));
                }
            },
        };
        let story = if how == "settings" {
            shared.story
        } else {
            format!(
                "{}; found by the README of a build cache there, which may be left from former times",
                shared.story
            )
        };
        Some(
            Check::warn(token, story)
                .remedy(shared.action)
                .verdict(Verdict::CacheShared)
                .facts(json!({
                    "relation": shared.sharing,
                    "clean_modcache_deletes": shared.clean,
                    "known_by": how,
                })),
        )
    }

    fn locks(&self) -> Vec<Check> {
        let token = "caches.locks";
        let found = match &self.locks {
            None => return Vec::new(),
            Some(Err(reason)) => return vec![Check::unknown(token, reason.clone())],
            Some(Ok(found)) => found,
        };
        if found.locks.is_empty() {
            return vec![if found.complete {
                Check::ok(token, "none is held")
            } else {
                Check::unknown(
                    token,
                    "the module cache is too large to look through in a second",
                )
            }];
        }
        found
            .locks
            .iter()
            .map(|lock| {
                let who = if lock.command.is_empty() {
                    format!("process {}", lock.holder)
                } else {
                    format!("process {} (`{}`)", lock.holder, lock.command)
                };
                Check::warn(
                    token,
                    format!(
                        "{who} holds {}: every other go that needs it waits, and prints nothing",
                        lock.path.display()
                    ),
                )
                .remedy(format!(
                    "let process {} finish, or end it if it hangs",
                    lock.holder
                ))
                .facts(json!({
                    "path": lock.path,
                    "holder_pid": lock.holder.0,
                    "holder_command": lock.command,
                }))
            })
            .collect()
    }

    fn room(&self) -> Vec<Check> {
        let token = "caches.room";
        let mut seen: Vec<(u32, u32)> = Vec::new();
        let mut checks = Vec::new();
        for facts in self.known().into_iter().flatten() {
            if seen.contains(&facts.place.device) {
                continue;
            }
            seen.push(facts.place.device);
            let path = facts.place.path.display();
            let Some(room) = facts.room else {
                checks.push(Check::unknown(
                    token,
                    format!("{path}: its file system does not tell"),
                ));
                continue;
            };
            let few = room.files.filter(|files| *files < FEW_FILES);
            let files =
                few.map_or_else(String::new, |files| format!(", and room for {files} files"));
            let finding = format!("{} free{files} at {path}", bytesize::ByteSize(room.bytes));
            let remedy =
                "make room: `go clean -cache` and `gomod-trace cache clear` cost only time";
            let check = if room.bytes < FULL || room.files == Some(0) {
                Check::fail(token, finding).remedy(remedy)
            } else if room.bytes < SCARCE || few.is_some() {
                Check::warn(token, finding).remedy(remedy)
            } else {
                Check::ok(token, finding)
            };
            checks.push(check.facts(
                json!({"path": facts.place.path, "bytes": room.bytes, "files": room.files}),
            ));
        }
        checks
    }
}

fn directory(
    token: &'static str,
    name: &str,
    consequence: &str,
    facts: &Result<Option<DirectoryFacts>, String>,
) -> Check {
    let facts = match facts {
        Ok(Some(facts)) => facts,
        Ok(None) => {
            return Check::fail(
                token,
                format!("{name} is off, not absolute, or HOME is not set: go {consequence}"),
            )
            .remedy(format!("set HOME, or {name} to an absolute path"));
        }
        Err(reason) => return Check::unknown(token, reason.clone()),
    };
    let CachePlace { named, path, .. } = &facts.place;
    let place = if named == path {
        named.display().to_string()
    } else {
        format!("{}, which is {}", named.display(), path.display())
    };
    let evidence = json!({
        "named": named,
        "path": path,
        "exists": facts.exists,
        "writable": facts.writable,
    });
    if !facts.writable {
        return Check::fail(token, format!("{place}: it can't be written"))
            .remedy(
                "give the directory to the user who calls go; files that root left there are usual",
            )
            .facts(evidence);
    }
    let there = if facts.exists { "" } else { ", not there yet" };
    Check::ok(token, format!("{place}{there}")).facts(evidence)
}

fn look_at(systems: &FileSystems, directory: &Path) -> io::Result<DirectoryFacts> {
    let place = systems.place(directory)?;
    let existing = place
        .path
        .ancestors()
        .find(|path| path.exists())
        .map_or_else(|| PathBuf::from("/"), ToOwned::to_owned);
    let access = Access::WRITE_OK | Access::EXEC_OK;
    let room = statvfs(&existing).ok().map(|found| Room {
        bytes: found.f_bavail.saturating_mul(found.f_frsize),
        files: (found.f_files > 0).then_some(found.f_favail),
    });
    Ok(DirectoryFacts {
        exists: fs::metadata(&place.path).is_ok_and(|found| found.is_dir()),
        writable: accessat(CWD, &existing, access, AtFlags::EACCESS).is_ok(),
        place,
        room,
    })
}

#[cfg(test)]
mod tests;
