// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module files that `go` wants.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::Timeline;
use crate::{
    golang::{CacheEntry, CacheFile, CacheFileKind, ModuleVersion, final_name},
    kernel::events::{File, FileOperation, MonotonicNanos, Pid},
};

/// `ENOENT`.
const NO_SUCH_FILE: i32 = 2;
/// The access mode bits of `openat`'s flags, and those that say "for reading only".
const ACCESS_MODE: u32 = 0o3;
const READ_ONLY: u32 = 0o0;

/// What a module file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModuleFileKind {
    /// Version metadata.
    Info,
    /// go.mod.
    Mod,
    /// Source archive.
    Zip,
}

impl ModuleFileKind {
    /// The file's extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Mod => "mod",
            Self::Zip => "zip",
        }
    }

    fn of(kind: CacheFileKind) -> Option<Self> {
        match kind {
            CacheFileKind::Info => Some(Self::Info),
            CacheFileKind::Mod => Some(Self::Mod),
            CacheFileKind::Zip => Some(Self::Zip),
            _ => None,
        }
    }
}

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileProgress {
    /// It was looked for in the cache and is not there: `go` fetches it.
    Wanted,
    /// It is being written under a temporary name.
    Writing,
    /// It is complete in the cache.
    Done,
    /// Its process ended without completing it.
    Failed,
}

/// One file of one module version that a `go` process fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// Who fetches it.
    pub pid: Pid,
    /// Module path, unescaped.
    pub module: String,
    /// Version, unescaped.
    pub version: String,
    /// Which of its files.
    pub kind: ModuleFileKind,
    /// When it was first looked for.
    pub wanted: MonotonicNanos,
    /// When it was complete.
    pub done: Option<MonotonicNanos>,
    /// How far it is.
    pub progress: FileProgress,
    /// The temporary file while it is written.
    pub temporary: Option<PathBuf>,
    /// Bytes written so far; unknown before the first sample.
    pub bytes: Option<u64>,
    /// When `bytes` last grew.
    pub grew: Option<MonotonicNanos>,
    /// When the whole body had come: `go` read the temporary file back to hash it.
    pub whole: Option<MonotonicNanos>,
    /// When `go` last threw the temporary file away.
    pub discarded: Option<MonotonicNanos>,
}

impl ModuleFile {
    /// A file that was looked for and is not there.
    pub fn wanted(
        pid: Pid,
        module: String,
        version: String,
        kind: ModuleFileKind,
        at: MonotonicNanos,
    ) -> Self {
        Self {
            pid,
            module,
            version,
            kind,
            wanted: at,
            done: None,
            progress: FileProgress::Wanted,
            temporary: None,
            bytes: None,
            grew: None,
            whole: None,
            discarded: None,
        }
    }

    /// `path@version.ext`.
    pub fn label(&self) -> String {
        let Self {
            module,
            version,
            kind,
            ..
        } = self;
        format!("{module}@{version}.{}", kind.extension())
    }

    /// True until the file is complete or its process has ended.
    pub fn is_unfinished(&self) -> bool {
        matches!(self.progress, FileProgress::Wanted | FileProgress::Writing)
    }
}

/// Where the files of each process stand in [`Timeline::files`].
#[derive(Clone, Debug, Default)]
pub(super) struct FileIndex {
    by_process: BTreeMap<Pid, ProcessFiles>,
    /// Files that are being written, by their temporary names; as bytes, too.
    temporaries: BTreeMap<OsString, usize>,
}

#[derive(Clone, Debug, Default)]
struct ProcessFiles {
    /// By their final names, which are clean, so that their bytes tell them apart. Only the first of the half dozen
    /// operations on a file takes its name to pieces.
    by_name: HashMap<OsString, usize>,
    unfinished: BTreeSet<usize>,
    /// Those that were unfinished when the process ended.
    failed: Vec<usize>,
    last_done: Option<MonotonicNanos>,
}

impl Timeline {
    pub(super) fn file(&mut self, at: MonotonicNanos, pid: Pid, file: &File) {
        match file.operation {
            FileOperation::LockWait => return self.lock_wait(at, pid, file.tid, &file.path),
            FileOperation::LockDone => return self.lock_done(at, pid, file.tid, &file.path),
            FileOperation::Open | FileOperation::Rename | FileOperation::Unlink => {}
        }
        let final_name = final_name(&file.path);
        let temporary = final_name.is_some();
        let name = final_name.unwrap_or(&file.path);
        match file.operation {
            FileOperation::Open if temporary => self.temporary_opened(at, pid, name, file),
            FileOperation::Open if file.result == -NO_SUCH_FILE => {
                self.want(at, pid, name);
            }
            FileOperation::Open if file.result >= 0 => self.found(at, pid, name),
            FileOperation::Rename if !temporary => self.complete(at, pid, name),
            FileOperation::Unlink if temporary => self.temporary_removed(at, &file.path),
            _ => {}
        }
    }

    pub(super) fn file_size(&mut self, at: MonotonicNanos, pid: Pid, path: &Path, bytes: u64) {
        let Some(place) = self.index.files.temporaries.get(path.as_os_str()) else {
            return self.final_size(pid, path, bytes);
        };
        let Some(file) = self.files.get_mut(*place) else {
            return;
        };
        if file.bytes.is_none_or(|known| known < bytes) {
            if bytes > 0 {
                file.grew = Some(at);
            }
            file.bytes = Some(bytes);
        }
    }

    /// The size under the final name: it grows no more.
    fn final_size(&mut self, pid: Pid, path: &Path, bytes: u64) {
        let place = self.place_of(pid, path);
        if let Some(file) = place.and_then(|place| self.files.get_mut(place))
            && file.progress == FileProgress::Done
        {
            file.bytes = Some(bytes);
        }
    }

    /// The files that `pid` looked for in vain and has not completed, oldest first.
    pub fn unfinished_files(&self, pid: Pid) -> impl Iterator<Item = &ModuleFile> {
        let files = self.index.files.by_process.get(&pid);
        files
            .into_iter()
            .flat_map(|files| &files.unfinished)
            .filter_map(|place| self.files.get(*place))
    }

    /// The files that were unfinished when `pid` ended.
    pub fn failed_files(&self, pid: Pid) -> impl Iterator<Item = &ModuleFile> {
        let files = self.index.files.by_process.get(&pid);
        files
            .into_iter()
            .flat_map(|files| &files.failed)
            .filter_map(|place| self.files.get(*place))
    }

    /// True if `pid` ever looked for a module file in vain.
    pub fn fetches_modules(&self, pid: Pid) -> bool {
        self.index.files.by_process.contains_key(&pid)
    }

    /// When `pid` last completed a module file.
    pub fn last_file_done(&self, pid: Pid) -> Option<MonotonicNanos> {
        self.index.files.by_process.get(&pid)?.last_done
    }

    /// The files that are being written under a temporary name right now.
    pub fn files_in_writing(&self) -> impl Iterator<Item = (usize, &ModuleFile)> {
        self.index
            .files
            .temporaries
            .values()
            .filter_map(|place| Some((*place, self.files.get(*place)?)))
    }

    pub(super) fn fail_files(&mut self, pid: Pid) {
        let Some(of_process) = self.index.files.by_process.get_mut(&pid) else {
            return;
        };
        of_process.by_name.clear();
        of_process.failed = std::mem::take(&mut of_process.unfinished)
            .into_iter()
            .collect();
        for place in &of_process.failed {
            if let Some(file) = self.files.get_mut(*place) {
                file.progress = FileProgress::Failed;
                if let Some(temporary) = file.temporary.take() {
                    self.index.files.temporaries.remove(temporary.as_os_str());
                }
            }
        }
    }

    fn want(&mut self, at: MonotonicNanos, pid: Pid, name: &Path) -> Option<usize> {
        if let Some(place) = self.place_of(pid, name)
            && self.files.get(place).is_some_and(ModuleFile::is_unfinished)
        {
            return Some(place);
        }
        let (module, kind) = module_file(name)?;
        let place = self.files.len();
        self.files.push(ModuleFile::wanted(
            pid,
            module.path,
            module.version,
            kind,
            at,
        ));
        let files = self.index.files.by_process.entry(pid).or_default();
        files.by_name.insert(name.into(), place);
        files.unfinished.insert(place);
        Some(place)
    }

    fn place_of(&self, pid: Pid, name: &Path) -> Option<usize> {
        let files = self.index.files.by_process.get(&pid)?;
        files.by_name.get(name.as_os_str()).copied()
    }

    /// The file is there after all: another process, or another thread, has put it there.
    fn found(&mut self, at: MonotonicNanos, pid: Pid, name: &Path) {
        if let Some(place) = self.place_of(pid, name) {
            self.finish_file(at, pid, place);
        }
    }

    fn complete(&mut self, at: MonotonicNanos, pid: Pid, name: &Path) {
        if let Some(place) = self.want(at, pid, name) {
            self.finish_file(at, pid, place);
        }
    }

    fn finish_file(&mut self, at: MonotonicNanos, pid: Pid, place: usize) {
        let Some(file) = self
            .files
            .get_mut(place)
            .filter(|file| file.is_unfinished())
        else {
            return;
        };
        file.done = Some(at);
        file.progress = FileProgress::Done;
        if let Some(temporary) = file.temporary.take() {
            self.index.files.temporaries.remove(temporary.as_os_str());
        }
        let files = self.index.files.by_process.entry(pid).or_default();
        files.unfinished.remove(&place);
        files.last_done = files.last_done.max(Some(at));
    }

    fn temporary_opened(&mut self, at: MonotonicNanos, pid: Pid, name: &Path, file: &File) {
        if file.result < 0 {
            return;
        }
        let Some(place) = self.want(at, pid, name) else {
            return;
        };
        let Some(wanted) = self.files.get_mut(place) else {
            return;
        };
        let same = wanted.temporary.as_ref() == Some(&file.path);
        if file.flags & ACCESS_MODE == READ_ONLY {
            if same {
                wanted.whole = Some(at);
            }
            return;
        }
        if !same {
            if let Some(earlier) = wanted.temporary.replace(file.path.clone()) {
                self.index.files.temporaries.remove(earlier.as_os_str());
            }
            wanted.bytes = None;
            wanted.grew = None;
            wanted.whole = None;
        }
        wanted.progress = FileProgress::Writing;
        self.index
            .files
            .temporaries
            .insert(file.path.clone().into(), place);
    }

    fn temporary_removed(&mut self, at: MonotonicNanos, path: &Path) {
        let Some(place) = self.index.files.temporaries.remove(path.as_os_str()) else {
            return;
        };
        if let Some(file) = self.files.get_mut(place) {
            file.temporary = None;
            file.progress = FileProgress::Wanted;
            file.discarded = Some(at);
        }
    }
}

/// Which file of which module has this final name.
fn module_file(name: &Path) -> Option<(ModuleVersion, ModuleFileKind)> {
    match CacheFile::parse(name.as_os_str().as_bytes())?.what {
        CacheEntry::Module {
            module,
            kind,
            temporary: false,
        } => Some((module, ModuleFileKind::of(kind)?)),
        _ => None,
    }
}
