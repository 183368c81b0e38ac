// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network lab on one machine, for the tests and the demo.
//!
//! Two network namespaces, "client" and "internet", are joined by a user-space link with delay, loss and a rate. A
//! middlebox halfway can swallow packets and forge resets. On the internet's side are nameservers and module hosts under
//! the names that `go` asks for; on the client's side, a mount namespace with a resolver configuration and a certificate
//! authority that lead there. All of it lives in the calling process and ends with it, however it ends.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use gomod_lab::{FaultKind, Lab, toolchain};
//!
//! let lab = Lab::builder().rtt(Duration::from_millis(50)).fault(FaultKind::SniReset).start()?;
//! let project = lab.project()?;
//! let output = project.go(&toolchain::find("1.27")?, ["mod", "download"]).output()?;
//! assert!(String::from_utf8_lossy(&output.stderr).contains("connection reset by peer"));
//! # Ok(()) }
//! ```

pub mod addresses;
mod builder;
mod error;
mod fault;
mod lab;
mod log;
mod modules;
mod net;
mod project;
mod serve;
mod sys;
pub mod toolchain;
pub mod units;
mod wire;

pub use addresses::{
    CONTROL, DIRECT, Families, Family, GIT, Host, PRIVATE, PROXY, SUMDB, WEB_PROXY, WEB_PROXY_PORT,
};
pub use builder::LabBuilder;
pub use error::LabError;
pub use fault::{Amount, CATALOGUE, Description, Fault, FaultKind, Pattern, RefusedWith};
pub use lab::Lab;
pub use log::{Act, Connection, Question, Request};
pub use modules::{Module, Modules};
pub use net::middlebox::{FORGED_TTL, GENUINE_TTL};
pub use project::{HeldLock, Project};
pub use serve::login::{Login, PRIVATE_LOGIN, WEB_PROXY_LOGIN};
pub use sys::Identity;
pub use toolchain::Toolchain;
pub use units::Rate;
