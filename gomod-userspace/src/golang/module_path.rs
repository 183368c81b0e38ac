// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module paths and versions, and their escaped form in URLs and file names.
//!
//! Rules: golang.org/x/mod/module (`CheckPath`, `EscapePath`), golang.org/x/mod/semver. File systems and proxies may
//! not tell `A` from `a`, so an upper-case letter is written as `!` and the lower-case one.

use std::fmt;

use serde::Serialize;

/// The longest path or version that is taken; Go sets none, file systems allow 4096 bytes.
const MAX_LEN: usize = 1024;

/// A module at a version: `example.com/a@v1.2.3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ModuleVersion {
    /// The module path, not escaped.
    pub path: String,
    /// The version, not escaped.
    pub version: String,
}

impl fmt::Display for ModuleVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.path, self.version)
    }
}

/// Why a text is no module path or version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModulePathError {
    /// Not a module path.
    #[error("{text:?} is no module path: {reason}")]
    Path {
        /// The text.
        text: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// Not a canonical version.
    #[error("{text:?} is no version of the form vX.Y.Z")]
    Version {
        /// The text.
        text: String,
    },
    /// Not an escaped text.
    #[error(
        "{text:?} is not escaped as Go does: upper case is written !x, and ! stands only before a small letter"
    )]
    Escape {
        /// The text.
        text: String,
    },
}

/// Checks a module path as `CheckPath` does, but for names that only Windows forbids.
pub fn check_path(path: &str) -> Result<(), ModulePathError> {
    let wrong = |reason| {
        Err(ModulePathError::Path {
            text: path.to_owned(),
            reason,
        })
    };
    if path.is_empty() || path.len() > MAX_LEN {
        return wrong("it is empty or too long");
    }
    for (index, element) in path.split('/').enumerate() {
        if element.is_empty() {
            return wrong("it has an empty element");
        }
        if element.starts_with('.') || element.ends_with('.') {
            return wrong("an element starts or ends with a dot");
        }
        if !element
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        {
            return wrong("it has a character that is not allowed");
        }
        if index == 0 {
            if !element.contains('.') {
                return wrong("its first element has no dot");
            }
            if element.starts_with('-')
                || element
                    .bytes()
                    .any(|byte| byte.is_ascii_uppercase() || b"_~".contains(&byte))
            {
                return wrong("its first element is no host name");
            }
        }
    }
    Ok(())
}

/// Checks for a canonical version: `vX.Y.Z`, perhaps `-prerelease`, perhaps `+incompatible`.
pub fn check_version(version: &str) -> Result<(), ModulePathError> {
    if version.len() <= MAX_LEN && is_canonical(version) {
        Ok(())
    } else {
        Err(ModulePathError::Version {
            text: version.to_owned(),
        })
    }
}

fn is_canonical(version: &str) -> bool {
    let Some(rest) = version.strip_prefix('v') else {
        return false;
    };
    let rest = rest.strip_suffix("+incompatible").unwrap_or(rest);
    let (core, prerelease) = match rest.split_once('-') {
        Some((core, prerelease)) => (core, Some(prerelease)),
        None => (rest, None),
    };
    let numeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain_number = |text: &str| numeric(text) && (text == "0" || !text.starts_with('0'));
    let identifier = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && (!numeric(text) || plain_number(text))
    };
    core.split('.').count() == 3
        && core.split('.').all(plain_number)
        && prerelease.is_none_or(|text| text.split('.').all(identifier))
}

/// The escaped form of a module path.
pub fn escape_path(path: &str) -> Result<String, ModulePathError> {
    check_path(path).map(|()| escape(path))
}

/// The module path that an escaped form stands for.
pub fn unescape_path(escaped: &str) -> Result<String, ModulePathError> {
    let path = unescape(escaped)?;
    check_path(&path).map(|()| path)
}

/// The escaped form of a canonical version.
pub fn escape_version(version: &str) -> Result<String, ModulePathError> {
    check_version(version).map(|()| escape(version))
}

/// The canonical version that an escaped form stands for.
pub fn unescape_version(escaped: &str) -> Result<String, ModulePathError> {
    let version = unescape(escaped)?;
    check_version(&version).map(|()| version)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 4);
    for letter in text.chars() {
        if letter.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(letter.to_ascii_lowercase());
    }
    escaped
}

fn unescape(escaped: &str) -> Result<String, ModulePathError> {
    let wrong = || ModulePathError::Escape {
        text: escaped.chars().take(MAX_LEN).collect(),
    };
    let mut text = String::with_capacity(escaped.len());
    let mut letters = escaped.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '!' => {
                let next = letters
                    .next()
                    .filter(char::is_ascii_lowercase)
                    .ok_or_else(wrong)?;
                text.push(next.to_ascii_uppercase());
            }
            'A'..='Z' => return Err(wrong()),
            other => text.push(other),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn upper_case_is_escaped_and_back() {
        assert_eq!(
            escape_path("github.com/Azure/go-SDK").unwrap(),
            "github.com/!azure/go-!s!d!k"
        );
        assert_eq!(
            unescape_path("github.com/!azure/go-!s!d!k").unwrap(),
            "github.com/Azure/go-SDK"
        );
        assert_eq!(unescape_version("v1.0.0-!r!c1").unwrap(), "v1.0.0-RC1");
        for wrong in [
            "github.com/Azure",
            "github.com/a!",
            "github.com/!Azure",
            "github.com/!!a",
            "github.com/!1",
        ] {
            assert!(
                matches!(unescape_path(wrong), Err(ModulePathError::Escape { .. })),
                "{wrong}"
            );
        }
    }

    #[test]
    fn only_module_paths_are_paths() {
        for right in [
            "example.com",
            "gopkg.in/yaml.v3",
            "golang.org/x/mod",
            "a.b/c~d/E_F",
        ] {
            check_path(right).unwrap();
        }
        for wrong in [
            "",
            "example",
            "/example.com",
            "example.com/",
            "a.b//c",
            "a.b/.c",
            "a.b/c.",
            "-a.b/c",
            "A.b/c",
            "a.b/ü",
            "a.b/c@d",
        ] {
            assert!(check_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_canonical_versions_are_versions() {
        for right in [
            "v0.0.0",
            "v1.2.3",
            "v2.0.0+incompatible",
            "v0.0.0-20200101000000-abcdefabcdef",
            "v1.0.0-rc.1",
            "v0.0.1-go1.27.3.linux-amd64",
        ] {
            check_version(right).unwrap();
        }
        for wrong in [
            "",
            "1.2.3",
            "v1",
            "v1.2",
            "v1.2.3.4",
            "v01.2.3",
            "v1.2.3-",
            "v1.2.3+meta",
            "master",
            "v1.2.3-a..b",
            "v1.2.3-01",
        ] {
            assert!(check_version(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_escaped_comes_back(path in "[a-z]{1,5}\\.[a-z]{2}(/[A-Za-z0-9_~-]{1,6}){0,3}") {
            let escaped = escape_path(&path).unwrap();
            prop_assert!(!escaped.bytes().any(|byte| byte.is_ascii_uppercase()));
            prop_assert_eq!(unescape_path(&escaped).unwrap(), path);
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = unescape_path(&text);
            let _ = unescape_version(&text);
            let _ = escape_path(&text);
        }
    }
}
