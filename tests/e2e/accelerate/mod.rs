// SPDX-License-Identifier: MIT OR Apache-2.0
//! `run`: the module traffic of the real `go`, carried by us.

mod carried;
mod checksums;
mod commands;
mod company_proxy;
mod elsewhere;
mod failures;
mod large;
mod life;
mod mends;
mod mirrors;
mod private;
mod releases;
mod toolchain;
mod trust;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use gomod_lab::{Lab, LabBuilder, Module, Project, Toolchain};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{
    DOWNLOAD, Outcome, Running, Scratch, Traced, needs::DOWNLOADS, newest_go, product,
};

/// How long plain `go` is watched where it hangs: longer than any of its retries.
const WATCHED: Duration = Duration::from_secs(8);

/// Every request is refused once: plain `go` fails at once, and we ask again.
const REFUSED_ONCE: &str = "status=503,host=*,times=1";

/// What plain `go` makes of a fault.
#[derive(Clone, Copy, Debug)]
enum PlainGo {
    /// It ends with an error that says this.
    Fails(&'static str),
    /// It still runs after [`WATCHED`], and has printed nothing.
    Waits,
    /// It succeeds: the point is that we do not make it worse.
    Succeeds,
}

pub(crate) fn trials() -> Vec<Trial> {
    [
        large::trials(),
        mends::trials(),
        mirrors::trials(),
        checksums::trials(),
        trust::trials(),
        life::trials(),
        releases::trials(),
        commands::trials(),
        toolchain::trials(),
        private::trials(),
        elsewhere::trials(),
        company_proxy::trials(),
        failures::trials(),
        carried::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A trial that needs what every traced download needs.
fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    crate::harness::trial(
        format!("accelerate::{name}"),
        DOWNLOADS.iter().copied(),
        test,
    )
}

fn near(rtt_ms: u64) -> LabBuilder {
    Lab::builder().rtt(Duration::from_millis(rtt_ms))
}

fn fault(text: &str) -> gomod_lab::Fault {
    text.parse().unwrap()
}

/// One command in one project, plain or carried.
#[derive(Clone, Debug)]
struct Run<'text> {
    words: Vec<&'text str>,
    environment: Vec<(&'text str, &'text str)>,
    /// Of `gomod-trace run`.
    options: Vec<&'text str>,
    toolchain: Toolchain,
}

impl Default for Run<'_> {
    fn default() -> Self {
        Self::of(&DOWNLOAD)
    }
}

impl<'text> Run<'text> {
    fn of(words: &[&'text str]) -> Self {
        Self {
            words: words.to_vec(),
            environment: Vec::new(),
            options: Vec::new(),
            toolchain: newest_go(),
        }
    }

    fn with(mut self, environment: &[(&'text str, &'text str)]) -> Self {
        self.environment.extend_from_slice(environment);
        self
    }

    /// Shows what becomes of it without us.
    fn plain(&self, name: &str, project: &Project<'_>, expected: PlainGo) {
        let mut command = project.command(&self.toolchain, self.words[0]);
        command
            .args(&self.words[1..])
            .envs(self.environment.iter().copied());
        let scratch = Scratch::new(&format!("accelerate::{name}"));
        let mut go = Running::start(command, &scratch, "plain");
        match expected {
            PlainGo::Fails(text) => {
                assert!(!go.wait().success(), "plain go succeeded");
                assert!(go.stderr().contains(text), "plain go: {}", go.stderr());
            }
            PlainGo::Waits => {
                thread::sleep(WATCHED);
                assert_eq!(go.ended(), None, "plain go ended: {}", go.stderr());
                go.signal(Signal::SIGKILL);
                go.wait();
            }
            PlainGo::Succeeds => assert!(go.wait().success(), "plain go: {}", go.stderr()),
        }
    }

    fn start(&self, name: &str, project: &Project<'_>) -> Traced {
        let mut command = project.command(&self.toolchain, product::path());
        command.envs(self.environment.iter().copied());
        let scratch = Scratch::new(&format!("accelerate::{name}"));
        Traced::carried_in(scratch, command, &self.options, &self.words)
    }

    /// Runs it, carried by us.
    fn carried(&self, name: &str, project: &Project<'_>) -> Outcome {
        self.start(name, project).finish()
    }

    /// Shows that it fails without us where every request is refused once, and that it succeeds with us.
    fn mended<'lab>(
        &self,
        name: &str,
        lab: &'lab Lab,
        project: impl Fn() -> Project<'lab>,
    ) -> (Outcome, Project<'lab>) {
        self.plain(name, &project(), PlainGo::Fails("503 Service Unavailable"));
        count_anew(lab);
        let project = project();
        let outcome = self.carried(name, &project);
        succeeded(&outcome);
        (outcome, project)
    }
}

/// Faults that are counted happen again.
fn count_anew(lab: &Lab) {
    lab.set_faults(lab.faults()).unwrap();
}

fn succeeded(outcome: &Outcome) {
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(outcome.report["mode"], "accelerate");
}

/// All of the lab's public modules are complete.
fn is_complete(outcome: &Outcome, lab: &Lab) {
    are_complete(outcome, lab.modules());
}

fn are_complete<'module>(outcome: &Outcome, modules: impl IntoIterator<Item = &'module Module>) {
    let told = outcome
        .list("modules")
        .iter()
        .filter(|module| !module["done_ms"].is_null())
        .map(|module| module["path"].as_str().unwrap())
        .collect::<BTreeSet<_>>();
    for module in modules {
        assert!(told.contains(module.path.as_str()), "{}", module.path);
    }
}

/// How connections to each host were carried, and why.
fn ways(outcome: &Outcome) -> BTreeMap<&str, BTreeSet<(&str, Option<&str>)>> {
    let mut ways = BTreeMap::<_, BTreeSet<_>>::new();
    for connection in outcome.list("connections") {
        let host = connection["host"].as_str().unwrap_or_default();
        let way = connection["path"].as_str().unwrap();
        ways.entry(host)
            .or_default()
            .insert((way, connection["why"].as_str()));
    }
    ways
}

/// Requests of the report whose path ends so.
fn asked_for<'outcome>(
    outcome: &'outcome Outcome,
    ending: &str,
) -> impl Iterator<Item = &'outcome Value> {
    outcome
        .list("requests")
        .iter()
        .filter(move |request| request["path"].as_str().unwrap().ends_with(ending))
}
