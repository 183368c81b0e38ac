// SPDX-License-Identifier: MIT OR Apache-2.0
//! The five rtnetlink requests the lab needs (rtnetlink(7)); no `ip` command is run.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEIGH: u16 = 28;

const IFLA_MTU: u16 = 4;
const IFLA_ADDRESS: u16 = 1;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 0x02;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTN_UNICAST: u8 = 1;
const RTN_UNREACHABLE: u8 = 7;

const HEADER: usize = 16;

/// A netlink socket of one network namespace: that of the thread which opened it, for ever.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?))
    }

    /// Sets a link's hardware address, MTU, no link-local address of its own, and brings it up.
    pub(crate) fn bring_up(
        &self,
        index: u32,
        mac: Option<[u8; 6]>,
        mtu: Option<u32>,
    ) -> io::Result<()> {
        let up = libc::IFF_UP as u32;
        let mut request = Request::new(RTM_NEWLINK, 0);
        request
            .bytes(&[0; 4])
            .bytes(&index.to_ne_bytes())
            .bytes(&up.to_ne_bytes())
            .bytes(&up.to_ne_bytes());
        if let Some(mac) = mac {
            request.attribute(IFLA_ADDRESS, &mac);
            // IN6_ADDR_GEN_MODE_NONE: a link-local address would only add duplicate detection and router solicitations.
            let mode = nested(IFLA_INET6_ADDR_GEN_MODE, &[1]);
            let spec = nested(libc::AF_INET6 as u16, &mode);
            request.attribute(IFLA_AF_SPEC, &spec);
        }
        if let Some(mtu) = mtu {
            request.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        }
        self.ask(request)
    }

    /// Gives a link an address. No duplicate address detection: the address is usable at once.
    pub(crate) fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut request = Request::new(RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        request
            .bytes(&[family(address), prefix, IFA_F_NODAD, 0])
            .bytes(&index.to_ne_bytes());
        request
            .attribute(IFA_LOCAL, &octets(address))
            .attribute(IFA_ADDRESS, &octets(address));
        self.ask(request)
    }

    /// Names a neighbour's hardware address for good, so that no ARP or neighbour discovery crosses the link.
    pub(crate) fn add_neighbour(
        &self,
        index: u32,
        address: IpAddr,
        mac: [u8; 6],
    ) -> io::Result<()> {
        let mut request = Request::new(RTM_NEWNEIGH, libc::NLM_F_CREATE | libc::NLM_F_REPLACE);
        request
            .bytes(&[family(address), 0, 0, 0])
            .bytes(&index.to_ne_bytes());
        request.bytes(&NUD_PERMANENT.to_ne_bytes()).bytes(&[0, 0]);
        request
            .attribute(NDA_DST, &octets(address))
            .attribute(NDA_LLADDR, &mac);
        self.ask(request)
    }

    /// The default route of `gateway`'s family.
    pub(crate) fn add_default_route(&self, index: u32, gateway: IpAddr) -> io::Result<()> {
        let mut request = Request::new(RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE);
        request.route(gateway, 0, RTN_UNICAST);
        request
            .attribute(RTA_GATEWAY, &octets(gateway))
            .attribute(RTA_OIF, &index.to_ne_bytes());
        self.ask(request)
    }

    /// Makes `address` locally unreachable: `connect` fails with EHOSTUNREACH and no packet leaves.
    pub(crate) fn add_unreachable(&self, address: IpAddr) -> io::Result<()> {
        let mut request = Request::new(RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE);
        request
            .route(address, full_prefix(address), RTN_UNREACHABLE)
            .attribute(RTA_DST, &octets(address));
        self.ask(request)
    }

    /// Takes back [`Self::add_unreachable`].
    pub(crate) fn remove_unreachable(&self, address: IpAddr) -> io::Result<()> {
        let mut request = Request::new(RTM_DELROUTE, 0);
        request
            .route(address, full_prefix(address), RTN_UNREACHABLE)
            .attribute(RTA_DST, &octets(address));
        self.ask(request)
    }

    fn ask(&self, request: Request) -> io::Result<()> {
        send(self.0.as_raw_fd(), &request.finish(), MsgFlags::empty())?;
        let mut reply = [0u8; 4096];
        let length = recv(self.0.as_raw_fd(), &mut reply, MsgFlags::empty())?;
        // NLMSG_ERROR with the error number, negated; zero acknowledges.
        let error = reply[..length]
            .get(HEADER..HEADER + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(i32::from_ne_bytes);
        match error {
            Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(-error)),
            None => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "short netlink reply",
            )),
        }
    }
}

struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: i32) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self(bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The body of a route request (`struct rtmsg`) in the main table.
    fn route(&mut self, address: IpAddr, prefix: u8, kind: u8) -> &mut Self {
        const RT_TABLE_MAIN: u8 = 254;
        const RTPROT_STATIC: u8 = 4;
        self.bytes(&[
            family(address),
            prefix,
            0,
            0,
            RT_TABLE_MAIN,
            RTPROT_STATIC,
            0,
            kind,
            0,
            0,
            0,
            0,
        ])
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let attribute = nested(kind, value);
        self.bytes(&attribute)
    }

    fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// One attribute: length, kind, value, padded to four bytes.
fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

pub(crate) fn full_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
