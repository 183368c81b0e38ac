// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a module version, before they are packed for the proxy protocol or committed to a repository.

use bytes::Bytes;

use super::zip::{Entry, archive};
use super::{Module, dirhash};

/// One module version.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) version: String,
    pub(crate) go_mod: Bytes,
    /// Its files under the names that they have in the zip: `PATH@VERSION/FILE`.
    pub(crate) entries: Vec<Entry>,
}

impl Source {
    /// What a module proxy serves of it.
    pub(crate) fn pack(self) -> Module {
        let sums = [
            dirhash::hash1(
                self.entries
                    .iter()
                    .map(|entry| (entry.name.as_str(), &entry.content[..])),
            ),
            dirhash::hash_go_mod(&self.go_mod),
        ];
        Module {
            info: Bytes::from(format!(
                "{{\"Version\":\"{}\",\"Time\":\"2024-01-01T00:00:00Z\"}}",
                self.version
            )),
            zip: archive(&self.entries),
            path: self.path,
            version: self.version,
            go_mod: self.go_mod,
            sums,
        }
    }

    /// Names and contents as the module's own directory has them.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        let prefix = format!("{}@{}/", self.path, self.version);
        self.entries.iter().map(move |entry| {
            let name = entry.name.strip_prefix(&prefix).unwrap_or(&entry.name);
            (name, &entry.content)
        })
    }
}
