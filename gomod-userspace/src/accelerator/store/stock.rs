// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store as a whole: what is in it, which versions go first, whether everything is as it was.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use object_store::ObjectMeta;
use object_store::path::Path;
use pollster::block_on;

use super::shelf::{FILES, RECORDS, Shelf, digest_of, key};
use super::{StoreError, sweep};
use crate::golang::{H1, ModuleVersion, ProxyFile, ProxyFileKind};

/// A file without a record may be one that another run is about to finish; older ones are remains of a crash.
const UNFINISHED: Duration = Duration::from_secs(3600);

/// The largest go.mod file that Go takes from a module (golang.org/x/mod/zip, `MaxGoMod`).
pub(in crate::accelerator) const MAX_GO_MOD: u64 = 16 << 20;

/// What is in the store, and what it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Versions of modules.
    pub versions: u64,
    /// Files, with those that describe others.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

/// What was removed.
pub type Removed = Stock;

/// What a check of all files found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files that have the hash that they were verified against.
    pub right: u64,
    /// Names of the others, which were removed, and what was wrong.
    pub wrong: Vec<(String, &'static str)>,
}

/// All objects of a version, which come and go together.
#[derive(Debug)]
struct Version {
    used: SystemTime,
    bytes: u64,
    /// Records first, so that no record is ever without its file.
    objects: Vec<Path>,
}

impl Shelf {
    /// Counts everything.
    pub fn stock(&self) -> Result<Stock, StoreError> {
        Ok(count(self.versions()?.values()))
    }

    /// Removes the least recently used versions until no more than `limit` bytes are left, and what crashes have left.
    pub fn prune(&self, limit: u64) -> Result<Removed, StoreError> {
        sweep::unfinished(&self.directory, UNFINISHED);
        let mut versions: Vec<_> = self.versions()?.into_values().collect();
        let mut total = versions.iter().map(|version| version.bytes).sum::<u64>();
        versions.sort_by_key(|version| version.used);
        let mut removed = Removed::default();
        for version in versions {
            if total <= limit {
                break;
            }
            for object in &version.objects {
                self.delete(object)?;
            }
            total -= version.bytes;
            let gone = count([&version]);
            removed.versions += gone.versions;
            removed.files += gone.files;
            removed.bytes += gone.bytes;
        }
        *self.total.lock().unwrap_or_else(PoisonError::into_inner) = Some(total);
        Ok(removed)
    }

    /// Computes all hashes anew and compares them with those that the files were verified against. Files that differ,
    /// and files whose hash nobody noted, are removed.
    pub fn check_all(&self) -> Result<Checked, StoreError> {
        let mut checked = Checked::default();
        for (file, modified) in self.files()? {
            match self.fault(&file, modified)? {
                Some(Fault::Unfinished) => {}
                Some(Fault::Wrong(reason)) => {
                    self.remove(&file)?;
                    let name = key(FILES, &file)?.to_string();
                    checked.wrong.push((name, reason));
                }
                None => checked.right += 1,
            }
        }
        Ok(checked)
    }

    /// Takes note of bytes that were added; makes room if they are too many.
    pub(super) fn grown(&self, size: u64) -> Result<(), StoreError> {
        let counted = {
            let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
            *total = total.map(|total| total + size);
            *total
        };
        let total = if let Some(total) = counted {
            total
        } else {
            let bytes = self.stock()?.bytes;
            *self.total.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
            bytes
        };
        if total > self.limit {
            // A tenth below, so that the next file does not ask for the same again.
            self.prune(self.limit - self.limit / 10)?;
        }
        Ok(())
    }

    /// What is wrong with a zip or go.mod file.
    fn fault(&self, file: &ProxyFile, modified: SystemTime) -> Result<Option<Fault>, StoreError> {
        let Some((record, _)) = self.record(file)? else {
            let age = modified.elapsed().unwrap_or_default();
            return Ok(Some(if age < UNFINISHED {
                Fault::Unfinished
            } else {
                Fault::Wrong("nothing says what it was verified against")
            }));
        };
        let Some((content, _)) = self.get(&key(FILES, file)?)? else {
            return Ok(Some(Fault::Wrong("others may write to it")));
        };
        if digest_of(&content)? != record.digest || content.metadata()?.len() != record.size {
            return Ok(Some(Fault::Wrong("it has changed since it was kept")));
        }
        let hash = match file.kind {
            ProxyFileKind::Zip => H1::of_zip(BufReader::new(content)).ok(),
            ProxyFileKind::Mod => {
                let mut bytes = Vec::new();
                content.take(MAX_GO_MOD).read_to_end(&mut bytes)?;
                Some(H1::of_go_mod(&bytes))
            }
            ProxyFileKind::Info => None,
        };
        Ok((hash != Some(record.hash)).then_some(Fault::Wrong(
            "it does not have the hash that it was verified against",
        )))
    }

    fn files(&self) -> Result<Vec<(ProxyFile, SystemTime)>, StoreError> {
        Ok(self
            .list(FILES)?
            .into_iter()
            .filter(|(file, _)| file.kind != ProxyFileKind::Info)
            .map(|(file, object)| (file, object.last_modified.into()))
            .collect())
    }

    fn versions(&self) -> Result<BTreeMap<ModuleVersion, Version>, StoreError> {
        let mut versions: BTreeMap<ModuleVersion, Version> = BTreeMap::new();
        for (tree, times_count) in [(RECORDS, true), (FILES, false)] {
            for (file, object) in self.list(tree)? {
                let used = SystemTime::from(object.last_modified);
                let version = versions.entry(file.module).or_insert(Version {
                    used,
                    bytes: 0,
                    objects: Vec::new(),
                });
                if times_count {
                    version.used = version.used.max(used);
                }
                version.bytes += object.size;
                version.objects.push(object.location);
            }
        }
        Ok(versions)
    }

    /// Objects whose names are those of module files; whatever else is there is not ours, and neither is what a link
    /// leads to. A directory that can't be read is passed over, unless it's all there is.
    fn list(&self, tree: &str) -> Result<Vec<(ProxyFile, ObjectMeta)>, StoreError> {
        let listed: Vec<_> = block_on(self.objects.list(Some(&Path::from(tree))).collect());
        let (objects, errors): (Vec<_>, Vec<_>) = listed.into_iter().partition(Result::is_ok);
        if objects.is_empty()
            && let Some(Err(error)) = errors.into_iter().next()
        {
            return Err(error.into());
        }
        let mut inside = Inside::new(&self.directory);
        Ok(objects
            .into_iter()
            .flatten()
            .filter_map(|object| {
                let name = object.location.as_ref().strip_prefix(tree)?;
                let file = ProxyFile::parse(name)?;
                inside
                    .has(object.location.as_ref())
                    .then_some((file, object))
            })
            .collect())
    }
}

/// Tells what lies in a directory from what links in it lead to; remembers the answer for the last directory, as names
/// come directory by directory.
struct Inside<'a> {
    root: &'a std::path::Path,
    canonical: Option<PathBuf>,
    last: Option<(PathBuf, bool)>,
}

impl<'a> Inside<'a> {
    fn new(root: &'a std::path::Path) -> Self {
        Self {
            root,
            canonical: root.canonicalize().ok(),
            last: None,
        }
    }

    fn has(&mut self, name: &str) -> bool {
        let Some(below) = std::path::Path::new(name).parent() else {
            return false;
        };
        if let Some((last, inside)) = &self.last
            && last == below
        {
            return *inside;
        }
        let canonical = self.root.join(below).canonicalize().ok();
        let expected = self.canonical.as_ref().map(|root| root.join(below));
        let inside = canonical.is_some() && canonical == expected;
        self.last = Some((below.to_owned(), inside));
        inside
    }
}

enum Fault {
    /// It may yet become right.
    Unfinished,
    Wrong(&'static str),
}

fn count<'a>(versions: impl IntoIterator<Item = &'a Version>) -> Stock {
    let mut stock = Stock::default();
    for version in versions {
        stock.versions += 1;
        stock.files += version.objects.len() as u64;
        stock.bytes += version.bytes;
    }
    stock
}
