// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loads and attaches the kernel programs, reads their events.
//!
//! [`Tracer::start`] is the way in: it attaches everything that the kernel accepts to one cgroup, says in
//! [`Tracer::missing`] what it did not accept and what is not seen because of that, and then yields
//! [events](events::Event). All links live as long as the tracer and the process: nothing is pinned, so
//! nothing stays behind, not even after `kill -9`.

mod attach;
mod decode;
mod detach;
mod error;
pub mod events;
mod heartbeat;
mod held_locks;
mod lock_waits;
mod locks;
mod memlock;
mod module_files;
mod mounts;
mod names;
mod preflight;
mod priority;
mod processes;
mod programs;
mod redirect;
mod ring;
mod round_trip;
mod samples;
mod tracefs;
mod tracer;
mod trial;

pub use decode::decode;
pub use error::KernelError;
pub use heartbeat::Heartbeat;
pub use held_locks::{HeldLock, HeldLocks, held_locks};
pub use names::NameRedirector;
pub use preflight::{FLOOR, lacking_capabilities, preflight, version};
pub use priority::{Urgency, run_before_others};
pub use processes::missing_in_pid_namespace;
pub use programs::{Missing, PROGRAM_NAMES};
pub use redirect::{NearEnds, RedirectedFrom, Redirector, netns_cookie};
pub use round_trip::round_trip;
pub use tracer::{Options, Tracer, now};
pub use trial::{Tried, try_programs};

/// The kernel programs, as they ship.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("GOMOD_EBPF_OBJECT"));
