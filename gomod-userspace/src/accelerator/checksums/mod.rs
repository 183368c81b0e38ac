// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checksum database, carried: records and tiles are fetched while the modules are, and asked for at another door
//! when the one that `go` chose does not answer.
//!
//! `go` checks all of it itself, against the key that it has: nothing here makes it believe anything. What was proven
//! here as well (signature, and inclusion in the signed tree) is kept for the run and makes hashes known; anything else
//! is for one request only. No name of a module goes where `go` would not send it:
//!
//! - a module that matches GONOSUMDB or GOPRIVATE is never looked up;
//! - a module proxy is asked for records of modules that it would be asked for itself;
//! - the database's own host is asked where `go` would ask it if the module proxy did not answer for the database.

mod ask;
mod database;
mod kept;
mod proof;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use http::StatusCode;
use tokio::sync::{Semaphore, watch};
use url::Url;

pub use ask::ChecksumLimits;
pub use database::Database;
pub(super) use kept::{Answer, Unanswered};

use self::{
    ask::Asking,
    database::{DoorKind, Question},
    kept::{Kept, Key, Pending},
    proof::Trees,
};
use super::{
    asker::Asker,
    sums::Sums,
    upstream::{Upstream, Urgency},
};
use crate::{
    golang::{ModuleVersion, sumdb::Lookup},
    kernel::events::Source,
};

/// The checksum databases of a run.
pub struct Checksums {
    asking: Asking,
    kept: Kept,
    trees: Trees,
    sums: Arc<Sums>,
    turns: Arc<Semaphore>,
}

impl Checksums {
    /// Asks by `upstream`; proven hashes go into `sums`.
    pub fn new(upstream: Upstream, sums: Arc<Sums>, limits: ChecksumLimits) -> Arc<Self> {
        Arc::new(Self {
            asking: Asking::new(upstream, limits),
            kept: Kept::default(),
            trees: Trees::default(),
            sums,
            turns: Arc::new(Semaphore::new(limits.at_once.max(1))),
        })
    }

    /// Begins to look up these modules, and proves what comes. Inside a tokio runtime. Modules that the process would
    /// not look up are passed over.
    pub fn foresee(
        self: &Arc<Self>,
        asker: &Arc<Asker>,
        modules: impl IntoIterator<Item = ModuleVersion>,
    ) {
        let modules: BTreeSet<ModuleVersion> = modules
            .into_iter()
            .filter(|module| asker.settings.route(&module.path).sumdb)
            .collect();
        if asker.database.is_none() || modules.is_empty() {
            return;
        }
        let (checksums, asker) = (Arc::clone(self), Arc::clone(asker));
        tokio::spawn(async move { checksums.look_up(&asker, modules).await });
    }

    /// Answers a request of `go`. `None` if it's none to a checksum database of this process.
    pub(super) async fn answer(
        self: &Arc<Self>,
        asker: &Arc<Asker>,
        url: &Url,
    ) -> Option<Result<(Arc<Answer>, Source), Unanswered>> {
        let database = asker.database.as_ref()?;
        let (door, path) = database.behind(url)?;
        let question = Question::parse(path)?;
        let key = key(database, door, path, &question);
        if let Some(answer) = self.kept.proven(&key) {
            return Some(Ok((answer, Source::Prefetch)));
        }
        if let Some(pending) = self.kept.claim(&key) {
            let source = if pending.outcome.borrow().is_some() {
                Source::Prefetch
            } else {
                Source::Joined
            };
            // Nobody waits long for what was begun for nobody.
            let joined = tokio::time::timeout(self.asking.limits.patience, pending.wait()).await;
            if let Ok(Ok(answer)) = joined {
                return Some(Ok((answer, source)));
            }
        }
        let doors = doors(asker, database, door, &question);
        let outcome = self
            .asking
            .ask(asker, &doors, path, &question, Urgency::Awaited)
            .await
            .map(Arc::new);
        if let Ok(answer) = &outcome
            && matches!(question, Question::Lookup(_))
        {
            let (checksums, asker, answer) =
                (Arc::clone(self), Arc::clone(asker), Arc::clone(answer));
            tokio::spawn(async move { checksums.proven(&asker, door, key, answer).await });
        }
        Some(outcome.map(|answer| (answer, Source::Upstream)))
    }

    async fn look_up(self: &Arc<Self>, asker: &Arc<Asker>, modules: BTreeSet<ModuleVersion>) {
        let Some(database) = &asker.database else {
            return;
        };
        let door = self.door(asker, database).await;
        let lookups = modules.into_iter().map(|module| async move {
            let path = Lookup::path(&module).ok()?;
            let question = Question::Lookup(module);
            let key = key(database, door, &path, &question);
            let answer = self.fetch(asker, door, &key, question).wait().await;
            let answer = answer.ok()?;
            // Known before the first proof: one tree for all means fewer tiles.
            let lookup = Lookup::open(&answer.body, &database.verifier).ok()?;
            self.trees.note(database, lookup.tree);
            Some((key, answer))
        });
        let answers = join_all(lookups).await;
        let proofs = answers
            .into_iter()
            .flatten()
            .map(|(key, answer)| self.proven(asker, door, key, answer));
        join_all(proofs).await;
    }

    /// The door that `go` will choose.
    async fn door(self: &Arc<Self>, asker: &Arc<Asker>, database: &Database) -> usize {
        let own = database.doors.len() - 1;
        if database.explicit {
            return own;
        }
        for (number, door) in database.doors.iter().enumerate() {
            let DoorKind::Proxy { any_error } = door.kind else {
                return number;
            };
            let question = Question::Supported;
            let key = key(database, number, "supported", &question);
            match self.fetch(asker, number, &key, question).wait().await {
                Ok(answer) if answer.status == StatusCode::OK => return number,
                Ok(answer)
                    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE)
                        || any_error => {}
                Err(_) if any_error => {}
                _ => return number,
            }
        }
        own
    }

    /// What is under way already, or begins now, for nobody in particular.
    fn fetch(
        self: &Arc<Self>,
        asker: &Arc<Asker>,
        door: usize,
        key: &Key,
        question: Question,
    ) -> Pending {
        if let Some(answer) = self.kept.proven(key) {
            let (_, outcome) = watch::channel(Some(Ok(answer)));
            return Pending {
                outcome,
                begun: Arc::new(AtomicBool::new(true)),
            };
        }
        self.kept.join(key, || {
            let (sender, outcome) = watch::channel(None);
            let begun = Arc::new(AtomicBool::new(false));
            let pending = Pending {
                outcome,
                begun: Arc::clone(&begun),
            };
            let (checksums, asker, key) = (Arc::clone(self), Arc::clone(asker), key.clone());
            tokio::spawn(async move {
                let Ok(_turn) = checksums.turns.acquire().await else {
                    return;
                };
                begun.store(true, Ordering::Relaxed);
                let Some(database) = &asker.database else {
                    return;
                };
                let doors = doors(&asker, database, door, &question);
                let path = key.path.rsplit(' ').next().unwrap_or_default();
                let found = checksums
                    .asking
                    .ask(&asker, &doors, path, &question, Urgency::Speculative)
                    .await;
                if found.is_err() {
                    checksums.kept.forget(&key);
                }
                sender.send_replace(Some(found.map(Arc::new)));
            });
            pending
        })
    }
}

/// `supported` and `latest` belong to one door; records and tiles are the same at all of them.
fn key(database: &Database, door: usize, path: &str, question: &Question) -> Key {
    let path = match question {
        Question::Supported | Question::Latest => format!("{} {path}", database.doors[door].base),
        Question::Lookup(_) | Question::Tile(_) => path.replace("%21", "!"),
    };
    Key {
        database: database.key.clone(),
        path,
    }
}

/// The door that `go` chose, then those that may stand in for it.
fn doors(asker: &Asker, database: &Database, chosen: usize, question: &Question) -> Vec<usize> {
    let mut doors = vec![chosen];
    let allowed = |number: &usize| {
        let door = &database.doors[*number];
        let is_proxy = matches!(door.kind, DoorKind::Proxy { .. });
        match question {
            // Only the database itself can stand in for a proxy's word that it can be asked.
            Question::Supported => !is_proxy && !database.explicit,
            Question::Lookup(module) => {
                asker.settings.route(&module.path).sumdb
                    && !(is_proxy && asker.settings.no_proxy.matches(&module.path))
            }
            Question::Latest | Question::Tile(_) => true,
        }
    };
    doors.extend(
        (0..database.doors.len())
            .filter(|number| *number != chosen)
            .filter(allowed),
    );
    doors
}
