// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two network namespaces of a lab. They have no name: file descriptors and processes keep them, nothing else.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};

use crate::LabError;
use crate::addresses::{CLIENT_V4, CLIENT_V6, Families, ROUTER_V4, ROUTER_V6, family_of};
use crate::net::netlink::{Netlink, full_prefix};
use crate::sys::open_tap;

/// Name of the TAP interface, the same in both namespaces.
const INTERFACE: &str = "lab0";
const CLIENT_MAC: [u8; 6] = [0x02, 0, 0, 0x13, 0, 0x02];
const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0x13, 0, 0x01];
const MTU: u32 = 1500;

/// A furnished network namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Holds the namespace; for setns.
    pub(crate) network: Arc<OwnedFd>,
    /// The far end of its one interface: frames that the namespace sends are read here.
    pub(crate) tap: File,
    /// A netlink socket inside.
    pub(crate) netlink: Netlink,
}

/// The client's side: one address in each family and a default route over the link.
pub(crate) fn client(families: Families, offload: bool) -> Result<Namespace, LabError> {
    on_own_thread("lab-client", move || {
        let (namespace, index) = empty(CLIENT_MAC, offload)?;
        let pairs: [(IpAddr, IpAddr, u8); 2] = [
            (CLIENT_V4.into(), ROUTER_V4.into(), 24),
            (CLIENT_V6.into(), ROUTER_V6.into(), 64),
        ];
        for (own, router, prefix) in of(families, pairs) {
            let netlink = &namespace.netlink;
            settle(netlink, index, (own, prefix), (router, ROUTER_MAC))?;
            netlink
                .add_default_route(index, router)
                .map_err(|error| LabError::setup("netlink: add default route", error))?;
        }
        Ok(namespace)
    })
}

/// The internet's side: the router's addresses and one for each of `hosts`.
pub(crate) fn internet(
    families: Families,
    offload: bool,
    hosts: Vec<IpAddr>,
) -> Result<Namespace, LabError> {
    on_own_thread("lab-internet", move || {
        let (namespace, index) = empty(ROUTER_MAC, offload)?;
        let netlink = &namespace.netlink;
        let pairs: [(IpAddr, IpAddr, u8); 2] = [
            (ROUTER_V4.into(), CLIENT_V4.into(), 24),
            (ROUTER_V6.into(), CLIENT_V6.into(), 64),
        ];
        for (own, peer, prefix) in of(families, pairs) {
            settle(netlink, index, (own, prefix), (peer, CLIENT_MAC))?;
        }
        for host in hosts {
            netlink
                .add_address(index, host, full_prefix(host))
                .map_err(|error| address_error(host, error))?;
        }
        Ok(namespace)
    })
}

/// Those of the families that the lab has.
fn of(
    families: Families,
    pairs: [(IpAddr, IpAddr, u8); 2],
) -> impl Iterator<Item = (IpAddr, IpAddr, u8)> {
    pairs
        .into_iter()
        .filter(move |(own, ..)| families.has(family_of(own)))
}

/// Takes an address on the link, and knows the neighbour at its other end.
fn settle(
    netlink: &Netlink,
    index: u32,
    (own, prefix): (IpAddr, u8),
    (neighbour, mac): (IpAddr, [u8; 6]),
) -> Result<(), LabError> {
    netlink
        .add_address(index, own, prefix)
        .map_err(|error| address_error(own, error))?;
    netlink
        .add_neighbour(index, neighbour, mac)
        .map_err(|error| LabError::setup("netlink: add neighbour", error))
}

/// A new network namespace around the calling thread, with `lo` and one TAP interface up.
fn empty(mac: [u8; 6], offload: bool) -> Result<(Namespace, u32), LabError> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| LabError::setup("unshare(CLONE_NEWNET)", error))?;
    let network = File::open("/proc/thread-self/ns/net")
        .map_err(|error| LabError::setup("open /proc/thread-self/ns/net", error))?;
    let tap = open_tap(INTERFACE, offload).map_err(|source| LabError::Tap { source })?;
    let netlink = Netlink::open().map_err(|error| LabError::setup("socket(AF_NETLINK)", error))?;
    for (name, mac, mtu) in [("lo", None, None), (INTERFACE, Some(mac), Some(MTU))] {
        let index = if_nametoindex(name)
            .map_err(|error| LabError::setup(format!("if_nametoindex({name})"), error))?;
        netlink
            .bring_up(index, mac, mtu)
            .map_err(|error| LabError::setup(format!("netlink: bring up {name}"), error))?;
    }
    let index =
        if_nametoindex(INTERFACE).map_err(|error| LabError::setup("if_nametoindex", error))?;
    Ok((
        Namespace {
            network: Arc::new(network.into()),
            tap,
            netlink,
        },
        index,
    ))
}

fn address_error(address: IpAddr, source: io::Error) -> LabError {
    LabError::Setup {
        what: format!("netlink: add address {address}"),
        source,
        remedy: "where the kernel has no IPv6 (ipv6.disable=1), ask for a lab with IPv4 alone",
    }
}

/// Namespaces belong to threads: a thread that changed its own must not serve anyone else afterwards.
pub(crate) fn on_own_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, LabError> + Send + 'static,
) -> Result<T, LabError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| LabError::setup("clone (a thread)", error))?
        .join()
        .unwrap_or_else(|_| Err(LabError::Setting(format!("the thread {name} panicked"))))
}
