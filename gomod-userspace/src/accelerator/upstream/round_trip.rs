// SPDX-License-Identifier: MIT OR Apache-2.0
//! A connection that notes the kernel's round-trip time whenever an answer begins: kept connections are few, and how
//! long they once took to set up tells nothing of the network as it is by now.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::kernel::round_trip;

/// The round trip that was noted last; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrip(Arc<AtomicU64>);

impl RoundTrip {
    /// `None` if no answer has begun yet.
    pub(super) fn latest(&self) -> Option<Duration> {
        let micros = self.0.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    /// Something was sent, and nothing has come since.
    asked: bool,
    noted: RoundTrip,
}

impl Timed {
    pub(super) fn new(stream: TcpStream, noted: RoundTrip) -> Self {
        Self {
            stream,
            asked: false,
            noted,
        }
    }

    fn note(&mut self) {
        if std::mem::take(&mut self.asked)
            && let Some(measured) = round_trip(&self.stream)
        {
            let micros = u64::try_from(measured.as_micros()).unwrap_or(u64::MAX);
            self.noted.0.store(micros, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.note();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn it_is_noted_when_an_answer_begins() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (mut server, _) = server.unwrap();
        let noted = RoundTrip::default();
        let mut client = Timed::new(client.unwrap(), noted.clone());
        // What comes unasked is no answer.
        server.write_all(b"hello").await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(noted.latest(), None);
        client.write_all(b"?").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        assert_eq!(noted.latest(), None, "nothing was answered yet");
        server.write_all(b"!").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        assert!(noted.latest().is_some());
    }
}
