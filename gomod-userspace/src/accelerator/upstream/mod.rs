// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fetches from the module hosts: HTTP/1.1 over kept connections, with a deadline for each phase, all addresses of a
//! host, retries, redirects, the company's proxy, and bodies that continue themselves.
//!
//! Certificates are checked against those that the client trusts. Errors are never a status of their own making: what a host
//! answered passes, and what no host answered is an [`UpstreamError`].

mod account;
mod addresses;
mod attempt;
mod attempts;
mod connection;
mod deadlines;
mod dial;
mod entity;
mod error;
mod follow;
mod handshake;
mod head;
mod headers;
mod history;
mod pool;
mod proxy;
mod pump;
mod request;
mod resolve;
mod response;
mod round_trip;
mod route;
#[cfg(test)]
pub(super) mod tests;
mod tunnel;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use hyper::body::Body as _;
use rustls::RootCertStore;
use tokio::sync::{mpsc, watch};

use crate::kernel::events::Event;

use self::handshake::Shaker;

pub use account::Account;
pub use connection::SetUp;
pub use deadlines::{Deadlines, Phase};
pub use error::{FailureKind, UpstreamError};
pub use head::Retries;
pub use pool::PoolLimits;
pub use proxy::{HttpProxy, InvalidProxy, Via};
pub use request::{UpstreamRequest, Urgency};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use response::{UpstreamBody, UpstreamResponse};

/// Pieces of a body that wait for their reader, 64 KiB each at most.
const PIECES_AHEAD: usize = 4;

/// What fetching depends on.
pub struct UpstreamOptions {
    /// The certificates to trust: those that the client trusts, not more.
    pub roots: RootCertStore,
    /// Who knows the addresses.
    pub resolver: Arc<dyn Resolve>,
    /// How long each phase may take.
    pub deadlines: Deadlines,
    /// How often things are tried again.
    pub retries: Retries,
    /// How many connections are kept.
    pub pool: PoolLimits,
    /// Who is told of each connection that is opened, as events; one that finds no room is left out as a whole, and
    /// counted.
    pub attempts: Option<mpsc::Sender<Event>>,
}

impl UpstreamOptions {
    /// The usual, with these certificates.
    pub fn new(roots: RootCertStore) -> Self {
        Self {
            roots,
            resolver: Arc::new(SystemResolver::default()),
            deadlines: Deadlines::default(),
            retries: Retries::default(),
            pool: PoolLimits::default(),
            attempts: None,
        }
    }
}

/// Fetches from the module hosts. Cheap to clone; clones share connections and knowledge.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Arc<connection::Connector>,
    pool: Arc<pool::Pool>,
    retries: Retries,
}

impl Upstream {
    /// Ready to fetch. Inside a tokio runtime: a task closes connections that nobody needs.
    pub fn new(options: UpstreamOptions) -> Result<Self, UpstreamError> {
        let connector = connection::Connector {
            shaker: Shaker::new(options.roots)?,
            attempts: attempts::Attempts::new(options.attempts),
            resolver: options.resolver,
            book: addresses::AddressBook::default(),
            deadlines: options.deadlines,
            distance: watch::Sender::default(),
        };
        let shared = Shared {
            connector: Arc::new(connector),
            pool: pool::Pool::new(options.pool),
            retries: options.retries,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The round trip to the first host that was reached, once one was: how far away the modules are.
    pub fn distance(&self) -> watch::Receiver<Option<Duration>> {
        self.shared.connector.distance.subscribe()
    }

    /// Connections that found no room on their way to whom they are told.
    pub fn events_lost(&self) -> u64 {
        self.shared.connector.attempts.lost()
    }

    /// Fetches what `request` asks for, until the head of the response; the body follows as it's read. Dropping the
    /// future or the body ends the fetch.
    pub async fn fetch(&self, request: UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        if request.method != Method::GET && request.method != Method::HEAD {
            let story = format!(
                "{} is not a method of module downloads: only GET and HEAD are carried",
                request.method
            );
            return Err(UpstreamError::lasting(FailureKind::Request, story));
        }
        let account = Arc::new(Account::default());
        let allowed = self.shared.retries.attempts.max(1);
        let (head, url) = follow::follow(
            &self.shared,
            &request,
            request.headers.clone(),
            allowed,
            &account,
        )
        .await?;
        let attempt::Head {
            status,
            mut headers,
            body,
            lease,
            reused,
            set_up,
            first_byte,
        } = head;
        let remote = lease.remote();
        let body = if body.is_end_stream() {
            lease.give_back().await;
            UpstreamBody::empty()
        } else {
            let plain = status == StatusCode::OK
                && request.method == Method::GET
                && pump::is_plain(&request.headers);
            let entity = plain.then(|| entity::Entity::of(&headers));
            let length = body.size_hint().exact();
            let (sink, frames) = mpsc::channel(PIECES_AHEAD);
            let pump = pump::Pump::new(
                Arc::clone(&self.shared),
                request,
                Arc::clone(&account),
                sink,
                length,
                entity,
            );
            let task = tokio::spawn(pump.run(pump::Source { body, lease }));
            UpstreamBody::pumped(frames, length, task.abort_handle())
        };
        headers::strip_response(&mut headers);
        Ok(UpstreamResponse {
            status,
            headers,
            body,
            account,
            url,
            remote,
            reused,
            set_up,
            first_byte,
        })
    }
}
