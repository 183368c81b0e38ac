// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the caches of a `go` process lie.

use serde::{Deserialize, Serialize};

use crate::golang::CachePlace;

/// The cache directories of a `go` process, as far as they are known from one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    /// How they became known.
    pub source: CacheSource,
    /// The module cache.
    pub modules: Option<CachePlace>,
    /// The build cache.
    pub build: Option<CachePlace>,
}

/// How cache directories become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheSource {
    /// By GOMODCACHE and GOCACHE, or what they are by default.
    Settings,
    /// By a file that the process opened.
    Opened,
    /// By a file that the process opened in the module cache, and the README of a build cache beside it on disk.
    FoundOnDisk,
}
