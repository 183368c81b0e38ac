// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files to read for a process's settings. All paths are those of the process: in its mount namespace, and
//! relative ones from its working directory.
//!
//! Rules: `EnvFile` and `findGOROOT` of cmd/go/internal/cfg, `UserConfigDir` of Go's os package on Linux.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::environment::{EnvFile, Environment, in_file};

/// A directory that may be GOROOT. Its settings are in `go.env` below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GorootCandidate {
    /// The directory.
    pub directory: PathBuf,
    /// Whether `go` takes it unseen; else only if `pkg/tool` below it is a directory.
    pub certain: bool,
}

/// The file that `go env -w` writes: GOENV, else `go/env` in the user's configuration directory; `None` if GOENV is
/// `off` or there is no such directory.
pub fn user_file(environment: &Environment) -> Option<PathBuf> {
    match environment.get("GOENV") {
        Some(b"off") => return None,
        Some(file) => return Some(path(file)),
        None => {}
    }
    let configuration = match environment.get("XDG_CONFIG_HOME") {
        Some(directory) => Some(path(directory)).filter(|directory| directory.is_absolute())?,
        None => path(environment.get("HOME")?).join(".config"),
    };
    Some(configuration.join("go/env"))
}

/// Where GOROOT may be, in the order in which `go` looks: the first that is certain or has `pkg/tool` is the one.
/// `executable` is the resolved path of the `go` command, as `/proc/PID/exe` gives it.
pub fn goroot(
    environment: &Environment,
    user_file: &EnvFile,
    executable: &Path,
) -> Vec<GorootCandidate> {
    // The user's file goes before the environment here: the only such case, and so in Go.
    if let Some(goroot) = in_file(user_file, "GOROOT").or_else(|| environment.get("GOROOT")) {
        return vec![GorootCandidate {
            directory: path(goroot),
            certain: true,
        }];
    }
    // GOROOT/bin/go, or GOROOT/bin/GOOS_GOARCH/go.
    executable
        .ancestors()
        .skip(2)
        .take(2)
        .map(|directory| GorootCandidate {
            directory: directory.to_owned(),
            certain: false,
        })
        .collect()
}

pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(entries: &[&str]) -> Environment {
        Environment::from_entries(entries)
    }

    #[test]
    fn the_user_file_follows_the_configuration_directory() {
        for (entries, expected) in [
            (&["HOME=/home/me"][..], Some("/home/me/.config/go/env")),
            (&["HOME=/home/me", "XDG_CONFIG_HOME=/c"], Some("/c/go/env")),
            (&["HOME=/home/me", "XDG_CONFIG_HOME=c"], None),
            (&["HOME=/home/me", "GOENV=/x/env"], Some("/x/env")),
            (&["HOME=/home/me", "GOENV=off"], None),
            (
                &["HOME=/home/me", "GOENV="],
                Some("/home/me/.config/go/env"),
            ),
            (&[], None),
        ] {
            assert_eq!(
                user_file(&environment(entries)),
                expected.map(PathBuf::from),
                "{entries:?}"
            );
        }
    }

    #[test]
    fn goroot_is_set_or_above_the_executable() {
        let exe = Path::new("/usr/local/go/bin/go");
        let certain = |path: &str| {
            vec![GorootCandidate {
                directory: path.into(),
                certain: true,
            }]
        };
        let env = environment(&["GOROOT=/env"]);
        assert_eq!(goroot(&env, &EnvFile::Missing, exe), certain("/env"));
        let file = EnvFile::Content {
            bytes: b"GOROOT=/file\n".to_vec(),
        };
        assert_eq!(goroot(&env, &file, exe), certain("/file"));
        let found = goroot(&environment(&[]), &EnvFile::Missing, exe);
        let paths: Vec<_> = found
            .iter()
            .map(|one| (one.directory.to_str().unwrap(), one.certain))
            .collect();
        assert_eq!(paths, [("/usr/local/go", false), ("/usr/local", false)]);
    }
}
