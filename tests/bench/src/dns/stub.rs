// SPDX-License-Identifier: MIT OR Apache-2.0
//! gomod-trace's DNS stub in a process of its own, set up as in a run.

use std::{future, net::SocketAddr};

use anyhow::{Context as _, Result};
use clap::Args;
use gomod_trace::nameserver::{Stub, StubOptions};

/// Most things told that are read in one go.
const TOLD: usize = 256;

/// The nameserver that it answers for.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct Stubbed {
    server: SocketAddr,
}

/// Serves until it is killed.
pub(crate) fn serve(stubbed: &Stubbed) -> Result<()> {
    let stub = Stub::bind(&[stubbed.server], StubOptions::default())?;
    let address = stub.endpoints().first().context("no endpoint")?.stub;
    // A run gives it a thread, and reads what it tells on another.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start a runtime")?
        .block_on(async {
            let (_serving, mut told) = stub.serve()?;
            println!("{address}");
            let mut read = Vec::new();
            while told.recv_many(&mut read, TOLD).await > 0 {
                read.clear();
            }
            future::pending::<Result<()>>().await
        })
}
