// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of each `go` process, and what that allows.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    sync::{Arc, PoisonError, RwLock},
};

use super::{project, settings::effective, urls};
use crate::{
    accelerator::{Asker, Origin, Policies, Policy, ProxyEndpoint},
    golang::{
        GoSum, GoVersion, ModuleVersion, Settings,
        http_proxy::HttpProxyProtocol,
        needs::{GoCommand, Local, Plan},
        settings::Environment,
    },
    kernel::events::{Exec, Pid},
};

/// Policies by process.
#[derive(Default)]
pub(super) struct KnownPolicies(RwLock<HashMap<Pid, Arc<Policy>>>);

impl KnownPolicies {
    pub(super) fn learn(&self, pid: Pid, policy: Policy) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pid, Arc::new(policy));
    }

    pub(super) fn forget(&self, pid: Pid) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pid);
    }
}

impl Policies for KnownPolicies {
    fn policy(&self, origin: &Origin) -> Option<Arc<Policy>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&origin.pid)
            .cloned()
    }
}

/// What a process said of itself at its exec.
pub(in crate::commands) struct Learned {
    settings: Settings,
    version: Option<GoVersion>,
}

impl Learned {
    /// `None` if its settings can't be read: it's left alone then.
    pub(in crate::commands) fn of(pid: Pid, exec: &Exec) -> Option<Self> {
        let block = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let version = exec.go_version.as_deref().and_then(GoVersion::of_toolchain);
        effective(Environment::from_block(&block), &exec.exe, version.as_ref())
            .inspect_err(|error| tracing::info!(%error, %pid, "settings unreadable"))
            .ok()
            .map(|effective| Self {
                settings: effective.settings,
                version,
            })
    }

    /// What may be intercepted.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            module_hosts: self.settings.module_hosts(),
            http_proxies: self
                .settings
                .http_proxy
                .proxies()
                .filter(|proxy| proxy.protocol == HttpProxyProtocol::Http)
                .map(|proxy| ProxyEndpoint {
                    host: proxy.host.clone(),
                    port: proxy.port,
                })
                .collect(),
        }
    }

    /// Ports that its module traffic goes to.
    pub(super) fn ports(&self) -> BTreeSet<u16> {
        let policy = self.policy();
        let hosts = policy.module_hosts.iter().map(|(_, port)| *port);
        let proxies = policy.http_proxies.iter().map(|proxy| proxy.port);
        hosts.chain(proxies).collect()
    }

    /// What it is set to.
    pub(in crate::commands) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who asks, for those who answer.
    pub(super) fn asker(&self, foreseen: &Foreseen) -> Asker {
        Asker::new(self.settings.clone(), foreseen.adds_sums)
    }

    /// What it will ask for.
    pub(in crate::commands) fn foreseen(&self, exec: &Exec) -> Foreseen {
        let foreseen = || {
            let command = GoCommand::parse(&exec.argv, &self.settings)?;
            let project = project::read(exec.cwd.as_deref()?, &command, &self.settings)?;
            let local = self.version.clone().map(|version| Local {
                version,
                platform: platform(),
            });
            let plan = Plan::new(&command, &project, local.as_ref(), &self.settings);
            Some(Foreseen {
                urls: urls(&plan, &self.settings),
                modules: plan
                    .files
                    .into_iter()
                    .map(|file| file.module.path)
                    .collect(),
                lookups: plan.lookups,
                sums: project.sums,
                adds_sums: command.adds_sums(),
            })
        };
        foreseen().unwrap_or_default()
    }
}

/// What a process will ask for, and what it knows already.
#[derive(Default)]
pub(in crate::commands) struct Foreseen {
    /// Paths of the modules.
    pub(in crate::commands) modules: BTreeSet<String>,
    /// Files, in that order.
    pub(super) urls: Vec<url::Url>,
    /// Modules that it will look up in the checksum database.
    pub(super) lookups: BTreeSet<ModuleVersion>,
    /// What its go.sum says.
    pub(super) sums: GoSum,
    /// Whether its command adds to go.sum.
    pub(super) adds_sums: bool,
}

/// GOOS-GOARCH of this machine.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("linux-{architecture}")
}
