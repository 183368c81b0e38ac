// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `h1:` hashes of go.sum: of a module's zip, and of its go.mod file.
//!
//! Rules: `Hash1` and `HashZip` of golang.org/x/mod/sumdb/dirhash: SHA-256 over one line a file, sorted by name, each
//! with the file's SHA-256, two spaces, and the name. Names are taken as the bytes that they are.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// The most that a module's files may have together, unpacked: 500 MiB (golang.org/x/mod/zip, `MaxZipFile`).
pub const MAX_UNPACKED: u64 = 500 << 20;

/// The most that a zip's list of files may have. It is held in memory; real ones have some MiB.
const MAX_DIRECTORY: u32 = 32 << 20;

/// The end record of a zip without its comment, and the longest comment.
const END_LEN: usize = 22;
const MAX_COMMENT: u64 = u16::MAX as u64;
const END_SIGNATURE: &[u8] = b"PK\x05\x06";

/// An `h1:` hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct H1([u8; 32]);

/// Why a zip has no hash.
#[derive(Debug, thiserror::Error)]
pub enum DirHashError {
    /// It cannot be read.
    #[error("reading the module zip: {0}")]
    Read(#[from] io::Error),
    /// It is no zip, or damaged.
    #[error("the module zip is damaged, fetch it again: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// It breaks a rule that every module zip keeps.
    #[error("not a module zip: {0}")]
    Refused(&'static str),
}

impl H1 {
    /// Reads the form of go.sum, `h1:` and base64; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("h1:")?).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The hash of a go.mod file, as go.sum has it for `VERSION/go.mod`.
    pub fn of_go_mod(content: &[u8]) -> Self {
        let mut summary = Sha256::new();
        add_line(&mut summary, &Sha256::digest(content), b"go.mod");
        Self(summary.finalize().into())
    }

    /// The hash of a module's zip. Memory is bounded by the zip's list of files (32 MiB of it at most); contents are
    /// streamed. The checksums inside the zip are checked on the way.
    pub fn of_zip(mut zip: impl Read + Seek) -> Result<Self, DirHashError> {
        let listed = check_end(&mut zip)?;
        let mut archive = ZipArchive::new(zip)?;
        if archive.len() != listed {
            return Err(DirHashError::Refused("two of its files have the same name"));
        }
        let mut names = Vec::with_capacity(archive.len());
        for index in 0..archive.len() {
            names.push((archive.by_index_raw(index)?.name_raw().to_vec(), index));
        }
        names.sort_unstable();

        let mut summary = Sha256::new();
        let mut left = MAX_UNPACKED;
        let mut buffer = vec![0; 64 << 10];
        for (name, index) in names {
            if name.contains(&b'\n') {
                return Err(DirHashError::Refused("a file's name has a line break"));
            }
            let mut content = Sha256::new();
            let mut file = archive.by_index(index)?;
            loop {
                let read = match file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error.into()),
                };
                left = left
                    .checked_sub(read as u64)
                    .ok_or(DirHashError::Refused("it unpacks to more than 500 MiB"))?;
                content.update(&buffer[..read]);
            }
            add_line(&mut summary, &content.finalize(), &name);
        }
        Ok(Self(summary.finalize().into()))
    }
}

/// The form of go.sum.
impl fmt::Display for H1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "h1:{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for H1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Adds a file's line to the summary.
fn add_line(summary: &mut Sha256, content: &[u8], name: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hex: Vec<u8> = content
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]))
        .collect();
    summary.update(&hex);
    summary.update(b"  ");
    summary.update(name);
    summary.update(b"\n");
}

/// Looks at the record at a zip's end before its list of files is read into memory; gives how many are listed.
fn check_end(zip: &mut (impl Read + Seek)) -> Result<usize, DirHashError> {
    let len = zip.seek(SeekFrom::End(0))?;
    let start = len.saturating_sub(END_LEN as u64 + MAX_COMMENT);
    zip.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    zip.take(END_LEN as u64 + MAX_COMMENT)
        .read_to_end(&mut tail)?;
    // The last record whose comment reaches exactly to the end.
    let end = (0..=tail.len().saturating_sub(END_LEN))
        .rev()
        .filter_map(|at| tail.get(at..))
        .find(|end| {
            end.len() >= END_LEN
                && end.starts_with(END_SIGNATURE)
                && usize::from(number(end, 20)) == end.len() - END_LEN
        })
        .ok_or(DirHashError::Refused(
            "it has no zip end record: it is cut short",
        ))?;
    let size = u32::from(number(end, 12)) | u32::from(number(end, 14)) << 16;
    let listed = number(end, 10);
    if size > MAX_DIRECTORY || listed == u16::MAX {
        return Err(DirHashError::Refused("it lists more files than are taken"));
    }
    Ok(usize::from(listed))
}

/// The little-endian number at this place of the end record.
fn number(end: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([end[at], end[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Cursor, Write};
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn zip(files: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, content) in files {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    const FILES: &[(&str, &[u8])] = &[
        ("example.com/a@v1.0.0/go.mod", b"module example.com/a\n"),
        ("example.com/a@v1.0.0/a.go", b"package a\n"),
    ];

    #[test]
    fn known_hashes() {
        // The hash of an empty go.mod that Go's source names; the zip's by another SHA-256.
        assert_eq!(
            H1::of_go_mod(b"").to_string(),
            "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY="
        );
        for method in [
            zip::CompressionMethod::Stored,
            zip::CompressionMethod::Deflated,
        ] {
            let hash = H1::of_zip(Cursor::new(zip(FILES, method))).unwrap();
            assert_eq!(
                hash.to_string(),
                "h1:WKGCEXVonIBzf8Rfxa1txNoZf8hXmk6l0CpNI8zjCG0="
            );
            assert_eq!(H1::parse(&hash.to_string()), Some(hash));
        }
    }

    #[test]
    fn order_and_packing_do_not_matter_but_every_byte_does() {
        let hash = |files: &[(&str, &[u8])]| {
            H1::of_zip(Cursor::new(zip(files, zip::CompressionMethod::Deflated))).unwrap()
        };
        let reversed: Vec<_> = FILES.iter().copied().rev().collect();
        assert_eq!(hash(FILES), hash(&reversed));
        assert_ne!(hash(FILES), hash(&FILES[..1]));
        assert_ne!(hash(&[("a", b"b")]), hash(&[("b", b"a")]));
    }

    #[test]
    fn cut_and_changed_zips_have_no_hash_of_theirs() {
        let whole = zip(FILES, zip::CompressionMethod::Stored);
        let right = H1::of_zip(Cursor::new(&whole)).unwrap();
        for len in 0..whole.len() {
            assert!(H1::of_zip(Cursor::new(&whole[..len])).is_err(), "{len}");
        }
        let at = whole
            .windows(9)
            .position(|window| window == b"package a")
            .unwrap();
        let mut changed = whole.clone();
        changed[at] = b'P';
        assert!(H1::of_zip(Cursor::new(&changed)).is_err());
        // The last place of the name is the one in the list of files, which counts.
        let name = whole
            .windows(4)
            .rposition(|window| window == b"a.go")
            .unwrap();
        let mut renamed = whole.clone();
        renamed[name] = b'b';
        assert_ne!(H1::of_zip(Cursor::new(&renamed)).ok(), Some(right));
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x80;
            let _ = H1::of_zip(Cursor::new(&changed));
        }
    }

    #[test]
    fn two_files_of_one_name_are_refused() {
        let mut bytes = zip(
            &[("aa", b"1"), ("ab", b"2")],
            zip::CompressionMethod::Stored,
        );
        while let Some(at) = bytes.windows(2).position(|window| window == b"ab") {
            bytes[at + 1] = b'a';
        }
        assert!(matches!(
            H1::of_zip(Cursor::new(bytes)),
            Err(DirHashError::Refused(_))
        ));
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in [
            "",
            "h1:",
            "h2:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=",
            "h1:G7mA",
            "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY",
        ] {
            assert_eq!(H1::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            let _ = H1::of_zip(Cursor::new(bytes));
            let _ = H1::parse(&text);
        }
    }
}
