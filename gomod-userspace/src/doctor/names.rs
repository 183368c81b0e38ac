// SPDX-License-Identifier: MIT OR Apache-2.0
//! How names are resolved on this machine: resolv.conf, nsswitch.conf, systemd-resolved, and whether each nameserver
//! answers.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;

use super::Check;
use crate::{
    golang::{Linking, Settings, http_proxy::TargetScheme},
    launch::read_bounded,
    nameserver::{Reply, ResolvConf, ask, resolv_conf},
};

/// How long a nameserver may take. Resolvers wait 5 s.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer that takes longer is worth a word: it is paid before each new host.
const SLOW: Duration = Duration::from_millis(300);
/// Who is asked for where the settings name no host: what `go` asks by default.
const PUBLIC_PROXY: &str = "proxy.golang.org";
const NSSWITCH: &str = "/etc/nsswitch.conf";
/// The stub's addresses (systemd-resolved.service(8)).
const STUBS: [&str; 2] = ["127.0.0.53", "127.0.0.54"];
/// What systemd-resolved asks itself.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// What is known of names.
#[derive(Clone, Debug)]
pub struct NameFacts {
    /// Where /etc/resolv.conf leads; `None` if it is not there.
    pub resolv_conf: Option<PathBuf>,
    /// What it says, or why it can't be read.
    pub configuration: Result<ResolvConf, String>,
    /// Its lines that name a nameserver.
    pub listed: usize,
    /// What follows `hosts:` in nsswitch.conf; `None` without such a line.
    pub nsswitch: Result<Option<String>, String>,
    /// The nameservers that systemd-resolved asks; `None` if it does not run.
    pub resolved: Option<Vec<IpAddr>>,
    /// The name that nameservers were asked for.
    pub asked: String,
    /// What each said.
    pub replies: Vec<(SocketAddr, Reply)>,
}

impl NameFacts {
    /// Looks, with the rights of the calling thread; nobody is asked yet.
    pub fn gather(settings: Option<&Settings>) -> Self {
        let path = Path::new(resolv_conf::PATH);
        let text = fs::read(path);
        let configuration = match &text {
            Ok(text) => Ok(ResolvConf::parse(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ResolvConf::default()),
            Err(error) => Err(error.to_string()),
        };
        Self {
            resolv_conf: path.symlink_metadata().ok().map(|_| {
                // A link that leads nowhere is named as it is.
                path.canonicalize().unwrap_or_else(|_| path.to_owned())
            }),
            configuration,
            listed: listed(&text.unwrap_or_default()),
            nsswitch: match read_bounded(Path::new(NSSWITCH)) {
                Ok(text) => Ok(hosts_line(&String::from_utf8_lossy(&text))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            resolved: fs::read(RESOLVED).ok().map(|text| {
                let servers = ResolvConf::parse(&text).nameservers;
                servers.iter().map(SocketAddr::ip).collect()
            }),
            asked: settings
                .and_then(looked_up)
                .unwrap_or_else(|| PUBLIC_PROXY.to_owned()),
            replies: Vec::new(),
        }
    }

    /// Asks all nameservers at once for a name that `go` itself would ask them for.
    pub async fn ask(&mut self) {
        let Ok(configuration) = &self.configuration else {
            return;
        };
        let asked = &self.asked;
        let replies = configuration
            .nameservers
            .iter()
            .map(|server| async move { (*server, ask(*server, asked, PATIENCE).await) });
        self.replies = join_all(replies).await;
    }

    /// Judges.
    pub fn judge(&self, linking: Option<Linking>) -> Vec<Check> {
        let mut checks = vec![self.resolv_conf(), self.nsswitch(linking)];
        checks.extend(self.resolved());
        checks.extend(
            self.replies
                .iter()
                .map(|(server, reply)| self.reply(*server, reply)),
        );
        checks
    }

    fn resolv_conf(&self) -> Check {
        let token = "names.resolv_conf";
        let configuration = match &self.configuration {
            Ok(configuration) => configuration,
            Err(reason) => {
                return Check::fail(
                    token,
                    format!("{} can't be read: {reason}", resolv_conf::PATH),
                )
                .remedy(
                    "make it readable for everybody: without it, resolvers ask this machine itself",
                );
            }
        };
        let servers: Vec<_> = configuration
            .nameservers
            .iter()
            .map(|server| server.ip().to_string())
            .collect();
        let facts = json!({
            "path": self.resolv_conf,
            "nameservers": servers,
            "listed": self.listed,
            "search": configuration.search,
            "ndots": configuration.ndots,
        });
        let search = match configuration.search.as_slice() {
            [] => String::new(),
            domains => format!("; search {}", domains.join(" ")),
        };
        let link = match &self.resolv_conf {
            Some(path) if path != Path::new(resolv_conf::PATH) => {
                format!(", from {}", path.display())
            }
            _ => String::new(),
        };
        let shown = format!("{}{search}{link}", servers.join(", "));
        let check = if self.resolv_conf.is_none() {
            Check::warn(token, format!("there is none: resolvers ask {shown}"))
                .remedy("list the nameservers of your network in it")
        } else if self.listed == 0 {
            Check::warn(
                token,
                format!("it names no nameserver: resolvers ask {shown}"),
            )
            .remedy("list the nameservers of your network in it")
        } else if self.listed > servers.len() {
            Check::warn(
                token,
                format!(
                    "{shown}; {} listed, but resolvers use the first {} different ones",
                    self.listed,
                    servers.len()
                ),
            )
            .remedy("remove what is listed twice or beyond the third")
        } else {
            Check::ok(token, shown)
        };
        check.facts(facts)
    }

    fn nsswitch(&self, linking: Option<Linking>) -> Check {
        let token = "names.nsswitch";
        let hosts = match &self.nsswitch {
            Ok(hosts) => hosts,
            Err(reason) => return Check::unknown(token, format!("{NSSWITCH}: {reason}")),
        };
        let Some(hosts) = hosts else {
            return Check::ok(token, "no hosts line: files, then dns");
        };
        let facts = json!({"hosts": hosts});
        let asks = hosts
            .split_ascii_whitespace()
            .any(|word| matches!(word, "dns" | "resolve"));
        let check = if asks {
            let foreign = hosts
                .split_ascii_whitespace()
                .any(|word| !word.starts_with('[') && !matches!(word, "files" | "dns"));
            let but = if foreign && linking == Some(Linking::Static) {
                " (a static go knows files and dns only)"
            } else {
                ""
            };
            Check::ok(token, format!("{hosts}{but}"))
        } else {
            Check::warn(token, format!("{hosts}: no nameserver is asked"))
                .remedy(format!("add dns to the hosts line of {NSSWITCH}"))
        };
        check.facts(facts)
    }

    fn resolved(&self) -> Option<Check> {
        let token = "names.resolved";
        let servers = &self.configuration.as_ref().ok()?.nameservers;
        let used = servers
            .iter()
            .any(|server| STUBS.contains(&server.ip().to_string().as_str()));
        let upstream = |list: &[IpAddr]| {
            let list: Vec<_> = list.iter().map(ToString::to_string).collect();
            list.join(", ")
        };
        let facts = json!({"used": used, "upstream": self.resolved});
        Some(
            match (&self.resolved, used) {
                (Some(list), true) => {
                    Check::ok(token, format!("in use; it asks {}", upstream(list)))
                }
                (Some(list), false) => Check::ok(
                    token,
                    format!(
                        "it runs, but resolv.conf does not name it; it would ask {}",
                        upstream(list)
                    ),
                ),
                (None, true) => Check::warn(
                    token,
                    "resolv.conf names its stub, but it left no sign of running",
                )
                .remedy("`systemctl status systemd-resolved`"),
                (None, false) => Check::ok(token, "not in use"),
            }
            .facts(facts),
        )
    }

    fn reply(&self, server: SocketAddr, reply: &Reply) -> Check {
        let token = "names.server";
        let asked = &self.asked;
        let milliseconds = |took: Duration| took.as_micros() as f64 / 1000.0;
        let check = match reply {
            Reply::Answered { lame: true, .. } => {
                Check::fail(token, format!("it refers {asked} to others and resolves nothing itself"))
                    .remedy("resolv.conf must name resolvers: ask whoever runs the network for them")
            }
            Reply::Answered { rcode, took, .. } if rcode != "NOERROR" => Check::fail(
                token,
                format!("{rcode} for {asked}, after {:.1} ms", milliseconds(*took)),
            )
            .remedy("ask whoever runs it; `gomod-trace probe` compares it with the others"),
            Reply::Answered { addresses, took, .. } => {
                let finding = format!(
                    "{asked} in {:.1} ms, {}",
                    milliseconds(*took),
                    match addresses.len() {
                        0 => "no IPv4 address".to_owned(),
                        1 => "1 address".to_owned(),
                        count => format!("{count} addresses"),
                    }
                );
                if *took > SLOW {
                    Check::warn(token, finding)
                        .remedy("`gomod-trace run` asks before go does; or name a nearer nameserver first")
                } else {
                    Check::ok(token, finding)
                }
            }
            Reply::Silent => Check::fail(
                token,
                format!("no answer for {asked} within {} s: a lookup that comes to it waits 5 s", PATIENCE.as_secs()),
            )
            .remedy("take it out of resolv.conf, or mend the way to it; `gomod-trace run` asks the others"),
            Reply::Unreachable { reason } => Check::fail(token, format!("can't be asked: {reason}"))
                .remedy("take it out of resolv.conf, or start what should listen there"),
        };
        let facts = match reply {
            Reply::Answered {
                rcode,
                addresses,
                took,
                ..
            } => json!({
                "server": server.to_string(),
                "name": asked,
                "latency_ms": milliseconds(*took),
                "rcode": rcode,
                "addresses": addresses,
            }),
            _ => json!({
                "server": server.to_string(),
                "name": asked,
                "latency_ms": null,
                "rcode": null,
                "addresses": [],
            }),
        };
        check.of(server.ip().to_string()).facts(facts)
    }
}

/// The first name that `go` looks up with these settings: that of a module host, or of the HTTP proxy on the way to it.
fn looked_up(settings: &Settings) -> Option<String> {
    settings
        .module_hosts()
        .into_iter()
        .find_map(|(host, port)| {
            let proxy = settings
                .http_proxy
                .proxy_for(TargetScheme::Https, &host, port);
            let name = proxy.map_or(host, |proxy| proxy.host.clone());
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<IpAddr>().is_err().then_some(name)
        })
}

fn listed(text: &[u8]) -> usize {
    String::from_utf8_lossy(text)
        .lines()
        .filter(|line| line.split_ascii_whitespace().next() == Some("nameserver"))
        .count()
}

/// The sources of the `hosts` database, nsswitch.conf(5).
fn hosts_line(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.split('#').next()?;
        let sources = line.trim_start().strip_prefix("hosts:")?;
        Some(
            sources
                .split_ascii_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        )
    })
}

#[cfg(test)]
mod tests;
