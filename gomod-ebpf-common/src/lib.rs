// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel programs and the agent agree on: ring-buffer records, map values and constants.
//!
//! Every record is `#[repr(C)]`, has explicit padding and starts with a [`RecordHeader`] whose
//! [`RecordKind`] tells its shape. Integers are in host order, ports included; addresses are 16 bytes,
//! IPv4 as `::ffff:a.b.c.d`. Times are nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`).
#![no_std]

mod endpoint;
mod flow;
mod names;
mod record;
mod redirect;

pub use endpoint::Endpoint;
pub use flow::Flow;
pub use names::NameServer;
pub use record::*;
pub use redirect::{ACCELERATOR, HEARTBEAT_LIMIT_NS, Listeners, NearEnd, Origin, STUB};
