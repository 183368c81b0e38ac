// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether this kernel takes the programs: each is loaded, none is attached, and all are gone again afterwards.

use std::thread;

use super::{KernelError, attach, memlock, programs::Redirected, tracer};

/// A program that was loaded, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Name of the program.
    pub program: &'static str,
    /// What is not seen without it.
    pub lost: &'static str,
    /// Without it nothing is traced.
    pub essential: bool,
    /// What the kernel said if it refused.
    pub outcome: Result<(), String>,
}

/// Loads every program there is, in the order of the table. Needs what tracing needs; touches no cgroup.
pub fn try_programs() -> Result<Vec<Tried>, KernelError> {
    let all = Redirected {
        connections: true,
        names: true,
    };
    // A thread of its own, because it gets a mount namespace of its own.
    thread::scope(|scope| {
        scope
            .spawn(|| {
                let _unlimited = memlock::Unlimited::begin();
                let mut ebpf = tracer::open(all, 0)?;
                Ok(attach::try_all(&mut ebpf, all))
            })
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
