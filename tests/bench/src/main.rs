// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-bench`: what tracing costs (`overhead`), what carrying the traffic gains (`download`), how fast names
//! are answered (`dns`) and how right verdicts are (`verdicts`), against what the project promises.

mod dns;
mod download;
mod fetch;
mod hello;
mod machine;
mod measured;
mod overhead;
mod paired;
mod statistics;
mod table;
mod timed;
mod traffic;
mod verdicts;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures gomod-trace. Needs root; the machine should do nothing else.
#[derive(Debug, Parser)]
#[command(name = "gomod-bench", version)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// What tracing costs in time and memory: a download, the start, many short connections.
    Overhead(overhead::Options),
    /// How long a download takes, by every way there is, over several networks.
    Download(download::Options),
    /// What a probe says of known faults: the confusion matrix, over distances and losses.
    Verdicts(verdicts::Options),
    /// How fast names are answered, beside dnsmasq and unbound.
    Dns(dns::Options),
    /// Be the nameserver behind all resolvers.
    #[command(hide = true)]
    DnsNameserver(dns::Served),
    /// Be the DNS stub.
    #[command(hide = true)]
    DnsStub(dns::Stubbed),
    /// Print the monotonic clock, ns: the command whose start is timed.
    #[command(hide = true)]
    Clock,
    /// Run a command and print what it took: the command that is traced, so that tracing's own start and end do not count.
    #[command(hide = true)]
    Timed(timed::Wrapped),
    /// Open short connections: the command whose connections are timed.
    #[command(hide = true)]
    Connect(traffic::Load),
    /// Fetch files over many connections: the least that a download could take.
    #[command(hide = true)]
    Fetch(fetch::Files),
}

/// Exit code of a measurement that could not be made; a limit missed is 1.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let now = measured::monotonic();
    let outcome = match Arguments::parse().task.unwrap_or_default() {
        Task::Overhead(options) => overhead::measure(&options),
        Task::Download(options) => download::measure(&options),
        Task::Fetch(files) => fetch::all(&files).map(|()| true),
        Task::Verdicts(options) => verdicts::measure(&options),
        Task::Dns(options) => dns::measure(&options),
        Task::DnsNameserver(served) => dns::serve_names(&served).map(|()| true),
        Task::DnsStub(stubbed) => dns::serve_stub(&stubbed).map(|()| true),
        Task::Clock => {
            println!("{}", now.as_nanos());
            Ok(true)
        }
        Task::Timed(wrapped) => timed::run(&wrapped).map(|()| true),
        Task::Connect(load) => traffic::send(&load).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gomod-bench: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

impl Default for Task {
    fn default() -> Self {
        Self::Overhead(overhead::Options::default())
    }
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
    fn options_left_out_are_those_of_the_command_line() {
        let Some(Task::Overhead(options)) = Arguments::try_parse_from(["gomod-bench", "overhead"])
            .unwrap()
            .task
        else {
            panic!("another task")
        };
        assert_eq!(options, overhead::Options::default());
    }
}
