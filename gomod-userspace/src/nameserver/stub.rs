// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stub: one loopback endpoint for each nameserver, by UDP and TCP, bound and not yet at work.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use rustls::RootCertStore;
use tokio::runtime::{Builder, Runtime};

use super::dns_server::DnsServer;
use super::serving::Serving;
use super::telling::{Account, Teller};

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
    /// What each thread that the stub makes does first.
    pub begin_thread: fn(),
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
            begin_thread: || (),
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
    /// The runtime would not take a socket, or the kernel gave no thread.
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
pub(super) struct Bound {
    pub(super) endpoint: Endpoint,
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

/// Bound and not yet serving.
#[derive(Debug)]
pub struct Stub {
    bound: Vec<Bound>,
    servers: Vec<SocketAddr>,
    options: StubOptions,
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

    /// Answers, on threads of its own and on the current tokio runtime, which is best one of [`runtime()`]. What was
    /// done comes out of the account.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(self) -> Result<(Serving, Account), StubError> {
        let (teller, account) = Teller::new(self.options.events);
        let serving = Serving::begin(self.bound, &self.servers, self.options, teller)?;
        Ok((serving, account))
    }
}

/// A runtime to serve on: of its own, so that it answers however busy the rest is.
///
/// `begin` is what its thread does first.
pub fn runtime(begin: fn()) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("nameserver")
        .on_thread_start(begin)
        .enable_all()
        .build()
}

/// `None` on a machine without IPv6, for a server that is reached by it.
pub(super) fn bind_for(server: SocketAddr) -> Result<Option<Bound>, StubError> {
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
