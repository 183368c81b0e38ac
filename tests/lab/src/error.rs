// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can keep a lab from starting.

use std::io;
use std::path::PathBuf;

/// Why a lab, a project or a toolchain is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Namespaces, TAP devices and bind mounts need capabilities that the process does not have.
    #[error(
        "the lab makes network namespaces, which needs root: run it as root, for instance with `sudo -E env \"PATH=$PATH\"`"
    )]
    NotRoot,
    /// The TUN/TAP driver is missing or refused.
    #[error(
        "cannot make a TAP device through /dev/net/tun: {source}; load the driver (`modprobe tun`), or start the container with `--device /dev/net/tun --privileged`"
    )]
    Tap {
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call failed while a namespace was being furnished.
    #[error("{what}: {source}; {remedy}")]
    Setup {
        /// The call, and what it was for.
        what: String,
        /// What the kernel said.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A file that the lab would replace for the client does not exist on this machine.
    #[error("{path} does not exist, so the lab cannot replace it for its client; {remedy}")]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// How to get it.
        remedy: &'static str,
    },
    /// Certificates could not be made.
    #[error("cannot make the lab's certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS servers could not be configured.
    #[error("cannot configure the lab's TLS servers: {0}")]
    Tls(#[from] rustls::Error),
    /// A fault's text could not be understood.
    #[error("{text:?} is not a fault: {why}; `gomod-lab faults` lists them all")]
    Fault {
        /// The text given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// No Go toolchain of the version asked for is installed.
    #[error(
        "Go {version} is not in {directory}; `cargo xtask test` installs the toolchains that the tests use"
    )]
    Toolchain {
        /// The version asked for.
        version: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// A file of a project could not be written.
    #[error(
        "cannot write {path}: {source}; is the temporary directory ($TMPDIR) writable, with space left?"
    )]
    Project {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A combination of settings that has no meaning.
    #[error("{0}")]
    Setting(String),
}

impl LabError {
    /// True if the machine, not the caller, is why the lab cannot start: a test that gets this could not run.
    pub fn is_environmental(&self) -> bool {
        match self {
            Self::NotRoot
            | Self::Tap { .. }
            | Self::MissingFile { .. }
            | Self::Toolchain { .. } => true,
            // Root without the capabilities, as in most containers.
            Self::Setup { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }

    pub(crate) fn setup(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Setup {
            what: what.into(),
            source: source.into(),
            remedy: "the lab needs CAP_SYS_ADMIN and CAP_NET_ADMIN and a kernel with network and mount namespaces",
        }
    }
}
