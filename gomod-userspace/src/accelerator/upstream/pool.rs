// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that are kept for the next request, a bounded number a host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::connection::Connection;
use super::history::History;
use super::request::Urgency;
use super::route::Route;

/// How many connections are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Connections to one host at once.
    pub per_host: usize,
    /// Of those, how many speculative requests leave to requests that somebody waits for.
    pub reserved: usize,
    /// How long a connection waits for its next request.
    pub idle: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            per_host: 32,
            reserved: 4,
            idle: Duration::from_secs(60),
        }
    }
}

/// The hosts spoken to so far.
pub(super) struct Pool {
    limits: PoolLimits,
    hosts: Mutex<HashMap<Route, Arc<Host>>>,
}

/// One host: its places, its kept connections and what it has shown.
pub(super) struct Host {
    pub(super) route: Route,
    places: Arc<Semaphore>,
    speculative: Arc<Semaphore>,
    idle: Mutex<Vec<(Connection, Instant)>>,
    history: Mutex<History>,
}

/// The right to one connection of a host.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _speculative: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Arc<Self> {
        let pool = Arc::new(Self {
            limits,
            hosts: Mutex::default(),
        });
        tokio::spawn(sweep(Arc::downgrade(&pool), limits.idle));
        pool
    }

    /// The host of `route`.
    pub(super) fn host(&self, route: Route) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(route.clone()).or_insert_with(|| {
            let places = self.limits.per_host.max(1);
            Arc::new(Host {
                route,
                places: Arc::new(Semaphore::new(places)),
                speculative: Arc::new(Semaphore::new(
                    places.saturating_sub(self.limits.reserved).max(1),
                )),
                idle: Mutex::default(),
                history: Mutex::default(),
            })
        });
        Arc::clone(host)
    }
}

/// Closes connections that nobody needed for long.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    loop {
        tokio::time::sleep(idle / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        let hosts: Vec<Arc<Host>> = pool
            .hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        for host in hosts {
            let oldest = Instant::now().checked_sub(idle);
            host.kept().retain(|(connection, since)| {
                !connection.sender.is_closed() && oldest.is_none_or(|oldest| *since > oldest)
            });
        }
    }
}

impl Host {
    /// Waits for a place.
    pub(super) async fn place(&self, urgency: Urgency) -> Place {
        let speculative = match urgency {
            Urgency::Awaited => None,
            Urgency::Speculative => Arc::clone(&self.speculative).acquire_owned().await.ok(),
        };
        loop {
            // The semaphores are never closed.
            if let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
                return Place {
                    _place: place,
                    _speculative: speculative,
                };
            }
        }
    }

    /// A place, if one is free now.
    pub(super) fn free_place(&self, urgency: Urgency) -> Option<Place> {
        let speculative = match urgency {
            Urgency::Awaited => None,
            Urgency::Speculative => Some(Arc::clone(&self.speculative).try_acquire_owned().ok()?),
        };
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place {
            _place: place,
            _speculative: speculative,
        })
    }

    /// The connection that was used last, if one is kept and still open.
    pub(super) fn take(&self, limit: Duration) -> Option<Connection> {
        let mut kept = self.kept();
        while let Some((connection, since)) = kept.pop() {
            if connection.sender.is_ready() && since.elapsed() < limit {
                return Some(connection);
            }
        }
        None
    }

    /// Closes the connection that was used longest ago, to make room for a new one.
    pub(super) fn make_room(&self) {
        let mut kept = self.kept();
        if !kept.is_empty() {
            kept.remove(0);
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, connection: Connection) {
        if connection.sender.is_ready() {
            self.kept().push((connection, Instant::now()));
        }
    }

    /// What the host has shown.
    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// How long a connection is kept.
    pub(super) fn idle(&self) -> Duration {
        self.limits.idle
    }
}
