// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace doctor`: whether this machine is fit for `go` and for us, and what to do where it is not.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Args;
use time::OffsetDateTime;

use super::{preamble, say};
use crate::{
    doctor::{Machine, State},
    launch::{Invoker, Source},
    report::{
        Palette,
        doctor::{DoctorReport, Examination, screen},
    },
};

/// Something is wrong.
const FOUND: u8 = 3;

/// Options of `doctor`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Print JSON (schema gomod-trace.doctor/1) in place of the screen.
    #[arg(long)]
    json: bool,
}

/// Looks, prints, and says by its exit code whether anything is wrong.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    preamble::start_log(false);
    let started = OffsetDateTime::now_utc();
    // Under sudo -u, root's process above us can't be read; then we are whom it made us.
    let invoker = Invoker::detect().or_else(|error| {
        say(format_args!("judged for our own user: {error}"));
        Invoker::ourselves()
    })?;
    let mut machine = Machine::gather(&invoker)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?
        .block_on(machine.names.ask());
    let examination = Examination {
        version: env!("CARGO_PKG_VERSION"),
        uid: invoker.uid,
        sudo: matches!(invoker.source, Source::Sudo { .. }),
        checks: machine.judge(),
    };
    let text = if arguments.json {
        let report = DoctorReport::build(started, &examination);
        serde_json::to_string_pretty(&report).context("cannot make JSON of it")? + "\n"
    } else {
        screen(&examination, Palette::for_stream(&io::stdout()))
    };
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")?;
    let wrong = examination
        .checks
        .iter()
        .any(|check| check.state == State::Fail);
    Ok(ExitCode::from(if wrong { FOUND } else { 0 }))
}
