// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `go` processes that ask: whom each would ask itself, so that no name of a module goes to anybody else.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use url::Url;

use super::{checksums::Database, upstream::Via};
use crate::{
    golang::{Settings, proxy_file::ProxyFile},
    kernel::events::Pid,
};

/// A `go` process.
#[derive(Debug)]
pub struct Asker {
    /// Its settings.
    pub settings: Settings,
    /// Its checksum database; `None` if it uses none.
    pub database: Option<Database>,
    /// Its way to the hosts: through its HTTP proxy, if it has one.
    pub via: Via,
    /// Whether its command adds hashes to go.sum, which it then asks the checksum database for. Other commands stop
    /// where a hash is missing.
    pub adds_sums: bool,
}

impl Asker {
    /// A process with these settings.
    pub fn new(settings: Settings, via: Via, adds_sums: bool) -> Self {
        Self {
            database: Database::of(&settings),
            settings,
            via,
            adds_sums,
        }
    }

    /// Whether a module may be known to others than its own repository. GONOSUMDB counts as well: it says that the
    /// name is to stay inside.
    pub(super) fn is_public(&self, module: &str) -> bool {
        let Settings {
            private,
            no_proxy,
            no_sumdb,
            ..
        } = &self.settings;
        ![private, no_proxy, no_sumdb]
            .iter()
            .any(|patterns| patterns.matches(module))
    }

    /// The module file that `url` is of, at one of the process's module proxies.
    pub(super) fn file(&self, url: &Url) -> Option<ProxyFile> {
        self.settings.proxies.urls().find_map(|proxy| {
            let same = proxy.scheme() == url.scheme()
                && url.host_str() == Some(proxy.host())
                && url.port_or_known_default() == proxy.port();
            let below = url.path().strip_prefix(proxy.path())?;
            same.then(|| ProxyFile::parse(below)).flatten()
        })
    }
}

/// Who asks, by process.
#[derive(Debug, Default)]
pub struct Askers(RwLock<HashMap<Pid, Arc<Asker>>>);

impl Askers {
    /// A process has executed `go`.
    pub fn meet(&self, pid: Pid, asker: Arc<Asker>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(pid, asker);
    }

    /// A process is over, or became another program.
    pub fn forget(&self, pid: Pid) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(&pid);
    }

    pub(super) fn get(&self, pid: Pid) -> Option<Arc<Asker>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&pid).cloned()
    }
}
