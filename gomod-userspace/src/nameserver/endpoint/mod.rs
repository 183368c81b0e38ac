// SPDX-License-Identifier: MIT OR Apache-2.0
//! One nameserver's endpoint: queries come in by UDP and TCP, answers go out in its name.

mod life;
pub(super) mod tcp;
pub(super) mod udp;

pub(super) use life::Life;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::answer::{Answer, rcode_of};
use super::question::Question;
use super::resolver::{Counters, Resolved, Resolver};
use super::server::{Group, Server};
use super::telling::Teller;
use super::told::{AnswerSource, Answered, ClientTransport, Told, now};
use crate::kernel::events::MonotonicNanos;

/// What both ways in share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The nameserver that clients ask.
    pub(super) server: SocketAddr,
    pub(super) resolver: Arc<Resolver>,
    /// The nameservers that such a client would ask.
    group: RwLock<Arc<Group>>,
    /// Who gets what is passed on as it is.
    passed_to: Arc<Server>,
    /// Questions waited for.
    pub(super) questions: Arc<Semaphore>,
    /// Messages passed on.
    pub(super) passing: Arc<Semaphore>,
    /// Client TCP connections.
    pub(super) connections: Arc<Semaphore>,
    /// Of the thread that reads datagrams.
    pub(super) life: Life,
}

/// A client's message, and when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) transport: ClientTransport,
    pub(super) received_at: MonotonicNanos,
}

impl Client {
    pub(super) fn new(address: SocketAddr, transport: ClientTransport) -> Self {
        Self {
            address,
            transport,
            received_at: now(),
        }
    }

    /// The longest message that it takes.
    fn limit(&self, question: &Question) -> usize {
        match self.transport {
            ClientTransport::Udp => question.udp_len(),
            ClientTransport::Tcp => usize::from(u16::MAX),
        }
    }
}

impl Shared {
    pub(super) fn new(
        server: SocketAddr,
        passed_to: Arc<Server>,
        resolver: Arc<Resolver>,
        bounds: &Bounds,
    ) -> Self {
        Self {
            server,
            group: RwLock::new(resolver.group()),
            resolver,
            passed_to,
            questions: Arc::clone(&bounds.questions),
            passing: Arc::clone(&bounds.passing),
            connections: Arc::clone(&bounds.connections),
            life: Life::new(),
        }
    }

    fn group(&self) -> Arc<Group> {
        Arc::clone(&self.group.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// resolv.conf names the server beside others than before.
    pub(super) fn set_group(&self, group: Arc<Group>) {
        *self.group.write().unwrap_or_else(PoisonError::into_inner) = group;
    }

    /// What is known already, without waiting.
    pub(super) fn known(&self, question: &Question) -> Option<Resolved> {
        self.resolver.known(&self.group(), question)
    }

    /// What the nameservers say; `None` if they say nothing.
    pub(super) async fn resolve(&self, question: &Question) -> Option<Resolved> {
        let resolved = self.resolver.resolve(&self.group(), question).await;
        if resolved.is_none() {
            Counters::one(&self.resolver.counters.unanswered);
        }
        resolved
    }

    /// Writes the answer for the client to `out`, and counts it.
    pub(super) fn write(
        &self,
        client: &Client,
        question: &Question,
        resolved: &Resolved,
        out: &mut Vec<u8>,
    ) {
        let answer = &resolved.kept.answer;
        answer.write(question, resolved.age, client.limit(question), out);
        self.resolver.counters.count(resolved.source);
    }

    /// Tells of an answer that was just sent.
    pub(super) fn tell(&self, client: &Client, question: &Question, resolved: &Resolved) {
        let answer: &Answer = &resolved.kept.answer;
        self.teller().tell(|| {
            Told::Answered(Answered {
                client: client.address,
                transport: client.transport,
                id: question.id(),
                name: question.name(),
                qtype: question.type_name(),
                server: self.server,
                received_at: client.received_at,
                answered_at: now(),
                rcode: answer.rcode(),
                answers: answer.addresses().to_vec(),
                source: resolved.source,
                fetched_in: resolved.kept.fetched_in,
            })
        });
    }

    /// Passes on a message that is no plain question, and gives the answer as it came.
    pub(super) async fn pass(&self, client: &Client, message: &[u8]) -> io::Result<Vec<u8>> {
        Counters::one(&self.resolver.counters.passed);
        self.passed_to
            .pass(message, client.transport == ClientTransport::Tcp)
            .await
            .inspect_err(|_| Counters::one(&self.resolver.counters.unanswered))
    }

    /// The server's own address, where a message may be followed by several answers.
    pub(super) fn passed_to(&self) -> Option<SocketAddr> {
        self.passed_to.address()
    }

    /// Tells of an answer that was passed back.
    pub(super) fn tell_passed(&self, client: &Client, message: &[u8], answer: &[u8]) {
        let answered_at = now();
        self.teller().tell(|| {
            Told::Answered(Answered {
                client: client.address,
                transport: client.transport,
                id: message
                    .first_chunk()
                    .map_or(0, |id| u16::from_be_bytes(*id)),
                name: String::new(),
                qtype: String::new(),
                server: self.server,
                received_at: client.received_at,
                answered_at,
                rcode: rcode_of(answer),
                answers: Vec::new(),
                source: AnswerSource::Network,
                fetched_in: answered_at.since(client.received_at),
            })
        });
    }

    /// There was no room: the client is to ask again.
    pub(super) fn dropped(&self) {
        Counters::one(&self.resolver.counters.dropped);
    }

    fn teller(&self) -> &Teller {
        &self.resolver.teller
    }
}

/// What all endpoints share.
#[derive(Debug)]
pub(super) struct Bounds {
    questions: Arc<Semaphore>,
    passing: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Bounds {
    pub(super) fn new(questions: usize, connections: usize) -> Self {
        let semaphore =
            |permits: usize| Arc::new(Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            questions: semaphore(questions),
            // What nobody understands must not crowd out what somebody asks.
            passing: semaphore(questions / 4),
            connections: semaphore(connections),
        }
    }
}
