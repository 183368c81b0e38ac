// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stub: one loopback endpoint for each nameserver, by UDP and TCP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::dns_server::DnsServer;
use super::endpoint::{self, Bounds, Shared};
use super::names::Names;
use super::resolver::Resolver;
use super::server::{Group, Server};
use super::told::{Teller, Told};

/// How often a port that is free for UDP is looked for until one is free for TCP too.
const PORT_ATTEMPTS: usize = 32;

/// How the stub works.
#[derive(Clone, Debug)]
pub struct StubOptions {
    /// Asked instead of the nameservers that the clients ask.
    pub upstream: Option<DnsServer>,
    /// Whose certificates are good, for [`DnsServer::Tls`] and [`DnsServer::Https`].
    pub roots: RootCertStore,
    /// Memory for answers, bytes.
    pub cache_bytes: u64,
    /// Questions being asked at once; a client whose question finds no room is to ask again.
    pub questions: usize,
    /// Client TCP connections at once.
    pub connections: usize,
    /// Names kept warm at once.
    pub prewarmed: usize,
    /// Events on their way to the timeline.
    pub events: usize,
}

impl Default for StubOptions {
    fn default() -> Self {
        Self {
            upstream: None,
            roots: RootCertStore::empty(),
            cache_bytes: 4 << 20,
            questions: 512,
            connections: 64,
            prewarmed: 128,
            events: 4096,
        }
    }
}

/// Where queries for a nameserver go instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The nameserver that the client asks.
    pub server: SocketAddr,
    /// The stub's own address for it, UDP and TCP.
    pub stub: SocketAddr,
}

/// Why there is no stub.
#[derive(Debug, thiserror::Error)]
pub enum StubError {
    /// No port on a loopback address.
    #[error("cannot bind a DNS stub to {address}: {error}; use --no-dns, which leaves DNS alone")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The runtime would not take a socket.
    #[error("cannot serve DNS on {address}: {error}; use --no-dns, which leaves DNS alone")]
    Serve {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
}

/// The sockets of one endpoint.
#[derive(Debug)]
struct Bound {
    endpoint: Endpoint,
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Bound and not yet serving.
#[derive(Debug)]
pub struct Stub {
    bound: Vec<Bound>,
    servers: Vec<SocketAddr>,
    options: StubOptions,
}

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
    tasks: JoinSet<()>,
}

/// An endpoint at work.
#[derive(Debug)]
struct Served {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

impl Stub {
    /// Binds an endpoint for each of `servers`: on 127.0.0.1 for an IPv4 one, on `::1` for an IPv6 one. On a machine
    /// without `::1`, IPv6 servers get none: they are asked as if we weren't there.
    pub fn bind(servers: &[SocketAddr], options: StubOptions) -> Result<Self, StubError> {
        let mut bound = Vec::new();
        for server in servers {
            bound.extend(bind_for(*server)?);
        }
        Ok(Self {
            bound,
            servers: servers.to_vec(),
            options,
        })
    }

    /// Which nameserver is answered for where.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.bound.iter().map(|bound| bound.endpoint).collect()
    }

    /// Answers on the current tokio runtime. What is asked and answered comes out of the receiver.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(self) -> Result<(Serving, mpsc::Receiver<Told>), StubError> {
        let Self {
            bound,
            servers: list,
            options,
        } = self;
        let (teller, told) = Teller::new(options.events);
        let upstream = options
            .upstream
            .map(|server| Arc::new(Server::new(server, options.roots)));
        let empty = Group {
            generation: 0,
            servers: Vec::new(),
        };
        let resolver = Arc::new(Resolver::new(
            empty,
            teller,
            options.cache_bytes,
            options.questions,
        ));
        let mut serving = Serving {
            served: Vec::new(),
            names: Arc::new(Names::new(Arc::clone(&resolver), options.prewarmed)),
            resolver,
            servers: Vec::new(),
            upstream,
            bounds: Bounds::new(options.questions, options.connections),
            tasks: JoinSet::new(),
        };
        serving.turn_to(&list);
        for bound in bound {
            serving.serve(bound)?;
        }
        Ok((serving, told))
    }
}

impl Serving {
    /// Which nameserver is answered for where, those of earlier lists included: a process may not have read the new
    /// one yet.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.served.iter().map(|served| served.endpoint).collect()
    }

    /// resolv.conf has changed: from now on these are asked, in this order as long as nothing better is known. What an
    /// earlier list's servers said is forgotten, as it may speak of another network. Gives the endpoints that are new.
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

    /// Time since the quietest endpoint showed life. Past a second or so queries should go to the real servers.
    pub fn quiet_for(&self) -> Duration {
        self.served
            .iter()
            .map(|served| served.shared.life.quiet_for())
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
        let udp = tokio::net::UdpSocket::from_std(udp).map_err(failed)?;
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
        self.tasks
            .spawn(endpoint::udp::serve(udp, Arc::clone(&shared)));
        self.tasks
            .spawn(endpoint::tcp::serve(tcp, Arc::clone(&shared)));
        self.served.push(Served { endpoint, shared });
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // The endpoints' tasks end with their set; the names may live on.
        self.names.cool();
    }
}

fn bind_for(server: SocketAddr) -> Result<Option<Bound>, StubError> {
    let loopback = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    };
    match bind(server, loopback) {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if server.is_ipv6() && no_such_address(&error) => Ok(None),
        Err(error) => Err(StubError::Bind {
            address: loopback,
            error,
        }),
    }
}

fn bind(server: SocketAddr, loopback: SocketAddr) -> io::Result<Bound> {
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..PORT_ATTEMPTS {
        let udp = UdpSocket::bind(loopback)?;
        let stub = udp.local_addr()?;
        match TcpListener::bind(stub) {
            Ok(tcp) => {
                udp.set_nonblocking(true)?;
                tcp.set_nonblocking(true)?;
                return Ok(Bound {
                    endpoint: Endpoint { server, stub },
                    udp,
                    tcp,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => failure = error,
            Err(error) => return Err(error),
        }
    }
    Err(failure)
}

/// IPv6 is not built in, or switched off.
fn no_such_address(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_port_of_its_own_on_the_loopback_address_of_its_family() {
        let servers = [
            "192.0.2.1:53".parse().unwrap(),
            "127.0.0.53:53".parse().unwrap(),
        ];
        let stub = Stub::bind(&servers, StubOptions::default()).unwrap();
        let endpoints = stub.endpoints();
        assert_eq!(
            endpoints
                .iter()
                .map(|endpoint| endpoint.server)
                .collect::<Vec<_>>(),
            servers
        );
        assert!(
            endpoints
                .iter()
                .all(|endpoint| endpoint.stub.ip() == Ipv4Addr::LOCALHOST)
        );
        assert_ne!(endpoints[0].stub.port(), endpoints[1].stub.port());
        for bound in &stub.bound {
            assert_eq!(bound.udp.local_addr().unwrap(), bound.endpoint.stub);
            assert_eq!(bound.tcp.local_addr().unwrap(), bound.endpoint.stub);
        }
    }
}
