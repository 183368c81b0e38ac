// SPDX-License-Identifier: MIT OR Apache-2.0
//! Build info in a small hand-made ELF file.

use super::*;
use proptest::prelude::*;
use std::io::Write;

const MODULE_INFO: &[u8] = b"0123456789abcdefpath\tcmd/go\nbuild\t-compiler=gc\n0123456789abcdef";
const BASE: u64 = 0x40_0000;
const CONTENT_AT: u64 = 64 + 56;

/// A 64-bit ELF with one segment that maps the file at [`BASE`], and the section.
fn elf(content: &[u8], section: &str) -> Vec<u8> {
    let names = format!("\0{section}\0.shstrtab\0");
    let names_at = CONTENT_AT + content.len() as u64;
    let headers_at = names_at + names.len() as u64;
    let mut file = Vec::new();
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [BASE, 64, headers_at] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&[0; 4]);
    for half in [64u16, 56, 1, 64, 3, 2] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(&[1, 0, 0, 0, 4, 0, 0, 0]);
    for word in [0, BASE, BASE, headers_at, headers_at, 4096] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(content);
    file.extend_from_slice(names.as_bytes());
    let mut section_header = |name: u32, kind: u32, offset: u64, size: u64| {
        file.extend_from_slice(&name.to_le_bytes());
        file.extend_from_slice(&kind.to_le_bytes());
        for word in [0, BASE + offset, offset, size, 0, 1, 0] {
            file.extend_from_slice(&word.to_le_bytes());
        }
    };
    section_header(0, 0, 0, 0);
    section_header(1, 1, CONTENT_AT, content.len() as u64);
    section_header(section.len() as u32 + 2, 3, names_at, names.len() as u64);
    file
}

fn inline() -> Vec<u8> {
    let mut content = MAGIC.to_vec();
    content.extend_from_slice(&[8, FLAG_INLINE]);
    content.resize(INLINE_AT, 0);
    content.push(8);
    content.extend_from_slice(b"go1.27.3");
    content.push(MODULE_INFO.len() as u8);
    content.extend_from_slice(MODULE_INFO);
    content
}

fn pointers() -> Vec<u8> {
    let mut content = MAGIC.to_vec();
    content.extend_from_slice(&[8, 0]);
    let start = BASE + CONTENT_AT;
    let (strings, text) = (start + 32, start + 64);
    for word in [
        strings,
        strings + 16,
        text,
        8,
        text + 8,
        MODULE_INFO.len() as u64,
    ] {
        content.extend_from_slice(&word.to_le_bytes());
    }
    content.extend_from_slice(b"go1.17.1");
    content.extend_from_slice(MODULE_INFO);
    content
}

#[test]
fn reads_the_inline_form() {
    let info = BuildInfo::parse(&elf(&inline(), ".go.buildinfo")).unwrap();
    assert_eq!(
        (info.go_version.as_str(), info.path.as_deref()),
        ("go1.27.3", Some("cmd/go"))
    );
    assert!(info.is_go_command());
}

#[test]
fn reads_the_pointer_form() {
    let info = BuildInfo::parse(&elf(&pointers(), ".go.buildinfo")).unwrap();
    assert_eq!(
        (info.go_version.as_str(), info.path.as_deref()),
        ("go1.17.1", Some("cmd/go"))
    );
}

#[test]
fn reads_from_a_file() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&elf(&inline(), ".go.buildinfo")).unwrap();
    assert!(BuildInfo::read(&file).unwrap().is_go_command());
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(
        BuildInfo::parse(b"#!/bin/sh\n"),
        Err(BuildInfoError::NotElf)
    );
    assert_eq!(
        BuildInfo::parse(&elf(&inline(), ".text")),
        Err(BuildInfoError::NotGo)
    );
    assert!(matches!(
        BuildInfo::parse(&elf(b"short", ".go.buildinfo")),
        Err(BuildInfoError::Malformed { .. })
    ));
}

proptest! {
    #[test]
    fn changed_files_never_panic(changes in proptest::collection::vec((0usize..600, any::<u8>()), 0..6), len in 0usize..700) {
        for content in [inline(), pointers()] {
            let mut file = elf(&content, ".go.buildinfo");
            for (at, byte) in &changes {
                let at = at % file.len();
                file[at] = *byte;
            }
            file.truncate(len);
            let _ = BuildInfo::parse(&file);
        }
    }
}
