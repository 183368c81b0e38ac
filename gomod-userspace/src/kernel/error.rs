// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the kernel cannot be asked, and what would help.

use std::io;

/// Tracing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Not enough privilege.
    #[error("tracing needs the capabilities {missing}, which this process lacks; run: {remedy}")]
    Capabilities {
        /// Their names, separated by commas.
        missing: String,
        /// A command that would work.
        remedy: String,
    },
    /// The kernel is older than the programs' floor.
    #[error(
        "kernel {found} is too old: gomod-trace needs Linux {floor} or newer; run it on a host with a newer kernel"
    )]
    Version {
        /// The running kernel.
        found: String,
        /// The oldest one that works.
        floor: &'static str,
    },
    /// The object could not be loaded as a whole.
    #[error("the kernel refused the maps of the tracing programs: {source}; {remedy}")]
    Object {
        /// What aya says.
        source: Box<aya::EbpfError>,
        /// What to do.
        remedy: &'static str,
    },
    /// A map has not the expected shape.
    #[error("map {name} of the tracing programs is unusable: {source}")]
    Map {
        /// Which one.
        name: &'static str,
        /// What aya says.
        source: aya::maps::MapError,
    },
    /// The programs without which nothing is seen were refused.
    #[error("the kernel refused {program}, without which nothing can be traced: {reason}")]
    Essential {
        /// Which one.
        program: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl KernelError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
