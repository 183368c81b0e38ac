// SPDX-License-Identifier: MIT OR Apache-2.0
//! Versions of Go itself and their order. Rules: internal/gover in Go's standard library.

use std::cmp::Ordering;

/// A version such as `1.27.3`, `1.28rc1` or, as a language version, `1.27`.
///
/// `1.21 < 1.21rc1 < 1.21.0`: since 1.21 a version without its third number is the language, older than any release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoVersion {
    text: String,
    major: u64,
    minor: u64,
    /// `None`: a language version or a prerelease, both older than release 0.
    patch: Option<u64>,
    /// `alpha`, `beta`, `rc` and its number.
    prerelease: Option<(String, u64)>,
}

impl GoVersion {
    /// Reads a version without `go` before it, as in a `go` line.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, rest) = number(text)?;
        let version = |minor, patch, prerelease| Self {
            text: text.to_owned(),
            major,
            minor,
            patch,
            prerelease,
        };
        if rest.is_empty() {
            return Some(version(0, Some(0), None));
        }
        let (minor, rest) = number(rest.strip_prefix('.')?)?;
        if rest.is_empty() {
            // Before 1.21 the release without a third number was the first one.
            return Some(version(minor, (minor < 21).then_some(0), None));
        }
        if let Some(rest) = rest.strip_prefix('.') {
            let (patch, rest) = number(rest)?;
            return rest.is_empty().then(|| version(minor, Some(patch), None));
        }
        let digits = rest.find(|letter: char| letter.is_ascii_digit());
        let (kind, rest) = rest.split_at(digits.unwrap_or(rest.len()));
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        let (pre, rest) = if rest.is_empty() {
            (0, "")
        } else {
            number(rest)?
        };
        rest.is_empty()
            .then(|| version(minor, None, Some((kind.to_owned(), pre))))
    }

    /// Reads a toolchain name such as `go1.27.3` or `go1.27.3-custom`.
    pub fn of_toolchain(name: &str) -> Option<Self> {
        let version = name.strip_prefix("go")?;
        if name.contains(['/', '\\']) {
            return None;
        }
        Self::parse(version.split([' ', '\t', '-']).next()?)
    }

    /// Which one is older; `1.20` and `1.20.0` are the same release.
    pub fn compare(&self, other: &Self) -> Ordering {
        let key = |version: &Self| (version.major, version.minor, version.patch);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.prerelease.cmp(&other.prerelease))
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is at least this language version, prereleases included.
    pub fn is_at_least(&self, major: u64, minor: u64) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// The first toolchain that has this version: `go1.22.0` for the language `1.22`.
    pub fn toolchain(&self) -> String {
        let language = self.patch.is_none() && self.prerelease.is_none();
        let suffix = if language && self.is_at_least(1, 21) {
            ".0"
        } else {
            ""
        };
        format!("go{}{suffix}", self.text)
    }
}

/// A decimal number without needless zeros, and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_ordered() {
        let order = [
            "1.20rc1",
            "1.20",
            "1.20.1",
            "1.21",
            "1.21alpha",
            "1.21beta1",
            "1.21beta2",
            "1.21rc1",
            "1.21.0",
            "1.21.9",
            "1.21.10",
            "1.27.3",
            "2",
        ];
        for pair in order.windows(2) {
            let [old, new] = [pair[0], pair[1]].map(|text| GoVersion::parse(text).unwrap());
            assert_eq!(
                old.compare(&new),
                Ordering::Less,
                "{} < {}",
                old.as_str(),
                new.as_str()
            );
        }
        assert_eq!(
            GoVersion::parse("1.20")
                .unwrap()
                .compare(&GoVersion::parse("1.20.0").unwrap()),
            Ordering::Equal
        );
    }

    #[test]
    fn toolchains_have_three_numbers() {
        for (text, name) in [
            ("1.22", "go1.22.0"),
            ("1.22.1", "go1.22.1"),
            ("1.23rc1", "go1.23rc1"),
            ("1.20", "go1.20"),
        ] {
            assert_eq!(GoVersion::parse(text).unwrap().toolchain(), name);
        }
        assert_eq!(
            GoVersion::of_toolchain("go1.27.3-corp x").unwrap().as_str(),
            "1.27.3"
        );
        for wrong in [
            "1.27.3",
            "go",
            "go1.2.3.4",
            "go1.02",
            "go1.2.3rc1",
            "../go1.2",
            "go1.2/x",
            "default",
        ] {
            assert_eq!(GoVersion::of_toolchain(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), like in "[0-9.rcbeta]{0,20}") {
            for text in [text, like] {
                if let Some(version) = GoVersion::parse(&text) {
                    prop_assert!(GoVersion::of_toolchain(&version.toolchain()).is_some());
                }
            }
        }
    }
}
