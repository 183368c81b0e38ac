// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names asked for from inside: kept warm for the clients, looked up for our own connections.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use hickory_resolver::Hosts;
use tokio::time::timeout;

use super::prewarm::Prewarm;
use super::question::Question;
use super::resolv_conf::ResolvConf;
use super::resolver::{Resolved, Resolver};

/// How long the slower of A and AAAA is waited for once the other has answered. Some networks drop AAAA questions.
const OTHER_FAMILY_GRACE: Duration = Duration::from_millis(150);

/// Why a host has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The nameservers say that there is no such name, or that it has no addresses.
    #[error("no such host: {host} ({rcode})")]
    NoSuchHost {
        /// The host.
        host: String,
        /// The response code by its IANA name; `NOERROR` if the name is there, but has no address.
        rcode: String,
    },
    /// The nameservers answered that they can't tell.
    #[error("nameservers could not resolve {host}: {rcode}")]
    Failed {
        /// The host.
        host: String,
        /// The response code by its IANA name.
        rcode: String,
    },
    /// No nameserver answered.
    #[error(
        "no nameserver answered for {host}; look at /etc/resolv.conf, or name another server by --dns"
    )]
    Silent {
        /// The host.
        host: String,
    },
    /// It is no name that DNS can carry.
    #[error("{host} is no host name")]
    Invalid {
        /// The host.
        host: String,
    },
}

/// Figures since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Client queries answered from an earlier answer, the stale ones not counted.
    pub hits: u64,
    /// Client queries answered from the network.
    pub misses: u64,
    /// Client queries answered by an expired answer.
    pub stale: u64,
    /// Client queries passed on as they were.
    pub passed: u64,
    /// Client queries that got no answer, because no nameserver gave one.
    pub unanswered: u64,
    /// Client queries dropped for lack of room.
    pub dropped: u64,
    /// Bytes of answers kept.
    pub cached_bytes: u64,
}

/// The names. As long as somebody holds them they can be looked up; they're kept warm while the stub serves.
#[derive(Debug)]
pub struct Names {
    resolver: Arc<Resolver>,
    prewarm: Prewarm,
    /// How short names are completed.
    search: RwLock<(Vec<String>, usize)>,
}

impl Names {
    pub(super) fn new(resolver: Arc<Resolver>, prewarmed: usize) -> Self {
        let names = Self {
            resolver,
            prewarm: Prewarm::new(prewarmed),
            search: RwLock::default(),
        };
        names.complete_as(&ResolvConf::default());
        names
    }

    /// Completes short names from now on as this resolv.conf wants it.
    pub fn complete_as(&self, conf: &ResolvConf) {
        *self.search.write().unwrap_or_else(PoisonError::into_inner) =
            (conf.search.clone(), conf.ndots);
    }

    /// Asks for A and AAAA of each host and keeps them warm as long as the stub serves. Returns at once. Addresses,
    /// and what is no name, are passed over.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn prewarm<H: AsRef<str>>(&self, hosts: impl IntoIterator<Item = H>) {
        for host in hosts {
            let host = host.as_ref();
            if host.parse::<IpAddr>().is_err()
                && let Some(first) = self.candidates(host).first()
            {
                self.prewarm.add(&self.resolver, first);
            }
        }
    }

    /// All addresses of `host`, of both families: from `/etc/hosts`, else as the clients get them.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse() {
            return Ok(vec![address]);
        }
        let found = in_hosts_file(host);
        if !found.is_empty() {
            return Ok(found);
        }
        let mut failure = None;
        for name in self.candidates(host) {
            match self.both(host, &name).await {
                Ok(addresses) => return Ok(addresses),
                // The first says most: that is what was meant, as a rule.
                Err(error @ LookupError::NoSuchHost { .. }) => {
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| LookupError::Invalid {
            host: host.to_owned(),
        }))
    }

    /// Figures since the start.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.resolver.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            hits: read(&counters.hits),
            misses: read(&counters.misses),
            stale: read(&counters.stale),
            passed: read(&counters.passed),
            unanswered: read(&counters.unanswered),
            dropped: read(&counters.dropped),
            cached_bytes: self.resolver.cached_bytes(),
        }
    }

    pub(super) fn cool(&self) {
        self.prewarm.end();
    }

    /// What is asked for `host`, in this order (resolv.conf(5), `ndots`).
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let search = self.search.read().unwrap_or_else(PoisonError::into_inner);
        let (domains, ndots) = &*search;
        let completed = domains.iter().map(|domain| format!("{host}.{domain}"));
        let whole = std::iter::once(host.to_owned());
        if host.matches('.').count() >= *ndots {
            whole.chain(completed).collect()
        } else {
            completed.chain(whole).collect()
        }
    }

    async fn both(&self, host: &str, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let invalid = || LookupError::Invalid {
            host: host.to_owned(),
        };
        let ask = |kind| {
            let question = Question::new(name, kind);
            async move {
                let group = self.resolver.group();
                Ok(self
                    .resolver
                    .resolve(&group, &question.ok_or_else(invalid)?)
                    .await)
            }
        };
        let (v4, v6) = (ask(RecordType::A), ask(RecordType::AAAA));
        tokio::pin!(v4, v6);
        let (first, second) = tokio::select! {
            first = &mut v4 => {
                let first = first?;
                let second = after(first.as_ref(), v6).await?;
                (first, second)
            }
            first = &mut v6 => {
                let first = first?;
                let second = after(first.as_ref(), v4).await?;
                (first, second)
            }
        };
        let addresses = [&first, &second]
            .into_iter()
            .flatten()
            .flat_map(|resolved| resolved.kept.answer.addresses().iter().copied())
            .collect::<Vec<_>>();
        if addresses.is_empty() {
            Err(no_addresses(host, first.as_ref(), second.as_ref()))
        } else {
            Ok(addresses)
        }
    }
}

/// The answer for the other family: waited for a little if the first has addresses, to its end if not.
async fn after(
    first: Option<&Resolved>,
    other: impl Future<Output = Result<Option<Resolved>, LookupError>>,
) -> Result<Option<Resolved>, LookupError> {
    if first.is_some_and(|first| !first.kept.answer.addresses().is_empty()) {
        timeout(OTHER_FAMILY_GRACE, other).await.unwrap_or(Ok(None))
    } else {
        other.await
    }
}

fn no_addresses(host: &str, first: Option<&Resolved>, second: Option<&Resolved>) -> LookupError {
    let host = host.to_owned();
    let said = |resolved: &Resolved| {
        let answer = &resolved.kept.answer;
        (answer.rcode(), answer.is_no_error())
    };
    let (first, second) = (first.map(said), second.map(said));
    match (first, second) {
        // "There is none" is certain only if both families say so.
        (Some((one, fine)), Some((other, other_fine))) => {
            let rcode = if fine { other } else { one };
            if (fine && other_fine) || rcode == "NXDOMAIN" {
                LookupError::NoSuchHost { host, rcode }
            } else {
                LookupError::Failed { host, rcode }
            }
        }
        (Some((rcode, false)), None) | (None, Some((rcode, false))) => {
            if rcode == "NXDOMAIN" {
                LookupError::NoSuchHost { host, rcode }
            } else {
                LookupError::Failed { host, rcode }
            }
        }
        _ => LookupError::Silent { host },
    }
}

/// Read anew each time, as it is short and may change.
fn in_hosts_file(host: &str) -> Vec<IpAddr> {
    let (Ok(hosts), Ok(mut name)) = (Hosts::from_system(), Name::from_ascii(host)) else {
        return Vec::new();
    };
    name.set_fqdn(true);
    [RecordType::A, RecordType::AAAA]
        .into_iter()
        .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
        .flat_map(|found| {
            let addresses = found.answers().iter();
            addresses
                .filter_map(|record| record.data.ip_addr())
                .collect::<Vec<_>>()
        })
        .collect()
}
