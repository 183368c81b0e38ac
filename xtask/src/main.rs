// SPDX-License-Identifier: MIT OR Apache-2.0
//! Developer commands: `cargo xtask help`.

mod apt;
mod ci;
mod ebpf;
mod go;
mod process;
mod programs;
mod source_hash;
mod test;
mod test_output;
mod workspace;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds, tests and shows gomod-trace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the kernel programs into gomod-ebpf/prebuilt.
    BuildEbpf {
        /// Install the compiler and bpf-linker if they are missing (apt, cargo install).
        #[arg(long)]
        install: bool,
        /// Rebuild and compare with the shipped object, which is left as it is.
        #[arg(long)]
        check: bool,
    },
    /// Install what the tests need and run all of them.
    Test {
        /// Fail if any test was skipped (also when the variable CI is set).
        #[arg(long)]
        no_skips: bool,
        /// Arguments of `cargo test`.
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Run the linters and rebuild the kernel object from source.
    Ci,
    /// Show one network fault as plain go tells it, explained by gomod-trace, and mended.
    Demo,
    /// Run a command in the lab network: `lab -- [--rtt 50ms] [--fault NAME] -- CMD`.
    Lab {
        /// Arguments of gomod-lab.
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Measure: `bench overhead`, `bench download`, `bench dns`, `bench verdicts`.
    Bench {
        /// Which measurement; `overhead` without it.
        name: Option<String>,
        /// Arguments of gomod-bench.
        #[arg(last = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let outcome = match ebpf::rustc_wrapper::act() {
        Some(wrapped) => wrapped.map(|()| ExitCode::SUCCESS),
        None => run(Arguments::parse().task),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match task {
        Task::BuildEbpf {
            install,
            check: false,
        } => ebpf::build(&workspace, install)?,
        Task::BuildEbpf {
            install,
            check: true,
        } => ebpf::check(&workspace, install)?,
        Task::Test { no_skips, args } => return test::run(&workspace, no_skips, &args),
        Task::Ci => ci::run(&workspace)?,
        Task::Demo => programs::demo(&workspace)?,
        Task::Lab { args } => programs::lab(&workspace, &args)?,
        Task::Bench { name, args } => programs::bench(&workspace, name.as_deref(), &args)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn everything_behind_the_first_dashes_goes_to_the_lab() {
        let arguments =
            Arguments::try_parse_from(["xtask", "lab", "--", "--rtt", "50ms", "--", "go", "build"])
                .unwrap();
        let Task::Lab { args } = arguments.task else {
            panic!("{arguments:?}")
        };
        assert_eq!(args, ["--rtt", "50ms", "--", "go", "build"]);
    }
}
