// SPDX-License-Identifier: MIT OR Apache-2.0
//! gomod-trace's DNS stub in a process of its own, set up as in a run.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use gomod_trace::{
    kernel::{Urgency, run_before_others},
    nameserver::{Stub, StubOptions, runtime},
};

/// The nameserver that it answers for.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct Stubbed {
    server: SocketAddr,
}

/// Serves until it is killed.
pub(crate) fn serve(stubbed: &Stubbed) -> Result<()> {
    let options = StubOptions {
        begin_thread,
        ..StubOptions::default()
    };
    let stub = Stub::bind(&[stubbed.server], options)?;
    let address = stub.endpoints().first().context("no endpoint")?.stub;
    let runtime = runtime(begin_thread).context("cannot start a runtime")?;
    let (serving, mut account) = {
        let _guard = runtime.enter();
        stub.serve()?
    };
    println!("{address}");
    // What it tells is read by another thread, which also reads the kernel's events, and has a runtime of its own.
    run_before_others(Urgency::Lossy);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?
        .block_on(async {
            // Who does not tell has less to do.
            while !account.next().await.is_empty() && serving.events_lost() == 0 {}
        });
    bail!("answers were not told: the figures would say nothing")
}

/// As in a run, but for its privileges.
fn begin_thread() {
    run_before_others(Urgency::Awaited);
}
