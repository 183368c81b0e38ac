// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that must not wait for their turn.

/// How much a thread is to run before others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits for it.
    Awaited,
    /// What it does not get to in time is lost.
    Lossy,
}

impl Urgency {
    /// The nice value (setpriority(2)).
    fn nice(self) -> i32 {
        match self {
            // Enough to get its turn as soon as it has something to do. With more it would take the processor from
            // its clients at their every datagram, which then come one by one: a fifth fewer answers per second.
            Self::Awaited => -5,
            Self::Lossy => -20,
        }
    }
}

/// Lets the calling thread run before others: for one that needs little time, and whose delay others pay for. What it
/// starts from now on inherits it.
///
/// `CAP_SYS_NICE`; without it, the thread waits for its turn on a busy machine.
pub fn run_before_others(urgency: Urgency) {
    if let Err(error) = rustix::process::setpriority_process(None, urgency.nice()) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a thread");
        tracing::info!(%error, "setpriority refused: {name} is late on a busy machine");
    }
}
