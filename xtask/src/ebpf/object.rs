// SPDX-License-Identifier: MIT OR Apache-2.0
//! The finished object: debug information off, everything that aya needs still in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _, SectionKind};

use crate::{process, source_hash};

/// Strips DWARF from `linked` into `stripped` and checks the outcome.
pub(crate) fn strip(linked: &Path, stripped: &Path) -> Result<()> {
    let tool = find_strip()
        .context("no llvm-strip found: install LLVM's tools (Debian: the package llvm), or run with --install")?;
    process::run(
        Command::new(tool)
            .arg("-g")
            .arg("-o")
            .arg(stripped)
            .arg(linked),
    )?;
    let content = fs::read(stripped).with_context(|| stripped.display().to_string())?;
    check(&content).with_context(|| format!("{} cannot be used", stripped.display()))
}

/// Are type information, maps and programs there, and is DWARF gone?
pub(crate) fn check(content: &[u8]) -> Result<()> {
    let file = object::File::parse(content).context("not an ELF object")?;
    if file.architecture() != object::Architecture::Bpf {
        bail!("it is for {:?}, not for BPF", file.architecture());
    }
    let mut programs = 0;
    for section in file.sections() {
        let name = section.name().context("a section has no readable name")?;
        if name.starts_with(".debug_") {
            bail!("debug information ({name}) is still in it");
        }
        programs += usize::from(
            section.kind() == SectionKind::Text && name != ".text" && section.size() > 0,
        );
    }
    let has = |name| {
        file.section_by_name(name)
            .is_some_and(|section| section.size() > 0)
    };
    if !has(".BTF") {
        bail!("it has no .BTF section, which the loader needs");
    }
    // Definitions as plain structs, or as BTF types.
    if !has("maps") && !has(".maps") {
        bail!("it has no map definitions, which the loader needs");
    }
    if programs == 0 {
        bail!("it has no program");
    }
    Ok(())
}

/// How two objects differ, for the message of a failed comparison.
pub(crate) fn difference(shipped: &[u8], rebuilt: &[u8]) -> String {
    let (Ok(shipped_file), Ok(rebuilt_file)) =
        (object::File::parse(shipped), object::File::parse(rebuilt))
    else {
        return "one of them is not an ELF object".to_owned();
    };
    let changed: Vec<&str> = rebuilt_file
        .sections()
        .filter_map(|section| {
            let name = section.name().ok()?;
            let same = shipped_file
                .section_by_name(name)
                .is_some_and(|other| other.data().ok() == section.data().ok());
            (!same).then_some(name)
        })
        .collect();
    format!(
        "shipped {} ({} bytes), rebuilt {} ({} bytes), different sections: {}",
        source_hash::bytes_sha256(shipped),
        shipped.len(),
        source_hash::bytes_sha256(rebuilt),
        rebuilt.len(),
        if changed.is_empty() {
            "none".to_owned()
        } else {
            changed.join(" ")
        }
    )
}

/// Debian installs each LLVM below its own prefix: take the newest, else what `PATH` has.
fn find_strip() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib")
        .ok()
        .into_iter()
        .flatten()
        .flatten();
    let newest = installed
        .filter_map(|entry| {
            let major: u32 = entry
                .file_name()
                .to_str()?
                .strip_prefix("llvm-")?
                .parse()
                .ok()?;
            Some((major, entry.path().join("bin/llvm-strip")))
        })
        .filter(|(_, path)| process::is_executable(path))
        .max();
    newest
        .map(|(_, path)| path)
        .or_else(|| process::find_on_path("llvm-strip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bpf_object_is_refused() {
        assert!(check(b"not an object").is_err());
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check(&own).unwrap_err().to_string().contains("not for BPF"));
    }
}
