// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hash that ties the shipped kernel object to its sources, and the manifest that records it.
//!
//! Compiled twice: as a module of `xtask`, which writes the manifest, and of `gomod-userspace/build.rs`, which
//! refuses a stale object. So it needs nothing but `sha2` and `serde_json`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Every file and folder (relative to the workspace) that the kernel object is made from.
pub(crate) const INPUTS: [&str; 5] = [
    "gomod-ebpf/Cargo.toml",
    "gomod-ebpf/Cargo.lock",
    "gomod-ebpf/src",
    "gomod-ebpf-common/Cargo.toml",
    "gomod-ebpf-common/src",
];

/// The object that ships, relative to the workspace.
pub(crate) const OBJECT: &str = "gomod-ebpf/prebuilt/gomod-ebpf.o";

/// What the object was made from and with, relative to the workspace.
pub(crate) const MANIFEST: &str = "gomod-ebpf/prebuilt/manifest.json";

/// Hash of all [`INPUTS`] below `workspace`: for each file in the order of its relative path, the length of the path
/// (8 bytes, little endian), the path with `/`, the length of the content, the content as it lies on disk.
///
/// # Errors
/// The first file that can't be read, with its path.
pub(crate) fn sources_sha256(workspace: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for input in INPUTS {
        collect(workspace, PathBuf::from(input), &mut files)?;
    }
    let mut files = files
        .into_iter()
        .map(|path| Ok((slashed(&path)?, path)))
        .collect::<io::Result<Vec<_>>>()?;
    files.sort();
    let mut hash = Sha256::new();
    for (name, path) in files {
        let content = fs::read(workspace.join(&path)).map_err(|error| name_path(&error, &path))?;
        frame(&mut hash, name.as_bytes());
        frame(&mut hash, &content);
    }
    Ok(hex(&hash.finalize()))
}

/// Hash of one file's content.
pub(crate) fn bytes_sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Is the object in `prebuilt/` the one that belongs to the sources? Gives the object's content, or one line that
/// says what is wrong with it.
pub(crate) fn fresh_object(workspace: &Path) -> Result<Vec<u8>, String> {
    let manifest = fs::read_to_string(workspace.join(MANIFEST))
        .map_err(|error| format!("{MANIFEST}: {error}"))?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)
        .map_err(|error| format!("{MANIFEST} is not JSON: {error}"))?;
    let recorded = |key: &str| {
        manifest
            .get(key)
            .and_then(serde_json::Value::as_str)
            .ok_or_else(|| format!("{MANIFEST} has no \"{key}\""))
    };
    let sources = sources_sha256(workspace).map_err(|error| error.to_string())?;
    if recorded("sources_sha256")? != sources {
        return Err(format!(
            "{OBJECT} was built from other sources than those in gomod-ebpf and gomod-ebpf-common"
        ));
    }
    let object = fs::read(workspace.join(OBJECT)).map_err(|error| format!("{OBJECT}: {error}"))?;
    if recorded("object_sha256")? != bytes_sha256(&object) {
        return Err(format!(
            "{OBJECT} is not the file that {MANIFEST} describes"
        ));
    }
    Ok(object)
}

fn collect(workspace: &Path, relative: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let full = workspace.join(&relative);
    let metadata = fs::metadata(&full).map_err(|error| name_path(&error, &relative))?;
    if !metadata.is_dir() {
        files.push(relative);
        return Ok(());
    }
    for entry in fs::read_dir(&full).map_err(|error| name_path(&error, &relative))? {
        let entry = entry.map_err(|error| name_path(&error, &relative))?;
        collect(workspace, relative.join(entry.file_name()), files)?;
    }
    Ok(())
}

/// Lengths in front keep two different trees from giving the same stream of bytes.
fn frame(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn slashed(path: &Path) -> io::Result<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/")).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: the file's name is not UTF-8", path.display()),
        )
    })
}

fn name_path(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace in the temporary directory, gone when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir()
                .join(format!("gomod-trace-hash-{}-{name}", std::process::id()));
            let scratch = Self(root);
            scratch.write("gomod-ebpf/Cargo.toml", "[package]\n");
            scratch.write("gomod-ebpf/Cargo.lock", "version = 4\n");
            scratch.write("gomod-ebpf/src/main.rs", "main");
            scratch.write("gomod-ebpf/src/net/dns.rs", "dns");
            scratch.write("gomod-ebpf-common/Cargo.toml", "[package]\n");
            scratch.write("gomod-ebpf-common/src/lib.rs", "lib");
            scratch
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn hash(&self) -> String {
            sources_sha256(&self.0).unwrap()
        }

        fn write_manifest(&self) {
            self.write(OBJECT, "object");
            let (sources, object) = (self.hash(), bytes_sha256(b"object"));
            self.write(
                MANIFEST,
                &format!(r#"{{"sources_sha256":"{sources}","object_sha256":"{object}"}}"#),
            );
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone_anyway = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_hash_is_that_of_the_framed_stream() {
        let scratch = Scratch::new("framed");
        let mut stream = Vec::new();
        for (path, content) in [
            ("gomod-ebpf-common/Cargo.toml", "[package]\n"),
            ("gomod-ebpf-common/src/lib.rs", "lib"),
            ("gomod-ebpf/Cargo.lock", "version = 4\n"),
            ("gomod-ebpf/Cargo.toml", "[package]\n"),
            ("gomod-ebpf/src/main.rs", "main"),
            ("gomod-ebpf/src/net/dns.rs", "dns"),
        ] {
            for part in [path, content] {
                stream.extend((part.len() as u64).to_le_bytes());
                stream.extend(part.as_bytes());
            }
        }
        assert_eq!(scratch.hash(), bytes_sha256(&stream));
    }

    #[test]
    fn moving_bytes_between_files_changes_the_hash() {
        let scratch = Scratch::new("moved");
        let before = scratch.hash();
        scratch.write("gomod-ebpf/src/main.rs", "maindns");
        scratch.write("gomod-ebpf/src/net/dns.rs", "");
        assert_ne!(scratch.hash(), before);
    }

    #[test]
    fn line_ends_names_and_new_files_count_and_prebuilt_does_not() {
        let scratch = Scratch::new("counts");
        let before = scratch.hash();
        scratch.write("gomod-ebpf/prebuilt/gomod-ebpf.o", "anything");
        assert_eq!(scratch.hash(), before);
        scratch.write("gomod-ebpf/Cargo.toml", "[package]\r\n");
        let crlf = scratch.hash();
        assert_ne!(crlf, before);
        scratch.write("gomod-ebpf/src/empty.rs", "");
        assert_ne!(scratch.hash(), crlf);
    }

    #[test]
    fn a_missing_input_is_named() {
        let scratch = Scratch::new("missing");
        fs::remove_file(scratch.0.join("gomod-ebpf/Cargo.lock")).unwrap();
        let error = sources_sha256(&scratch.0).unwrap_err();
        assert!(
            error.to_string().starts_with("gomod-ebpf/Cargo.lock: "),
            "{error}"
        );
    }

    #[test]
    fn the_empty_digest_is_the_published_one() {
        assert_eq!(
            bytes_sha256(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn a_matching_manifest_gives_the_object() {
        let scratch = Scratch::new("fresh");
        scratch.write_manifest();
        assert_eq!(fresh_object(&scratch.0).unwrap(), b"object");
    }

    #[test]
    fn changed_sources_make_the_object_stale() {
        let scratch = Scratch::new("stale");
        scratch.write_manifest();
        scratch.write("gomod-ebpf-common/src/lib.rs", "lib 2");
        assert!(
            fresh_object(&scratch.0)
                .unwrap_err()
                .contains("other sources")
        );
    }

    #[test]
    fn another_object_than_the_recorded_one_is_refused() {
        let scratch = Scratch::new("object");
        scratch.write_manifest();
        scratch.write(OBJECT, "objecT");
        assert!(
            fresh_object(&scratch.0)
                .unwrap_err()
                .contains("is not the file")
        );
    }

    #[test]
    fn a_missing_or_broken_manifest_is_one_line() {
        let scratch = Scratch::new("broken");
        assert!(fresh_object(&scratch.0).unwrap_err().starts_with(MANIFEST));
        for content in ["{", "{}", "[]", r#"{"sources_sha256":7}"#] {
            scratch.write(MANIFEST, content);
            let error = fresh_object(&scratch.0).unwrap_err();
            assert!(
                error.starts_with(MANIFEST) && !error.contains('\n'),
                "{error}"
            );
        }
    }
}
