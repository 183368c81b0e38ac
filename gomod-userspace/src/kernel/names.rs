// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent's hand on the programs that redirect DNS: which nameservers have an endpoint of the stub.

use std::net::SocketAddr;

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use gomod_ebpf_common::{Endpoint, NameServer};

use super::{
    KernelError,
    redirect::endpoint,
    tracer::{map_error, take_map},
};

/// Tells the kernel programs which nameservers' questions go to which endpoint. Until [`Self::redirect`] was called,
/// and after this process has ended or stopped beating for 2 s, all go to the nameservers themselves.
pub struct NameRedirector {
    stubs: HashMap<MapData, NameServer, Endpoint>,
    servers: HashMap<MapData, Endpoint, NameServer>,
}

impl NameRedirector {
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            stubs: take_map(ebpf, "STUBS", HashMap::try_from)?,
            servers: take_map(ebpf, "NAME_SERVERS", HashMap::try_from)?,
        })
    }

    /// From now on, questions of processes in the network namespace `netns` to `server` go to `stub`, a loopback address
    /// of the same family; the port is one for UDP and TCP, and no other nameserver's.
    ///
    /// Questions to ports other than 53 are never redirected.
    pub fn redirect(
        &mut self,
        netns: u64,
        server: SocketAddr,
        stub: SocketAddr,
    ) -> Result<(), KernelError> {
        let server = NameServer::new(netns, endpoint(server));
        let stub = endpoint(stub);
        // The way back first: no answer may come from an address that nobody asked.
        self.servers
            .insert(stub, server, 0)
            .map_err(map_error("NAME_SERVERS"))?;
        self.stubs
            .insert(server, stub, 0)
            .map_err(map_error("STUBS"))
    }

    /// Questions to `server` go there again. What is on its way keeps its way back.
    pub fn leave(&mut self, netns: u64, server: SocketAddr) -> Result<(), KernelError> {
        match self.stubs.remove(&NameServer::new(netns, endpoint(server))) {
            Err(MapError::KeyNotFound) => Ok(()),
            other => other.map_err(map_error("STUBS")),
        }
    }

    /// Nothing is redirected any more; what is on its way keeps its way back.
    pub fn stop(&mut self) -> Result<(), KernelError> {
        let servers: Vec<NameServer> = self.stubs.keys().filter_map(Result::ok).collect();
        for server in servers {
            self.stubs.remove(&server).map_err(map_error("STUBS"))?;
        }
        Ok(())
    }
}
