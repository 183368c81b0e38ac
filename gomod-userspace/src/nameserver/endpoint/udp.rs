// SPDX-License-Identifier: MIT OR Apache-2.0
//! Datagrams of clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use super::super::question::{Asked, Question};
use super::super::told::ClientTransport;
use super::{Client, Life, Shared};

/// The longest datagram.
const MAX_LEN: usize = 65_535;
/// Datagrams read in a row before others get their turn on the runtime.
const BURST: usize = 64;

/// Answers what comes in, without end. What is known is answered right here; the rest is waited for elsewhere.
pub(in super::super) async fn serve(socket: UdpSocket, shared: Arc<Shared>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; MAX_LEN];
    let mut out = Vec::with_capacity(MAX_LEN);
    loop {
        shared.life.beat();
        match timeout(Life::BEAT, socket.readable()).await {
            // Nothing came: the beat was all.
            Err(_) => continue,
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("DNS endpoint of {}: {error}; trying again", shared.server);
                sleep(Life::BEAT).await;
            }
        }
        for _ in 0..BURST {
            match socket.try_recv_from(&mut buffer) {
                Ok((len, client)) => take(&socket, &shared, &buffer[..len], client, &mut out),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The kernel tells of an earlier answer that nobody took.
                Err(error) => tracing::debug!("DNS endpoint of {}: {error}", shared.server),
            }
        }
        tokio::task::yield_now().await;
    }
}

fn take(
    socket: &Arc<UdpSocket>,
    shared: &Arc<Shared>,
    message: &[u8],
    address: SocketAddr,
    out: &mut Vec<u8>,
) {
    let client = Client::new(address, ClientTransport::Udp);
    match Asked::read(message) {
        Asked::Question(question) => {
            if let Some(known) = shared.known(&question) {
                shared.write(&client, &question, &known, out);
                // A full buffer loses datagrams as any network does.
                if socket.try_send_to(out, address).is_ok() {
                    shared.tell(&client, &question, &known);
                }
            } else {
                wait(socket, shared, client, question);
            }
        }
        Asked::Foreign { .. } => pass(socket, shared, client, message),
    }
}

fn wait(socket: &Arc<UdpSocket>, shared: &Arc<Shared>, client: Client, question: Question) {
    let Ok(room) = Arc::clone(&shared.questions).try_acquire_owned() else {
        return shared.dropped();
    };
    let (socket, shared) = (Arc::clone(socket), Arc::clone(shared));
    tokio::spawn(async move {
        if let Some(resolved) = shared.resolve(&question).await {
            let mut out = Vec::new();
            shared.write(&client, &question, &resolved, &mut out);
            if socket.send_to(&out, client.address).await.is_ok() {
                shared.tell(&client, &question, &resolved);
            }
        }
        drop(room);
    });
}

fn pass(socket: &Arc<UdpSocket>, shared: &Arc<Shared>, client: Client, message: &[u8]) {
    let Ok(room) = Arc::clone(&shared.passing).try_acquire_owned() else {
        return shared.dropped();
    };
    let (socket, shared) = (Arc::clone(socket), Arc::clone(shared));
    let message = message.to_vec();
    tokio::spawn(async move {
        if let Ok(answer) = shared.pass(&client, &message).await
            && socket.send_to(&answer, client.address).await.is_ok()
        {
            shared.tell_passed(&client, &message, &answer);
        }
        drop(room);
    });
}
