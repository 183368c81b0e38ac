// SPDX-License-Identifier: MIT OR Apache-2.0
//! The settings in effect for a run or for one process, read from where `go` itself reads them.

use std::path::Path;

use anyhow::Context as _;

use crate::{
    accelerator::upstream::{HttpProxy, Via},
    golang::{
        GoVersion, Settings,
        http_proxy::{HttpProxyProtocol, TargetScheme},
        settings::Environment,
    },
    launch::{FoundGo, GoSettings, Invoker},
};

/// Settings and the environment that they come from.
pub(super) struct Effective {
    pub(super) settings: Settings,
    pub(super) environment: Environment,
}

/// The settings of the `go` that the command will find first.
pub(super) fn of_run(invoker: &Invoker) -> anyhow::Result<Effective> {
    let go = FoundGo::find(invoker).context("no `go` on the caller's PATH")?;
    let entries = invoker.environment.iter().map(|entry| entry.to_bytes());
    let environment = Environment::from_entries(entries);
    effective(environment, &go.executable, go.version())
}

/// The settings of a process from its own environment.
pub(super) fn effective(
    environment: Environment,
    executable: &Path,
    version: Option<GoVersion>,
) -> anyhow::Result<Effective> {
    let read = GoSettings::read(environment, executable, version);
    Ok(Effective {
        settings: Settings::effective(&read.sources())?,
        environment: read.environment,
    })
}

/// The way of a process to its module hosts: directly, or through the HTTP proxy that its settings name. An error if that is
/// a proxy whose connections can't be taken over.
pub(super) fn via(settings: &Settings) -> anyhow::Result<Via> {
    let rules = settings.http_proxy.clone();
    for (host, port) in settings.module_hosts() {
        let proxy = rules.proxy_for(TargetScheme::Https, &host, port);
        anyhow::ensure!(
            proxy.is_none_or(|proxy| proxy.protocol == HttpProxyProtocol::Http),
            "HTTPS_PROXY names a proxy that is itself spoken to by TLS or SOCKS: what goes through it is not carried"
        );
    }
    Ok(Via::chosen_by(move |url| {
        let port = url.port_or_known_default()?;
        let proxy = rules.proxy_for(TargetScheme::Https, url.host_str()?, port)?;
        HttpProxy::new(&proxy.host, proxy.port, proxy.authorization().as_deref())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golang::settings::{EnvFile, Sources};

    fn via_of(entries: &[&str]) -> anyhow::Result<Via> {
        let known = ["GOPROXY=https://m.test,direct", "GOSUMDB=sum.golang.org"];
        let entries = known.iter().chain(entries).map(|entry| entry.as_bytes());
        let settings = Settings::effective(&Sources {
            environment: &Environment::from_entries(entries),
            user_file: &EnvFile::Missing,
            goroot_file: &EnvFile::Missing,
            go_version: None,
        })?;
        via(&settings)
    }

    #[test]
    fn proxies_that_cannot_be_taken_over_are_left_alone() {
        for proxy in ["socks5://p.test:1080", "https://p.test"] {
            let set = format!("HTTPS_PROXY={proxy}");
            let refused = via_of(&[&set]).unwrap_err().to_string();
            assert!(refused.contains("TLS or SOCKS"), "{refused}");
            // Where no module host is behind it, it does not matter.
            via_of(&[&set, "NO_PROXY=m.test,sum.golang.org"]).unwrap();
        }
        via_of(&["HTTPS_PROXY=http://p.test:3128"]).unwrap();
        via_of(&[]).unwrap();
    }
}
