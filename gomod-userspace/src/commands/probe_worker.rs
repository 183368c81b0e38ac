// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace probe-worker`: the process of a probe that owns the sockets. Started by `probe`, shown in no help.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::preamble;
use crate::probe::worker::{Identity, serve, settle};

/// Options of the worker.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Join this cgroup first.
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,
    /// Then become this user.
    #[arg(long, requires = "gid")]
    uid: Option<u32>,
    /// And this group.
    #[arg(long, requires = "uid")]
    gid: Option<u32>,
    /// And these.
    #[arg(long, value_delimiter = ',')]
    groups: Vec<u32>,
}

/// Serves until its input ends.
pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let identity = arguments.uid.zip(arguments.gid).map(|(uid, gid)| Identity {
        uid,
        gid,
        groups: arguments.groups.clone(),
    });
    settle(arguments.cgroup.as_deref(), identity.as_ref())?;
    preamble::start_log(false);
    serve()?;
    Ok(())
}
