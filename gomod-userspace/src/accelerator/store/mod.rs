// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module files of earlier runs, in the caller's cache directory: only those whose hash was verified.
//!
//! ```text
//! ~/.cache/gomod-trace/
//!   download/example.com/!m/@v/v1.0.0.zip     what GOPROXY=file://… serves
//!   download/example.com/!m/@v/v1.0.0.mod
//!   download/example.com/!m/@v/v1.0.0.info    derived from the version alone; never served in a run
//!   sums/example.com/!m/@v/v1.0.0.zip         what the file was verified against; its time is that of the last use
//!   sums/example.com/!m/@v/v1.0.0.mod
//! ```
//!
//! A file is served if its record holds the hash that the run asks for, both belong to the caller and nobody else can
//! write to them, and the file's bytes still have the digest that they had when its hash was computed. So neither bit rot nor
//! another user of the machine can slip in something else, and what the caller may change is checked once more by `go`
//! itself, against go.sum.
//!
//! Storage goes through [`object_store`], so that a bucket can take the directory's place. All of it is done by
//! threads that have the caller's rights on files, and no others.

pub mod location;
mod record;
mod shelf;
mod stock;
mod sweep;
mod threads;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

pub use shelf::{Kept, Opened, Shelf};
pub(super) use stock::MAX_GO_MOD;
pub use stock::{Checked, Removed, Stock};

use self::threads::Threads;
use crate::golang::module_path::ModulePathError;
use crate::golang::{H1, ProxyFile};
use crate::launch::{Invoker, LaunchError};

/// How large it may become, bytes, unless the caller says otherwise: 5 GiB.
pub const DEFAULT_LIMIT: u64 = 5 << 30;

/// A directory that takes longer than this to open a file (a dead network file system) is left alone.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes a second that a file system must read at least.
const SLOWEST: u64 = 10 << 20;

/// Why something of the store can't be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The environment names none.
    #[error(
        "neither XDG_CACHE_HOME nor HOME is an absolute path: set one of them to have a place for the store"
    )]
    NoDirectory,
    /// It can't be made or read.
    #[error("the store {} cannot be used: {source}", path.display())]
    Directory {
        /// It.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else could put files there.
    #[error(
        "the store {} belongs to another user or others may write to it: remove it, or name another place by XDG_CACHE_HOME",
        path.display()
    )]
    NotOurs {
        /// It.
        path: PathBuf,
    },
    /// An object.
    #[error("the store: {0}")]
    Objects(#[from] object_store::Error),
    /// A file while it is read or written.
    #[error("reading or writing a file of the store: {0}")]
    File(#[from] io::Error),
    /// Not a module file's name.
    #[error(transparent)]
    Name(#[from] ModulePathError),
    /// The caller's rights can't be taken.
    #[error(transparent)]
    Rights(#[from] LaunchError),
    /// It does not answer.
    #[error("the store takes too long to answer: is its file system reachable?")]
    TooSlow,
}

/// A file of the store that may be served.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Bytes.
    pub length: u64,
    /// What is in it.
    pub content: Content,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub enum Content {
    /// A small file.
    Memory(Bytes),
    /// A large one, to be read by position. It is never written to again.
    File(Arc<std::fs::File>),
}

/// The store of a run. Dropped, its threads end.
#[derive(Debug)]
pub struct Store {
    threads: Threads,
    /// What went wrong first in reading; nothing more is asked of it then.
    unreadable: OnceLock<String>,
    /// The same for writing. It may go on to serve.
    unwritable: Arc<OnceLock<String>>,
}

impl Store {
    /// Opens the caller's store, and makes its directory if need be. `limit` in bytes.
    pub fn open(invoker: &Invoker, limit: u64) -> Result<Self, StoreError> {
        let directory = location::of(invoker)?;
        let shelf =
            invoker.with_file_rights(|| Shelf::open_or_make(&directory, invoker.uid, limit))??;
        Ok(Self {
            threads: Threads::start(invoker, Arc::new(shelf))?,
            unreadable: OnceLock::new(),
            unwritable: Arc::default(),
        })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        self.threads.shelf().directory()
    }

    /// Why not everything could be kept or served, if so.
    pub fn problem(&self) -> Option<&str> {
        let problem = self.unreadable.get().or_else(|| self.unwritable.get());
        problem.map(String::as_str)
    }

    /// Whether a file with this hash seems to be there; its content is not looked at.
    pub async fn has(&self, file: &ProxyFile, hash: H1) -> bool {
        let file = file.clone();
        let asked = move |shelf: &Shelf| shelf.has(&file, hash);
        self.ask(PATIENCE, asked).await.unwrap_or(false)
    }

    /// The file with this hash, checked. One that is damaged is removed.
    pub async fn find(&self, file: &ProxyFile, hash: H1) -> Option<StoredFile> {
        let opening = {
            let file = file.clone();
            move |shelf: &Shelf| shelf.open(&file, hash)
        };
        let opened = self.ask(PATIENCE, opening).await??;
        let patience = PATIENCE + Duration::from_secs(opened.length() / SLOWEST);
        let file = file.clone();
        let checking = move |shelf: &Shelf| shelf.check(&file, opened);
        self.ask(patience, checking).await?
    }

    /// Runs `work` on the thread that writes, some time later. After an error of it, nothing more is written. `done` is
    /// dropped when its outcome is known.
    pub(super) fn write(
        &self,
        done: impl Send + 'static,
        work: impl FnOnce(&Shelf) -> Result<(), StoreError> + Send + 'static,
    ) {
        let problem = Arc::clone(&self.unwritable);
        self.threads.write(Box::new(move |shelf| {
            if problem.get().is_none()
                && let Err(error) = work(shelf)
            {
                let _ = problem.set(error.to_string());
            }
            drop(done);
        }));
    }

    /// What waits to be written has no time any more.
    pub(super) fn hurry(&self) {
        self.threads.hurry();
    }

    /// `None` for an error, after which nothing more is asked.
    async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce(&Shelf) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        if self.unreadable.get().is_some() {
            return None;
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.threads.read(Box::new(move |shelf| {
            let _ = sender.send(work(shelf));
        }));
        let error = match tokio::time::timeout(patience, receiver).await {
            Ok(Ok(Ok(done))) => return Some(done),
            Ok(Ok(Err(error))) => error,
            Ok(Err(_)) => return None,
            Err(_) => StoreError::TooSlow,
        };
        let _ = self.unreadable.set(error.to_string());
        None
    }
}
