// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an executable is linked statically: a static `go` can only use Go's own resolver (package net, "Name
//! Resolution"), a dynamic one may ask the C library's.

use std::fs::File;

use object::read::elf::{FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, ReadCache, ReadRef, elf};

/// How an executable is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linking {
    /// It names no program interpreter.
    Static,
    /// It is started by the dynamic linker.
    Dynamic,
}

impl Linking {
    /// Reads an executable's program headers; `None` if it is no ELF file.
    pub fn read(file: &File) -> Option<Self> {
        Self::of(&ReadCache::new(file))
    }

    fn of<'data, R: ReadRef<'data>>(data: R) -> Option<Self> {
        match FileKind::parse(data).ok()? {
            FileKind::Elf64 => of_elf::<elf::FileHeader64<Endianness>, R>(data),
            FileKind::Elf32 => of_elf::<elf::FileHeader32<Endianness>, R>(data),
            _ => None,
        }
    }
}

fn of_elf<'data, Elf, R>(data: R) -> Option<Linking>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = Elf::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let interpreted = segments
        .iter()
        .any(|segment| segment.p_type(endian) == elf::PT_INTERP);
    Some(if interpreted {
        Linking::Dynamic
    } else {
        Linking::Static
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_asks_for_the_dynamic_linker_and_text_for_nothing() {
        let own = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(Linking::read(&own), Some(Linking::Dynamic));
        let text = File::open("/proc/version").unwrap();
        assert_eq!(Linking::read(&text), None);
    }

    #[test]
    fn an_elf_file_without_interpreter_is_static() {
        // The kernel programs' object has sections and no segments at all.
        let object = include_bytes!("../../../gomod-ebpf/prebuilt/gomod-ebpf.o");
        assert_eq!(Linking::of(object.as_slice()), Some(Linking::Static));
        let mut cut = object[..20].to_vec();
        assert_eq!(Linking::of(cut.as_slice()), None);
        cut.clear();
        assert_eq!(Linking::of(cut.as_slice()), None);
    }
}
