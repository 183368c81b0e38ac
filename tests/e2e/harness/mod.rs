// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all trials share.

pub(crate) mod footprint;
pub(crate) mod helper;
pub(crate) mod needs;
pub(crate) mod process;
pub(crate) mod product;
pub(crate) mod schema;
pub(crate) mod scratch;
pub(crate) mod traced;
pub(crate) mod user;

use std::time::{Duration, Instant};

pub(crate) use needs::{Need, trial};
pub(crate) use process::Running;
pub(crate) use scratch::Scratch;
pub(crate) use traced::{Outcome, Traced};

/// Longest wait for anything that is expected to happen; it only turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What `go` calls a download of everything that go.mod asks for.
pub(crate) const DOWNLOAD: [&str; 3] = ["go", "mod", "download"];

/// Waits for a fact; `seen` is added to the message if it never comes.
pub(crate) fn eventually<T>(
    what: &str,
    seen: impl Fn() -> String,
    mut fact: impl FnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(fact) = fact() {
            return fact;
        }
        assert!(began.elapsed() < PATIENCE, "never: {what}\n{}", seen());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The newest of the Go toolchains.
pub(crate) fn newest_go() -> gomod_lab::Toolchain {
    gomod_lab::toolchain::find(needs::NEWEST_GO).unwrap()
}
