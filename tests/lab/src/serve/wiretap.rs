// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TCP stream below TLS that can give back bytes already read, and can be ended roughly from the side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// How a connection is ended from the side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// FIN, no `close_notify` before it.
    Close,
    /// RST.
    Reset,
}

/// A handle to end one connection, whatever TLS and HTTP are about to do.
#[derive(Debug, Clone)]
pub(crate) struct Scissors {
    written: Arc<AtomicU64>,
    order: Arc<std::sync::Mutex<Option<Ending>>>,
    ordered: Arc<Notify>,
}

impl Scissors {
    pub(crate) fn new() -> Self {
        Self {
            written: Arc::default(),
            order: Arc::default(),
            ordered: Arc::default(),
        }
    }

    /// Orders the end; what was written so far is still sent.
    pub(crate) fn cut(&self, ending: Ending) {
        *self
            .order
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(ending);
        self.ordered.notify_one();
    }

    /// Bytes that TLS has written to the connection so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits for the order.
    pub(crate) async fn wait(&self) -> Ending {
        loop {
            if let Some(ending) = *self
                .order
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
            {
                return ending;
            }
            self.ordered.notified().await;
        }
    }
}

/// Ends a connection by a second descriptor of its socket. To be called while the first is still open.
pub(crate) async fn end(socket: OwnedFd, ending: Ending) {
    match ending {
        Ending::Reset => {
            // Closing a socket that lingers for no time sends RST instead of FIN.
            let _ = sockopt::set_socket_linger(socket.as_fd(), Some(Duration::ZERO));
        }
        Ending::Close => {
            let _ = shutdown(socket.as_fd(), Shutdown::Write);
            // Closing with unread bytes would send RST: give the client time to close first.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}

/// The stream.
#[derive(Debug)]
pub(crate) struct Wiretap {
    stream: TcpStream,
    written: Arc<AtomicU64>,
    /// Bytes read before and not yet given back.
    beginning: Vec<u8>,
    given: usize,
}

impl Wiretap {
    pub(crate) fn new(stream: TcpStream, beginning: Vec<u8>, scissors: &Scissors) -> Self {
        Self {
            stream,
            written: Arc::clone(&scissors.written),
            beginning,
            given: 0,
        }
    }

    fn count(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &outcome {
            self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        outcome
    }

    pub(crate) fn second_descriptor(&self) -> io::Result<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned()
    }
}

impl AsyncRead for Wiretap {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = &this.beginning[this.given..];
        if left.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        this.given += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wiretap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(outcome)
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
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.count(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
