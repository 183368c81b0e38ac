// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `gomod-trace` command.

fn main() -> std::process::ExitCode {
    gomod_trace::commands::main()
}
