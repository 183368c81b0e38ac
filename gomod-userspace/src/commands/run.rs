// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace run`: a command, traced from its first socket to its last.

use std::{
    ffi::{CString, OsString},
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::PathBuf,
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result};
use bytesize::ByteSize;
use clap::Args;
use time::OffsetDateTime;

use super::{
    accelerate::{self, Acceleration, Choices},
    cache,
    names::{NameArguments, NameService},
    preamble, say,
    session::{Recording, Session},
};
use crate::{
    accelerator::{mirrors::Mirror, upstream::Resolve},
    kernel::{self, KernelError, Tracer, events::Event},
    launch::{
        Cgroup, Child, Ending, Hierarchy, Invoker, JobControl, LaunchError, Signals, SpawnOptions,
        Supervisor, sweep,
    },
    report::{Mode, ReportError, RunFacts, check_target, create_stream},
};

/// Options of `run`.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(super) struct Arguments {
    /// Only watch; never touch the traffic.
    #[arg(long)]
    pub(super) observe: bool,
    /// Carry the module traffic too: redirect it to a local HTTP/1.1 accelerator that fetches ahead and mends stalls.
    /// Experimental.
    #[arg(long, conflicts_with = "observe")]
    pub(super) accelerate: bool,
    /// With --accelerate: fetch nothing before it is asked for.
    #[arg(long)]
    pub(super) no_prefetch: bool,
    /// With --accelerate: how large the store of verified module files may become, such as 5GiB; 0 for no store.
    #[arg(long, value_name = "SIZE")]
    pub(super) cache_size: Option<ByteSize>,
    /// With --accelerate: fetch at most so much before it is asked for, such as 500MB or 2GiB.
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    pub(super) prefetch_limit: ByteSize,
    /// With --accelerate: where the module proxy of the settings can't be reached, fetch public modules whose hash is known
    /// from this one; it must be https, and may be given several times.
    #[arg(long = "mirror", value_name = "URL")]
    pub(super) mirrors: Vec<Mirror>,
    #[command(flatten)]
    pub(super) names: NameArguments,
    /// Write the report (JSON, schema gomod-trace.report/1) to FILE.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Write what happens, as it happens, to FILE as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Write every kernel event to FILE as JSON lines, for a bug report. Holds host names, addresses and what goes
    /// unencrypted at the start of a connection.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Let the kernel programs log what they see.
    #[arg(long)]
    pub(super) debug_kernel: bool,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

/// Runs the command; returns how it ended.
pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    // First of all, before there is a second thread: see `Signals`.
    let signals = Signals::take()?;
    preamble::start_log(arguments.debug_kernel);
    let argv = arguments
        .command
        .iter()
        .map(|word| CString::new(word.as_bytes()))
        .collect::<Result<Vec<_>, _>>()
        .context("the command holds a NUL byte")?;
    kernel::preflight()?;
    let invoker = Invoker::detect()?;
    invoker.with_file_rights(|| {
        [&arguments.report, &arguments.events, &arguments.record]
            .into_iter()
            .flatten()
            .try_for_each(|path| check_target(path))
    })??;
    let hierarchy = Hierarchy::find()?;
    for swept in sweep(&hierarchy) {
        tracing::info!("removed the cgroup of a run that had crashed: {swept:?}");
    }
    let cgroup = Cgroup::create(&hierarchy)?;
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?
        .block_on(trace(arguments, &argv, &invoker, &cgroup, signals));
    // Also after an error: the processes that are left move back to where we are. How the command ended counts more than
    // a directory that stays until the next run's sweep.
    if let Err(error) = cgroup.dismantle() {
        say(format_args!("{error}"));
    }
    outcome
}

async fn trace(
    arguments: &Arguments,
    argv: &[CString],
    invoker: &Invoker,
    cgroup: &Cgroup,
    signals: Signals,
) -> Result<Ending> {
    let create = |path: &Option<PathBuf>| path.as_deref().map(create_stream).transpose();
    let (recording, events) = invoker.with_file_rights(|| {
        Ok::<_, ReportError>((create(&arguments.record)?, create(&arguments.events)?))
    })??;
    let recording = recording.map(Recording::new);

    // Each takes some 30 ms, and the command waits for both.
    let with_names = arguments.names.wanted(arguments.accelerate);
    let options = kernel::Options {
        debug: arguments.debug_kernel,
        redirect: arguments.accelerate,
        names: with_names,
    };
    let (prepared, tracer) = thread::scope(|scope| {
        let prepared = arguments.accelerate.then(|| {
            scope.spawn(|| {
                accelerate::prepare(invoker, cache::of_run(invoker, arguments.cache_size))
            })
        });
        let tracer = Tracer::start(cgroup.as_fd(), options);
        let prepared = prepared.map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        (prepared, tracer)
    });
    let mut tracer = tracer?;
    let prepared = prepared.transpose().unwrap_or_else(|error| {
        say(format_args!("only observed: {error:#}"));
        None
    });
    if !arguments.quiet {
        for missing in tracer.missing() {
            say(format_args!(
                "not seen in this run: {} ({}: {})",
                missing.lost, missing.program, missing.reason
            ));
        }
    }
    let mut session = Session::begin(
        arguments.quiet,
        invoker.with_file_rights(preamble::modules_expected)?,
        events,
        recording,
    );
    let started = OffsetDateTime::now_utc();
    if let Some(signal) = signals.take_pending()? {
        return Ok(Ending::Signaled {
            signal,
            core: false,
        });
    }
    // Before the command can ask.
    let mut names = with_names
        .then(|| NameService::start(&arguments.names, invoker, &mut tracer))
        .transpose()
        .unwrap_or_else(|error| {
            say(format_args!("DNS is only observed: {error:#}"));
            None
        });
    let mut carrying = Carrying {
        tracer: &mut tracer,
        prepared,
        resolver: names.as_ref().map(NameService::resolver),
    };
    let (child, mut acceleration) = spawn(arguments, argv, invoker, cgroup, &mut carrying)?;
    tracer.run_before_others();
    preamble::drop_privileges();
    let mut supervisor = Supervisor::new(child, cgroup, signals)?;
    supervisor.on_job_control({
        let live = session.live();
        move |change| match change {
            JobControl::Stopping => live.borrow_mut().suspend(),
            JobControl::Continued => live.borrow_mut().resume(),
        }
    });

    let ending = loop {
        tokio::select! {
            ending = supervisor.ended() => break ending?,
            batch = tracer.next(), if !session.is_blind() => {
                attend(acceleration.as_mut(), names.as_mut(), &batch);
                session.take(batch);
            }
            Some(event) = next(acceleration.as_mut()) => session.take(Ok(vec![event])),
            events = next_names(names.as_mut()) => session.take(Ok(events)),
        }
    };
    // What the command left running in the background is traced to its end, or until we are told to stop.
    while !was_interrupted(ending, supervisor.interrupt()) {
        tokio::select! {
            biased;
            _ = supervisor.interrupted() => break,
            emptied = cgroup.emptied() => {
                if let Err(error) = emptied {
                    say(format_args!("processes in the background are not waited for: {error}"));
                }
                break;
            }
            batch = tracer.next(), if !session.is_blind() => {
                attend(acceleration.as_mut(), names.as_mut(), &batch);
                session.take(batch);
            }
            Some(event) = next(acceleration.as_mut()) => session.take(Ok(vec![event])),
            events = next_names(names.as_mut()) => session.take(Ok(events)),
        }
    }
    let mode = if acceleration.is_some() || names.is_some() {
        Mode::Accelerate
    } else {
        Mode::Observe
    };
    session.take(tracer.finish());
    if let Some(acceleration) = acceleration {
        // It has a runtime of its own, which can't be waited for on this one.
        let finished = std::thread::spawn(move || acceleration.finish()).join();
        if let Ok((events, tally)) = finished {
            session.take(Ok(events));
            tracing::info!(?tally, "fetched ahead");
        }
    }
    if let Some(names) = names {
        session.take(Ok(names.finish()));
    }
    tracer.detach();

    let facts = RunFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: preamble::kernel_release(),
        mode,
        command: arguments
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        started,
        ended_at: kernel::now(),
        exit_code: match ending {
            Ending::Exited(code) => Some(code),
            Ending::Signaled { .. } => None,
        },
        signal: match ending {
            Ending::Exited(_) => None,
            Ending::Signaled { signal, .. } => Some(signal),
        },
    };
    session.finish(&facts, arguments, invoker);
    Ok(ending)
}

/// What is needed to carry the command's traffic.
struct Carrying<'a> {
    tracer: &'a mut Tracer,
    prepared: Option<accelerate::Prepared>,
    resolver: Option<Arc<dyn Resolve>>,
}

/// Starts the command, carried by us if that was prepared and can be set up; else only observed.
fn spawn(
    arguments: &Arguments,
    argv: &[CString],
    invoker: &Invoker,
    cgroup: &Cgroup,
    carrying: &mut Carrying<'_>,
) -> Result<(Child, Option<Acceleration>)> {
    if let Some(prepared) = carrying.prepared.take() {
        let trusting = SpawnOptions::default().trusting(&prepared.overlay);
        match Child::spawn(argv, invoker, cgroup, trusting) {
            Ok(child) => {
                let resolver = carrying.resolver.take();
                let acceleration =
                    Acceleration::start(prepared, carrying.tracer, choices(arguments), resolver)
                        .inspect_err(|error| say(format_args!("only observed: {error:#}")));
                return Ok((child, acceleration.ok()));
            }
            Err(LaunchError::Overlay(error)) => say(format_args!("only observed: {error}")),
            Err(error) => return Err(error.into()),
        }
    }
    let child = Child::spawn(argv, invoker, cgroup, SpawnOptions::default())?;
    Ok((child, None))
}

fn choices(arguments: &Arguments) -> Choices {
    Choices {
        prefetch: !arguments.no_prefetch,
        prefetch_limit: arguments.prefetch_limit.as_u64(),
        mirrors: arguments.mirrors.clone(),
    }
}

/// Shows accelerator and stub what the kernel saw, and the kernel that they live.
fn attend(
    acceleration: Option<&mut Acceleration>,
    names: Option<&mut NameService>,
    batch: &Result<Vec<Event>, KernelError>,
) {
    // Names are asked for first: what is fetched ahead needs them.
    if let Some(names) = names {
        names.beat();
        for event in batch.iter().flatten() {
            names.meet(event);
        }
    }
    if let Some(acceleration) = acceleration {
        acceleration.beat();
        for event in batch.iter().flatten() {
            acceleration.meet(event);
        }
    }
}

/// What the stub did next; never anything without one.
async fn next_names(names: Option<&mut NameService>) -> Vec<Event> {
    match names {
        Some(names) => names.next().await,
        None => std::future::pending().await,
    }
}

/// What the accelerator did next; never anything without one.
async fn next(acceleration: Option<&mut Acceleration>) -> Option<Event> {
    match acceleration {
        Some(acceleration) => acceleration.next().await,
        None => std::future::pending().await,
    }
}

/// Whether the command ended by the signal that asked us, too, to end: without us, the caller's shell would be back now.
/// A command that handles the signal and goes on was not interrupted.
fn was_interrupted(ending: Ending, interrupt: Option<i32>) -> bool {
    interrupt.is_some_and(|signal| ending.shell_code() == 128 + signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_command_that_ended_by_the_interrupt_was_interrupted() {
        let killed = Ending::Signaled {
            signal: libc::SIGINT,
            core: false,
        };
        assert!(was_interrupted(killed, Some(libc::SIGINT)));
        assert!(was_interrupted(Ending::Exited(130), Some(libc::SIGINT)));
        assert!(!was_interrupted(Ending::Exited(0), Some(libc::SIGINT)));
        assert!(!was_interrupted(killed, Some(libc::SIGTERM)));
        assert!(!was_interrupted(killed, None));
    }
}
