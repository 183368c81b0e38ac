// SPDX-License-Identifier: MIT OR Apache-2.0
//! GOMODCACHE and GOCACHE: where `go` keeps what it downloads and what it builds.
//!
//! Rules: `gopathDir` of cmd/go/internal/cfg, `DefaultDir` of cmd/go/internal/cache, `UserCacheDir` of Go's os package
//! on Linux.

use std::path::PathBuf;

use super::{Layers, SettingsError, Sources, paths};

/// Both directories, as the settings name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheDirectories {
    /// GOMODCACHE; `None` if it is not absolute or cannot be known, and then `go` downloads nothing.
    pub modules: Option<PathBuf>,
    /// GOCACHE; `None` if it is `off`, not absolute or cannot be known, and then `go` builds nothing.
    pub build: Option<PathBuf>,
}

impl CacheDirectories {
    /// Those in effect. Unlike [`Settings::effective`](super::Settings::effective) this does not depend on any other
    /// setting.
    pub fn effective(sources: &Sources<'_>) -> Result<Self, SettingsError> {
        let layers = Layers::new(sources.environment, sources.user_file, sources.goroot_file)?;
        Ok(Self {
            modules: modules(&layers),
            build: build(&layers),
        })
    }
}

/// GOMODCACHE, else `pkg/mod` in the first directory of GOPATH, else `go/pkg/mod` in the home directory.
pub(super) fn modules(layers: &Layers<'_>) -> Option<PathBuf> {
    let directory = match (layers.bytes("GOMODCACHE"), layers.bytes("GOPATH")) {
        (Some(directory), _) => paths::path(directory),
        (None, Some(gopath)) => {
            let first = gopath.split(|byte| *byte == b':').next()?;
            paths::path(first).join("pkg/mod")
        }
        (None, None) => paths::path(layers.environment.get("HOME")?).join("go/pkg/mod"),
    };
    directory.is_absolute().then_some(directory)
}

/// GOCACHE, else `go-build` in the user's cache directory: `XDG_CACHE_HOME`, else `.cache` in the home directory.
fn build(layers: &Layers<'_>) -> Option<PathBuf> {
    let directory = match layers.bytes("GOCACHE") {
        Some(directory) => paths::path(directory),
        None => match layers.environment.get("XDG_CACHE_HOME") {
            Some(directory) => paths::path(directory).join("go-build"),
            None => paths::path(layers.environment.get("HOME")?).join(".cache/go-build"),
        },
    };
    directory.is_absolute().then_some(directory)
}

#[cfg(test)]
mod tests {
    use super::super::{EnvFile, Environment};
    use super::*;

    fn directories(entries: &[&str], user: &str) -> [Option<String>; 2] {
        let found = CacheDirectories::effective(&Sources {
            environment: &Environment::from_entries(entries),
            user_file: &EnvFile::Content { bytes: user.into() },
            goroot_file: &EnvFile::Missing,
            go_version: None,
        })
        .unwrap();
        [found.modules, found.build].map(|path| path.map(|path| path.display().to_string()))
    }

    #[test]
    fn defaults_and_settings() {
        for (entries, user, expected) in [
            (
                &["HOME=/h"][..],
                "",
                [Some("/h/go/pkg/mod"), Some("/h/.cache/go-build")],
            ),
            (
                &["HOME=/h", "XDG_CACHE_HOME=/x", "GOPATH=/p:/q"],
                "",
                [Some("/p/pkg/mod"), Some("/x/go-build")],
            ),
            (
                &["HOME=/h", "GOCACHE=/env"],
                "GOCACHE=/file\nGOMODCACHE=/file\n",
                [Some("/file"), Some("/env")],
            ),
            (
                &["HOME=/h", "GOCACHE=off", "GOMODCACHE=rel"],
                "",
                [None, None],
            ),
            (
                &["HOME=/h", "XDG_CACHE_HOME=rel"],
                "",
                [Some("/h/go/pkg/mod"), None],
            ),
            (&[], "", [None, None]),
        ] {
            assert_eq!(
                directories(entries, user),
                expected.map(|path| path.map(str::to_owned)),
                "{entries:?} {user}"
            );
        }
    }
}
