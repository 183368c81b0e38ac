// SPDX-License-Identifier: MIT OR Apache-2.0
//! Carries the module traffic of `go`: redirected connections are intercepted or spliced, requests are answered from
//! what was fetched ahead, a fetch in flight, or upstream.
//!
//! The serving side, in the order a connection meets it: [`listener`] accepts it and asks [`Origins`] whose it is;
//! [`peek`] reads what it opens with; what is certainly a module request of a process whose [`Policy`] is known is
//! intercepted under the run's own [`Authority`] and answered by a [`Respond`]; everything else is spliced byte for
//! byte to where it wanted to go. What was done and why is [`Told`].

pub mod asker;
pub mod authority;
pub mod checksums;
mod connection;
pub mod engine;
mod intercept;
pub mod listener;
pub mod mirrors;
pub mod peek;
pub mod policy;
pub mod proxy_connect;
mod refusals;
mod replay;
pub mod respond;
mod scratch;
mod splice;
pub mod spool;
pub mod store;
pub mod sums;
pub mod told;
pub mod upstream;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

pub use asker::{Asker, Askers};
pub use authority::{Authority, AuthorityError};
pub use listener::{Accelerator, Limits, ListenError, Parts, Serving};
pub use policy::{Known, Policies, Policy, ProxyEndpoint};
pub use respond::{BodyError, Respond, ResponseBody, Session, text};
pub use sums::Sums;
pub use told::{Told, Way, Why};

use crate::kernel::events::{Pid, SocketCookie};

/// Where a redirected connection wanted to go, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address that the process asked for.
    pub destination: SocketAddr,
    /// The process.
    pub pid: Pid,
    /// Its socket.
    pub cookie: SocketCookie,
}

/// Who knows where a redirected connection wanted to go: the kernel side, or a table in tests.
pub trait Origins: Send + Sync + 'static {
    /// The origin of the connection accepted from `peer` on `local`, once: asked again, it's unknown. `None` for a
    /// connection that our own connect program did not redirect; it must be refused.
    fn take(&self, peer: SocketAddr, local: SocketAddr) -> Option<Origin>;
}
