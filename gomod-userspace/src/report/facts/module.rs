// SPDX-License-Identifier: MIT OR Apache-2.0
//! `modules[]`: the files of one module version, whoever fetched them.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{Tell, at, at_if};
use crate::{
    kernel::events::MonotonicNanos,
    timeline::{ModuleFile, ModuleFileKind, Timeline},
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct ModuleFact<'a> {
    path: &'a str,
    version: &'a str,
    files: Vec<&'static str>,
    bytes: Option<u64>,
    began_ms: f64,
    done_ms: Option<f64>,
}

/// One file alone, in the same shape: what the event stream tells.
impl Tell for ModuleFile {
    type Fact<'a> = ModuleFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> ModuleFact<'_> {
        ModuleFact {
            path: &self.module,
            version: &self.version,
            files: vec![self.kind.extension()],
            bytes: self.bytes,
            began_ms: at(self.wanted, began),
            done_ms: at_if(self.done, began),
        }
    }
}

/// One kind of file, fetched perhaps by several processes; complete as soon as one of them completed it.
#[derive(Default)]
struct Fetched {
    bytes: Option<u64>,
    done: Option<MonotonicNanos>,
}

/// A module path and version, and its files.
struct Version<'a> {
    id: (&'a str, &'a str),
    began: MonotonicNanos,
    files: BTreeMap<ModuleFileKind, Fetched>,
}

/// The module versions of a run in the order they were first wanted.
pub(in crate::report) fn by_version(timeline: &Timeline) -> Vec<ModuleFact<'_>> {
    let mut versions: Vec<Version<'_>> = Vec::new();
    let mut index: HashMap<(&str, &str), usize> = HashMap::new();
    for file in &timeline.files {
        let place = *index
            .entry((&file.module, &file.version))
            .or_insert_with(|| {
                versions.push(Version {
                    id: (&file.module, &file.version),
                    began: file.wanted,
                    files: BTreeMap::new(),
                });
                versions.len() - 1
            });
        let version = &mut versions[place];
        version.began = version.began.min(file.wanted);
        let fetched = version.files.entry(file.kind).or_default();
        fetched.bytes = fetched.bytes.max(file.bytes);
        fetched.done = match (fetched.done, file.done) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    versions
        .into_iter()
        .map(|version| version.tell(timeline.began))
        .collect()
}

impl<'a> Version<'a> {
    fn tell(self, began: MonotonicNanos) -> ModuleFact<'a> {
        let known: Vec<u64> = self.files.values().filter_map(|file| file.bytes).collect();
        let done: Option<Vec<MonotonicNanos>> = self.files.values().map(|file| file.done).collect();
        ModuleFact {
            path: self.id.0,
            version: self.id.1,
            files: self.files.keys().map(|kind| kind.extension()).collect(),
            bytes: (!known.is_empty()).then(|| known.iter().sum()),
            began_ms: at(self.began, began),
            done_ms: at_if(done.and_then(|done| done.into_iter().max()), began),
        }
    }
}
