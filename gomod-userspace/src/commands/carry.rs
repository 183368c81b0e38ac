// SPDX-License-Identifier: MIT OR Apache-2.0
//! Composes what touches the traffic of a run: the accelerator and the DNS stub. Each works without the other.

use std::{ffi::CString, thread};

use anyhow::Result;
use bytesize::ByteSize;
use clap::Args;

use super::{
    accelerate::{self, Acceleration, Choices, Prepared},
    cache,
    names::{NameArguments, NameService},
    say,
};
use crate::{
    accelerator::mirrors::Mirror,
    kernel::{KernelError, Tracer, events::Event},
    launch::{Cgroup, Child, Invoker, LaunchError, SpawnOptions},
    report::Mode,
};

/// Options of a run that is more than observed.
#[derive(Args, Debug)]
pub(super) struct CarryArguments {
    /// Fetch no module file before it is asked for.
    #[arg(long)]
    no_prefetch: bool,
    /// Fetch at most so much before it is asked for, such as 500MB or 2GiB.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "2GiB",
        conflicts_with = "observe"
    )]
    prefetch_limit: ByteSize,
    /// How large the store of verified module files may become, such as 5GiB; 0 for no store.
    #[arg(long, value_name = "SIZE", conflicts_with = "observe")]
    cache_size: Option<ByteSize>,
    /// Where the module proxy of the settings can't be reached, fetch public modules whose hash is known from this one; it
    /// must be https, and may be given several times.
    #[arg(long = "mirror", value_name = "URL", conflicts_with = "observe")]
    mirrors: Vec<Mirror>,
    #[command(flatten)]
    names: NameArguments,
}

impl CarryArguments {
    /// Whether questions to nameservers are answered by us.
    pub(super) fn answers_names(&self) -> bool {
        self.names.wanted()
    }

    /// Makes what carrying takes on a thread of its own while `other` does something else: each takes some 30 ms, and the
    /// command waits for both. `None` if the run can only be observed; that was said.
    pub(super) fn prepare_beside<T>(
        &self,
        invoker: &Invoker,
        other: impl FnOnce() -> T,
    ) -> (Option<Prepared>, T) {
        let (prepared, other) = thread::scope(|scope| {
            let prepare = || accelerate::prepare(invoker, cache::of_run(invoker, self.cache_size));
            let prepared = scope.spawn(prepare);
            let other = other();
            let prepared = prepared
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (prepared, other)
        });
        (only_observed(prepared), other)
    }

    fn choices(&self) -> Choices {
        Choices {
            prefetch: !self.no_prefetch,
            prefetch_limit: self.prefetch_limit.as_u64(),
            mirrors: self.mirrors.clone(),
        }
    }
}

/// What is at work between the command and the network: nothing, in a run that is observed.
#[derive(Default)]
pub(super) struct Carriage {
    acceleration: Option<Acceleration>,
    names: Option<NameService>,
}

impl Carriage {
    /// Starts the command, its names answered and its modules carried as far as that can be set up.
    pub(super) fn launch(
        arguments: &CarryArguments,
        prepared: Option<Prepared>,
        tracer: &mut Tracer,
        argv: &[CString],
        invoker: &Invoker,
        cgroup: &Cgroup,
    ) -> Result<(Child, Self)> {
        // Before the command can ask.
        let names = arguments
            .answers_names()
            .then(|| NameService::start(&arguments.names, invoker, tracer))
            .transpose()
            .unwrap_or_else(|error| {
                say(format_args!("DNS is only observed: {error:#}"));
                None
            });
        let mut carriage = Self {
            acceleration: None,
            names,
        };
        if let Some(Prepared {
            overlay,
            provisions,
        }) = prepared
        {
            let resolver = carriage.names.as_ref().map(NameService::resolver);
            // Before the command can connect.
            let started = Acceleration::start(provisions, tracer, arguments.choices(), resolver);
            if let Some(acceleration) = only_observed(started) {
                let trusting = SpawnOptions::default().trusting(&overlay);
                match Child::spawn(argv, invoker, cgroup, trusting) {
                    Ok(child) => {
                        carriage.acceleration = Some(acceleration);
                        return Ok((child, carriage));
                    }
                    Err(LaunchError::Overlay(error)) => {
                        say(format_args!("only observed: {error}"));
                        finish(acceleration);
                    }
                    Err(error) => {
                        finish(acceleration);
                        return Err(error.into());
                    }
                }
            }
        }
        let child = Child::spawn(argv, invoker, cgroup, SpawnOptions::default())?;
        Ok((child, carriage))
    }

    /// What the report calls such a run.
    pub(super) fn mode(&self) -> Mode {
        if self.acceleration.is_some() || self.names.is_some() {
            Mode::Accelerate
        } else {
            Mode::Observe
        }
    }

    /// Shows accelerator and stub what the kernel saw, and the kernel that they live. To be called several times a second.
    /// Returns what the accelerator tells unasked.
    pub(super) fn attend(&mut self, batch: &Result<Vec<Event>, KernelError>) -> Option<Event> {
        // Names are asked for first: what is fetched ahead needs them.
        if let Some(names) = &mut self.names {
            names.beat();
            for event in batch.iter().flatten() {
                names.meet(event);
            }
        }
        if let Some(acceleration) = &mut self.acceleration {
            acceleration.beat();
            for event in batch.iter().flatten() {
                acceleration.meet(event);
            }
        }
        self.acceleration.as_mut().and_then(Acceleration::ahead)
    }

    /// What accelerator or stub did next; never anything without one. Safe to cancel.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        let carried = async {
            match &mut self.acceleration {
                Some(acceleration) => acceleration.next().await,
                None => std::future::pending().await,
            }
        };
        let answered = async {
            match &mut self.names {
                Some(names) => names.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(event) = carried => vec![event],
            events = answered => events,
        }
    }

    /// Ends both: nothing is redirected any more. Returns what happened last.
    pub(super) fn finish(self) -> Vec<Event> {
        let mut last = Vec::new();
        if let Some(acceleration) = self.acceleration {
            last.extend(finish(acceleration));
        }
        if let Some(names) = self.names {
            last.extend(names.finish());
        }
        last
    }
}

/// Ends the accelerator; returns what happened last. It has a runtime of its own, which can't be waited for on this one.
/// Where no thread is to be had for that, it is dropped.
fn finish(acceleration: Acceleration) -> Vec<Event> {
    let ending = thread::Builder::new().spawn(move || acceleration.finish());
    ending
        .ok()
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default()
}

/// What was set up; where it could not be, one line says why.
fn only_observed<T>(outcome: Result<T>) -> Option<T> {
    outcome
        .inspect_err(|error| say(format_args!("only observed: {error:#}")))
        .ok()
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[arg(long)]
        observe: bool,
        #[command(flatten)]
        carry: CarryArguments,
    }

    fn parse(words: &[&str]) -> Result<Line, clap::Error> {
        Line::try_parse_from(["line"].iter().chain(words))
    }

    #[test]
    fn a_wrong_mirror_or_limit_is_said_at_once() {
        let refused = |words: &[&str]| parse(words).unwrap_err().to_string();
        assert!(refused(&["--mirror", "http://m.example"]).contains("the scheme must be https"));
        assert!(refused(&["--mirror", "m.example"]).contains("--mirror"));
        assert!(refused(&["--prefetch-limit", "much"]).contains("--prefetch-limit"));
        let line = parse(&[
            "--mirror=https://a.example",
            "--mirror=https://b.example/x",
            "--prefetch-limit=500MB",
        ])
        .unwrap();
        let choices = line.carry.choices();
        assert_eq!(choices.mirrors.len(), 2);
        assert_eq!(choices.prefetch_limit, 500_000_000);
        assert!(choices.prefetch);
        assert!(line.carry.answers_names() && !line.observe);
    }

    #[test]
    fn what_only_carrying_needs_does_not_go_with_observing() {
        for option in [
            "--mirror=https://a.example",
            "--prefetch-limit=1MB",
            "--cache-size=0",
            "--dns=192.0.2.1",
        ] {
            let error = parse(&["--observe", option]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{option}");
        }
        for option in ["--no-prefetch", "--no-dns"] {
            parse(&["--observe", option]).unwrap();
        }
    }
}
