// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does not stall, and may cost dearly later: told once, with what to do.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::{Confidence, Evidence, Verdict, View, words::evidence};
use crate::{
    golang::{CachePlace, Sharing, cache_place::CleanModcache},
    kernel::events::{CacheSource, MonotonicNanos, Pid},
};

/// Something that was found out on the way. It has no stage and no end, and nothing waits for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hazard {
    /// What was seen.
    pub verdict: Verdict,
    /// How sure that is.
    pub confidence: Confidence,
    /// The process by which it became known.
    pub pid: Pid,
    /// When it became known.
    pub known: MonotonicNanos,
    /// The directory concerned, for short.
    pub place: PathBuf,
    /// The facts.
    pub evidence: Evidence,
    /// One plain sentence: what is so, and what it may lead to.
    pub story: String,
    /// What to do now, one sentence.
    pub action: String,
}

/// What is said of a build cache and a module cache that share a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedCaches {
    /// How.
    pub sharing: Sharing,
    /// What `go clean -modcache` deletes.
    pub clean: CleanModcache,
    /// One plain sentence.
    pub story: String,
    /// What to do now, one sentence.
    pub action: String,
}

impl SharedCaches {
    /// `None` if each has a directory of its own.
    pub fn between(build: &CachePlace, modules: &CachePlace) -> Option<Self> {
        let sharing = Sharing::between(build, modules)?;
        let clean = sharing.clean_modcache(modules);
        let (build_name, modules_name) = (name("GOCACHE", build), name("GOMODCACHE", modules));
        let how = match sharing {
            Sharing::Same => format!("{build_name} and {modules_name} are the same directory"),
            Sharing::BuildInModules => format!("{build_name} lies in {modules_name}"),
            Sharing::ModulesInBuild => format!("{modules_name} lies in {build_name}"),
        };
        let so = match clean {
            CleanModcache::Both => "`go clean -modcache` deletes both",
            CleanModcache::Modules => {
                "`go clean -modcache` deletes the module cache alone, but whoever removes GOCACHE as a directory, or keeps \
                 it as a CI cache, takes both"
            }
            CleanModcache::Link => {
                "`go clean -modcache` removes only the link that GOMODCACHE is, and whoever removes the directory behind \
                 it takes both"
            }
        };
        Some(Self {
            sharing,
            clean,
            story: format!("{how}: {so}"),
            action: "Give each a directory of its own, neither inside the other: `go env -u GOCACHE` and \
                     `go env -u GOMODCACHE` restore the defaults where no environment variable sets them."
                .to_owned(),
        })
    }
}

/// "GOCACHE (/a)", "GOCACHE (/a, which is /b)".
fn name(setting: &str, place: &CachePlace) -> String {
    let (named, path) = (place.named.display(), place.path.display());
    if place.named == place.path {
        format!("{setting} ({named})")
    } else {
        format!("{setting} ({named}, which is {path})")
    }
}

/// Compares every build cache of the run with every module cache.
#[derive(Clone, Debug, Default)]
pub(super) struct Hazards {
    found: Vec<Hazard>,
    seen: usize,
    builds: Vec<Known>,
    modules: Vec<Known>,
    told: BTreeSet<(PathBuf, PathBuf)>,
}

#[derive(Clone, Debug)]
struct Known {
    place: CachePlace,
    source: CacheSource,
}

impl Hazards {
    pub(super) fn found(&self) -> &[Hazard] {
        &self.found
    }

    pub(super) fn examine(&mut self, view: View<'_>) {
        let caches = view.timeline.caches.iter().skip(self.seen);
        self.seen = view.timeline.caches.len();
        for seen in caches {
            let new = |known: &[Known], place: &Option<CachePlace>, source| {
                let place = place.clone()?;
                let known = known.iter().any(|known| known.place == place);
                (!known).then_some(Known { place, source })
            };
            let source = seen.caches.source;
            // What is found on disk beside a module cache that was opened is the build cache.
            let of_modules = match source {
                CacheSource::FoundOnDisk => CacheSource::Opened,
                other => other,
            };
            let build = new(&self.builds, &seen.caches.build, source);
            let modules = new(&self.modules, &seen.caches.modules, of_modules);
            let mut pairs = Vec::new();
            if let Some(build) = build {
                pairs.extend(
                    self.modules
                        .iter()
                        .map(|other| (build.clone(), other.clone())),
                );
                self.builds.push(build);
            }
            if let Some(modules) = modules {
                pairs.extend(
                    self.builds
                        .iter()
                        .map(|other| (other.clone(), modules.clone())),
                );
                self.modules.push(modules);
            }
            for (build, modules) in pairs {
                self.compare(&build, &modules, seen.pid, view.now);
            }
        }
    }

    fn compare(&mut self, build: &Known, modules: &Known, pid: Pid, now: MonotonicNanos) {
        let Some(shared) = SharedCaches::between(&build.place, &modules.place) else {
            return;
        };
        let pair = (build.place.path.clone(), modules.place.path.clone());
        if !self.told.insert(pair) {
            return;
        }
        let found_on_disk = build.source == CacheSource::FoundOnDisk;
        self.found.push(Hazard {
            verdict: Verdict::CacheShared,
            // A README may be left of a build cache that nobody uses any more.
            confidence: if found_on_disk {
                Confidence::Likely
            } else {
                Confidence::Confirmed
            },
            pid,
            known: now,
            place: modules.place.path.clone(),
            evidence: evidence(json!({
                "relation": shared.sharing,
                "clean_modcache_deletes": shared.clean,
                "build_cache": build.place.named,
                "build_cache_path": build.place.path,
                "build_cache_known_by": build.source,
                "module_cache": modules.place.named,
                "module_cache_path": modules.place.path,
                "module_cache_known_by": modules.source,
            })),
            story: shared.story,
            action: shared.action,
        });
    }
}
