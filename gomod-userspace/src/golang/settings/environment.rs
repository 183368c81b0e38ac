// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a setting comes from: the process's environment, then the file of `go env -w`, then GOROOT/go.env.
//!
//! Rules: `Getenv`, `readEnvFile` of cmd/go/internal/cfg; `copyenv` of Go's syscall package.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::SettingsError;

/// The environment of a process.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A file of settings, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvFile {
    /// It does not exist, or `go` does not look for one.
    Missing,
    /// It was read.
    Content {
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// It may exist but could not be read: the settings are unknown.
    Unreadable {
        /// Where it is.
        path: PathBuf,
        /// Why it could not be read.
        reason: String,
    },
}

impl Environment {
    /// Takes entries of the form `NAME=VALUE`. The first of two entries for one name counts; others are left out.
    pub fn from_entries<Entry: AsRef<[u8]>>(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut variables = BTreeMap::new();
        for entry in entries {
            let entry = entry.as_ref();
            if let Some(at) = entry.iter().position(|byte| *byte == b'=') {
                variables
                    .entry(entry[..at].to_vec())
                    .or_insert_with(|| entry[at + 1..].to_vec());
            }
        }
        Self { variables }
    }

    /// Takes a block of entries that end in NUL, as in `/proc/PID/environ`.
    pub fn from_block(block: &[u8]) -> Self {
        Self::from_entries(block.split(|byte| *byte == 0))
    }

    /// A variable's value; `None` if it is not set or empty, which is the same to `go`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.variables
            .get(name.as_bytes())
            .map(Vec::as_slice)
            .filter(|value| !value.is_empty())
    }
}

/// Only the names: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self
            .variables
            .keys()
            .map(|name| String::from_utf8_lossy(name));
        formatter.debug_set().entries(names).finish()
    }
}

/// The layers in order of precedence.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    pub(super) environment: &'a Environment,
    /// Both files; what both have is the user file's.
    files: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        user_file: &'a EnvFile,
        goroot_file: &'a EnvFile,
    ) -> Result<Self, SettingsError> {
        let mut files = BTreeMap::new();
        for (name, value) in assignments(user_file)? {
            files.insert(name, value);
        }
        for (name, value) in assignments(goroot_file)? {
            files.entry(name).or_insert(value);
        }
        Ok(Self { environment, files })
    }

    /// The value; `None` if it is not set or empty.
    pub(super) fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.environment.get(name).or_else(|| {
            let value = *self.files.get(name.as_bytes())?;
            (!value.is_empty()).then_some(value)
        })
    }

    /// The value as text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>, SettingsError> {
        self.bytes(name)
            .map(|value| std::str::from_utf8(value).map_err(|_| SettingsError::NotUtf8 { name }))
            .transpose()
    }
}

/// Name and value.
pub(super) type Assignment<'a> = (&'a [u8], &'a [u8]);

/// The assignments of a file; other lines are comments.
pub(super) fn assignments(file: &EnvFile) -> Result<Vec<Assignment<'_>>, SettingsError> {
    let bytes = match file {
        EnvFile::Missing => return Ok(Vec::new()),
        EnvFile::Content { bytes } => bytes,
        EnvFile::Unreadable { path, reason } => {
            return Err(SettingsError::Unreadable {
                path: path.clone(),
                reason: reason.clone(),
            });
        }
    };
    let assignment = |line: &'_ [u8]| {
        let equals = line.iter().position(|byte| *byte == b'=')?;
        line[0].is_ascii_uppercase().then_some(equals)
    };
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| assignment(line).map(|at| (&line[..at], &line[at + 1..])))
        .collect())
}

/// The value of a name in the user's file alone.
pub(super) fn in_file<'a>(file: &'a EnvFile, name: &str) -> Option<&'a [u8]> {
    let found = assignments(file).ok()?;
    let value = found
        .into_iter()
        .rev()
        .find(|(key, _)| *key == name.as_bytes());
    value
        .map(|(_, value)| value)
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(text: &str) -> EnvFile {
        EnvFile::Content { bytes: text.into() }
    }

    #[test]
    fn nearer_layers_go_first_and_empty_is_unset() {
        let environment = Environment::from_block(b"A=env\0A=never\0B=\0nonsense\0=x\0");
        let user = content("A=user\nB=user\n# C=comment\nD=\nE=old\nE=new\nlower=x\nno equals");
        let goroot = content("B=goroot\nC=goroot\nD=goroot\nC=never\n");
        let layers = Layers::new(&environment, &user, &goroot).unwrap();
        for (name, value) in [
            ("A", Some("env")),
            ("B", Some("user")),
            ("C", Some("goroot")),
            // An empty line of the user's file hides the one of GOROOT, as in Go.
            ("D", None),
            ("E", Some("new")),
            ("lower", None),
            ("nonsense", None),
        ] {
            assert_eq!(layers.text(name).unwrap(), value, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let file = EnvFile::Unreadable {
            path: "/x/go/env".into(),
            reason: "permission denied".into(),
        };
        let environment = Environment::default();
        let error = Layers::new(&environment, &file, &EnvFile::Missing).unwrap_err();
        assert!(error.to_string().contains("/x/go/env"), "{error}");
        let environment = Environment::from_entries([b"GOPROXY=\xff".as_slice()]);
        let layers = Layers::new(&environment, &EnvFile::Missing, &EnvFile::Missing).unwrap();
        assert!(matches!(
            layers.text("GOPROXY"),
            Err(SettingsError::NotUtf8 { name: "GOPROXY" })
        ));
        assert_eq!(format!("{environment:?}"), "{\"GOPROXY\"}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(block in any::<Vec<u8>>(), file in any::<Vec<u8>>()) {
            let environment = Environment::from_block(&block);
            let file = EnvFile::Content { bytes: file };
            let _ = Layers::new(&environment, &file, &file).unwrap().text("GOPROXY");
            let _ = in_file(&file, "GOROOT");
        }
    }
}
