// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names that a `go` process will look up, and only those: each is told to its nameservers.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    commands::accelerate::Learned,
    golang::{Settings, http_proxy::TargetScheme, settings::Sumdb},
    kernel::events::Exec,
};

/// Hosts of GOPROXY and of the checksum database, and of modules that are fetched directly first; where an HTTP proxy
/// is set for a host, only the proxy's name is looked up.
pub(in crate::commands) fn needed(learned: &Learned, exec: &Exec) -> Vec<String> {
    let settings = learned.settings();
    let mut hosts = of_settings(settings);
    // Finding out which modules are needed takes a while, and usually none is fetched directly.
    if may_go_direct(settings) {
        let modules = learned.foreseen(exec).direct;
        hosts.extend(of_modules(settings, modules.iter().map(String::as_str)));
    }
    hosts.into_iter().collect()
}

fn of_settings(settings: &Settings) -> BTreeSet<String> {
    let database = settings.sumdb.database().map(Sumdb::own_url);
    settings
        .proxies
        .urls()
        .chain(database)
        .filter_map(|url| {
            let scheme = match url.scheme() {
                "https" => TargetScheme::Https,
                "http" => TargetScheme::Http,
                _ => return None,
            };
            looked_up(settings, scheme, url.host(), url.port()?)
        })
        .collect()
}

fn may_go_direct(settings: &Settings) -> bool {
    // A path that nobody has: it is fetched as all are that no pattern names.
    settings.route("example.invalid/module").is_direct()
        || settings.no_proxy != crate::golang::patterns::Patterns::parse("")
}

fn of_modules<'a>(settings: &Settings, modules: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    modules
        .filter(|module| settings.route(module).is_direct())
        .filter_map(|module| module.split('/').next())
        .filter_map(|host| looked_up(settings, TargetScheme::Https, host, 443))
        .collect()
}

/// The name that is looked up to reach a host; `None` if that is none.
fn looked_up(settings: &Settings, scheme: TargetScheme, host: &str, port: u16) -> Option<String> {
    let host = settings
        .http_proxy
        .proxy_for(scheme, host, port)
        .map_or(host, |proxy| proxy.host.as_str());
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    (!host.is_empty() && !is_address).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golang::settings::{EnvFile, Environment, Sources};

    fn settings(variables: &[&str]) -> Settings {
        let environment =
            Environment::from_entries(variables.iter().map(|variable| variable.as_bytes()));
        Settings::effective(&Sources {
            environment: &environment,
            user_file: &EnvFile::Missing,
            goroot_file: &EnvFile::Missing,
            go_version: None,
        })
        .unwrap()
    }

    fn set<const N: usize>(hosts: [&str; N]) -> BTreeSet<String> {
        hosts.map(str::to_owned).into()
    }

    #[test]
    fn module_proxies_and_the_checksum_database_are_looked_up() {
        let usual = settings(&[
            "GOPROXY=https://proxy.example,http://Second.example:8080|file:///srv,direct",
            "GOSUMDB=sum.golang.org",
        ]);
        assert_eq!(
            of_settings(&usual),
            set(["proxy.example", "second.example", "sum.golang.org"])
        );
        assert!(!may_go_direct(&usual), "only what no proxy has");
        let off = settings(&["GOPROXY=https://[2001:db8::1]/,off", "GOSUMDB=off"]);
        assert_eq!(of_settings(&off), set([]));
    }

    #[test]
    fn behind_an_http_proxy_only_its_name_is_looked_up() {
        let behind = settings(&[
            "GOPROXY=https://proxy.example,https://inside.example",
            "GOSUMDB=off",
            "HTTPS_PROXY=http://gateway.example:3128",
            "NO_PROXY=inside.example",
        ]);
        assert_eq!(
            of_settings(&behind),
            set(["gateway.example", "inside.example"])
        );
    }

    #[test]
    fn hosts_of_modules_are_looked_up_where_they_are_asked_first() {
        let private = settings(&[
            "GOPROXY=https://proxy.example",
            "GOPRIVATE=git.corp.example/*",
        ]);
        assert!(may_go_direct(&private));
        let modules = [
            "git.corp.example/a",
            "git.corp.example/b/v2",
            "github.com/c/d",
        ];
        assert_eq!(
            of_modules(&private, modules.into_iter()),
            set(["git.corp.example"])
        );
        let direct = settings(&["GOPROXY=direct"]);
        assert_eq!(
            of_modules(&direct, modules.into_iter()),
            set(["git.corp.example", "github.com"])
        );
    }
}
