// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a host answered.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use url::Url;

use super::account::Account;
use super::connection::SetUp;
use super::error::UpstreamError;

/// What a host answered. The body is on its way.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// As it came; never one of our own.
    pub status: StatusCode,
    /// As they came, without those of one connection, cookies and `Alt-Svc`.
    pub headers: HeaderMap,
    /// The body. Ends with an error if it can't be completed; then the client must see it end short.
    pub body: UpstreamBody,
    /// What the fetch took, still counting while the body is read.
    pub account: Arc<Account>,
    /// Where the response is from, after redirects.
    pub url: Url,
    /// The address that answered: the host's, or its proxy's.
    pub remote: SocketAddr,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    /// How long setting up the connection took.
    pub set_up: SetUp,
    /// How long the request that was answered took until the head of its response.
    pub first_byte: Duration,
}

/// A body that continues itself where it breaks off. Holds a bounded number of bytes; dropped, the fetch ends.
pub struct UpstreamBody {
    frames: Option<mpsc::Receiver<Result<Bytes, UpstreamError>>>,
    left: Option<u64>,
    pump: Option<AbortHandle>,
}

impl UpstreamBody {
    /// A body of no bytes.
    pub(super) fn empty() -> Self {
        Self {
            frames: None,
            left: Some(0),
            pump: None,
        }
    }

    /// What `pump` sends, `length` bytes if known.
    pub(super) fn pumped(
        frames: mpsc::Receiver<Result<Bytes, UpstreamError>>,
        length: Option<u64>,
        pump: AbortHandle,
    ) -> Self {
        Self {
            frames: Some(frames),
            left: length,
            pump: Some(pump),
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let Some(frames) = &mut self.frames else {
            return Poll::Ready(None);
        };
        let next = ready!(frames.poll_recv(context));
        match &next {
            Some(Ok(data)) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
            }
            // After an error there is nothing more; what is left was never sent.
            Some(Err(_)) | None => self.frames = None,
        }
        Poll::Ready(next.map(super::pump::frame))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_none() || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // A body read to its end may still be giving its connection back.
        if self.frames.is_some()
            && let Some(pump) = &self.pump
            && self.left != Some(0)
        {
            pump.abort();
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
