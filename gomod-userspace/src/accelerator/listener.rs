// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accepts redirected connections, and nobody else's.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::authority::{Authority, AuthorityError};
use super::connection::{self, Shared, Stage};
use super::peek::Patience;
use super::policy::Policies;
use super::refusals::Refusals;
use super::respond::Respond;
use super::splice;
use super::told::{Teller, Told};
use super::{Origins, intercept};
use crate::kernel::events::Pid;

/// An idle accept loop shows that it lives this often.
const BEAT: Duration = Duration::from_millis(250);

/// After `accept` failed for want of descriptors or memory: time for connections to end.
const PAUSE: Duration = Duration::from_millis(50);

/// Bounds of what is served.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections carried at once; each takes up to two descriptors and about 100 KB. Past it none is accepted and
    /// the beat stops, so that the kernel side lets further ones go direct.
    pub connections: usize,
    /// How long a client is waited for to speak first.
    pub first_byte: Duration,
    /// How long the rest of its opening may take from the first byte on.
    pub opening: Duration,
    /// Events on their way to the timeline.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            first_byte: Duration::from_secs(2),
            opening: Duration::from_secs(2),
            events: 4096,
        }
    }
}

/// Who takes part in serving.
pub struct Parts {
    /// Where redirected connections wanted to go.
    pub origins: Arc<dyn Origins>,
    /// The settings of processes.
    pub policies: Arc<dyn Policies>,
    /// Answers requests.
    pub respond: Arc<dyn Respond>,
    /// Signs for the module hosts.
    pub authority: Arc<Authority>,
    /// Bounds.
    pub limits: Limits,
}

/// Why serving can't begin.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The runtime would not take a listener.
    #[error("cannot accept on {address}: {error}; use --observe, which accepts nothing")]
    Listener {
        /// Its address, as far as known.
        address: String,
        /// What the kernel said.
        error: io::Error,
    },
}

/// Ready to serve: everything made that can fail for reasons of its own.
pub struct Accelerator {
    parts: Parts,
    tls: Arc<ServerConfig>,
}

/// Serving goes on as long as this lives; dropped, everything is reset.
pub struct Serving {
    shared: Arc<Shared>,
    stage: watch::Sender<Stage>,
    permits: Arc<Semaphore>,
    connections: usize,
    loops: Vec<Arc<Loop>>,
}

/// What one accept loop shows of itself.
#[derive(Debug)]
struct Loop {
    started: Instant,
    /// Milliseconds from `started` to its last sign of life.
    beat: AtomicU64,
    refused: AtomicU64,
}

impl Accelerator {
    /// Prepares the TLS side.
    pub fn new(parts: Parts) -> Result<Self, AuthorityError> {
        let tls = intercept::tls(Arc::clone(&parts.authority))?;
        Ok(Self { parts, tls })
    }

    /// Accepts on `listeners` (bound already, on loopback addresses) on the current tokio runtime. What is done with
    /// each connection comes out of the receiver.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(
        self,
        listeners: Vec<std::net::TcpListener>,
    ) -> Result<(Serving, mpsc::Receiver<Told>), ListenError> {
        let Parts {
            origins,
            policies,
            respond,
            authority,
            limits,
        } = self.parts;
        let (stage, stages) = watch::channel(Stage::Serving);
        let (teller, told) = Teller::new(limits.events);
        let shared = Arc::new(Shared {
            policies,
            respond,
            authority,
            tls: self.tls,
            refusals: Refusals::default(),
            teller,
            patience: Patience {
                first_byte: limits.first_byte,
                rest: limits.opening,
            },
            stage: stages,
        });
        let connections = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(connections));
        let listeners = listeners
            .into_iter()
            .map(adopt)
            .collect::<Result<Vec<_>, _>>()?;
        let mut loops = Vec::new();
        for listener in listeners {
            let life = Arc::new(Loop {
                started: Instant::now(),
                beat: AtomicU64::new(0),
                refused: AtomicU64::new(0),
            });
            loops.push(Arc::clone(&life));
            tokio::spawn(accept(
                listener,
                Arc::clone(&origins),
                Arc::clone(&shared),
                Arc::clone(&permits),
                life,
            ));
        }
        let serving = Serving {
            shared,
            stage,
            permits,
            connections,
            loops,
        };
        Ok((serving, told))
    }
}

impl Serving {
    /// Time since the accept loop that is quietest showed life. Past a second or so nothing is accepted: new
    /// connections must go direct.
    pub fn quiet_for(&self) -> Duration {
        self.loops
            .iter()
            .map(|life| {
                let beat = Duration::from_millis(life.beat.load(Ordering::Relaxed));
                life.started.elapsed().saturating_sub(beat)
            })
            .max()
            .unwrap_or(Duration::MAX)
    }

    /// Connections being carried.
    pub fn open(&self) -> usize {
        self.connections
            .saturating_sub(self.permits.available_permits())
    }

    /// Connections refused because our connect program did not redirect them.
    pub fn refused(&self) -> u64 {
        self.loops
            .iter()
            .map(|life| life.refused.load(Ordering::Relaxed))
            .sum()
    }

    /// The process has ended: what its handshakes taught is forgotten.
    pub fn forget(&self, pid: Pid) {
        self.shared.refusals.forget(pid);
    }

    /// Accepts no more, answers the requests at hand and lets spliced connections end for up to `grace`; then what is
    /// still open is reset. Returns how many events found no room on their way out.
    pub async fn shutdown(self, grace: Duration) -> u64 {
        self.stage.send_replace(Stage::Finishing);
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
        if timeout(grace, self.permits.acquire_many(all))
            .await
            .is_err()
        {
            self.stage.send_replace(Stage::Stopped);
            let _ = self.permits.acquire_many(all).await;
        }
        self.shared.teller.lost()
    }
}

fn adopt(listener: std::net::TcpListener) -> Result<TcpListener, ListenError> {
    let address = listener
        .local_addr()
        .map_or_else(|_| "a listener".to_owned(), |address| address.to_string());
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| ListenError::Listener { address, error })
}

async fn accept(
    listener: TcpListener,
    origins: Arc<dyn Origins>,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    life: Arc<Loop>,
) {
    let mut stages = shared.stage.clone();
    loop {
        let serve = async {
            // Room first: what waits for it in the backlog was not taken, and the beat says that nothing is.
            drop(permits.acquire().await.ok()?);
            life.beat();
            Some(timeout(BEAT, listener.accept()).await)
        };
        let accepted = tokio::select! {
            accepted = serve => match accepted {
                Some(accepted) => accepted,
                None => return,
            },
            _ = stages.wait_for(|stage| *stage > Stage::Serving) => return,
        };
        match accepted {
            // Nothing came: the beat was all.
            Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!("accept: {error}; trying again");
                sleep(PAUSE).await;
            }
            Ok(Ok((client, peer))) => {
                let Some(origin) = origin(&*origins, &client, peer) else {
                    life.refused.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                // Another loop may have been quicker: then there is room a little later.
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                    return;
                };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    connection::carry(shared, client, origin).await;
                    drop(permit);
                });
            }
        }
    }
}

/// Whose connection it is. From here on dropping it resets it, which is all that a stranger gets.
fn origin(origins: &dyn Origins, client: &TcpStream, peer: SocketAddr) -> Option<super::Origin> {
    splice::close_by_reset(client).ok()?;
    let local = client.local_addr().ok()?;
    origins.take(peer, local)
}

impl Loop {
    fn beat(&self) {
        let since = self.started.elapsed().as_millis() as u64;
        self.beat.store(since, Ordering::Relaxed);
    }
}
