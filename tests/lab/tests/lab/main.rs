// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab against the real `go`. A test that this machine cannot run is reported as ignored, with the reason.

mod downloads;
mod faults;
mod hosts;
mod machine;
mod support;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::<Trial>::new();
    trials.extend(downloads::trials());
    trials.extend(faults::trials());
    trials.extend(hosts::trials());
    trials.extend(machine::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
