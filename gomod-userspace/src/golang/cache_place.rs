// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a cache of `go` really lies, and whether two of them are, or lie in, one directory.
//!
//! What `go clean -modcache` does was tried with Go 1.21.13 and 1.27.3, which do the same: it removes GOMODCACHE with
//! all that is below it, also across mount points (whose own directories then stay, with an error), but follows no
//! symbolic link, not even if GOMODCACHE itself is one. `go clean -cache` and the build cache's own trimming touch only
//! its directories of two hexadecimal digits.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A cache directory. It need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachePlace {
    /// As the settings name it, or as `go` opened it.
    pub named: PathBuf,
    /// That is itself a symbolic link.
    pub link: bool,
    /// Where it leads, symbolic links resolved.
    pub path: PathBuf,
    /// Its file system: major and minor number.
    pub device: (u32, u32),
    /// Its path from the root of that file system: the same for all places where it is mounted.
    pub within: PathBuf,
}

/// How a build cache and a module cache share a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// They are the same.
    Same,
    /// The build cache lies in the module cache.
    BuildInModules,
    /// The module cache lies in the build cache.
    ModulesInBuild,
}

/// What `go clean -modcache` deletes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CleanModcache {
    /// Both.
    Both,
    /// The module cache, as intended.
    Modules,
    /// The link that GOMODCACHE is, and nothing behind it.
    Link,
}

impl Sharing {
    /// `None` if each has a directory of its own.
    pub fn between(build: &CachePlace, modules: &CachePlace) -> Option<Self> {
        match (modules.holds(build), build.holds(modules)) {
            (true, true) => Some(Self::Same),
            (true, false) => Some(Self::BuildInModules),
            (false, true) => Some(Self::ModulesInBuild),
            (false, false) => None,
        }
    }

    /// What becomes of both.
    pub fn clean_modcache(self, modules: &CachePlace) -> CleanModcache {
        match self {
            _ if modules.link => CleanModcache::Link,
            Self::Same | Self::BuildInModules => CleanModcache::Both,
            Self::ModulesInBuild => CleanModcache::Modules,
        }
    }
}

impl CachePlace {
    /// Whether the other one is this one or lies in it: by its path, as a mount point below counts as well, or in the
    /// file system, which a bind mount may show elsewhere.
    fn holds(&self, other: &Self) -> bool {
        other.path.starts_with(&self.path)
            || (other.device == self.device && other.within.starts_with(&self.within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str, device: u32, within: &str) -> CachePlace {
        CachePlace {
            named: path.into(),
            link: false,
            path: path.into(),
            device: (8, device),
            within: within.into(),
        }
    }

    #[test]
    fn shared_by_path_by_bind_mount_or_not_at_all() {
        let modules = place("/m", 1, "/m");
        for (build, expected) in [
            (place("/m", 1, "/m"), Some(Sharing::Same)),
            (
                place("/m/build", 1, "/m/build"),
                Some(Sharing::BuildInModules),
            ),
            (place("/", 1, "/"), Some(Sharing::ModulesInBuild)),
            // A name that begins alike is another one.
            (place("/mod", 1, "/mod"), None),
            // The same directory, or one inside, mounted elsewhere.
            (place("/b", 1, "/m"), Some(Sharing::Same)),
            (place("/b", 1, "/m/x"), Some(Sharing::BuildInModules)),
            // Another file system mounted inside, or one that only has the same paths.
            (place("/m/b", 2, "/"), Some(Sharing::BuildInModules)),
            (place("/b", 2, "/m"), None),
        ] {
            assert_eq!(Sharing::between(&build, &modules), expected, "{build:?}");
        }
    }

    #[test]
    fn only_what_lies_below_is_deleted() {
        let modules = place("/m", 1, "/m");
        let link = CachePlace {
            link: true,
            ..modules.clone()
        };
        for (sharing, modules, expected) in [
            (Sharing::Same, &modules, CleanModcache::Both),
            (Sharing::BuildInModules, &modules, CleanModcache::Both),
            (Sharing::ModulesInBuild, &modules, CleanModcache::Modules),
            (Sharing::Same, &link, CleanModcache::Link),
        ] {
            assert_eq!(sharing.clean_modcache(modules), expected, "{sharing:?}");
        }
    }
}
