// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace run`: a command, traced from its first socket to its last.

use std::{
    ffi::{CString, OsString},
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::Args;
use time::OffsetDateTime;

use super::{
    accelerate,
    carry::{Carriage, CarryArguments},
    preamble, say,
    session::{Recording, Session},
};
use crate::{
    kernel::{self, Tracer},
    launch::{
        Cgroup, Child, Duty, Ending, Hierarchy, Invoker, JobControl, Signals, SpawnOptions,
        Supervisor, sweep,
    },
    report::{ReportError, RunFacts, check_target, create_stream},
};

/// Options of `run`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only watch; never touch the traffic.
    #[arg(long)]
    pub(super) observe: bool,
    #[command(flatten)]
    pub(super) carry: CarryArguments,
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

    let options = kernel::Options {
        debug: arguments.debug_kernel,
        redirect: !arguments.observe,
        names: !arguments.observe && arguments.carry.answers_names(),
    };
    let start = || Tracer::start(cgroup.as_fd(), options);
    let (prepared, tracer) = if arguments.observe {
        (None, start())
    } else {
        arguments.carry.prepare_beside(invoker, start)
    };
    let mut tracer = tracer?;
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
        accelerate::databases(invoker),
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
    let (child, mut carriage) = if arguments.observe {
        let child = Child::spawn(argv, invoker, cgroup, SpawnOptions::default())?;
        (child, Carriage::default())
    } else {
        Carriage::launch(
            &arguments.carry,
            prepared,
            &mut tracer,
            argv,
            invoker,
            cgroup,
        )?
    };
    tracer.run_before_others();
    preamble::drop_privileges(Duty::Agent);
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
                let told = carriage.attend(&batch);
                session.take(batch);
                if let Some(told) = told {
                    session.take(Ok(vec![told]));
                }
            }
            events = carriage.next() => session.take(Ok(events)),
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
                let told = carriage.attend(&batch);
                session.take(batch);
                if let Some(told) = told {
                    session.take(Ok(vec![told]));
                }
            }
            events = carriage.next() => session.take(Ok(events)),
        }
    }
    let mode = carriage.mode();
    session.take(tracer.finish());
    session.take(Ok(carriage.finish()));
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
