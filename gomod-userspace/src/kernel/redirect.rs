// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent's hand on the redirecting programs: which listeners, which ports, which processes, and where a
//! redirected connection wanted to go.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd as _},
    sync::{Mutex, PoisonError},
};

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use gomod_ebpf_common::{Endpoint, Listeners, NearEnd, Origin};

use super::{
    KernelError,
    events::{Pid, SocketCookie},
    tracer::{map_error, take_map},
};

/// Tells the kernel programs what to redirect. Until [`Self::listen`] was called, and after this process has ended or
/// stopped beating for 2 s, nothing is.
pub struct Redirector {
    listeners: HashMap<MapData, u64, Listeners>,
    ports: HashMap<MapData, u16, u8>,
    go: HashMap<MapData, u32, u8>,
}

/// Where redirected connections wanted to go, by the peer's address that their listener sees.
pub struct NearEnds(Mutex<HashMap<MapData, NearEnd, Origin>>);

/// Where one redirected connection wanted to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectedFrom {
    /// Socket of the process.
    pub cookie: SocketCookie,
    /// Process.
    pub pid: Pid,
    /// The destination that it asked for.
    pub destination: SocketAddr,
}

/// Both, from the loaded programs.
pub(super) fn open(ebpf: &mut Ebpf) -> Result<(Redirector, NearEnds), KernelError> {
    let redirector = Redirector {
        listeners: take_map(ebpf, "LISTENERS", HashMap::try_from)?,
        ports: take_map(ebpf, "PORTS", HashMap::try_from)?,
        go: take_map(ebpf, "GO", HashMap::try_from)?,
    };
    let near_ends = NearEnds(Mutex::new(take_map(ebpf, "NEAR_ENDS", HashMap::try_from)?));
    Ok((redirector, near_ends))
}

impl Redirector {
    /// From now on, connections of `go` processes in the network namespace `netns` to one of the ports go to these
    /// listeners on 127.0.0.1 and `::1`.
    pub fn listen(
        &mut self,
        netns: u64,
        v4: Option<u16>,
        v6: Option<u16>,
    ) -> Result<(), KernelError> {
        let listeners = Listeners {
            v4: v4.unwrap_or(0),
            v6: v6.unwrap_or(0),
        };
        self.listeners
            .insert(netns, listeners, 0)
            .map_err(map_error("LISTENERS"))
    }

    /// Adds destination ports to those that are redirected.
    pub fn add_ports(&mut self, ports: &BTreeSet<u16>) -> Result<(), KernelError> {
        for port in ports {
            self.ports.insert(port, 1, 0).map_err(map_error("PORTS"))?;
        }
        Ok(())
    }

    /// Nothing is redirected any more; connections that are open stay as they are.
    pub fn stop(&mut self) -> Result<(), KernelError> {
        let netns: Vec<u64> = self.listeners.keys().filter_map(Result::ok).collect();
        for cookie in netns {
            self.listeners
                .remove(&cookie)
                .map_err(map_error("LISTENERS"))?;
        }
        Ok(())
    }

    /// Corrects what the kernel program took from the file name alone: whether a process is the `go` command.
    pub fn set_go(&mut self, pid: Pid, is_go: bool) -> Result<(), KernelError> {
        let done = if is_go {
            self.go.insert(pid.0, 1, 0)
        } else {
            self.go.remove(&pid.0)
        };
        match done {
            // It was none before, or has not been seen for long.
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(())
            }
            other => other.map_err(map_error("GO")),
        }
    }
}

impl NearEnds {
    /// The origin of the connection that a listener in `netns` accepted from `peer`; forgotten by this call. `None` if
    /// the connect programs did not redirect it: some process has dialled the listener itself.
    pub fn take(&self, netns: u64, peer: SocketAddr) -> Option<RedirectedFrom> {
        let near_end = NearEnd {
            netns,
            local: endpoint(peer),
            padding: 0,
        };
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = map.get(&near_end, 0).ok()?;
        // Gone already at worst: two threads do not accept the same connection.
        let _ = map.remove(&near_end);
        Some(RedirectedFrom {
            cookie: SocketCookie(origin.cookie),
            pid: Pid(origin.pid),
            destination: address(origin.remote),
        })
    }
}

/// The cookie of the network namespace that a socket belongs to (`SO_NETNS_COOKIE`, kernel 5.14).
#[expect(unsafe_code, reason = "no safe wrapper knows this socket option")]
pub fn netns_cookie(socket: impl AsFd) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option writes at most `length` bytes to `cookie`.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if failed == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

pub(super) fn endpoint(address: SocketAddr) -> Endpoint {
    match address {
        SocketAddr::V4(v4) => Endpoint::v4(v4.ip().octets(), v4.port()),
        SocketAddr::V6(v6) => Endpoint::v6(v6.ip().octets(), v6.port()),
    }
}

fn address(endpoint: Endpoint) -> SocketAddr {
    let ip = std::net::Ipv6Addr::from(endpoint.address).to_canonical();
    SocketAddr::new(ip, endpoint.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_the_same_on_both_ways() {
        for text in ["127.0.0.1:40000", "[::1]:40001", "[2001:2::2]:443"] {
            let socket: SocketAddr = text.parse().unwrap();
            assert_eq!(address(endpoint(socket)), socket);
        }
    }

    #[test]
    fn sockets_of_this_process_share_a_namespace() {
        let one = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let cookie = netns_cookie(&one).unwrap();
        assert_ne!(cookie, 0);
        assert_eq!(cookie, netns_cookie(&other).unwrap());
    }
}
