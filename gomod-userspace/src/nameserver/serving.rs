// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stub at work: whom each endpoint answers for, and who is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::endpoint::{self, Bounds, Life, Shared, udp::Datagrams};
use super::names::Names;
use super::resolver::Resolver;
use super::server::{Group, Server};
use super::stub::{Bound, Endpoint, StubError, StubOptions, bind_for};
use super::telling::Teller;

/// Serving goes on as long as this lives.
#[derive(Debug)]
pub struct Serving {
    served: Vec<Served>,
    names: Arc<Names>,
    resolver: Arc<Resolver>,
    /// All that have been asked for so far: what is known of their health stays known.
    servers: Vec<(SocketAddr, Arc<Server>)>,
    upstream: Option<Arc<Server>>,
    bounds: Bounds,
    begin_thread: fn(),
    /// Of the runtime, which waits for nameservers.
    life: Arc<Life>,
    tasks: JoinSet<()>,
}

/// An endpoint at work.
#[derive(Debug)]
struct Served {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    datagrams: Arc<Datagrams>,
}

impl Serving {
    pub(super) fn begin(
        bound: Vec<Bound>,
        servers: &[SocketAddr],
        options: StubOptions,
        teller: Teller,
    ) -> Result<Self, StubError> {
        let upstream = options
            .upstream
            .map(|server| Arc::new(Server::new(server, options.roots)));
        let nobody = Group {
            generation: 0,
            servers: Vec::new(),
        };
        let resolver = Arc::new(Resolver::new(
            nobody,
            teller,
            options.cache_bytes,
            options.questions,
        ));
        let mut serving = Self {
            served: Vec::new(),
            names: Arc::new(Names::new(Arc::clone(&resolver), options.prewarmed)),
            resolver,
            servers: Vec::new(),
            upstream,
            bounds: Bounds::new(options.questions, options.connections),
            begin_thread: options.begin_thread,
            life: Arc::new(Life::new()),
            tasks: JoinSet::new(),
        };
        serving.tasks.spawn(pulse(Arc::clone(&serving.life)));
        serving.turn_to(servers);
        for bound in bound {
            serving.serve(bound)?;
        }
        Ok(serving)
    }

    /// Which nameserver is answered for where, those of earlier lists included: a process may not have read the new
    /// one yet.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.served.iter().map(|served| served.endpoint).collect()
    }

    /// resolv.conf has changed: from now on these are asked, in this order. What an earlier list's servers said is
    /// forgotten, as it may speak of another network. Gives the endpoints that are new.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn add_servers(&mut self, servers: &[SocketAddr]) -> Result<Vec<Endpoint>, StubError> {
        self.turn_to(servers);
        let mut new = Vec::new();
        for server in servers {
            if !self.endpoints().iter().any(|known| known.server == *server)
                && let Some(bound) = bind_for(*server)?
            {
                new.push(bound.endpoint);
                self.serve(bound)?;
            }
        }
        Ok(new)
    }

    /// The names, for those who ask from inside.
    pub fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// Time since the quietest part showed life. Past a second or so queries should go to the real servers.
    pub fn quiet_for(&self) -> Duration {
        self.served
            .iter()
            .map(|served| &served.shared.life)
            .chain([&*self.life])
            .map(Life::quiet_for)
            .max()
            .unwrap_or_default()
    }

    /// Events that found no room on their way out.
    pub fn events_lost(&self) -> u64 {
        self.resolver.teller.lost()
    }

    /// Makes `list` the newest: endpoints of its servers ask among them, those of others as before.
    fn turn_to(&mut self, list: &[SocketAddr]) {
        let servers = match &self.upstream {
            Some(upstream) => vec![Arc::clone(upstream)],
            None => list.iter().map(|server| self.server(*server)).collect(),
        };
        let generation = self.resolver.group().generation + 1;
        let group = Arc::new(Group {
            generation,
            servers,
        });
        self.resolver.set_group(Arc::clone(&group));
        for served in &self.served {
            if list.contains(&served.endpoint.server) {
                served.shared.set_group(Arc::clone(&group));
            }
        }
    }

    fn server(&mut self, address: SocketAddr) -> Arc<Server> {
        if let Some((_, known)) = self.servers.iter().find(|(known, _)| *known == address) {
            return Arc::clone(known);
        }
        let server = Arc::new(Server::plain(address));
        self.servers.push((address, Arc::clone(&server)));
        server
    }

    fn serve(&mut self, bound: Bound) -> Result<(), StubError> {
        let Bound { endpoint, udp, tcp } = bound;
        let failed = |error| StubError::Serve {
            address: endpoint.stub,
            error,
        };
        let tcp = tokio::net::TcpListener::from_std(tcp).map_err(failed)?;
        let passed_to = match &self.upstream {
            Some(upstream) => Arc::clone(upstream),
            None => self.server(endpoint.server),
        };
        let shared = Arc::new(Shared::new(
            endpoint.server,
            passed_to,
            Arc::clone(&self.resolver),
            &self.bounds,
        ));
        let datagrams =
            Arc::new(Datagrams::new(udp, Arc::clone(&shared), Handle::current()).map_err(failed)?);
        let begin = self.begin_thread;
        thread::Builder::new()
            .name("nameserver-udp".to_owned())
            .spawn({
                let datagrams = Arc::clone(&datagrams);
                move || {
                    begin();
                    datagrams.serve();
                }
            })
            .map_err(failed)?;
        self.tasks
            .spawn(endpoint::tcp::serve(tcp, Arc::clone(&shared)));
        self.served.push(Served {
            endpoint,
            shared,
            datagrams,
        });
        Ok(())
    }
}

/// Shows that the runtime gives tasks their turn.
async fn pulse(life: Arc<Life>) {
    loop {
        life.beat();
        sleep(Life::BEAT).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        for served in &self.served {
            served.datagrams.end();
        }
        // The other tasks end with their set; the names may live on.
        self.names.cool();
    }
}
