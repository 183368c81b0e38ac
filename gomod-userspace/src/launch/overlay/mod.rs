// SPDX-License-Identifier: MIT OR Apache-2.0
//! A certificate that the command trusts, and nobody else, for as long as it runs.
//!
//! The command gets a mount namespace of its own, in which one of the files its Go reads is covered by a copy with our
//! certificate in front. Nothing on disk changes, no other process sees it, and it goes with the command's last process.
//! A file of the same name that is later renamed over the original uncovers it: then the command no longer knows our
//! certificate.

mod error;
mod mount;
mod reader;
mod rehearse;
mod store;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use error::{OverlayError, OverlayStep};
pub(super) use mount::Refusal;
pub use store::TrustStore;

use store::{Place, StoreFile};

/// The plan of an overlay, complete before fork.
#[derive(Debug)]
pub struct TrustOverlay {
    target: Place,
    target_c: CString,
    /// The target is an empty directory that the file is to appear in.
    into_directory: bool,
    content: Vec<u8>,
}

impl TrustOverlay {
    /// Chooses the file to cover and composes what covers it.
    ///
    /// It is the bundle if there is one, else the first certificate file of the directories, else an empty bundle, else
    /// an empty directory. A file that exists but holds no certificate is never covered: the variables may name anything.
    ///
    /// # Errors
    /// [`OverlayError::NotACertificate`], [`OverlayError::NoPlace`].
    pub fn plan(store: &TrustStore, certificate_pem: &[u8]) -> Result<Self, OverlayError> {
        if !certificate_pem.starts_with(b"-----BEGIN CERTIFICATE-----") {
            return Err(OverlayError::NotACertificate);
        }
        let file = store
            .all()
            .find(|file| file.has_certificates())
            .or_else(|| store.bundle.iter().find(|file| file.content.is_empty()));
        let (target, into_directory) = match file {
            Some(file) => (&file.place, false),
            None => match store.empty_directories.first() {
                Some(directory) => (directory, true),
                None => {
                    return Err(OverlayError::NoPlace {
                        looked_at: store.looked_at.clone(),
                    });
                }
            },
        };
        let target_c = CString::new(target.path.as_os_str().as_bytes()).map_err(|_| {
            OverlayError::NoPlace {
                looked_at: store.looked_at.clone(),
            }
        })?;
        Ok(Self {
            target: target.clone(),
            target_c,
            into_directory,
            content: compose(certificate_pem, file),
        })
    }

    /// What is covered: a file, or an empty directory.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target.path
    }
}

/// Ours comes first: a bundle that ends in the middle of a certificate would swallow what follows.
fn compose(certificate_pem: &[u8], file: Option<&StoreFile>) -> Vec<u8> {
    let bundle = file.map_or(&[][..], |file| &file.content);
    let mut content = Vec::with_capacity(certificate_pem.len() + 1 + bundle.len());
    content.extend_from_slice(certificate_pem);
    if !certificate_pem.ends_with(b"\n") {
        content.push(b'\n');
    }
    content.extend_from_slice(bundle);
    content
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const OURS: &[u8] = b"-----BEGIN CERTIFICATE-----\nb3Vycw==\n-----END CERTIFICATE-----";
    const THEIRS: &[u8] = b"-----BEGIN CERTIFICATE-----\ndGhlaXJz\n-----END CERTIFICATE-----\n";

    fn place(path: &str) -> Place {
        Place {
            path: PathBuf::from(path),
            device: 1,
            inode: 2,
        }
    }

    fn file(path: &str, content: &[u8]) -> StoreFile {
        StoreFile {
            place: place(path),
            content: content.to_vec(),
        }
    }

    #[test]
    fn the_bundle_is_covered_before_files_of_directories() {
        let store = TrustStore {
            bundle: Some(file("/bundle", THEIRS)),
            others: vec![file("/directory/a", THEIRS)],
            ..TrustStore::default()
        };
        let plan = TrustOverlay::plan(&store, OURS).unwrap();
        assert_eq!(plan.target(), Path::new("/bundle"));
        assert_eq!(plan.content, [OURS, b"\n", THEIRS].concat());
    }

    #[test]
    fn a_file_without_certificates_is_not_covered() {
        let mut store = TrustStore {
            bundle: Some(file("/etc/hosts", b"127.0.0.1 localhost\n")),
            others: vec![file("/directory/a", THEIRS)],
            ..TrustStore::default()
        };
        let plan = TrustOverlay::plan(&store, OURS).unwrap();
        assert_eq!(plan.target(), Path::new("/directory/a"));
        store.others.clear();
        store.looked_at = vec![PathBuf::from("/etc/hosts")];
        let refused = TrustOverlay::plan(&store, OURS).unwrap_err();
        assert!(refused.to_string().contains("/etc/hosts"), "{refused}");
    }

    #[test]
    fn an_empty_bundle_and_then_an_empty_directory_are_the_last_resort() {
        let mut store = TrustStore {
            bundle: Some(file("/bundle", b"")),
            empty_directories: vec![place("/directory")],
            ..TrustStore::default()
        };
        let plan = TrustOverlay::plan(&store, OURS).unwrap();
        assert_eq!(
            (plan.target(), plan.into_directory),
            (Path::new("/bundle"), false)
        );
        store.bundle = None;
        let plan = TrustOverlay::plan(&store, OURS).unwrap();
        assert_eq!(
            (plan.target(), plan.into_directory),
            (Path::new("/directory"), true)
        );
    }

    #[test]
    fn only_a_certificate_is_added() {
        let refused = TrustOverlay::plan(&TrustStore::default(), b"-----BEGIN PRIVATE KEY-----");
        assert!(matches!(refused, Err(OverlayError::NotACertificate)));
    }
}
