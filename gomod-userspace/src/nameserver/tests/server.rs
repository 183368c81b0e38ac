// SPDX-License-Identifier: MIT OR Apache-2.0
//! A nameserver that does what a test wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answer_wire;

/// A query, and how many came before it by the same transport.
pub(in super::super) struct Received<'a> {
    pub(in super::super) query: &'a [u8],
    pub(in super::super) before: usize,
    pub(in super::super) by_tcp: bool,
}

/// Datagrams or messages to send back, in this order.
type Behaviour = dyn Fn(&Received<'_>) -> Vec<Vec<u8>> + Send + Sync;

pub(in super::super) struct FakeServer {
    pub(in super::super) address: SocketAddr,
    queries: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl FakeServer {
    /// Answers at once.
    pub(in super::super) async fn new(
        behaviour: impl Fn(&Received<'_>) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::slow(Duration::ZERO, behaviour).await
    }

    /// Two addresses with this TTL.
    pub(in super::super) async fn fine(ttl: u32) -> Self {
        Self::new(move |received| vec![answer_wire(received.query, 0, ttl, 2)]).await
    }

    /// Says nothing.
    pub(in super::super) async fn silent() -> Self {
        Self::new(|_| Vec::new()).await
    }

    pub(in super::super) async fn slow(
        delay: Duration,
        behaviour: impl Fn(&Received<'_>) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = bind().await;
        let address = udp.local_addr().unwrap();
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let queries = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(by_udp(
            Arc::new(udp),
            delay,
            Arc::clone(&behaviour),
            Arc::clone(&queries),
        ));
        tasks.spawn(by_tcp(tcp, behaviour));
        Self {
            address,
            queries,
            _tasks: tasks,
        }
    }

    /// All datagrams received so far.
    pub(in super::super) fn queries(&self) -> Vec<Vec<u8>> {
        self.queries.lock().unwrap().clone()
    }
}

async fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn by_udp(
    socket: Arc<UdpSocket>,
    delay: Duration,
    behaviour: Arc<Behaviour>,
    queries: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let mut buffer = vec![0; 65_535];
    loop {
        let (len, client) = socket.recv_from(&mut buffer).await.unwrap();
        let query = &buffer[..len];
        let before = queries.lock().unwrap().len();
        queries.lock().unwrap().push(query.to_vec());
        let answers = behaviour(&Received {
            query,
            before,
            by_tcp: false,
        });
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            sleep(delay).await;
            for answer in answers {
                let _ = socket.send_to(&answer, client).await;
            }
        });
    }
}

async fn by_tcp(listener: TcpListener, behaviour: Arc<Behaviour>) {
    let mut before = 0;
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Some(query) = message(&mut stream).await {
            let answers = behaviour(&Received {
                query: &query,
                before,
                by_tcp: true,
            });
            before += 1;
            // A server that has nothing to say by TCP hangs up.
            if answers.is_empty() {
                break;
            }
            for answer in answers {
                stream.write_u16(answer.len() as u16).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        }
    }
}

async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let len = stream.read_u16().await.ok()?;
    let mut message = vec![0; len.into()];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}
