// SPDX-License-Identifier: MIT OR Apache-2.0
//! A response body that arrives once and is read by any number of readers, from its start, while it grows.
//!
//! Bodies stay in memory, as they came, while there is room for them; larger ones go to a file without a name, so that
//! memory does not grow with them and nothing is left behind.

mod memory;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use tokio::sync::watch;

use self::memory::Memory;
use super::scratch;

/// Bytes handed to a reader at once, at most.
const CHUNK: usize = 64 << 10;

/// How far a body is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// More may come; so many bytes are there.
    Arriving(u64),
    /// All is there.
    Complete(u64),
    /// It will never be complete: why.
    Failed(Arc<str>),
    #[default]
    /// Nothing yet; nobody has begun.
    Empty,
}

/// Why a body can't be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The source gave up.
    #[error("{0}")]
    Source(Arc<str>),
    /// The spool file can't be read.
    #[error("cannot read the spooled body: {0}")]
    Read(Arc<str>),
}

#[derive(Debug)]
enum Store {
    Memory(Memory),
    File(File),
}

#[derive(Debug)]
struct Shared {
    store: RwLock<Store>,
    progress: watch::Sender<Progress>,
}

/// The end where the body arrives. Dropped without [`Self::finish`], it counts as failed.
#[derive(Debug)]
pub struct SpoolWriter {
    shared: Arc<Shared>,
    length: u64,
    ended: bool,
}

/// A handle from which readers are made.
#[derive(Clone, Debug)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// One reader, at its own place.
#[derive(Debug)]
pub struct SpoolReader {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    position: u64,
}

/// An empty body.
pub fn spool() -> (SpoolWriter, Spool) {
    let shared = Arc::new(Shared {
        store: RwLock::new(Store::Memory(Memory::default())),
        progress: watch::Sender::new(Progress::default()),
    });
    let writer = SpoolWriter {
        shared: Arc::clone(&shared),
        length: 0,
        ended: false,
    };
    (writer, Spool { shared })
}

impl SpoolWriter {
    /// Appends to the body. An error (no space for the file) leaves it as it was.
    pub fn write(&mut self, data: Bytes) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let added = data.len() as u64;
        let mut store = self
            .shared
            .store
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match &mut *store {
            Store::Memory(memory) => {
                if let Err(data) = memory.push(data) {
                    let file = scratch::file()?;
                    memory.write_to(&file)?;
                    file.write_all_at(&data, self.length)?;
                    *store = Store::File(file);
                }
            }
            Store::File(file) => file.write_all_at(&data, self.length)?,
        }
        drop(store);
        self.length += added;
        self.shared
            .progress
            .send_replace(Progress::Arriving(self.length));
        Ok(())
    }

    /// The body is complete.
    pub fn finish(mut self) {
        self.ended = true;
        self.shared
            .progress
            .send_replace(Progress::Complete(self.length));
    }

    /// The body will never be complete; readers are told why when they get there.
    pub fn fail(mut self, reason: &str) {
        self.ended = true;
        self.shared
            .progress
            .send_replace(Progress::Failed(reason.into()));
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        if !self.ended {
            let reason = "the fetch was abandoned".into();
            self.shared.progress.send_replace(Progress::Failed(reason));
        }
    }
}

impl Spool {
    /// A reader at the start of the body.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader {
            shared: Arc::clone(&self.shared),
            progress: self.shared.progress.subscribe(),
            position: 0,
        }
    }

    /// Says that somebody has begun to fetch the body.
    pub fn begin(&self) {
        self.shared.progress.send_if_modified(|progress| {
            let fresh = *progress == Progress::Empty;
            if fresh {
                *progress = Progress::Arriving(0);
            }
            fresh
        });
    }

    /// Whether somebody has begun to fetch the body.
    pub fn has_begun(&self) -> bool {
        *self.shared.progress.borrow() != Progress::Empty
    }

    /// The body's length, once it is complete.
    pub fn length(&self) -> Option<u64> {
        match *self.shared.progress.borrow() {
            Progress::Complete(length) => Some(length),
            _ => None,
        }
    }

    /// Bytes that are there; of a body that failed nothing counts.
    pub fn arrived(&self) -> u64 {
        match *self.shared.progress.borrow() {
            Progress::Arriving(length) | Progress::Complete(length) => length,
            Progress::Failed(_) | Progress::Empty => 0,
        }
    }

    /// A complete body, to be read by position like a file: for those who may block.
    pub fn contents(&self) -> Option<SpoolContents> {
        Some(SpoolContents {
            length: self.length()?,
            shared: Arc::clone(&self.shared),
            position: 0,
        })
    }

    /// Whether the body will never be complete.
    pub fn has_failed(&self) -> bool {
        matches!(*self.shared.progress.borrow(), Progress::Failed(_))
    }
}

impl SpoolReader {
    /// The next bytes, waiting for them if need be; `None` at the end of a complete body. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        loop {
            let progress = self.progress.borrow_and_update().clone();
            match progress {
                Progress::Arriving(length) | Progress::Complete(length)
                    if length > self.position =>
                {
                    return self.read(length).map(Some);
                }
                Progress::Complete(_) => return Ok(None),
                Progress::Failed(reason) => return Err(SpoolError::Source(reason)),
                Progress::Arriving(_) | Progress::Empty => {}
            }
            if self.progress.changed().await.is_err() {
                return Err(SpoolError::Source("the fetch was abandoned".into()));
            }
        }
    }

    /// Pages of a file that was just written are in the page cache: no reason to leave this thread.
    fn read(&mut self, length: u64) -> Result<Bytes, SpoolError> {
        let size = (length - self.position).min(CHUNK as u64) as usize;
        let store = self
            .shared
            .store
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let bytes = match &*store {
            Store::Memory(memory) => memory.at(self.position),
            Store::File(file) => {
                let mut buffer = vec![0; size];
                file.read_exact_at(&mut buffer, self.position)
                    .map_err(|error| SpoolError::Read(error.to_string().into()))?;
                Bytes::from(buffer)
            }
        };
        self.position += bytes.len() as u64;
        Ok(bytes)
    }
}

/// A complete body.
#[derive(Debug)]
pub struct SpoolContents {
    shared: Arc<Shared>,
    length: u64,
    position: u64,
}

impl io::Read for SpoolContents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.position);
        let size = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let store = self
            .shared
            .store
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let read = match &*store {
            _ if size == 0 => 0,
            Store::Memory(memory) => {
                let piece = memory.at(self.position);
                let size = size.min(piece.len());
                buffer[..size].copy_from_slice(&piece[..size]);
                size
            }
            Store::File(file) => file.read_at(&mut buffer[..size], self.position)?,
        };
        self.position += read as u64;
        Ok(read)
    }
}

impl io::Seek for SpoolContents {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            io::SeekFrom::Start(position) => (position, 0),
            io::SeekFrom::End(by) => (self.length, by),
            io::SeekFrom::Current(by) => (self.position, by),
        };
        self.position = from
            .checked_add_signed(by)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut reader: SpoolReader) -> Result<Vec<u8>, SpoolError> {
        let mut all = Vec::new();
        while let Some(bytes) = reader.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn readers_get_the_whole_body_while_it_grows() {
        let (mut writer, spool) = spool();
        let early = tokio::spawn(read_all(spool.reader()));
        let mut expected = Vec::new();
        for round in 0..40_u8 {
            let piece = vec![round; 10_000];
            writer.write(piece.clone().into()).unwrap();
            expected.extend_from_slice(&piece);
            tokio::task::yield_now().await;
        }
        let late = tokio::spawn(read_all(spool.reader()));
        assert_eq!(spool.length(), None);
        writer.finish();
        assert_eq!(early.await.unwrap().unwrap(), expected);
        assert_eq!(late.await.unwrap().unwrap(), expected);
        assert_eq!(spool.length(), Some(400_000));
        assert_eq!(read_all(spool.reader()).await.unwrap(), expected);
    }

    #[test]
    fn a_complete_body_is_read_like_a_file() {
        use std::io::{Read as _, Seek as _, SeekFrom};
        for size in [10, 200_000_usize] {
            let (mut writer, spool) = spool();
            let body: Vec<u8> = (0..size).map(|at| at as u8).collect();
            writer.write(body.clone().into()).unwrap();
            assert!(spool.contents().is_none());
            writer.finish();
            let mut contents = spool.contents().unwrap();
            let mut all = Vec::new();
            contents.read_to_end(&mut all).unwrap();
            assert_eq!(all, body);
            assert_eq!(contents.seek(SeekFrom::End(-3)).unwrap(), size as u64 - 3);
            all.clear();
            contents.read_to_end(&mut all).unwrap();
            assert_eq!(all, body[size - 3..]);
            assert!(contents.seek(SeekFrom::Current(-1_000_000)).is_err());
            contents.seek(SeekFrom::Start(1 << 40)).unwrap();
            assert_eq!(contents.read(&mut [0; 4]).unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn an_empty_body_is_complete() {
        let (writer, spool) = spool();
        writer.finish();
        assert_eq!(read_all(spool.reader()).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_failed_body_gives_what_it_has_and_then_says_why() {
        let (mut writer, spool) = spool();
        writer.write("half".into()).unwrap();
        let mut reader = spool.reader();
        assert_eq!(reader.next().await.unwrap().unwrap(), "half");
        writer.fail("no more");
        assert_eq!(
            reader.next().await,
            Err(SpoolError::Source("no more".into()))
        );
        assert!(spool.has_failed());
    }

    #[tokio::test]
    async fn a_dropped_writer_fails_the_body() {
        let (writer, spool) = spool();
        drop(writer);
        assert!(read_all(spool.reader()).await.is_err());
    }
}
