// SPDX-License-Identifier: MIT OR Apache-2.0
//! Datagrams of clients.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use rustix::net::{SendFlags, Shutdown};
use tokio::runtime::Handle;

use super::super::question::{Asked, Question};
use super::super::told::ClientTransport;
use super::{Client, Life, Shared};

/// The longest datagram.
const MAX_LEN: usize = 65_535;

/// An endpoint's datagrams.
///
/// They have a thread of their own, for which an answer that is known costs the two system calls that it must, and
/// nobody is woken but the client. By way of a runtime it was seven, and another thread's turn.
#[derive(Debug)]
pub(in super::super) struct Datagrams {
    socket: UdpSocket,
    shared: Arc<Shared>,
    /// Waits for what is not known.
    runtime: Handle,
}

impl Datagrams {
    pub(in super::super) fn new(
        socket: UdpSocket,
        shared: Arc<Shared>,
        runtime: Handle,
    ) -> io::Result<Self> {
        // With nothing to do it shows life still.
        socket.set_read_timeout(Some(Life::BEAT))?;
        Ok(Self {
            socket,
            shared,
            runtime,
        })
    }

    /// Answers on the calling thread until [`Datagrams::end`].
    pub(in super::super) fn serve(self: &Arc<Self>) {
        let mut buffer = vec![0; MAX_LEN];
        let mut out = Vec::with_capacity(MAX_LEN);
        loop {
            let received = self.socket.recv_from(&mut buffer);
            if self.shared.life.is_over() {
                return;
            }
            self.shared.life.beat();
            match received {
                Ok((len, client)) => self.take(&buffer[..len], client, &mut out),
                Err(error) if is_silence(&error) => {}
                Err(error) => {
                    let server = self.shared.server;
                    tracing::warn!("DNS endpoint of {server}: {error}; trying again");
                    thread::sleep(Life::BEAT);
                }
            }
        }
    }

    /// What comes in from now on is not answered.
    pub(in super::super) fn end(&self) {
        self.shared.life.end();
        // Wakes the thread, although the kernel says that there is no connection to shut down.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Read);
    }

    fn take(self: &Arc<Self>, message: &[u8], address: SocketAddr, out: &mut Vec<u8>) {
        let client = Client::new(address, ClientTransport::Udp);
        match Asked::read(message) {
            Asked::Question(question) => {
                if let Some(known) = self.shared.known(&question) {
                    self.shared.write(&client, &question, &known, out);
                    if self.send(out, address) {
                        self.shared.tell(&client, &question, &known);
                    }
                } else {
                    self.wait(client, question);
                }
            }
            Asked::Foreign { .. } => self.pass(client, message),
        }
    }

    fn wait(self: &Arc<Self>, client: Client, question: Question) {
        let Ok(room) = Arc::clone(&self.shared.questions).try_acquire_owned() else {
            return self.shared.dropped();
        };
        let own = Arc::clone(self);
        self.runtime.spawn(async move {
            if let Some(resolved) = own.shared.resolve(&question).await {
                let mut out = Vec::new();
                own.shared.write(&client, &question, &resolved, &mut out);
                // First, as the answer may be the last thing that the run waits for.
                own.shared.tell(&client, &question, &resolved);
                own.send(&out, client.address);
            }
            drop(room);
        });
    }

    fn pass(self: &Arc<Self>, client: Client, message: &[u8]) {
        let Ok(room) = Arc::clone(&self.shared.passing).try_acquire_owned() else {
            return self.shared.dropped();
        };
        let own = Arc::clone(self);
        let message = message.to_vec();
        self.runtime.spawn(async move {
            if let Ok(answer) = own.shared.pass(&client, &message).await {
                own.shared.tell_passed(&client, &message, &answer);
                own.send(&answer, client.address);
            }
            drop(room);
        });
    }

    /// A full buffer loses datagrams as any network does: nobody waits for it.
    fn send(&self, message: &[u8], client: SocketAddr) -> bool {
        rustix::net::sendto(&self.socket, message, SendFlags::DONTWAIT, &client).is_ok()
    }
}

/// Nothing came while it was waited for.
fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
