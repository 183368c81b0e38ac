// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of each `go` process, and what that allows.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    is_cached, project,
    settings::{effective, via},
    urls,
};
use crate::{
    accelerator::{Asker, Known, Origin, Policies, Policy, ProxyEndpoint, upstream::Via},
    golang::{
        GoSum, GoVersion, ModuleVersion, Settings,
        http_proxy::HttpProxyProtocol,
        needs::{GoCommand, Local, Plan},
        settings::Environment,
    },
    kernel::events::{Exec, Pid},
};

/// Policies by process; `None` for one that is left alone.
#[derive(Default)]
pub(super) struct KnownPolicies(RwLock<HashMap<Pid, Option<Arc<Policy>>>>);

impl KnownPolicies {
    pub(super) fn learn(&self, pid: Pid, policy: Option<Policy>) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pid, policy.map(Arc::new));
    }

    pub(super) fn forget(&self, pid: Pid) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pid);
    }
}

impl Policies for KnownPolicies {
    fn known(&self, origin: &Origin) -> Known {
        let policies = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match policies.get(&origin.pid) {
            Some(Some(policy)) => Known::Policy(Arc::clone(policy)),
            Some(None) => Known::LeftAlone,
            None => Known::NotYet,
        }
    }
}

/// What a process said of itself at its exec.
pub(in crate::commands) struct Learned {
    settings: Settings,
    via: Via,
    trust: TrustVariables,
    version: Option<GoVersion>,
}

/// `SSL_CERT_FILE` and `SSL_CERT_DIR`: where they are the same, Go reads the same certificate files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrustVariables([Option<Vec<u8>>; 2]);

impl TrustVariables {
    pub(super) fn of(environment: &Environment) -> Self {
        Self(
            ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| environment.get(name).map(<[u8]>::to_vec)),
        )
    }
}

impl Learned {
    /// `None` if its settings can't be read: it's left alone then.
    pub(in crate::commands) fn of(pid: Pid, exec: &Exec) -> Option<Self> {
        let block = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let version = exec.go_version.as_deref().and_then(GoVersion::of_toolchain);
        effective(Environment::from_block(&block), &exec.exe, version.clone())
            .and_then(|effective| Ok((via(&effective.settings)?, effective)))
            .inspect_err(|error| tracing::info!(%error, %pid, "left alone"))
            .ok()
            .map(|(via, effective)| Self {
                via,
                trust: TrustVariables::of(&effective.environment),
                settings: effective.settings,
                version,
            })
    }

    /// Whether it reads other certificate files than a command with these variables.
    pub(super) fn trusts_others(&self, command: &TrustVariables) -> bool {
        self.trust != *command
    }

    /// What may be intercepted, where the command was started with these variables.
    pub(super) fn policy(&self, command: &TrustVariables) -> Policy {
        policy(&self.settings, self.trusts_others(command))
    }

    /// What it is set to.
    pub(in crate::commands) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who asks, for those who answer.
    pub(super) fn asker(&self, foreseen: &Foreseen) -> Asker {
        Asker::new(self.settings.clone(), self.via.clone(), foreseen.adds_sums)
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
                direct: plan
                    .direct
                    .into_iter()
                    .filter(|file| !is_cached(&self.settings, file))
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

/// What may be intercepted of a process with these settings.
pub(super) fn policy(settings: &Settings, trusts_others: bool) -> Policy {
    Policy {
        trusts_others,
        module_hosts: settings.module_hosts(),
        http_proxies: settings
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

/// What a process will ask for, and what it knows already.
#[derive(Default)]
pub(in crate::commands) struct Foreseen {
    /// Paths of the modules that come from their own hosts.
    pub(in crate::commands) direct: BTreeSet<String>,
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
