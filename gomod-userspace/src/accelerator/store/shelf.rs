// SPDX-License-Identifier: MIT OR Apache-2.0
//! Single files of the store: looked up, checked, written, removed. Everything here blocks, and needs the caller's
//! rights.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetResultPayload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use pollster::block_on;

use super::record::{Digest, MAX_RECORD, Record, info};
use super::{Content, StoreError, StoredFile};
use crate::golang::{H1, ProxyFile, ProxyFileKind};

/// Where files are.
pub(super) const FILES: &str = "download";
/// Where records are.
pub(super) const RECORDS: &str = "sums";

/// Written at once, bytes; what buckets ask for at least.
const PART: usize = 5 << 20;
/// Files up to this size are served from memory, bytes.
const IN_MEMORY: u64 = 1 << 20;
/// A use is noted if the last one that was noted is older.
const NOTED: Duration = Duration::from_secs(3600);

/// The files of one user.
#[derive(Debug)]
pub struct Shelf {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) directory: PathBuf,
    /// Whose files are trusted.
    owner: u32,
    pub(super) limit: u64,
    /// Bytes in all, once they were counted.
    pub(super) total: Mutex<Option<u64>>,
}

/// What became of a file that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is there now.
    New,
    /// It was there.
    Already,
    /// It alone is larger than the limit.
    TooLarge,
}

/// A file that was opened, but whose content is not checked yet.
#[derive(Debug)]
pub struct Opened {
    file: File,
    record: Record,
}

impl Opened {
    /// Bytes.
    pub fn length(&self) -> u64 {
        self.record.size
    }
}

impl Shelf {
    /// The store in this directory of the user `owner`, which is made, for the user alone, if need be.
    pub fn open_or_make(directory: &FsPath, owner: u32, limit: u64) -> Result<Self, StoreError> {
        // The mode for directories that the XDG specification leaves to programs.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| unusable(directory, source))?;
        Self::open_existing(directory, owner, limit)?.ok_or_else(|| {
            let source = io::ErrorKind::NotFound.into();
            unusable(directory, source)
        })
    }

    /// The store in this directory; `None` if there is none.
    pub fn open_existing(
        directory: &FsPath,
        owner: u32,
        limit: u64,
    ) -> Result<Option<Self>, StoreError> {
        let metadata = match directory.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(unusable(directory, source)),
        };
        if !is_only_of(&metadata, owner) {
            let path = directory.to_owned();
            return Err(StoreError::NotOurs { path });
        }
        let objects = LocalFileSystem::new_with_prefix(directory)?.with_automatic_cleanup(true);
        Ok(Some(Self {
            objects: Arc::new(objects),
            directory: directory.to_owned(),
            owner,
            limit,
            total: Mutex::default(),
        }))
    }

    /// Where it is.
    pub fn directory(&self) -> &FsPath {
        &self.directory
    }

    /// Whether the file is there and was verified against this hash; its content is not looked at.
    pub fn has(&self, file: &ProxyFile, hash: H1) -> Result<bool, StoreError> {
        Ok(self.open(file, hash)?.is_some())
    }

    /// Opens the file if it was verified against this hash, and notes its use.
    pub fn open(&self, file: &ProxyFile, hash: H1) -> Result<Option<Opened>, StoreError> {
        let Some((record, noted)) = self.record(file)? else {
            return Ok(None);
        };
        if record.hash != hash {
            return Ok(None);
        }
        let Some((content, _)) = self.get(&key(FILES, file)?)? else {
            return Ok(None);
        };
        if content.metadata()?.len() != record.size {
            self.remove(file)?;
            return Ok(None);
        }
        if noted.elapsed().unwrap_or_default() > NOTED {
            // Of no consequence for this run: the directory may be read-only.
            let _ = self.put(&key(RECORDS, file)?, record.to_string());
        }
        Ok(Some(Opened {
            file: content,
            record,
        }))
    }

    /// Reads the file and compares it with its record; removes it if it has changed.
    pub fn check(
        &self,
        file: &ProxyFile,
        opened: Opened,
    ) -> Result<Option<StoredFile>, StoreError> {
        let Opened {
            file: content,
            record,
        } = opened;
        let (content, right) = if record.size <= IN_MEMORY {
            let mut bytes = vec![0; record.size as usize];
            let read = content.read_exact_at(&mut bytes, 0);
            let right = read.is_ok() && blake3::hash(&bytes) == record.digest;
            (Content::Memory(Bytes::from(bytes)), right)
        } else {
            let right = digest_of(&content)? == record.digest;
            (Content::File(Arc::new(content)), right)
        };
        if !right {
            self.remove(file)?;
            return Ok(None);
        }
        let length = record.size;
        Ok(Some(StoredFile { length, content }))
    }

    /// Keeps a file of which the caller has made sure that it has this hash. With the limit passed, the least recently
    /// used versions go.
    pub fn keep(
        &self,
        file: &ProxyFile,
        hash: H1,
        content: &mut (impl Read + Seek),
    ) -> Result<Kept, StoreError> {
        let size = content.seek(SeekFrom::End(0))?;
        if size > self.limit {
            return Ok(Kept::TooLarge);
        }
        content.rewind()?;
        if self.has(file, hash)? {
            return Ok(Kept::Already);
        }
        // A record of other bytes must not stand beside these.
        self.delete(&key(RECORDS, file)?)?;
        let digest = self.write(&key(FILES, file)?, size, content)?;
        let record = Record { hash, digest, size };
        self.write_info(file)?;
        self.put(&key(RECORDS, file)?, record.to_string())?;
        self.grown(size)?;
        Ok(Kept::New)
    }

    /// Removes a file and its record.
    pub fn remove(&self, file: &ProxyFile) -> Result<(), StoreError> {
        self.delete(&key(RECORDS, file)?)?;
        self.delete(&key(FILES, file)?)
    }

    pub(super) fn record(
        &self,
        file: &ProxyFile,
    ) -> Result<Option<(Record, SystemTime)>, StoreError> {
        let Some((content, modified)) = self.get(&key(RECORDS, file)?)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        content.take(MAX_RECORD + 1).read_to_end(&mut bytes)?;
        Ok(Record::parse(&bytes).map(|record| (record, modified)))
    }

    /// An object that nobody but the owner can have written.
    pub(super) fn get(&self, key: &Path) -> Result<Option<(File, SystemTime)>, StoreError> {
        let result = match block_on(self.objects.get(key)) {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let modified = result.meta.last_modified.into();
        let file = match result.payload {
            GetResultPayload::File(file, _) => {
                let metadata = file.metadata()?;
                if !metadata.is_file() || !is_only_of(&metadata, self.owner) {
                    return Ok(None);
                }
                file
            }
            GetResultPayload::Stream(mut stream) => {
                let mut file = tempfile::tempfile()?;
                while let Some(bytes) = block_on(stream.try_next())? {
                    file.write_all(&bytes)?;
                }
                file.rewind()?;
                file
            }
        };
        Ok(Some((file, modified)))
    }

    fn put(&self, key: &Path, text: String) -> Result<(), StoreError> {
        block_on(self.objects.put(key, PutPayload::from(text)))?;
        Ok(())
    }

    fn write_info(&self, file: &ProxyFile) -> Result<(), StoreError> {
        let file = ProxyFile {
            kind: ProxyFileKind::Info,
            module: file.module.clone(),
        };
        let key = key(FILES, &file)?;
        // Of the other file of this version: to find out by writing takes five calls.
        if self.get(&key)?.is_some() {
            return Ok(());
        }
        let payload = PutPayload::from(info(&file.module));
        let options = PutOptions::from(PutMode::Create);
        match block_on(self.objects.put_opts(&key, payload, options)) {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object of about this size, which appears when it is whole.
    fn write(&self, key: &Path, size: u64, content: &mut impl Read) -> Result<Digest, StoreError> {
        let mut digest = blake3::Hasher::new();
        let mut part = read_part(content, size)?;
        digest.update(&part);
        if part.len() < PART {
            block_on(self.objects.put(key, part.into()))?;
            return Ok(digest.finalize());
        }
        let mut upload = block_on(self.objects.put_multipart(key))?;
        let mut all = || -> Result<(), StoreError> {
            while !part.is_empty() {
                block_on(upload.put_part(std::mem::take(&mut part).into()))?;
                part = read_part(content, size)?;
                digest.update(&part);
            }
            block_on(upload.complete())?;
            Ok(())
        };
        let written = all();
        if written.is_err() {
            let _ = block_on(upload.abort());
        }
        written.map(|()| digest.finalize())
    }

    pub(super) fn delete(&self, key: &Path) -> Result<(), StoreError> {
        match block_on(self.objects.delete(key)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The name of an object.
pub(super) fn key(tree: &str, file: &ProxyFile) -> Result<Path, StoreError> {
    let path = file.relative_path()?;
    let name = format!("{tree}/{}", path.display());
    Ok(Path::parse(name).map_err(object_store::Error::from)?)
}

pub(super) fn digest_of(file: &File) -> io::Result<Digest> {
    let mut digest = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut position = 0;
    loop {
        match file.read_at(&mut buffer, position) {
            Ok(0) => return Ok(digest.finalize()),
            Ok(read) => {
                digest.update(&buffer[..read]);
                position += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_part(content: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    // With a byte more than there is, the end is found without growing once more.
    let mut part = Vec::with_capacity((size.min(PART as u64) + 1) as usize);
    content.take(PART as u64).read_to_end(&mut part)?;
    Ok(part)
}

/// Its owner is this user, and nobody else may write to it.
fn is_only_of(metadata: &std::fs::Metadata, owner: u32) -> bool {
    metadata.uid() == owner && metadata.mode() & 0o022 == 0
}

fn unusable(path: &FsPath, source: io::Error) -> StoreError {
    let path = path.to_owned();
    StoreError::Directory { path, source }
}
