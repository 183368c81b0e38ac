// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `go` that the caller would run, what it is set to, and which stalls its version is known for.

use std::{fs, fs::File};

use serde_json::json;

use super::{Check, godebug};
use crate::{
    golang::{
        GoVersion, Linking, Settings,
        http_proxy::HttpProxyProtocol,
        proxy_list::ProxySource,
        settings::{Environment, Origin, SumdbSetting, Written, written},
    },
    launch::{FoundGo, GoSettings, Invoker},
};

/// What is shown, in this order.
const SHOWN: [&str; 9] = [
    "GOPROXY",
    "GOSUMDB",
    "GOPRIVATE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOINSECURE",
    "GOFLAGS",
    "GOTOOLCHAIN",
    "GODEBUG",
];

/// Reports at golang/go of hellos that middleboxes drop or reset because of their size.
const HELLO_ISSUES: [u32; 4] = [80573, 70047, 81199, 79626];
/// Of HTTP/2 streams that break, and of what is not tried again.
const HTTP2_ISSUES: [u32; 3] = [51323, 69544, 28194];
/// Of IPv6 that leads nowhere.
const IPV6_ISSUES: [u32; 1] = [76375];

/// What is known of `go`.
#[derive(Clone, Debug)]
pub struct GoFacts {
    /// The caller's PATH.
    pub path: String,
    /// The `go` on it.
    pub found: Option<FoundGo>,
    /// How it is linked, if it could be read.
    pub linking: Option<Linking>,
    /// Settings that have a value.
    pub written: Result<Vec<Written>, String>,
    /// What they mean.
    pub settings: Result<Settings, String>,
    /// GODEBUG of the environment, which is all that counts for `go` itself.
    pub godebug: String,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
    /// This machine has an IPv6 address that leads beyond its own networks.
    pub ipv6_address: bool,
    /// It has a way for it.
    pub ipv6_route: bool,
}

impl GoFacts {
    /// Looks, with the rights of the calling thread. Gives also what the settings were read from.
    pub fn gather(invoker: &Invoker) -> (Self, GoSettings) {
        let entries = invoker.environment.iter().map(|entry| entry.to_bytes());
        let environment = Environment::from_entries(entries);
        let text = |name: &str| {
            let value = environment.get(name)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let found = FoundGo::find(invoker);
        let linking = found
            .as_ref()
            .and_then(|go| Linking::read(&File::open(&go.executable).ok()?));
        let (path, godebug) = (text("PATH"), text("GODEBUG"));
        let no_proxy = text("NO_PROXY").or_else(|| text("no_proxy"));
        let version = found.as_ref().and_then(FoundGo::version);
        let executable = found.as_ref().map(|go| go.executable.clone());
        let settings = GoSettings::read(environment, &executable.unwrap_or_default(), version);
        let sources = settings.sources();
        let facts = Self {
            path: path.unwrap_or_default(),
            linking,
            found,
            written: written(&sources, &SHOWN).map_err(|error| error.to_string()),
            settings: Settings::effective(&sources).map_err(|error| error.to_string()),
            godebug: godebug.unwrap_or_default(),
            no_proxy,
            ipv6_address: fs::read_to_string("/proc/net/if_inet6")
                .is_ok_and(|text| has_global(&text)),
            ipv6_route: fs::read_to_string("/proc/net/ipv6_route")
                .is_ok_and(|text| has_default(&text)),
        };
        (facts, settings)
    }

    /// Judges.
    pub fn judge(&self) -> Vec<Check> {
        let mut checks = vec![self.command()];
        if self.found.is_some() {
            checks.extend(self.resolver());
            checks.extend(self.settings());
            checks.extend(self.http_proxy());
            checks.extend(self.known_bugs());
        }
        checks
    }

    fn version(&self) -> Option<GoVersion> {
        self.found.as_ref().and_then(FoundGo::version)
    }

    fn command(&self) -> Check {
        let token = "go.command";
        let Some(found) = &self.found else {
            return Check::fail(token, format!("no `go` on PATH ({})", self.path))
                .remedy("install Go, or put the directory of its `go` on PATH");
        };
        let (path, executable) = (found.path.display(), found.executable.display());
        let place = if found.path == found.executable {
            path.to_string()
        } else {
            format!("{path}, which is {executable}")
        };
        let facts = json!({
            "path": found.path,
            "executable": found.executable,
            "version": found.build_info.as_ref().ok().map(|info| &info.go_version),
        });
        match &found.build_info {
            Ok(info) if info.is_go_command() => {
                Check::ok(token, format!("{}, {place}", info.go_version))
            }
            Ok(_) => Check::warn(
                token,
                format!("{place} is a Go program, but not the go command"),
            )
            .remedy("call the real `go` through gomod-trace: it is known by its build info"),
            Err(error) => Check::warn(token, format!("{place} is not the go command: {error}"))
                .remedy("a script that starts the real `go` is fine: that is traced"),
        }
        .facts(facts)
    }

    fn resolver(&self) -> Option<Check> {
        let token = "go.resolver";
        let netdns = godebug::value(&self.godebug, "netdns").unwrap_or_default();
        let facts = |linked: &str| json!({"linked": linked, "netdns": netdns});
        let own = "Go's own: resolv.conf's nameservers in their order, twice each, 5 s each time";
        Some(match self.linking? {
            Linking::Static if netdns.starts_with("cgo") => Check::warn(
                token,
                "GODEBUG=netdns=cgo has no effect: this go is linked statically and has Go's own resolver only",
            )
            .remedy("take it out of GODEBUG")
            .facts(facts("static")),
            Linking::Static => {
                Check::ok(token, format!("linked statically, so {own}")).facts(facts("static"))
            }
            Linking::Dynamic if netdns.starts_with("go") => Check::ok(token, own).facts(facts("dynamic")),
            Linking::Dynamic => Check::ok(
                token,
                "linked dynamically: the C library's where resolv.conf or nsswitch.conf need it, else Go's own",
            )
            .facts(facts("dynamic")),
        })
    }

    fn settings(&self) -> Vec<Check> {
        let (written, settings) =
            match (&self.written, &self.settings) {
                (Ok(written), Ok(settings)) => (written, settings),
                (Err(reason), _) | (_, Err(reason)) => {
                    return vec![Check::fail("go.settings", reason.clone()).remedy(
                        "mend it: `go` would stop, and gomod-trace leaves its traffic alone",
                    )];
                }
            };
        let mut checks: Vec<Check> = written.iter().map(|one| setting(one, settings)).collect();
        let unset: Vec<_> = SHOWN
            .into_iter()
            .filter(|name| !written.iter().any(|one| one.name == *name))
            .collect();
        if !unset.is_empty() {
            checks.push(Check::ok("go.unset", unset.join(", ")).facts(json!({"names": unset})));
        }
        checks
    }

    fn http_proxy(&self) -> Vec<Check> {
        let Ok(settings) = &self.settings else {
            return Vec::new();
        };
        let mut seen = Vec::new();
        for proxy in settings.http_proxy.proxies() {
            let kind = match proxy.protocol {
                HttpProxyProtocol::Http => "http",
                HttpProxyProtocol::Https => "https",
                HttpProxyProtocol::Socks5 => "socks5",
            };
            let name = format!("{kind}://{}:{}", proxy.host, proxy.port);
            if !seen.contains(&(name.clone(), proxy.protocol)) {
                seen.push((name, proxy.protocol));
            }
        }
        if seen.is_empty() {
            return vec![Check::ok("go.http_proxy", "none: connections go direct")];
        }
        let but = self
            .no_proxy
            .as_ref()
            .map_or_else(String::new, |list| format!(", but for {list}"));
        seen.into_iter()
            .map(|(name, protocol)| {
                let finding = format!("connections go through {name}{but}");
                if protocol == HttpProxyProtocol::Http {
                    Check::ok("go.http_proxy", finding)
                } else {
                    Check::warn(
                        "go.http_proxy",
                        format!("{finding}: `gomod-trace run` observes them, but can't carry them"),
                    )
                }
                .facts(json!({"proxy": name, "no_proxy": self.no_proxy}))
            })
            .collect()
    }

    /// Reports at golang/go, by their numbers.
    fn known_bugs(&self) -> Vec<Check> {
        let token = "go.known_bug";
        let Some(version) = self.version() else {
            return Vec::new();
        };
        let off = |name: &str| godebug::value(&self.godebug, name) == Some("0");
        let hello = if !version.is_at_least(1, 24) {
            Check::ok(
                token,
                "hellos of 300 bytes: go before 1.24 sends no post-quantum key",
            )
        } else if off("tlsmlkem") {
            Check::ok(token, "GODEBUG=tlsmlkem=0: hellos of 300 bytes")
        } else {
            Check::warn(
                token,
                format!(
                    "post-quantum hellos of 1.5 KB in two segments, which some middleboxes drop or reset ({})",
                    issues(&HELLO_ISSUES)
                ),
            )
            .remedy(
                "if `gomod-trace probe` finds interference.clienthello.*: GODEBUG=tlsmlkem=0; `gomod-trace run` sends \
                 small ones",
            )
            .facts(json!({"issues": HELLO_ISSUES}))
        };
        let http2 = if off("http2client") {
            Check::ok(token, "GODEBUG=http2client=0: HTTP/1.1")
        } else {
            Check::warn(
                token,
                format!(
                    "a stream that breaks (INTERNAL_ERROR, PROTOCOL_ERROR) fails the command, one that falls silent hangs \
                     it: go neither retries nor gives up ({})",
                    issues(&HTTP2_ISSUES)
                ),
            )
            .remedy("`gomod-trace run` retries and resumes; else GODEBUG=http2client=0 and a retry of the command")
            .facts(json!({"issues": HTTP2_ISSUES}))
        };
        let ipv6 = match (self.ipv6_address, self.ipv6_route) {
            (true, false) => Check::warn(
                token,
                format!(
                    "an address without a default route: hosts that have only IPv6 can't be reached ({})",
                    issues(&IPV6_ISSUES)
                ),
            )
            .remedy("mend the route, or remove the address")
            .facts(json!({"issues": IPV6_ISSUES})),
            (true, true) => Check::ok(
                token,
                "address and default route are there: go tries IPv6 first, and IPv4 after 300 ms",
            ),
            (false, _) => Check::ok(token, "no address beyond this machine's own networks"),
        };
        [hello.of("TLS hello"), http2.of("HTTP/2"), ipv6.of("IPv6")].into()
    }
}

fn issues(numbers: &[u32]) -> String {
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    format!("golang/go {}", numbers.join(", "))
}

fn setting(one: &Written, settings: &Settings) -> Check {
    let origin = match one.origin {
        Origin::Environment => "environment",
        Origin::UserFile => "go env -w",
        Origin::GorootFile => "GOROOT/go.env",
    };
    let shown = format!("{} ({origin})", one.value);
    let token = "go.setting";
    let warn =
        |why: &str, remedy: &str| Check::warn(token, format!("{shown}: {why}")).remedy(remedy);
    let first = settings
        .proxies
        .entries()
        .first()
        .map(|entry| &entry.source);
    let check = match one.name {
        "GOPROXY" if first == Some(&ProxySource::Off) => warn(
            "nothing is downloaded",
            "set a module proxy, or unset it for the default",
        ),
        "GOPROXY" if first == Some(&ProxySource::Direct) => warn(
            "each module comes from its own host, often by git, which `gomod-trace run` observes but does not carry",
            "GOPROXY=https://proxy.golang.org,direct, with private modules in GOPRIVATE",
        ),
        "GOPROXY" if settings.proxies.urls().any(|url| url.scheme() == "http") => warn(
            "http is readable and changeable on the way, and is not carried",
            "use https",
        ),
        "GOSUMDB" if settings.sumdb == SumdbSetting::Off => warn(
            "what go.sum does not know is not checked by anybody",
            "unset it, and name private modules in GOPRIVATE",
        ),
        "GOSUMDB" => match &settings.sumdb {
            SumdbSetting::Unusable { reason } => Check::fail(token, format!("{shown}: {reason}"))
                .remedy("unset it for sum.golang.org"),
            _ => Check::ok(token, shown),
        },
        "GOINSECURE" => warn(
            "these modules come without TLS, or without a look at the certificate",
            "give their host a trusted certificate, and unset it",
        ),
        _ => Check::ok(token, shown),
    };
    check
        .of(one.name)
        .facts(json!({"name": one.name, "value": one.value, "origin": origin}))
}

/// Lines of `/proc/net/if_inet6`: address, interface number, prefix length, scope, flags, name; scope 0 is global.
fn has_global(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        let unique_local = line.starts_with("fc") || line.starts_with("fd");
        words.nth(3) == Some("00") && !unique_local
    })
}

/// Lines of `/proc/net/ipv6_route`: a default route has the destination :: and the length 0; those of `lo` reject.
fn has_default(text: &str) -> bool {
    text.lines().any(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [destination, length, .., interface] = words[..] else {
            return false;
        };
        destination.bytes().all(|byte| byte == b'0') && length == "00" && interface != "lo"
    })
}

#[cfg(test)]
mod tests;
