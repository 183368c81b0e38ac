// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that must not wait for their turn.

/// The lowest nice value there is (setpriority(2)).
const HIGHEST_PRIORITY: i32 = -20;

/// Lets the calling thread run before others: for one that needs little time, and whose delay others pay for. What it
/// starts from now on inherits it.
///
/// `CAP_SYS_NICE`; without it, the thread waits for its turn on a busy machine.
pub fn run_before_others() {
    if let Err(error) = rustix::process::setpriority_process(None, HIGHEST_PRIORITY) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a thread");
        tracing::info!(%error, "setpriority refused: {name} is late on a busy machine");
    }
}
