// SPDX-License-Identifier: MIT OR Apache-2.0
//! A checksum database as a process is set to use it: its key, and the doors at which it can be asked.
//!
//! Rules: `dbClient.initBase` of cmd/go/internal/modfetch. A door is the URL below which `supported`, `latest`,
//! `lookup/…` and `tile/…` are. `go` takes one and stays with it; the others lead to the same signed tree.

use url::Url;

use crate::golang::{
    ModuleVersion, Settings,
    base_url::BaseUrl,
    module_path::{unescape_path, unescape_version},
    proxy_list::{Fallback, ProxySource},
    settings::Sumdb,
    sumdb::{Lookup, SumdbError, Tree, Verifier},
};

/// Hashes in a full tile, and the bytes of each.
const WIDTH: usize = 256;
const HASH: usize = 32;

/// A database, and where it is asked.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) verifier: Verifier,
    /// The name and key: what was learned from one process's database holds for all that have the same.
    pub(super) key: String,
    /// In the order in which `go` tries them.
    pub(super) doors: Vec<Door>,
    /// GOSUMDB names a URL: `go` asks nobody else, so that the others are for emergencies.
    pub(super) explicit: bool,
}

/// One way to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Door {
    /// Ends with a slash.
    pub(super) base: Url,
    pub(super) kind: DoorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DoorKind {
    /// A module proxy that may answer for the database; whether any error leads on to the next door, or only 404 and 410.
    Proxy { any_error: bool },
    /// The database's own host.
    Own,
}

/// What is asked below a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether the module proxy answers for the database.
    Supported,
    /// The newest tree.
    Latest,
    /// A record.
    Lookup(ModuleVersion),
    /// A tile of this many hashes.
    Tile(usize),
}

impl Database {
    /// The database of these settings; `None` if there is none, or none that can be asked over TLS without
    /// credentials of ours.
    pub fn of(settings: &Settings) -> Option<Self> {
        let sumdb = settings.sumdb.database()?;
        let verifier = Verifier::parse(&sumdb.key).ok()?;
        let proxies = settings.proxies.entries().iter().filter_map(|entry| {
            let ProxySource::Url(url) = &entry.source else {
                return None;
            };
            let kind = DoorKind::Proxy {
                any_error: entry.fallback == Fallback::AnyError,
            };
            door(url, &format!("sumdb/{}/", sumdb.name), kind)
        });
        let doors: Vec<Door> = proxies.chain(own(sumdb)).collect();
        (!doors.is_empty()).then(|| Self {
            verifier,
            key: sumdb.key.clone(),
            doors,
            explicit: sumdb.explicit.is_some(),
        })
    }

    /// The door that `url` is behind, and the path below it.
    pub(super) fn behind<'a>(&self, url: &'a Url) -> Option<(usize, &'a str)> {
        self.doors.iter().enumerate().find_map(|(number, door)| {
            let same = url.origin() == door.base.origin() && url.query().is_none();
            let path = url.path().strip_prefix(door.base.path())?;
            same.then_some((number, path))
        })
    }

    /// Whether these bytes can be an answer of this database: signed, or as long as the tile.
    pub(super) fn accepts(&self, question: &Question, answer: &[u8]) -> bool {
        match question {
            Question::Supported => true,
            Question::Latest => self.latest(answer).is_ok(),
            Question::Lookup(_) => Lookup::open(answer, &self.verifier).is_ok(),
            Question::Tile(width) => answer.len() == width * HASH,
        }
    }

    fn latest(&self, answer: &[u8]) -> Result<Tree, SumdbError> {
        let note = std::str::from_utf8(answer).map_err(|_| SumdbError::Note)?;
        Tree::parse(self.verifier.open(note)?)
    }
}

impl Question {
    /// Reads the path below a door; `None` for what no `go` asks.
    pub(super) fn parse(path: &str) -> Option<Self> {
        match path {
            "supported" => return Some(Self::Supported),
            "latest" => return Some(Self::Latest),
            _ => {}
        }
        if let Some(module) = path.strip_prefix("lookup/") {
            let module = module.replace("%21", "!").replace("%2B", "+");
            let (path, version) = module.rsplit_once('@')?;
            return Some(Self::Lookup(ModuleVersion {
                path: unescape_path(path).ok()?,
                version: unescape_version(version).ok()?,
            }));
        }
        let place = path.strip_prefix("tile/8/")?;
        let width = match place.split_once(".p/") {
            Some((_, width)) => width
                .parse()
                .ok()
                .filter(|width| (1..WIDTH).contains(width))?,
            None => WIDTH,
        };
        Some(Self::Tile(width))
    }
}

fn door(url: &BaseUrl, below: &str, kind: DoorKind) -> Option<Door> {
    if url.scheme() != "https" || url.has_user_info() {
        return None;
    }
    let base = Url::parse(&url.join(below)).ok()?;
    Some(Door { base, kind })
}

fn own(sumdb: &Sumdb) -> Option<Door> {
    door(sumdb.own_url(), "", DoorKind::Own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golang::settings::{EnvFile, Environment, Sources};

    fn database(proxies: &str, sumdb: &str) -> Option<Database> {
        let entries = [format!("GOPROXY={proxies}"), format!("GOSUMDB={sumdb}")];
        let environment = Environment::from_entries(entries.iter().map(String::as_bytes));
        let settings = Settings::effective(&Sources {
            environment: &environment,
            user_file: &EnvFile::Missing,
            goroot_file: &EnvFile::Missing,
            go_version: None,
        });
        Database::of(&settings.unwrap())
    }

    fn doors(proxies: &str, sumdb: &str) -> Vec<String> {
        database(proxies, sumdb).map_or_else(Vec::new, |database| {
            let doors = database.doors.iter();
            doors.map(|door| door.base.to_string()).collect()
        })
    }

    #[test]
    fn doors_are_in_go_s_order_and_none_needs_our_credentials() {
        assert_eq!(
            doors(
                "https://a.test/go|https://u:p@b.test,http://c.test,direct",
                "sum.golang.org"
            ),
            [
                "https://a.test/go/sumdb/sum.golang.org/",
                "https://sum.golang.org/"
            ]
        );
        assert_eq!(
            doors("https://a.test", "sum.golang.google.cn"),
            [
                "https://a.test/sumdb/sum.golang.org/",
                "https://sum.golang.google.cn/"
            ]
        );
        assert_eq!(doors("https://a.test", "off"), [""; 0]);
        assert!(
            database("https://a.test", "sum.golang.google.cn")
                .unwrap()
                .explicit
        );
    }

    #[test]
    fn a_url_is_behind_one_door_only() {
        let database = database("https://a.test/go,direct", "sum.golang.org").unwrap();
        let behind = |url: &str| {
            let url = Url::parse(url).unwrap();
            let (door, path) = database.behind(&url)?;
            Some((door, path.to_owned()))
        };
        assert_eq!(
            behind("https://a.test/go/sumdb/sum.golang.org/latest"),
            Some((0, "latest".to_owned()))
        );
        assert_eq!(
            behind("https://sum.golang.org:443/lookup/a.b/c@v1.0.0"),
            Some((1, "lookup/a.b/c@v1.0.0".to_owned()))
        );
        for other in [
            "https://a.test/go/sumdb/sum.example/latest",
            "https://a.test/go/a.b/c/@v/list",
            "https://a.test:8443/go/sumdb/sum.golang.org/latest",
            "https://sum.golang.org/latest?x",
        ] {
            assert_eq!(behind(other), None, "{other}");
        }
    }

    #[test]
    fn questions_are_those_of_go() {
        let module = ModuleVersion {
            path: "github.com/Azure/x".into(),
            version: "v1.0.0+incompatible".into(),
        };
        for path in [
            "lookup/github.com/!azure/x@v1.0.0+incompatible",
            "lookup/github.com/%21azure/x@v1.0.0+incompatible",
        ] {
            assert_eq!(
                Question::parse(path),
                Some(Question::Lookup(module.clone()))
            );
        }
        assert_eq!(
            Question::parse("tile/8/0/x001/005"),
            Some(Question::Tile(256))
        );
        assert_eq!(Question::parse("tile/8/1/000.p/7"), Some(Question::Tile(7)));
        for other in [
            "",
            "lookup/x",
            "tile/8/0/000.p/0",
            "tile/8/0/000.p/256",
            "other",
        ] {
            assert_eq!(Question::parse(other), None, "{other}");
        }
    }
}
