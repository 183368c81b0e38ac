// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which certificate files a Go program reads, by the rule of Go's `crypto/x509/root_unix.go` and `root_linux.go`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::Invoker;
use super::{OverlayError, reader};

/// `certFiles` of `root_linux.go`: the first that can be read is the only one that is.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// `certDirectories` of `root_linux.go`: every file in every one of them is read, whatever the bundle was.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];
/// What of one file is taken; whole distribution bundles are 200 to 500 KiB.
const FILE_LIMIT: u64 = 16 << 20;
/// What of all files together is taken.
const TOTAL_LIMIT: usize = 64 << 20;
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What the command's Go trusts without us. Read with the command's own rights: no file is shown to a user who may
/// not read it.
#[derive(Debug, Default)]
pub struct TrustStore {
    pub(super) bundle: Option<StoreFile>,
    pub(super) others: Vec<StoreFile>,
    /// Directories that are read and have no entry at all.
    pub(super) empty_directories: Vec<Place>,
    /// Everything that was looked at, for errors.
    pub(super) looked_at: Vec<PathBuf>,
}

/// A file of the store.
#[derive(Debug)]
pub(super) struct StoreFile {
    pub(super) place: Place,
    pub(super) content: Vec<u8>,
}

/// A file or directory, named so that another that takes its path later is not mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Free of symbolic links.
    pub(super) path: PathBuf,
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl Place {
    fn new(path: PathBuf, metadata: &fs::Metadata) -> Self {
        Self {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

impl StoreFile {
    pub(super) fn has_certificates(&self) -> bool {
        self.content
            .windows(BEGIN.len())
            .any(|window| window == BEGIN)
    }

    /// Reads a regular file and no other: opening a pipe or a device may have effects.
    fn read(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let regular = |metadata: &fs::Metadata| {
            if metadata.is_file() && metadata.len() <= FILE_LIMIT {
                Ok(())
            } else {
                Err(io::Error::from(io::ErrorKind::InvalidInput))
            }
        };
        regular(&fs::symlink_metadata(&path)?)?;
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&path)?;
        let metadata = file.metadata()?;
        regular(&metadata)?;
        let mut content = Vec::new();
        file.take(FILE_LIMIT).read_to_end(&mut content)?;
        Ok(Self {
            place: Place::new(path, &metadata),
            content,
        })
    }
}

impl TrustStore {
    /// Reads it as a Go program with the invoker's environment, identity and working directory (which is ours) would.
    /// What is not a regular file, or larger than 16 MiB, is passed over, and so is what comes after 64 MiB.
    ///
    /// # Errors
    /// [`OverlayError::Identity`] if the files can't be read with the invoker's rights.
    pub fn read(invoker: &Invoker) -> Result<Self, OverlayError> {
        // An empty variable counts as none.
        let variable = |name| invoker.variable(name).filter(|value| !value.is_empty());
        let bundles = match variable("SSL_CERT_FILE") {
            Some(file) => vec![PathBuf::from(file)],
            None => BUNDLES.map(PathBuf::from).to_vec(),
        };
        let directories = match variable("SSL_CERT_DIR") {
            Some(list) => split_at_colons(list),
            None => DIRECTORIES.map(PathBuf::from).to_vec(),
        };
        reader::with_rights_of(invoker, || Self::collect(bundles, directories))
    }

    fn collect(bundles: Vec<PathBuf>, directories: Vec<PathBuf>) -> Self {
        let mut store = Self::default();
        for bundle in &bundles {
            store.bundle = StoreFile::read(bundle).ok();
            if store.bundle.is_some() {
                break;
            }
        }
        for directory in &directories {
            // Without a working path there is nothing to read there, for Go neither.
            let _ = store.add_directory(directory);
        }
        store.looked_at = bundles.into_iter().chain(directories).collect();
        store
    }

    fn add_directory(&mut self, directory: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        if entries.is_empty() {
            let path = fs::canonicalize(directory)?;
            let metadata = fs::symlink_metadata(&path)?;
            self.empty_directories.push(Place::new(path, &metadata));
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut total: usize = self.others.iter().map(|file| file.content.len()).sum();
        for entry in entries {
            if total > TOTAL_LIMIT {
                break;
            }
            // Go takes such a link for the hash-named double of a file of the same directory.
            if fs::read_link(entry.path())
                .is_ok_and(|target| !target.as_os_str().as_bytes().contains(&b'/'))
            {
                continue;
            }
            if let Ok(file) = StoreFile::read(&entry.path())
                && file.has_certificates()
            {
                total += file.content.len();
                self.others.push(file);
            }
        }
        Ok(())
    }

    /// The content of every file, in Go's order: PEM certificates, perhaps among other text, perhaps some of them twice.
    /// Nothing if the command trusts nobody.
    pub fn files(&self) -> impl Iterator<Item = &[u8]> {
        self.all().map(|file| file.content.as_slice())
    }

    /// The bundle that is read, if there is one; symbolic links resolved.
    pub fn bundle(&self) -> Option<&Path> {
        self.bundle.as_ref().map(|file| file.place.path.as_path())
    }

    /// Where certificates were looked for: files, then directories.
    pub fn looked_at(&self) -> &[PathBuf] {
        &self.looked_at
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &StoreFile> {
        self.bundle.iter().chain(&self.others)
    }
}

/// An empty element is Go's directory `""`, which can't be read.
fn split_at_colons(list: &OsStr) -> Vec<PathBuf> {
    list.as_bytes()
        .split(|byte| *byte == b':')
        .map(|element| PathBuf::from(OsStr::from_bytes(element)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

    fn names(store: &TrustStore) -> Vec<String> {
        let name = |file: &StoreFile| {
            let name = file.place.path.file_name().unwrap();
            name.to_string_lossy().into_owned()
        };
        store.all().map(name).collect()
    }

    #[test]
    fn the_first_readable_bundle_and_every_directory_count() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for name in ["one", "two", "none"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        for file in [
            "second.pem",
            "third.pem",
            "one/b.pem",
            "one/a.pem",
            "two/c.pem",
        ] {
            fs::write(root.join(file), CERTIFICATE).unwrap();
        }
        fs::write(root.join("one/README"), "no certificate").unwrap();
        symlink("a.pem", root.join("one/0123abcd.0")).unwrap();
        symlink("../third.pem", root.join("two/linked.pem")).unwrap();
        symlink("nowhere/at-all", root.join("two/broken")).unwrap();
        let store = TrustStore::collect(
            ["missing.pem", "one", "second.pem", "third.pem"]
                .map(|name| root.join(name))
                .to_vec(),
            ["one", "gone", "two", "none"]
                .map(|name| root.join(name))
                .to_vec(),
        );
        assert_eq!(
            names(&store),
            ["second.pem", "a.pem", "b.pem", "c.pem", "third.pem"]
        );
        let empty: Vec<_> = store.empty_directories.iter().map(|it| &it.path).collect();
        assert_eq!(empty, [&root.join("none")]);
        assert_eq!(store.files().count(), 5);
    }

    #[test]
    fn a_pipe_is_not_opened() {
        let root = tempfile::tempdir().unwrap();
        let pipe = root.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let store = TrustStore::collect(vec![pipe], vec![root.path().to_path_buf()]);
        assert_eq!(store.files().count(), 0);
    }

    #[test]
    fn lists_are_split_at_every_colon() {
        let split = split_at_colons(OsStr::new("/a::b/c:"));
        assert_eq!(split, ["/a", "", "b/c", ""].map(PathBuf::from));
    }
}
