// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is noted beside a file: the hash that it was verified against, and how it can be recognised cheaply.

use std::fmt;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, PrimitiveDateTime, Time};

use crate::golang::{H1, ModuleVersion};

/// A record is never larger, bytes.
pub(super) const MAX_RECORD: u64 = 1024;

/// The BLAKE3 hash of a file's bytes as they are stored. It's computed at each use, where Go's own hash would have to take
/// a zip to pieces, and SHA-256 takes some times as long.
pub(super) type Digest = blake3::Hash;

/// Three lines of text: `h1:…`, `blake3:…` and `size:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// What go.sum or the checksum database says of the file, and what was computed when it came.
    pub(super) hash: H1,
    /// Of the bytes.
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) size: u64,
}

impl Record {
    /// `None` for anything that [`fmt::Display`] does not write.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes)
            .ok()?
            .strip_suffix('\n')?
            .split('\n');
        let record = Self {
            hash: H1::parse(lines.next()?)?,
            digest: Digest::from_hex(lines.next()?.strip_prefix("blake3:")?).ok()?,
            size: lines.next()?.strip_prefix("size:")?.parse().ok()?,
        };
        lines.next().is_none().then_some(record)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, digest, size } = self;
        writeln!(formatter, "{hash}\nblake3:{digest}\nsize:{size}")
    }
}

/// The `.info` file that a version's name proves: the version, and of a pseudo-version its time. Nothing verifies what
/// a proxy says in its own, so that is not kept.
pub(super) fn info(module: &ModuleVersion) -> String {
    let mut info = serde_json::json!({ "Version": module.version });
    if let Some(time) = pseudo_time(&module.version) {
        info["Time"] = time.into();
    }
    info.to_string()
}

/// The time in a pseudo-version, as RFC 3339 (golang.org/x/mod/module, `PseudoVersionTime`).
fn pseudo_time(version: &str) -> Option<String> {
    let version = version.strip_suffix("+incompatible").unwrap_or(version);
    let (front, revision) = version.rsplit_once('-')?;
    let split = front.len().checked_sub(14)?;
    let (base, digits) = (front.get(..split)?, front.get(split..)?);
    let is_pseudo = (base.ends_with(".0.0-") && base.matches('.').count() == 2)
        || base.ends_with("-0.")
        || base.ends_with(".0.");
    if !is_pseudo || revision.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let date = Date::parse(&digits[..8], format_description!("[year][month][day]")).ok()?;
    let time = Time::parse(&digits[8..], format_description!("[hour][minute][second]")).ok()?;
    PrimitiveDateTime::new(date, time)
        .assume_utc()
        .format(&Rfc3339)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            hash: H1::of_go_mod(b"module m\n"),
            digest: blake3::hash(b"module m\n"),
            size: 9,
        };
        let text = record.to_string();
        assert_eq!(Record::parse(text.as_bytes()), Some(record));
        assert!(text.len() as u64 <= MAX_RECORD);
        for end in 0..text.len() {
            assert_eq!(Record::parse(&text.as_bytes()[..end]), None, "{end}");
        }
        assert_eq!(Record::parse(format!("{text}\n").as_bytes()), None);
    }

    #[test]
    fn info_says_what_the_version_says() {
        let info = |version: &str| {
            info(&ModuleVersion {
                path: "example.com/m".to_owned(),
                version: version.to_owned(),
            })
        };
        for version in [
            "v1.2.3",
            "v2.0.0+incompatible",
            "v1.0.0-rc.1",
            "v0.0.1-go1.27.3.linux-amd64",
            "v1.2.3-20200102030405-abcdefabcdef",
            "v0.0.0-20201302030405-abcdefabcdef",
        ] {
            assert_eq!(info(version), format!("{{\"Version\":\"{version}\"}}"));
        }
        for version in [
            "v0.0.0-20200102030405-abcdefabcdef",
            "v1.2.4-0.20200102030405-abcdefabcdef",
            "v1.2.3-rc.1.0.20200102030405-abcdefabcdef",
            "v2.0.1-0.20200102030405-abcdefabcdef+incompatible",
        ] {
            let expected =
                format!("{{\"Version\":\"{version}\",\"Time\":\"2020-01-02T03:04:05Z\"}}");
            assert_eq!(info(version), expected);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_input_never_panics(bytes in any::<Vec<u8>>(), version in "v[0-9.]{1,9}-.{0,40}") {
            let _ = Record::parse(&bytes);
            let _ = pseudo_time(&version);
        }
    }
}
