// SPDX-License-Identifier: MIT OR Apache-2.0
//! One lab with all that the arms need in it, and a run of one of them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gomod_lab::{Lab, PROXY, Project, Toolchain};
use tempfile::TempDir;

use super::arm::Arm;
use crate::measured::{self, Agent};

/// Connections of the client that only fetches.
const CONNECTIONS: usize = 32;

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trip {
    /// Of the whole command: for `gomod-trace run`, its start and its end are in it.
    pub(crate) wall: Duration,
    /// User and system time of the command and its children. Meaningful only where nothing runs beside it.
    pub(crate) processor: Duration,
    /// TLS handshakes at the module proxy.
    pub(crate) connections: usize,
    /// Those of them that resumed a session.
    pub(crate) resumed: usize,
    /// Requests at the module proxy.
    pub(crate) requests: usize,
}

/// Who takes part in every run.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub(crate) agent: Agent,
    pub(crate) toolchain: Toolchain,
    /// The cache directory of a user who has run `gomod-trace` before.
    pub(crate) filled: PathBuf,
}

/// A lab, a project in it, and the files that the arms need.
pub(crate) struct Course<'lab> {
    lab: &'lab Lab,
    cast: Cast,
    own: PathBuf,
    project: Project<'lab>,
    directory: TempDir,
}

impl<'lab> Course<'lab> {
    /// Prepares everything in memory, where there is room: a disk would blur the figures.
    pub(crate) fn prepare(lab: &'lab Lab, cast: Cast) -> Result<Self> {
        let directory = in_memory()?;
        let project = lab.project_in(&directory.path().join("project"))?;
        let course = Self {
            lab,
            cast,
            own: env::current_exe().context("cannot find our own executable")?,
            project,
            directory,
        };
        lab.write_module_proxy(&course.at("proxy"))?;
        let mut paths = lab
            .modules()
            .iter()
            .flat_map(gomod_lab::Module::proxy_paths)
            .collect::<Vec<_>>();
        // As `go` does it: all .mod, all .info, all .zip.
        paths.sort_by_key(|path| match path.rsplit_once('.') {
            Some((_, "mod")) => 0,
            Some((_, "info")) => 1,
            _ => 2,
        });
        write(&course.at("paths"), &paths.join("\n"))?;
        write(&course.at("authority.pem"), lab.authority())?;
        Ok(course)
    }

    /// Gets all files once. An error if they came by another way than the arm's.
    pub(crate) fn run(&self, arm: Arm) -> Result<Trip> {
        self.project.clear_module_cache()?;
        let fresh = self.at("cache");
        if fresh.exists() {
            fs::remove_dir_all(&fresh)
                .with_context(|| format!("cannot empty {}", fresh.display()))?;
        }
        let (connections, requests) = (self.lab.connections().len(), self.lab.requests().len());
        let run = measured::run(self.command(arm, &fresh))?;
        if arm.is_ours() {
            measured::settle();
        }
        let connections = self.lab.connections().split_off(connections);
        let requests = self.lab.requests().split_off(requests);
        let of_proxy = |host: &str| host == PROXY;
        let trip = Trip {
            wall: run.wall,
            processor: run.processor,
            connections: connections.iter().filter(|one| of_proxy(&one.host)).count(),
            resumed: connections.iter().filter(|one| one.resumed).count(),
            requests: requests.iter().filter(|one| of_proxy(&one.host)).count(),
        };
        let http2 = requests.iter().filter(|one| one.http2).count();
        self.check(arm, trip, http2)?;
        Ok(trip)
    }

    fn command(&self, arm: Arm, fresh: &Path) -> Command {
        let go = self.cast.toolchain.go();
        let mut command = match arm {
            Arm::Empty | Arm::Filled => {
                let mut command = self.foreground(&self.cast.agent.path);
                let cache = if arm == Arm::Filled {
                    &self.cast.filled
                } else {
                    fresh
                };
                command
                    .env("XDG_CACHE_HOME", cache)
                    .args(["run", "--"])
                    .arg(go);
                command
            }
            Arm::Limit => {
                let mut command = self.foreground(&self.own);
                command
                    .args(["fetch", "--host", PROXY])
                    .args(["--connections", &CONNECTIONS.to_string()])
                    .arg("--authority")
                    .arg(self.at("authority.pem"))
                    .arg("--paths")
                    .arg(self.at("paths"));
                return command;
            }
            _ => self.foreground(&go),
        };
        command.args(["mod", "download"]).envs(arm.variable());
        if arm == Arm::File {
            command.env("GOPROXY", format!("file://{}", self.at("proxy").display()));
        }
        command
    }

    fn foreground(&self, program: &Path) -> Command {
        self.project
            .foreground_command(&self.cast.toolchain, program)
    }

    fn check(&self, arm: Arm, trip: Trip, http2: usize) -> Result<()> {
        let all = self.lab.modules().len() * 3;
        let name = arm.name();
        let (fewest, most) = match arm {
            Arm::Plain | Arm::Http1 | Arm::ManyThreads | Arm::Limit => (all, all),
            // A request may be raced, or asked for again.
            Arm::Empty => (all, all * 2),
            Arm::Filled => (0, all * 2),
            Arm::File => (0, 0),
        };
        ensure!(
            (fewest..=most).contains(&trip.requests),
            "{name}: {} requests for {all} files",
            trip.requests
        );
        let by_http2 = matches!(arm, Arm::Plain | Arm::ManyThreads);
        ensure!(
            http2 == if by_http2 { trip.requests } else { 0 },
            "{name}: {http2} of {} requests came by HTTP/2: its traffic did not go the way that is to be measured",
            trip.requests
        );
        Ok(())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// A directory, removed at the end.
pub(crate) fn in_memory() -> Result<TempDir> {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .context("cannot make a temporary directory")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
