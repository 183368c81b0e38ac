// SPDX-License-Identifier: MIT OR Apache-2.0
//! The settings of a `go` process that decide whom it asks for modules.
//!
//! Rules: cmd/go/internal/cfg and modfetch, read in Go 1.21.13 and 1.27.3, which agree. Before Go 1.21 there is no
//! GOROOT/go.env and its values are built in. Whoever reads the files does so as [`paths`] tells, then
//! [`Settings::effective`] is pure.

mod caches;
mod database;
mod environment;
mod flags;
mod origin;
pub mod paths;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use caches::CacheDirectories;
pub use database::{Sumdb, SumdbSetting};
pub use environment::{EnvFile, Environment};
pub use flags::{Flags, FlagsError};
pub use origin::{Origin, Written, without_credentials, written};

use self::environment::Layers;
use super::base_url::BaseUrl;
use super::go_version::GoVersion;
use super::http_proxy::{HttpProxyError, HttpProxySettings};
use super::patterns::Patterns;
use super::proxy_list::{Fallback, ProxyEntry, ProxyList, ProxyListError, ProxySource};

/// The module that toolchains are versions of.
const TOOLCHAIN: &str = "golang.org/toolchain";

/// What modules are asked for that match GONOPROXY.
const DIRECT: &[ProxyEntry] = &[ProxyEntry {
    source: ProxySource::Direct,
    fallback: Fallback::NotFound,
}];

/// What the settings of a process are read from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Its environment.
    pub environment: &'a Environment,
    /// The file that [`paths::user_file`] names.
    pub user_file: &'a EnvFile,
    /// `go.env` in the directory that [`paths::goroot`] finds.
    pub goroot_file: &'a EnvFile,
    /// The version of the `go` command; built-in values are taken only from one that has them.
    pub go_version: Option<&'a GoVersion>,
}

/// The settings in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// GOPROXY.
    pub proxies: ProxyList,
    /// GOSUMDB.
    pub sumdb: SumdbSetting,
    /// GOPRIVATE.
    pub private: Patterns,
    /// GONOPROXY, else GOPRIVATE: modules that are fetched from their own repository.
    pub no_proxy: Patterns,
    /// GONOSUMDB, else GOPRIVATE: modules that the checksum database is not asked for.
    pub no_sumdb: Patterns,
    /// GOINSECURE: modules whose own repository may be asked without TLS or without certificate checks.
    pub insecure: Patterns,
    /// GOMODCACHE; `None` if it is not absolute or cannot be known, and then `go` downloads nothing.
    pub mod_cache: Option<PathBuf>,
    /// GOFLAGS.
    pub flags: Flags,
    /// GOTOOLCHAIN; empty if it is not set anywhere, which means the local one.
    pub toolchain: String,
    /// GO111MODULE; empty if it is not set.
    pub go111module: String,
    /// GOWORK.
    pub workspace: Workspace,
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`.
    pub http_proxy: HttpProxySettings,
    /// GOAUTH and NETRC.
    pub auth: Auth,
}

/// GOWORK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workspace {
    /// `go.work` in the working directory or the nearest one above it.
    Search,
    /// None.
    Off,
    /// This file.
    File(PathBuf),
}

/// Where `go` takes credentials from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// GOAUTH: commands between semicolons; `netrc` if it is not set. Used since Go 1.24, `netrc` before.
    pub goauth: String,
    /// NETRC, else `.netrc` in the home directory.
    pub netrc: Option<PathBuf>,
}

/// Whom `go` asks for a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The entries in the order in which they are asked; never empty.
    pub entries: &'a [ProxyEntry],
    /// Whether hashes that go.sum lacks are asked for at the checksum database.
    pub sumdb: bool,
}

/// Why the settings of a process are not known. Its traffic is left alone then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A file of settings.
    #[error("cannot read the Go settings in {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A value that is no text.
    #[error("{name} is not UTF-8")]
    NotUtf8 {
        /// The setting.
        name: &'static str,
    },
    /// GOPROXY.
    #[error(transparent)]
    Proxies(#[from] ProxyListError),
    /// GOFLAGS.
    #[error(transparent)]
    Flags(#[from] FlagsError),
    /// `HTTPS_PROXY` or `HTTP_PROXY`.
    #[error(transparent)]
    HttpProxy(#[from] HttpProxyError),
}

impl Settings {
    /// The settings in effect.
    pub fn effective(sources: &Sources<'_>) -> Result<Self, SettingsError> {
        let environment = sources.environment;
        let layers = Layers::new(environment, sources.user_file, sources.goroot_file)?;
        let built_in = |value: &'static str| {
            let before_go_env = sources
                .go_version
                .is_some_and(|version| !version.is_at_least(1, 21));
            if before_go_env { value } else { "" }
        };
        let text = |name| Ok::<_, SettingsError>(layers.text(name)?.unwrap_or(""));
        let private = Patterns::parse(text("GOPRIVATE")?);
        let patterns = |name| {
            Ok::<_, SettingsError>(match layers.text(name)? {
                Some(list) => Patterns::parse(list),
                None => private.clone(),
            })
        };
        let proxies = layers
            .text("GOPROXY")?
            .unwrap_or(built_in("https://proxy.golang.org,direct"));
        let sumdb = layers
            .text("GOSUMDB")?
            .unwrap_or(built_in("sum.golang.org"));
        for name in HTTP_PROXY_VARIABLES {
            if environment
                .get(name)
                .is_some_and(|value| std::str::from_utf8(value).is_err())
            {
                return Err(SettingsError::NotUtf8 { name });
            }
        }
        Ok(Self {
            proxies: ProxyList::parse(proxies)?,
            sumdb: SumdbSetting::parse(sumdb),
            no_proxy: patterns("GONOPROXY")?,
            no_sumdb: patterns("GONOSUMDB")?,
            insecure: Patterns::parse(text("GOINSECURE")?),
            mod_cache: caches::modules(&layers),
            flags: Flags::parse(text("GOFLAGS")?)?,
            toolchain: text("GOTOOLCHAIN")?.to_owned(),
            go111module: text("GO111MODULE")?.to_owned(),
            workspace: match layers.bytes("GOWORK") {
                None | Some(b"auto") => Workspace::Search,
                Some(b"off") => Workspace::Off,
                Some(file) => Workspace::File(paths::path(file)),
            },
            http_proxy: HttpProxySettings::from_variables(|name| {
                environment
                    .get(name)
                    .and_then(|value| std::str::from_utf8(value).ok())
            })?,
            auth: Auth {
                goauth: layers.text("GOAUTH")?.unwrap_or("netrc").to_owned(),
                netrc: environment.get("NETRC").map(paths::path).or_else(|| {
                    let home = environment.get("HOME")?;
                    Some(paths::path(home).join(".netrc"))
                }),
            },
            private,
        })
    }

    /// Host and port of every `https` module proxy and of the checksum database: what `go` speaks the module proxy
    /// protocol with. Hosts are in lower case; user information is not part of them.
    pub fn module_hosts(&self) -> BTreeSet<(String, u16)> {
        let database = self.sumdb.database().map(Sumdb::own_url);
        self.proxies
            .urls()
            .chain(database)
            .filter(|url| url.scheme() == "https")
            .filter_map(|url: &BaseUrl| Some((url.host().to_owned(), url.port()?)))
            .filter(|(host, _)| !host.is_empty())
            .collect()
    }

    /// Whom `go` asks for a module, told by its path as `go.mod` has it.
    pub fn route(&self, module: &str) -> Route<'_> {
        let entries = if self.no_proxy.matches(module) {
            DIRECT
        } else {
            self.proxies.entries()
        };
        // A toolchain is checked whatever the settings say, but for one that is served from a directory.
        let sumdb = if module == TOOLCHAIN && !self.proxies.is_one_directory() {
            true
        } else {
            self.sumdb != SumdbSetting::Off && !self.no_sumdb.matches(module)
        };
        Route { entries, sumdb }
    }
}

impl<'a> Route<'a> {
    /// Whether the module's own host is asked before any proxy.
    pub fn is_direct(&self) -> bool {
        self.entries
            .first()
            .is_some_and(|entry| entry.source == ProxySource::Direct)
    }

    /// The module proxy that is asked first; `None` if the first is no module proxy.
    pub fn first_proxy(&self) -> Option<&'a BaseUrl> {
        match &self.entries.first()?.source {
            ProxySource::Url(url) => Some(url),
            ProxySource::Direct | ProxySource::Off => None,
        }
    }
}

const HTTP_PROXY_VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

#[cfg(test)]
mod tests;
