// SPDX-License-Identifier: MIT OR Apache-2.0
//! Further module proxies that the user allows (`--mirror`), for when the one that `go` asks can't be reached.
//!
//! `go` would not ask a mirror, so that it gets nothing from one that was not verified: `.mod` and `.zip` are spooled,
//! their hash is compared with go.sum's or a proven record's, and only then the first byte is handed on. Nothing
//! verifies an `.info`; that of a version whose hash is known is taken if it names that version. Lists and `@latest`
//! never come from a mirror. Private modules (GOPRIVATE, GONOPROXY, GONOSUMDB) and requests with credentials never go to
//! one.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom, Write as _},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Frame;
use tokio::time::Instant;
use url::Url;

use super::{
    BodyError, ResponseBody,
    asker::Asker,
    scratch,
    sums::Sums,
    upstream::{Account, Upstream, UpstreamRequest},
};
use crate::golang::{
    BaseUrl, H1, ProxyFile, ProxyFileKind,
    dirhash::MAX_UNPACKED,
    go_sum::{Hashed, Verdict},
};

/// How long a host that could not be reached is passed over, where a mirror can do its work.
const SHUNNED: Duration = Duration::from_secs(30);
/// A `.mod` or `.info` larger than this is none (`go` has 16 MiB for a `.mod`).
const MAX_SMALL: u64 = 16 << 20;
/// Bytes handed on at once.
const CHUNK: usize = 64 << 10;

/// A module proxy that the user allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror(BaseUrl);

/// Why a text names no mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// No URL.
    #[error("{0}")]
    Url(#[from] crate::golang::base_url::UrlError),
    /// Names of modules would be readable on the way.
    #[error("the scheme must be https: write https://HOST/PATH")]
    Scheme,
    /// It would be seen in the process list.
    #[error("a user or password must not be in it: mirrors are asked without credentials")]
    Credentials,
    /// No host.
    #[error("the host is missing: write https://HOST/PATH")]
    Host,
}

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, MirrorError> {
        let url = BaseUrl::parse(text)?;
        if url.scheme() != "https" {
            return Err(MirrorError::Scheme);
        }
        if url.has_user_info() {
            return Err(MirrorError::Credentials);
        }
        if url.host().is_empty() {
            return Err(MirrorError::Host);
        }
        Ok(Self(url))
    }
}

/// A verified file of a mirror.
pub(super) struct Rescued {
    pub(super) body: ResponseBody,
    pub(super) length: u64,
    pub(super) kind: HeaderValue,
    pub(super) account: Arc<Account>,
}

/// The mirrors of a run.
pub struct Mirrors {
    upstream: Upstream,
    sums: Arc<Sums>,
    allowed: Vec<Mirror>,
    /// Hosts that could not be reached, and when that was.
    unreachable: Mutex<HashMap<(String, u16), Instant>>,
}

impl Mirrors {
    /// Asks these, in this order.
    pub fn new(upstream: Upstream, sums: Arc<Sums>, mirrors: Vec<Mirror>) -> Self {
        Self {
            upstream,
            sums,
            allowed: mirrors,
            unreachable: Mutex::default(),
        }
    }

    /// Whether the host of `url` could not be reached lately.
    pub(super) fn is_unreachable(&self, url: &Url) -> bool {
        let unreachable = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let since = place(url).and_then(|place| unreachable.get(&place).copied());
        !self.allowed.is_empty() && since.is_some_and(|since| since.elapsed() < SHUNNED)
    }

    /// Takes note of whether the host of `url` could be reached.
    pub(super) fn note(&self, url: &Url, reached: bool) {
        let mut unreachable = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = place(url) {
            if reached {
                unreachable.remove(&place);
            } else {
                unreachable.insert(place, Instant::now());
            }
        }
    }

    /// The file that `url` is of, from the first mirror that has the right one. `None` if it must not be asked for
    /// there, or no mirror has it.
    pub(super) async fn rescue(&self, asker: &Asker, url: &Url) -> Option<Rescued> {
        if self.allowed.is_empty() {
            return None;
        }
        let file = asker.file(url)?;
        if !asker.is_public(&file.module.path) || !self.is_known(&file) {
            return None;
        }
        for mirror in &self.allowed {
            match self.fetch(asker, mirror, &file).await {
                Ok(rescued) => return Some(rescued),
                Err(reason) => {
                    tracing::info!(mirror = %mirror.0, module = file.module.path, "mirror: {reason}");
                }
            }
        }
        None
    }

    fn is_known(&self, file: &ProxyFile) -> bool {
        let known = |hashed| self.sums.expected(&file.module, hashed).is_some();
        match file.kind {
            ProxyFileKind::Mod => known(Hashed::GoMod),
            ProxyFileKind::Zip => known(Hashed::Zip),
            ProxyFileKind::Info => known(Hashed::GoMod) || known(Hashed::Zip),
        }
    }

    async fn fetch(
        &self,
        asker: &Asker,
        mirror: &Mirror,
        file: &ProxyFile,
    ) -> Result<Rescued, String> {
        let url = file.url(&mirror.0).map_err(|error| error.to_string())?;
        let url = Url::parse(&url).map_err(|error| error.to_string())?;
        // No header of the client goes there: only what every `go` sends.
        let request = UpstreamRequest::get(url).via(asker.via.clone());
        let mut response = self
            .upstream
            .fetch(request)
            .await
            .map_err(|error| error.to_string())?;
        if response.status != StatusCode::OK {
            return Err(format!("it answered {}", response.status));
        }
        let limit = match file.kind {
            ProxyFileKind::Zip => MAX_UNPACKED,
            ProxyFileKind::Mod | ProxyFileKind::Info => MAX_SMALL,
        };
        let mut whole = Whole::Memory(Vec::new());
        while let Some(frame) = response.body.frame().await {
            let data = frame.map_err(|error| error.to_string())?.into_data();
            whole
                .add(&data.unwrap_or_default(), limit)
                .map_err(|error| error.to_string())?;
        }
        let account = Arc::clone(&response.account);
        let (file, sums) = (file.clone(), Arc::clone(&self.sums));
        // Hashing a large zip takes long: not on a thread that serves.
        let verified = tokio::task::spawn_blocking(move || {
            let kind = check(&mut whole, &file, &sums)?;
            Ok::<_, String>((whole, kind))
        });
        let (whole, kind) = verified.await.map_err(|error| error.to_string())??;
        Ok(Rescued {
            length: whole.length(),
            body: whole.body(),
            kind: HeaderValue::from_static(kind),
            account,
        })
    }
}

/// Gives the media type of a file that is right.
fn check(whole: &mut Whole, file: &ProxyFile, sums: &Sums) -> Result<&'static str, String> {
    let (hash, hashed, kind) = match file.kind {
        ProxyFileKind::Info => return check_info(whole, &file.module.version),
        ProxyFileKind::Mod => {
            let hash = H1::of_go_mod(&whole.bytes().map_err(|error| error.to_string())?);
            (hash, Hashed::GoMod, "text/plain; charset=utf-8")
        }
        ProxyFileKind::Zip => {
            let hash = whole.zip_hash().map_err(|error| error.to_string())?;
            (hash, Hashed::Zip, "application/zip")
        }
    };
    if sums.verify(&file.module, hashed, hash) == Verdict::Verified {
        Ok(kind)
    } else {
        Err(format!(
            "its file has the hash {hash}, which is not the right one: not used"
        ))
    }
}

/// Nothing verifies its time and origin; the version is the one that was asked for, exactly.
fn check_info(whole: &Whole, version: &str) -> Result<&'static str, String> {
    let bytes = whole.bytes().map_err(|error| error.to_string())?;
    let info: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("its .info is no JSON: {error}"))?;
    if info.get("Version").and_then(serde_json::Value::as_str) == Some(version) {
        Ok("application/json")
    } else {
        Err("its .info is that of another version: not used".to_owned())
    }
}

/// A body that nobody reads before it's verified: in memory while it's small, else in a file without a name.
enum Whole {
    Memory(Vec<u8>),
    File(File, u64),
}

impl Whole {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    fn add(&mut self, data: &[u8], limit: u64) -> io::Result<()> {
        if self.length() + data.len() as u64 > limit {
            return Err(io::Error::other(format!(
                "its file has more than {limit} bytes"
            )));
        }
        if let Self::Memory(bytes) = self {
            if bytes.len() + data.len() <= CHUNK {
                bytes.extend_from_slice(data);
                return Ok(());
            }
            let mut file = scratch::file()?;
            file.write_all(bytes)?;
            *self = Self::File(file, bytes.len() as u64);
        }
        if let Self::File(file, length) = self {
            file.write_all(data)?;
            *length += data.len() as u64;
        }
        Ok(())
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::File(file, _) => {
                let (mut bytes, mut file) = (Vec::new(), file);
                file.seek(SeekFrom::Start(0))?;
                file.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }

    fn zip_hash(&mut self) -> Result<H1, crate::golang::dirhash::DirHashError> {
        match self {
            Self::Memory(bytes) => H1::of_zip(Cursor::new(&*bytes)),
            Self::File(file, _) => H1::of_zip(io::BufReader::new(file)),
        }
    }

    fn body(self) -> ResponseBody {
        let (file, _) = match self {
            Self::Memory(bytes) => {
                return Full::new(Bytes::from(bytes))
                    .map_err(|never| match never {})
                    .boxed_unsync();
            }
            Self::File(file, length) => (file, length),
        };
        // Just written: its pages are in memory.
        let stream = futures_util::stream::unfold(Some((file, 0)), |state| async move {
            let (file, at) = state?;
            let mut buffer = vec![0; CHUNK];
            match std::os::unix::fs::FileExt::read_at(&file, &mut buffer, at) {
                Ok(0) => None,
                Ok(read) => {
                    buffer.truncate(read);
                    let frame = Frame::data(Bytes::from(buffer));
                    Some((Ok(frame), Some((file, at + read as u64))))
                }
                Err(error) => Some((Err(BodyError::from(error)), None)),
            }
        });
        http_body_util::StreamBody::new(stream).boxed_unsync()
    }
}

fn place(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_without_credentials_is_a_mirror() {
        assert!("https://goproxy.example/go".parse::<Mirror>().is_ok());
        for (text, words) in [
            ("goproxy.example", "scheme"),
            ("http://goproxy.example", "must be https"),
            ("file:///srv/modules", "must be https"),
            ("https://u:secret@goproxy.example", "credentials"),
            ("https://", "host is missing"),
            ("https://goproxy.example?x", "query"),
        ] {
            let error = text.parse::<Mirror>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
