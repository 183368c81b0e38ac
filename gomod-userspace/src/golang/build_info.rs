// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which Go built an executable, and what it is: the `.go.buildinfo` section that the Go linker writes.
//!
//! Source: debug/buildinfo in Go's standard library. The section starts with 14 bytes of magic, the pointer size and
//! flags. Flag 2 (Go 1.18 and newer): two length-prefixed strings follow at byte 32. Else (older): at byte 16 stand
//! two addresses of Go strings in the data segment. The first string is the version, the second the module info.

use std::fs::File;

use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endian, Endianness, FileKind, ReadCache, ReadRef, elf};

const SECTION: &[u8] = b".go.buildinfo";
const MAGIC: &[u8] = b"\xff Go buildinf:";
const FLAGS_AT: usize = 15;
const FLAG_BIG_ENDIAN: u8 = 1;
const FLAG_INLINE: u8 = 2;
const POINTERS_AT: usize = 16;
const INLINE_AT: usize = 32;

/// How much of the section, or of one string, is read: real ones have hundreds of bytes to some ten KiB.
const MAX_LEN: u64 = 1 << 20;

/// The module info stands between two sentinels of this size.
const SENTINEL_LEN: usize = 16;

/// What the Go linker wrote about an executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// The Go version, such as `go1.27.3`.
    pub go_version: String,
    /// The path of the main package (`cmd/go` for the go command); `None` if it was built without modules.
    pub path: Option<String>,
}

/// Why there is no build info.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildInfoError {
    /// No ELF file.
    #[error("not an ELF executable")]
    NotElf,
    /// An ELF file that Go did not build.
    #[error("no .go.buildinfo section: not built by Go, or its section headers were stripped")]
    NotGo,
    /// The file ends early or points outside of itself.
    #[error("malformed Go executable: {what}")]
    Malformed {
        /// What could not be read.
        what: &'static str,
    },
}

impl BuildInfo {
    /// Reads an executable's build info; only headers and the section are read. The file's offset is moved.
    pub fn read(file: &File) -> Result<Self, BuildInfoError> {
        let cache = ReadCache::new(file);
        Self::from_data(&cache)
    }

    /// Reads the build info of an executable in memory.
    pub fn parse(executable: &[u8]) -> Result<Self, BuildInfoError> {
        Self::from_data(executable)
    }

    /// Whether this is the `go` command.
    pub fn is_go_command(&self) -> bool {
        self.path.as_deref() == Some("cmd/go")
    }

    fn from_data<'data, R: ReadRef<'data>>(data: R) -> Result<Self, BuildInfoError> {
        match FileKind::parse(data) {
            Ok(FileKind::Elf64) => from_elf::<elf::FileHeader64<Endianness>, R>(data),
            Ok(FileKind::Elf32) => from_elf::<elf::FileHeader32<Endianness>, R>(data),
            _ => Err(BuildInfoError::NotElf),
        }
    }
}

fn from_elf<'data, Elf, R>(data: R) -> Result<BuildInfo, BuildInfoError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = Elf::parse(data).map_err(|_| BuildInfoError::NotElf)?;
    let endian = header.endian().map_err(|_| BuildInfoError::NotElf)?;
    let sections = header
        .sections(endian, data)
        .map_err(|_| malformed("section headers"))?;
    let (_, section) = sections
        .section_by_name(endian, SECTION)
        .ok_or(BuildInfoError::NotGo)?;
    let (offset, size) = section
        .file_range(endian)
        .ok_or(malformed("section without content"))?;
    let bytes = data
        .read_bytes_at(offset, size.min(MAX_LEN))
        .map_err(|()| malformed("section outside of the file"))?;
    let flags = *bytes.get(FLAGS_AT).ok_or(malformed("section too short"))?;
    if !bytes.starts_with(MAGIC) {
        return Err(malformed("wrong magic"));
    }
    let (version, info) = if flags & FLAG_INLINE != 0 {
        let mut rest = bytes
            .get(INLINE_AT..)
            .ok_or(malformed("section too short"))?;
        let version = inline_string(&mut rest).ok_or(malformed("version string"))?;
        let info = inline_string(&mut rest).ok_or(malformed("module info string"))?;
        (version.to_vec(), info.to_vec())
    } else {
        let endian = if flags & FLAG_BIG_ENDIAN != 0 {
            Endianness::Big
        } else {
            Endianness::Little
        };
        let word = usize::from(bytes[FLAGS_AT - 1]);
        let memory = Memory {
            header,
            data,
            endian,
            word,
        };
        let at = |index: usize| {
            bytes
                .get(POINTERS_AT + index * word..)
                .and_then(|rest| memory.word(rest))
                .ok_or(malformed("string addresses"))
        };
        let version = memory.string(at(0)?).ok_or(malformed("version string"))?;
        (version, memory.string(at(1)?).unwrap_or_default())
    };
    let go_version = String::from_utf8(version).map_err(|_| malformed("version string"))?;
    Ok(BuildInfo {
        go_version,
        path: main_package(&info),
    })
}

fn malformed(what: &'static str) -> BuildInfoError {
    BuildInfoError::Malformed { what }
}

/// A length as base-128 varint, then that many bytes.
fn inline_string<'data>(rest: &mut &'data [u8]) -> Option<&'data [u8]> {
    let mut length = 0u64;
    let mut shift = 0;
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        length |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
    let (string, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(string)
}

/// The line `path<tab>…` of the module info, sentinels taken off.
fn main_package(info: &[u8]) -> Option<String> {
    let inner = info.get(SENTINEL_LEN..info.len().checked_sub(SENTINEL_LEN)?)?;
    let text = std::str::from_utf8(inner).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("path\t"))
        .map(ToOwned::to_owned)
}

/// The executable's memory as its segments lay it out.
struct Memory<'data, Elf, R> {
    header: &'data Elf,
    data: R,
    /// Byte order of the addresses, from the section's own flags.
    endian: Endianness,
    /// Bytes of an address.
    word: usize,
}

impl<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>> Memory<'data, Elf, R> {
    fn word(&self, bytes: &[u8]) -> Option<u64> {
        match self.word {
            4 => Some(
                self.endian
                    .read_u32(bytes.get(..4)?.try_into().ok()?)
                    .into(),
            ),
            8 => Some(self.endian.read_u64(bytes.get(..8)?.try_into().ok()?)),
            _ => None,
        }
    }

    /// The Go string (address and length) that stands at `address`.
    fn string(&self, address: u64) -> Option<Vec<u8>> {
        let header = self.bytes(address, 2 * self.word as u64)?;
        let length = self.word(&header[self.word..])?;
        if length > MAX_LEN {
            return None;
        }
        self.bytes(self.word(header)?, length).map(<[u8]>::to_vec)
    }

    fn bytes(&self, address: u64, length: u64) -> Option<&'data [u8]> {
        let endian = self.header.endian().ok()?;
        let segments = self.header.program_headers(endian, self.data).ok()?;
        segments
            .iter()
            .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
            .find_map(|segment| {
                let within = address.checked_sub(segment.p_vaddr(endian).into())?;
                let left = Into::<u64>::into(segment.p_filesz(endian)).checked_sub(within)?;
                let offset = Into::<u64>::into(segment.p_offset(endian)).checked_add(within)?;
                (length <= left).then(|| self.data.read_bytes_at(offset, length).ok())?
            })
    }
}

#[cfg(test)]
mod tests;
