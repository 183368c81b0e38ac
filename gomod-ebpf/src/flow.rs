// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! The account of each socket of a traced process, by socket cookie. A socket is traced if it has one.

use aya_ebpf::{macros::map, maps::LruHashMap};
use gomod_ebpf_common::Flow;

/// Accounts by socket cookie. The agent removes those of closed connections; under 32,768 open sockets none
/// is evicted.
#[map]
static FLOWS: LruHashMap<u64, Flow> = LruHashMap::with_max_entries(32_768, 0);

/// Opens the account of a socket.
#[inline(always)]
pub fn open(cookie: u64, flow: &Flow) {
    // Fails only on memory pressure; the socket is then not traced.
    let _ = FLOWS.insert(cookie, flow, 0);
}

/// The account of a traced socket; `None` for any other socket.
#[inline(always)]
pub fn of(cookie: u64) -> Option<&'static mut Flow> {
    // SAFETY: map values stay readable and writable while the program runs; two CPUs may write the same
    // account at once, which can lose an increment and nothing else.
    FLOWS.get_ptr_mut(cookie).map(|flow| unsafe { &mut *flow })
}
