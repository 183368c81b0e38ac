// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values of settings as they were written, and where: for people.

use super::{SettingsError, Sources, environment::assignments};

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the environment.
    Environment,
    /// In the file of `go env -w`.
    UserFile,
    /// In GOROOT/go.env: what this `go` came with.
    GorootFile,
}

/// A setting that has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: &'static str,
    /// The value, without user names and passwords of URLs; bytes that are no UTF-8 are replaced.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Those of the named settings that have a value, in that order.
pub fn written(
    sources: &Sources<'_>,
    names: &[&'static str],
) -> Result<Vec<Written>, SettingsError> {
    let files = [
        (Origin::UserFile, assignments(sources.user_file)?),
        (Origin::GorootFile, assignments(sources.goroot_file)?),
    ];
    let value_of = |name: &str| {
        if let Some(value) = sources.environment.get(name) {
            return Some((Origin::Environment, value));
        }
        // An empty line in the user's file hides the one of GOROOT.
        files.iter().find_map(|(origin, lines)| {
            // Of several lines, the last of the user's file counts and the first of GOROOT's.
            let mut values = lines
                .iter()
                .filter(|(key, _)| *key == name.as_bytes())
                .map(|(_, value)| *value);
            let value = match origin {
                Origin::UserFile => values.next_back(),
                _ => values.next(),
            };
            value.map(|value| (*origin, value))
        })
    };
    Ok(names
        .iter()
        .filter_map(|name| {
            let (origin, value) = value_of(name).filter(|(_, value)| !value.is_empty())?;
            Some(Written {
                name,
                value: without_credentials(&String::from_utf8_lossy(value)),
                origin,
            })
        })
        .collect())
}

/// A text in which each URL has lost its user name and password. GOPROXY takes URLs without their scheme too; and what
/// belongs to a password that was not escaped can't be told from a path, so that all up to the last `@` goes where there is
/// a user.
pub fn without_credentials(text: &str) -> String {
    const SCHEME_END: &str = "://";
    let mut clean = String::with_capacity(text.len());
    for entry in text.split_inclusive([',', '|', ' ', '\t']) {
        let (scheme, rest) = match entry.find(SCHEME_END) {
            Some(at) => entry.split_at(at + SCHEME_END.len()),
            None => ("", entry),
        };
        clean.push_str(scheme);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let has_user = authority.contains('@') && !scheme.is_empty();
        match rest.rfind('@') {
            // A port is no password: `host:8080/x@v1`.
            Some(at) if has_user || has_password(&rest[..at]) => {
                clean.push('…');
                clean.push_str(&rest[at..]);
            }
            _ => clean.push_str(rest),
        }
    }
    clean
}

/// Whether there is something behind the first colon that is no port.
fn has_password(before_host: &str) -> bool {
    before_host.split_once(':').is_some_and(|(_, password)| {
        let port = password.split('/').next().unwrap_or_default();
        port.is_empty()
            || !port.bytes().all(|byte| byte.is_ascii_digit())
            || !password.contains('/')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{EnvFile, Environment};
    use super::*;

    #[test]
    fn the_nearest_value_counts_and_names_its_place() {
        let user = EnvFile::Content {
            bytes: b"A=old\nA=user\nB=\nC=user\n".to_vec(),
        };
        let goroot = EnvFile::Content {
            bytes: b"B=goroot\nD=goroot\nD=never\n".to_vec(),
        };
        let environment = Environment::from_entries(["C=env", "E="]);
        let found = written(
            &Sources {
                environment: &environment,
                user_file: &user,
                goroot_file: &goroot,
                go_version: None,
            },
            &["A", "B", "C", "D", "E"],
        )
        .unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.name, one.value.as_str(), one.origin))
            .collect();
        assert_eq!(
            found,
            [
                ("A", "user", Origin::UserFile),
                ("C", "env", Origin::Environment),
                ("D", "goroot", Origin::GorootFile),
            ]
        );
    }

    #[test]
    fn passwords_are_left_out() {
        for (text, clean) in [
            (
                "https://proxy.golang.org,direct",
                "https://proxy.golang.org,direct",
            ),
            (
                "https://me:se@cret@corp.example/go|http://u@b.example,direct",
                "https://…@corp.example/go|http://…@b.example,direct",
            ),
            ("https://a.example/x@v1", "https://a.example/x@v1"),
            ("https://a.example:8080/x@v1", "https://a.example:8080/x@v1"),
            ("me:secret@corp.example,direct", "…@corp.example,direct"),
            (
                "https://me:a/b#c@corp.example/go",
                "https://…@corp.example/go",
            ),
            ("off", "off"),
        ] {
            assert_eq!(without_credentials(text), clean);
        }
    }

    proptest! {
        #[test]
        fn no_password_survives(user in "[a-z]{1,8}", host in "[a-z]{1,8}") {
            let text = format!("https://{user}:hunter2@{host}.example/a,https://{user}:hunter2@b");
            prop_assert!(!without_credentials(&text).contains("hunter2"));
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = without_credentials(&text);
        }
    }
}
