// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of the store as answers, and answers as files of the store.
//!
//! What is asked for is served if go.sum or the checksum database has said which hash it must have, and the store has a
//! file with that hash. What came whole is hashed on the thread that writes, and kept if its hash is known and right.
//! Private modules, and everything that was asked for with credentials, pass by.

use std::io::{BufReader, Read as _};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::Notify;
use url::Url;

use super::keep::Copied;
use crate::accelerator::spool::Spool;
use crate::accelerator::store::{Content, MAX_GO_MOD, Shelf, Store, StoreError, StoredFile};
use crate::accelerator::{BodyError, ResponseBody, Sums};
use crate::golang::dirhash::DirHashError;
use crate::golang::go_sum::{Hashed, Verdict};
use crate::golang::{BaseUrl, H1, Patterns, ProxyFile, ProxyFileKind, Settings};

/// What waits to be hashed and written, at most; each file may be an open one on disk. What comes beyond is not kept.
const WAITING: Load = Load {
    files: 256,
    bytes: 1 << 30,
};
/// What waits until somebody says its hash, at most.
const UNPROVEN: Load = Load {
    files: 128,
    bytes: 512 << 20,
};
/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// A run's use of the store.
#[derive(Debug)]
pub struct Stored {
    store: Store,
    sums: Arc<Sums>,
    known: RwLock<Known>,
    waiting: Arc<Waiting>,
    unproven: Mutex<Vec<Unproven>>,
}

/// What the settings of the run's processes say.
#[derive(Debug, Default)]
struct Known {
    proxies: Vec<BaseUrl>,
    private: Vec<Patterns>,
}

/// A file that came whole before its hash was known; the checksum database is asked after the content.
#[derive(Debug)]
struct Unproven {
    file: ProxyFile,
    hash: H1,
    body: Spool,
}

impl Stored {
    /// Serves from and keeps in `store`, by the hashes in `sums`.
    pub fn new(store: Store, sums: Arc<Sums>) -> Arc<Self> {
        Arc::new(Self {
            store,
            sums,
            known: RwLock::default(),
            waiting: Arc::default(),
            unproven: Mutex::default(),
        })
    }

    /// Learns from a `go` process which URLs are module files, and which modules are private.
    pub fn meet(&self, settings: &Settings) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for proxy in settings.proxies.urls() {
            if !proxy.has_user_info() && !known.proxies.contains(proxy) {
                known.proxies.push(proxy.clone());
            }
        }
        for private in [&settings.private, &settings.no_proxy] {
            if !private.is_empty() && !known.private.contains(private) {
                known.private.push(private.clone());
            }
        }
    }

    /// Why not everything could be kept or served, if so.
    pub fn problem(&self) -> Option<&str> {
        self.store.problem()
    }

    /// Waits, but not for longer than `patience`, until what has come is kept. What became provable since it came is
    /// kept as well. False if that took too long.
    pub async fn settle(self: &Arc<Self>, patience: Duration) -> bool {
        let unproven =
            std::mem::take(&mut *self.unproven.lock().unwrap_or_else(PoisonError::into_inner));
        for Unproven { file, hash, body } in unproven {
            let this = Arc::clone(self);
            self.write(body, move |shelf, body| {
                this.judge(shelf, file, hash, body, false)
            });
        }
        self.store.hurry();
        tokio::time::timeout(patience, self.waiting.none())
            .await
            .is_ok()
    }

    /// Whether the store seems to have what is to be right.
    pub(super) async fn has(&self, url: &Url) -> bool {
        match self.expected(url) {
            Some((file, hash)) => self.store.has(&file, hash).await,
            None => false,
        }
    }

    /// The answer to a plain GET, if the store has what is right.
    pub(super) async fn answer(&self, url: &Url) -> Option<Response<ResponseBody>> {
        let (file, hash) = self.expected(url)?;
        let StoredFile { length, content } = self.store.find(&file, hash).await?;
        let mut response = Response::new(body(length, content));
        let kind = match file.kind {
            ProxyFileKind::Zip => "application/zip",
            ProxyFileKind::Mod | ProxyFileKind::Info => "text/plain; charset=utf-8",
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Some(response)
    }

    /// The body of a successful answer, copied on its way if it may be kept.
    pub(super) fn copy(
        self: &Arc<Self>,
        url: &Url,
        headers: &HeaderMap,
        body: ResponseBody,
    ) -> ResponseBody {
        if !may_be_kept(headers) || self.file(url).is_none() {
            return body;
        }
        let (this, url) = (Arc::clone(self), url.clone());
        Copied::new(body, move |copy| this.keep_file(&url, copy)).boxed_unsync()
    }

    /// Keeps a body that came whole, once it is found to be right.
    pub(super) fn keep(self: &Arc<Self>, url: &Url, headers: &HeaderMap, body: Spool) {
        if may_be_kept(headers) {
            self.keep_file(url, body);
        }
    }

    fn keep_file(self: &Arc<Self>, url: &Url, body: Spool) {
        if let Some((file, _)) = self.file(url) {
            self.receive(file, body);
        }
    }

    /// The same for a file that is known to be of a public module. Returns at once; see [`Self::settle`].
    pub fn receive(self: &Arc<Self>, file: ProxyFile, body: Spool) {
        let this = Arc::clone(self);
        self.write(body, move |shelf, body| {
            // What has no hash is no module file, whoever said so: not the store's fault.
            match hash(&file, &body) {
                Ok(Some(hash)) => this.judge(shelf, file, hash, body, true),
                Ok(None) | Err(_) => Ok(()),
            }
        });
    }

    fn write(
        &self,
        body: Spool,
        work: impl FnOnce(&Shelf, Spool) -> Result<(), StoreError> + Send + 'static,
    ) {
        let Some(place) = self.waiting.place(&body) else {
            tracing::debug!("a file is not kept: too many wait to be written");
            return;
        };
        self.store.write(place, move |shelf| work(shelf, body));
    }

    /// Keeps a file if its hash is the right one.
    fn judge(
        &self,
        on: &Shelf,
        file: ProxyFile,
        hash: H1,
        body: Spool,
        may_wait: bool,
    ) -> Result<(), StoreError> {
        let Some(hashed) = hashed(file.kind) else {
            return Ok(());
        };
        match self.sums.verify(&file.module, hashed, hash) {
            Verdict::Verified => {
                if let Some(contents) = body.contents() {
                    on.keep(&file, hash, &mut BufReader::new(contents))?;
                }
            }
            // `go` will say so, too, and end: it has its own copy.
            Verdict::Mismatch => tracing::debug!(module = %file.module, "the wrong hash: not kept"),
            Verdict::Unknown if may_wait => {
                let mut unproven = self.unproven.lock().unwrap_or_else(PoisonError::into_inner);
                let mut load = Load::default();
                for waiting in &*unproven {
                    load = load.with(&waiting.body);
                }
                if load.with(&body).is_within(UNPROVEN) {
                    unproven.push(Unproven { file, hash, body });
                }
            }
            Verdict::Unknown => {}
        }
        Ok(())
    }

    /// The file at this URL, and the hash that it must have.
    fn expected(&self, url: &Url) -> Option<(ProxyFile, H1)> {
        let (file, hashed) = self.file(url)?;
        let hash = self.sums.expected(&file.module, hashed)?;
        Some((file, hash))
    }

    /// The file at this URL, if it's a zip or go.mod file of a public module at a known module proxy.
    fn file(&self, url: &Url) -> Option<(ProxyFile, Hashed)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let file = known
            .proxies
            .iter()
            .filter(|proxy| {
                url.scheme() == proxy.scheme()
                    && url.host_str() == Some(proxy.host())
                    && url.port_or_known_default() == proxy.port()
                    && url.query().is_none()
            })
            .find_map(|proxy| {
                let path = url.path().strip_prefix(proxy.path())?;
                ProxyFile::parse(path.strip_prefix('/')?)
            })?;
        let is_private = known
            .private
            .iter()
            .any(|private| private.matches(&file.module.path));
        let hashed = hashed(file.kind)?;
        (!is_private).then_some((file, hashed))
    }
}

/// A body that the upstream has packed is not the file.
fn may_be_kept(headers: &HeaderMap) -> bool {
    !headers.contains_key(CONTENT_ENCODING)
}

fn hashed(kind: ProxyFileKind) -> Option<Hashed> {
    match kind {
        ProxyFileKind::Zip => Some(Hashed::Zip),
        ProxyFileKind::Mod => Some(Hashed::GoMod),
        ProxyFileKind::Info => None,
    }
}

/// The hash of a whole body; `None` if it can't have one.
fn hash(file: &ProxyFile, body: &Spool) -> Result<Option<H1>, DirHashError> {
    let Some(contents) = body.contents() else {
        return Ok(None);
    };
    if file.kind == ProxyFileKind::Zip {
        return H1::of_zip(BufReader::new(contents)).map(Some);
    }
    if body.length().is_none_or(|length| length > MAX_GO_MOD) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    contents.take(MAX_GO_MOD).read_to_end(&mut bytes)?;
    Ok(Some(H1::of_go_mod(&bytes)))
}

fn body(length: u64, content: Content) -> ResponseBody {
    let file = match content {
        Content::Memory(bytes) => {
            return Full::new(bytes)
                .map_err(|never| match never {})
                .boxed_unsync();
        }
        Content::File(file) => file,
    };
    let chunks = stream::try_unfold(0, move |position| {
        let file = Arc::clone(&file);
        async move {
            let size = CHUNK.min(usize::try_from(length - position).unwrap_or(CHUNK));
            if size == 0 {
                return Ok(None);
            }
            // It was read a moment ago, so that it's in the page cache: no reason to leave this thread.
            let mut chunk = vec![0; size];
            std::os::unix::fs::FileExt::read_exact_at(&*file, &mut chunk, position)?;
            let frame = Frame::data(Bytes::from(chunk));
            Ok::<_, BodyError>(Some((frame, position + size as u64)))
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// Files that are held, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    files: usize,
    bytes: u64,
}

impl Load {
    fn of(body: &Spool) -> Self {
        Self {
            files: 1,
            bytes: body.length().unwrap_or(0),
        }
    }

    fn with(self, body: &Spool) -> Self {
        let more = Self::of(body);
        Self {
            files: self.files + more.files,
            bytes: self.bytes + more.bytes,
        }
    }

    fn is_within(self, most: Self) -> bool {
        self.files <= most.files && self.bytes <= most.bytes
    }
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    load: Mutex<Load>,
    changed: Notify,
}

/// One file of it; its end is the end of the wait, whatever became of the file.
struct Place {
    waiting: Arc<Waiting>,
    load: Load,
}

impl Waiting {
    fn place(self: &Arc<Self>, body: &Spool) -> Option<Place> {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        let more = load.with(body);
        if !more.is_within(WAITING) {
            return None;
        }
        *load = more;
        Some(Place {
            waiting: Arc::clone(self),
            load: Load::of(body),
        })
    }

    fn is_empty(&self) -> bool {
        let load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        *load == Load::default()
    }

    async fn none(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_empty() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut load = self
            .waiting
            .load
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        load.files -= self.load.files;
        load.bytes -= self.load.bytes;
        drop(load);
        self.waiting.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
