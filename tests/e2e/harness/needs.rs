// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a trial needs of the machine.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use gomod_lab::toolchain;
use gomod_trace::launch::Hierarchy;
use libtest_mimic::{Completion, Trial};

/// The release that most trials run.
pub(crate) const NEWEST_GO: &str = "1.27";

/// Something a trial cannot do without.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// Root, a writable cgroup v2: to trace.
    Tracing,
    /// TAP devices: for a lab.
    Lab,
    /// A Go toolchain.
    Go(&'static str),
    /// `sudo`, and a user to call it.
    Sudo,
    /// A program of the machine.
    Program(&'static str),
}

/// What a traced download in a lab needs.
pub(crate) const DOWNLOADS: &[Need] = &[Need::Tracing, Need::Lab, Need::Go(NEWEST_GO)];

impl Need {
    /// Why it is not to be had.
    fn missing(self) -> Option<String> {
        match self {
            Self::Tracing if !nix::unistd::geteuid().is_root() => Some("needs root".to_owned()),
            Self::Tracing => Hierarchy::find().err().map(|error| error.to_string()),
            Self::Lab => OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/net/tun")
                .err()
                .map(|error| format!("needs /dev/net/tun: {error}")),
            Self::Go(version) => toolchain::find(version)
                .err()
                .map(|error| error.to_string()),
            Self::Sudo => ["sudo", "setpriv", "useradd", "userdel"]
                .into_iter()
                .find_map(|program| Self::Program(program).missing()),
            Self::Program(program) => (!runs(program)).then(|| format!("needs {program}")),
        }
    }
}

fn runs(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$0\"", program])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A trial that is ignored, with the reason, where a need is not met.
pub(crate) fn trial(
    name: impl Into<String>,
    needs: impl IntoIterator<Item = Need>,
    test: impl FnOnce() + Send + 'static,
) -> Trial {
    let needs = needs.into_iter().collect::<Vec<_>>();
    Trial::ignorable_test(name, move || {
        if let Some(reason) = needs.into_iter().find_map(Need::missing) {
            return Ok(Completion::ignored_with(reason));
        }
        test();
        Ok(Completion::Completed)
    })
}
