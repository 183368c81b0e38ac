// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace` itself, the real `go`, and a lab network: what users get, held against what they were promised.
//!
//! Most trials wait for something, so that there are more threads than cores; each has a lab, a project and a scratch
//! directory of its own. What a trial needs and the machine lacks makes it ignored, with the reason.
//! `GOMOD_TRACE_E2E_KEEP=DIR` keeps report, event stream, recording and output of every trial that failed.
#![expect(clippy::unwrap_used, reason = "a test panics on failure")]

mod accelerate;
mod causes;
mod doctor;
mod faults;
mod harness;
mod hazards;
mod identity;
mod kernel_programs;
mod names;
mod privileges;
mod probe;
mod quiet_network;
mod refusals;
mod residue;
mod store;
mod terminal;
mod toolchains;

use std::process::ExitCode;

use libtest_mimic::Arguments;

/// Trials at once, unless the command line says otherwise.
const THREADS: usize = 8;

fn main() -> ExitCode {
    if harness::helper::is_asked_for() {
        return harness::helper::run();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(THREADS));
    // The longest come first.
    let trials = [
        causes::trials(),
        faults::trials(),
        probe::trials(),
        names::trials(),
        accelerate::trials(),
        quiet_network::trials(),
        residue::trials(),
        doctor::trials(),
        hazards::trials(),
        store::trials(),
        terminal::trials(),
        toolchains::trials(),
        identity::trials(),
        privileges::trials(),
        refusals::trials(),
        kernel_programs::trials(),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    harness::product::clean_up();
    conclusion.exit_code()
}
