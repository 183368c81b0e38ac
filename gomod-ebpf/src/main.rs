// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! The kernel programs of gomod-trace: they watch the processes of one cgroup, and redirect
//! connections of `go` and questions to nameservers where the agent asks for it; nothing else is ever changed.
//!
//! One file per concern; each hook documents its minimum kernel, the capability it needs and what is lost
//! without it. Each program loads on its own. No structure of the kernel is read by offset: only helpers,
//! context fields and tracepoint arguments, so one object serves all kernels.
#![no_std]
#![no_main]

mod cache_name;
mod file;
mod flow;
mod heartbeat;
mod lock;
mod names;
mod packet;
mod process;
mod redirect;
mod ring;
mod scope;
mod sock_addr;
mod socket;
mod syscall;
mod tcp;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Unreachable: the verifier accepts no program with a path to here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
