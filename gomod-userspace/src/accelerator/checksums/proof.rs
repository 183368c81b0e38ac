// SPDX-License-Identifier: MIT OR Apache-2.0
//! Proves records: fetches the tiles that lead from a record to the signed root, and keeps what is proven.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::join_all;

use super::{
    Checksums, Database,
    database::Question,
    kept::{Answer, Key},
    key,
};
use crate::{
    accelerator::asker::Asker,
    golang::sumdb::{Lookup, SumdbError, Tile, Tree},
};

/// The largest signed tree seen of each database. Records are proven in it, as `go` does: tiles are then the same for
/// all of them.
#[derive(Debug, Default)]
pub(super) struct Trees(Mutex<HashMap<String, Tree>>);

impl Trees {
    /// Takes note of a tree whose signature was checked; gives the largest.
    pub(super) fn note(&self, database: &Database, tree: Tree) -> Tree {
        let mut trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = trees.entry(database.key.clone()).or_insert(tree);
        if largest.size < tree.size {
            *largest = tree;
        }
        *largest
    }
}

impl Checksums {
    /// Proves the record in `answer` and keeps it; what can't be proven is forgotten.
    pub(super) async fn proven(
        self: &Arc<Self>,
        asker: &Arc<Asker>,
        door: usize,
        lookup: Key,
        answer: Arc<Answer>,
    ) {
        if let Err(error) = self.prove(asker, door, &lookup, &answer).await {
            self.kept.forget(&lookup);
            tracing::debug!(path = lookup.path, %error, "a record of the checksum database is not kept");
        }
    }

    async fn prove(
        self: &Arc<Self>,
        asker: &Arc<Asker>,
        door: usize,
        record: &Key,
        answer: &Arc<Answer>,
    ) -> Result<(), SumdbError> {
        let database = asker.database.as_ref().ok_or(SumdbError::Key)?;
        let mut lookup = Lookup::open(&answer.body, &database.verifier)?;
        lookup.tree = self.trees.note(database, lookup.tree);
        let fetches = lookup.tiles().into_iter().map(|tile| async move {
            let question = Question::Tile(tile.width as usize);
            let key = key(database, door, &tile.path(), &question);
            let pending = self.fetch(asker, door, &key, question);
            let fetched = pending.wait().await.ok();
            (
                tile,
                key,
                fetched.filter(|answer| answer.status.is_success()),
            )
        });
        let found = join_all(fetches).await;
        let tiles: BTreeMap<Tile, &[u8]> = found
            .iter()
            .filter_map(|(tile, _, answer)| Some((*tile, &*answer.as_ref()?.body)))
            .collect();
        let proven = lookup
            .verify(|tile| tiles.get(tile).copied())
            .and_then(|sums| lookup.tree.check_tiles(&tiles).map(|()| sums));
        match proven {
            Ok(sums) => {
                self.sums.learn(&sums);
                self.kept.prove(record.clone(), Arc::clone(answer));
                for (_, key, answer) in found {
                    if let Some(answer) = answer {
                        self.kept.prove(key, answer);
                    }
                }
                Ok(())
            }
            Err(error) => {
                for (_, key, _) in found {
                    self.kept.forget(&key);
                }
                Err(error)
            }
        }
    }
}
