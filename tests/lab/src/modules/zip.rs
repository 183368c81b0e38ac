// SPDX-License-Identifier: MIT OR Apache-2.0
//! Zip archives of stored (uncompressed) entries, as a list of shared pieces: large entries are never copied.

use bytes::Bytes;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// "Version needed": 1.0, the first; enough for stored entries.
const VERSION: u16 = 10;
/// 1980-01-01, the first date a zip can hold.
const DATE: u16 = 0x21;

/// A file of an archive.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) content: Bytes,
}

/// The archive's bytes, in pieces.
pub(crate) fn archive(entries: &[Entry]) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(entries.len() * 2 + 1);
    let mut central = Vec::new();
    let mut offset = 0u32;
    for entry in entries {
        let checksum = crc32fast::hash(&entry.content);
        let mut local = LOCAL.to_le_bytes().to_vec();
        common_fields(&mut local, entry, checksum);
        local.extend_from_slice(entry.name.as_bytes());

        central.extend_from_slice(&CENTRAL.to_le_bytes());
        central.extend_from_slice(&VERSION.to_le_bytes());
        common_fields(&mut central, entry, checksum);
        // No comment, first disk, no attributes.
        central.extend_from_slice(&[0; 10]);
        central.extend_from_slice(&offset.to_le_bytes());
        central.extend_from_slice(entry.name.as_bytes());

        offset += (local.len() + entry.content.len()) as u32;
        pieces.push(Bytes::from(local));
        pieces.push(entry.content.clone());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let size = (central.len() as u32).to_le_bytes();
    central.extend_from_slice(&END.to_le_bytes());
    central.extend_from_slice(&[0; 4]);
    central.extend_from_slice(&count);
    central.extend_from_slice(&count);
    central.extend_from_slice(&size);
    central.extend_from_slice(&offset.to_le_bytes());
    central.extend_from_slice(&[0; 2]);
    pieces.push(Bytes::from(central));
    pieces
}

/// From "version needed" to "extra field length": the same in local and central headers.
fn common_fields(header: &mut Vec<u8>, entry: &Entry, checksum: u32) {
    let size = (entry.content.len() as u32).to_le_bytes();
    header.extend_from_slice(&VERSION.to_le_bytes());
    // UTF-8 names; stored; midnight.
    header.extend_from_slice(&[0, 8, 0, 0, 0, 0]);
    header.extend_from_slice(&DATE.to_le_bytes());
    header.extend_from_slice(&checksum.to_le_bytes());
    header.extend_from_slice(&size);
    header.extend_from_slice(&size);
    header.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
    header.extend_from_slice(&[0; 2]);
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[test]
    fn another_reader_finds_names_and_contents() {
        let entries = [
            ("m@v1.0.0/go.mod", "module m\n"),
            ("m@v1.0.0/a.go", "package m\n"),
        ]
        .map(|(name, text)| Entry {
            name: name.to_owned(),
            content: Bytes::from_static(text.as_bytes()),
        });
        let mut archive = zip::ZipArchive::new(Cursor::new(archive(&entries).concat())).unwrap();
        assert_eq!(archive.len(), 2);
        for entry in &entries {
            let mut content = Vec::new();
            archive
                .by_name(&entry.name)
                .unwrap()
                .read_to_end(&mut content)
                .unwrap();
            assert_eq!(content, entry.content);
        }
    }
}
