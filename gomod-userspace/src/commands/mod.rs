// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file per subcommand: composes rooms, prints, returns the exit code.

mod accelerate;
mod background;
mod cache;
mod cache_watch;
mod carry;
mod doctor;
mod names;
mod preamble;
mod probe;
mod probe_worker;
mod run;
mod session;

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Names every stall of a Go module download, from the kernel's own evidence.
#[derive(Debug, Parser)]
#[command(name = "gomod-trace", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command and tell what the network did to the `go` processes in it.
    Run(run::Arguments),
    /// Find out, by trying, what the network does to the way to a host.
    Probe(probe::Arguments),
    /// The process of a probe that owns the sockets.
    #[command(hide = true)]
    ProbeWorker(probe_worker::Arguments),
    /// Look at this machine: kernel, `go` and its settings, nameservers, certificates, caches.
    Doctor(doctor::Arguments),
    /// Look at the store of verified module files, or clean it.
    Cache(cache::Arguments),
}

/// Exit code for a mistake on the command line, and for tracing that cannot start.
const USAGE_OR_SETUP: i32 = 2;

/// The whole program: parses the command line, runs the subcommand, prints an error as one line.
pub fn main() -> ExitCode {
    let Cli { command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with code 0, mistakes to stderr with code 2.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let outcome = match command {
        Command::Run(arguments) => run::run(&arguments).map(|ending| ending.pass_on()),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::ProbeWorker(arguments) => {
            probe_worker::run(&arguments).map(|()| ExitCode::SUCCESS)
        }
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Cache(arguments) => cache::run(&arguments).map(|ending| ending.pass_on()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("{}", whole_story(&error)));
            ExitCode::from(exit_code(&error) as u8)
        }
    }
}

/// A line of ours on stderr. If nobody can read it any more (the terminal was closed), the run goes on and its files are
/// written: `eprintln!` would panic.
fn say(line: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("gomod-trace: {line}\n").as_bytes());
}

/// The error and its causes, each once: the library's errors name theirs themselves.
fn whole_story(error: &anyhow::Error) -> String {
    let mut story = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if story.is_empty() {
            story = cause;
        } else if !story.contains(&cause) {
            story = format!("{story}: {cause}");
        }
    }
    story
}

/// As a shell: 127 for a command that was not found, 126 for one that cannot be executed; 125 where the command could
/// not be started for a reason of ours.
fn exit_code(error: &anyhow::Error) -> i32 {
    error
        .downcast_ref::<crate::launch::LaunchError>()
        .map_or(USAGE_OR_SETUP, crate::launch::LaunchError::exit_code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_cause_is_told_once() {
        let gone = || io::Error::other("it is gone");
        let named = crate::launch::LaunchError::System {
            call: "read",
            source: gone(),
            remedy: "look for it",
        };
        assert_eq!(
            whole_story(&anyhow::Error::new(named)),
            "read failed: it is gone; look for it"
        );
        let unnamed = anyhow::Error::new(gone()).context("cannot read");
        assert_eq!(whole_story(&unnamed), "cannot read: it is gone");
    }

    #[test]
    fn a_run_needs_a_command() {
        let error = Cli::try_parse_from(["gomod-trace", "run", "--observe"]).unwrap_err();
        assert_eq!(error.exit_code(), USAGE_OR_SETUP);
    }

    #[test]
    fn what_follows_the_dashes_is_the_command() {
        let cli =
            Cli::try_parse_from(["gomod-trace", "run", "--", "go", "mod", "--quiet"]).unwrap();
        let Command::Run(arguments) = cli.command else {
            panic!("not run: {:?}", cli.command);
        };
        assert_eq!(arguments.command, ["go", "mod", "--quiet"]);
        assert!(!arguments.quiet);
    }
}
