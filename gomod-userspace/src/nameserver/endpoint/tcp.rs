// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections of clients: several questions may be on their way at once, and are answered as the answers come
//! (RFC 7766 section 6.2.1.1).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::exchange::{LONGEST, connect, read_message, write_message};
use super::super::question::Asked;
use super::super::told::ClientTransport;
use super::{Client, Life, Shared};

/// A client that asks nothing for so long is let go.
const IDLE: Duration = Duration::from_secs(15);
/// Questions of one connection on their way at once; the next is read when one of them is answered.
const PIPELINED: usize = 32;

type Answers = Arc<Mutex<OwnedWriteHalf>>;

/// Accepts connections, without end.
pub(in super::super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // Room first: what waits for it stays in the backlog.
        let Ok(room) = Arc::clone(&shared.connections).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, address)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, address, &shared).await {
                        tracing::debug!("DNS client {address}: {error}");
                    }
                    drop(room);
                });
            }
            Err(error) => {
                tracing::warn!(
                    "DNS endpoint of {}: accept: {error}; trying again",
                    shared.server
                );
                sleep(Life::BEAT).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, address: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (questions, answers) = stream.into_split();
    let mut questions = BufReader::new(questions);
    let answers = Arc::new(Mutex::new(answers));
    let mut pending = JoinSet::new();
    loop {
        while pending.len() >= PIPELINED {
            pending.join_next().await;
        }
        let Ok(message) = timeout(IDLE, read_message(&mut questions)).await else {
            break;
        };
        let Some(message) = message? else { break };
        let client = Client::new(address, ClientTransport::Tcp);
        let (shared, answers) = (Arc::clone(shared), Arc::clone(&answers));
        pending.spawn(async move {
            if let Err(error) = answer(&shared, &client, &message, &answers).await {
                tracing::debug!("DNS client {address}: {error}");
            }
        });
        while pending.try_join_next().is_some() {}
    }
    // The client has asked all it wanted, and may still wait for answers.
    while pending.join_next().await.is_some() {}
    answers.lock().await.shutdown().await
}

async fn answer(
    shared: &Shared,
    client: &Client,
    message: &[u8],
    answers: &Answers,
) -> io::Result<()> {
    let many = match Asked::read(message) {
        Asked::Question(question) => {
            let Ok(_room) = shared.questions.try_acquire() else {
                shared.dropped();
                return Ok(());
            };
            let Some(resolved) = shared.resolve(&question).await else {
                return Ok(());
            };
            let mut out = Vec::new();
            shared.write(client, &question, &resolved, &mut out);
            send(answers, &out).await?;
            shared.tell(client, &question, &resolved);
            return Ok(());
        }
        Asked::Foreign { many } => many,
    };
    let Ok(_room) = shared.passing.try_acquire() else {
        shared.dropped();
        return Ok(());
    };
    if many && let Some(server) = shared.passed_to() {
        return pass_many(server, message, answers).await;
    }
    let answer = shared.pass(client, message).await?;
    send(answers, &answer).await?;
    shared.tell_passed(client, message, &answer);
    Ok(())
}

/// Passes on all that the server says until it has nothing more to say.
async fn pass_many(server: SocketAddr, message: &[u8], answers: &Answers) -> io::Result<()> {
    let mut stream = timeout(LONGEST, connect(server)).await??;
    write_message(&mut stream, message).await?;
    while let Ok(answer) = timeout(LONGEST, read_message(&mut stream)).await {
        let Some(answer) = answer? else { break };
        send(answers, &answer).await?;
    }
    Ok(())
}

/// A client that does not read its answers gets no more of them.
async fn send(answers: &Answers, message: &[u8]) -> io::Result<()> {
    timeout(LONGEST, async {
        write_message(&mut *answers.lock().await, message).await
    })
    .await?
}
