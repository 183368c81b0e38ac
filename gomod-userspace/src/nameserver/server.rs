// SPDX-License-Identifier: MIT OR Apache-2.0
//! A nameserver, and the group of those that a client would ask.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::RootCertStore;
use tokio::time::Instant;

use super::answer::Answer;
use super::dns_server::DnsServer;
use super::exchange::{self, Https, Tls, random_id};
use super::health::Health;
use super::question::Question;
use super::telling::Teller;
use super::told::{ExchangeOutcome, Exchanged, Told, UpstreamTransport, now};
use crate::kernel::events::MonotonicNanos;

/// A connection with TLS takes some round trips before the first answer.
const STREAM_PATIENCE: Duration = Duration::from_millis(500);

/// A nameserver.
pub(super) struct Server {
    label: String,
    way: Way,
    pub(super) health: Health,
}

enum Way {
    Plain(SocketAddr),
    Tls(Tls),
    Https(Https),
}

/// The nameservers that a client would ask, in its order. Numbers tell one list from another.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) generation: u32,
    pub(super) servers: Vec<Arc<Server>>,
}

/// Who asks, for the record.
#[derive(Debug)]
pub(super) struct Asker {
    teller: Teller,
    name: String,
    qtype: String,
    /// Whether nobody waits any longer; else questions are dropped because they are no longer needed.
    given_up: AtomicBool,
}

impl Server {
    pub(super) fn plain(address: SocketAddr) -> Self {
        Self {
            label: address.to_string(),
            way: Way::Plain(address),
            health: Health::default(),
        }
    }

    pub(super) fn new(server: DnsServer, roots: RootCertStore) -> Self {
        let label = server.to_string();
        let way = match server {
            DnsServer::Plain(address) => Way::Plain(address),
            DnsServer::Tls(peer) => Way::Tls(Tls::new(peer, roots)),
            DnsServer::Https { peer, path } => Way::Https(Https::new(peer, &path, roots)),
        };
        Self {
            label,
            way,
            health: Health::default(),
        }
    }

    /// Its address, if it is asked by UDP and TCP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self.way {
            Way::Plain(address) => Some(address),
            Way::Tls(_) | Way::Https(_) => None,
        }
    }

    /// How long it's waited for before another question is sent.
    pub(super) fn patience(&self) -> Duration {
        match self.way {
            Way::Plain(_) => self.health.patience(),
            Way::Tls(_) | Way::Https(_) => self.health.patience().max(STREAM_PATIENCE),
        }
    }

    /// Asks once; truncated answers are asked for again by TCP. By UDP it waits without end. The error says that the
    /// network or the server turned the question down.
    pub(super) async fn ask(
        &self,
        question: &Question,
        asker: &Asker,
        attempt: u32,
    ) -> io::Result<Answer> {
        let server = match &self.way {
            Way::Plain(server) => *server,
            Way::Tls(tls) => {
                let exchange = |query: Vec<u8>| async move { tls.exchange(&query).await };
                return self
                    .by_stream(question, asker, attempt, UpstreamTransport::Tls, exchange)
                    .await;
            }
            Way::Https(https) => {
                let exchange = |query: Vec<u8>| async move { https.exchange(&query).await };
                return self
                    .by_stream(question, asker, attempt, UpstreamTransport::Https, exchange)
                    .await;
            }
        };
        let id = random_id()?;
        let query = question.wire(id);
        let pending = Pending::new(self, asker, UpstreamTransport::Udp, attempt);
        let accept = |datagram: &[u8]| match Answer::read(datagram.to_vec(), question, id) {
            Ok(answer) => Some(answer),
            Err(reason) => {
                tracing::debug!("{}: ignored a datagram: {reason}", self.label);
                None
            }
        };
        let answer = match exchange::by_udp(server, &query, accept).await {
            Ok(answer) => answer,
            Err(error) => return Err(pending.failed(error)),
        };
        self.health.answered(pending.answered(&answer));
        if !answer.truncated() {
            return Ok(answer);
        }
        let exchange = |query: Vec<u8>| async move { exchange::by_tcp(server, &query).await };
        let whole = self
            .by_stream(question, asker, attempt, UpstreamTransport::Tcp, exchange)
            .await;
        // Where TCP is shut, what came says at least that there is more.
        Ok(whole.unwrap_or(answer))
    }

    async fn by_stream<F: Future<Output = io::Result<Vec<u8>>>>(
        &self,
        question: &Question,
        asker: &Asker,
        attempt: u32,
        transport: UpstreamTransport,
        exchange: impl FnOnce(Vec<u8>) -> F,
    ) -> io::Result<Answer> {
        let id = random_id()?;
        let pending = Pending::new(self, asker, transport, attempt);
        let read = exchange(question.wire(id)).await.and_then(|message| {
            Answer::read(message, question, id)
                .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
        });
        match read {
            Ok(answer) => {
                let latency = pending.answered(&answer);
                // A connection's beginning says little of how fast datagrams travel.
                if transport != UpstreamTransport::Tcp {
                    self.health.answered(latency);
                }
                Ok(answer)
            }
            Err(error) => Err(pending.failed(error)),
        }
    }

    /// Sends `message` as it is, and gives what comes back first with the same number. `None` if nothing does.
    pub(super) async fn pass(&self, message: &[u8], by_tcp: bool) -> io::Result<Vec<u8>> {
        match &self.way {
            Way::Plain(server) if by_tcp => exchange::by_tcp(*server, message).await,
            Way::Plain(server) => {
                let same_number = |datagram: &[u8]| {
                    let len = message.len().min(2);
                    (datagram.get(..len) == message.get(..len)).then(|| datagram.to_vec())
                };
                exchange::in_time(exchange::by_udp(*server, message, same_number)).await
            }
            Way::Tls(tls) => tls.exchange(message).await,
            Way::Https(https) => https.exchange(message).await,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.label)
    }
}

impl Asker {
    pub(super) fn new(teller: Teller, question: &Question) -> Self {
        Self {
            teller,
            name: question.name(),
            qtype: question.type_name(),
            given_up: AtomicBool::new(false),
        }
    }

    /// Nobody waits any longer.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// A question on its way. Dropped before there was an answer, it tells of silence.
struct Pending<'a> {
    server: &'a Server,
    asker: &'a Asker,
    transport: UpstreamTransport,
    attempt: u32,
    sent_at: MonotonicNanos,
    sent: Instant,
    outcome: Option<ExchangeOutcome>,
}

impl<'a> Pending<'a> {
    fn new(
        server: &'a Server,
        asker: &'a Asker,
        transport: UpstreamTransport,
        attempt: u32,
    ) -> Self {
        Self {
            server,
            asker,
            transport,
            attempt,
            sent_at: now(),
            sent: Instant::now(),
            outcome: None,
        }
    }

    /// Gives the latency.
    fn answered(mut self, answer: &Answer) -> Duration {
        let latency = self.sent.elapsed();
        let rcode = answer.rcode();
        self.outcome = Some(ExchangeOutcome::Answered { latency, rcode });
        latency
    }

    /// Gives the error back.
    fn failed(mut self, error: io::Error) -> io::Error {
        self.outcome = Some(ExchangeOutcome::Failed {
            after: self.sent.elapsed(),
            error: error.to_string(),
        });
        error
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let asker = self.asker;
        asker.teller.tell(|| {
            Told::Exchanged(Exchanged {
                server: self.server.label.clone(),
                transport: self.transport,
                name: asker.name.clone(),
                qtype: asker.qtype.clone(),
                attempt: self.attempt,
                sent_at: self.sent_at,
                outcome: self
                    .outcome
                    .take()
                    .unwrap_or_else(|| ExchangeOutcome::Silent {
                        waited: self.sent.elapsed(),
                        given_up: asker.given_up.load(Ordering::Relaxed),
                    }),
            })
        });
    }
}
