// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client's mount namespace: the machine's own files, but for resolver, hosts and certificate authorities.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::LabError;
use crate::net::namespace::on_own_thread;

/// The bundles that Go's crypto/x509 looks for on Linux (`root_linux.go`); it takes the first readable one.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Directories that hold nothing a command in the lab needs while the namespace is being furnished.
const STAGES: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];

/// Makes the namespace. `nameservers` in resolv.conf's order, `authority` in PEM.
pub(crate) fn private_mounts(
    nameservers: Vec<IpAddr>,
    authority: String,
) -> Result<Arc<OwnedFd>, LabError> {
    on_own_thread("lab-mounts", move || {
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|error| LabError::setup("unshare(CLONE_NEWNS)", error))?;
        mount_at(
            None,
            Path::new("/"),
            None,
            MsFlags::MS_REC | MsFlags::MS_SLAVE,
        )?;
        let stage = STAGES.map(Path::new).into_iter().find(|path| path.is_dir()).ok_or_else(|| LabError::MissingFile {
            path: STAGES[0].into(),
            remedy: "make that directory; the lab covers it for a moment, in its own mount namespace",
        })?;
        mount_at(
            Some(Path::new("tmpfs")),
            stage,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        )?;

        let mut resolver = String::new();
        for address in nameservers {
            let _ = writeln!(resolver, "nameserver {address}");
        }
        let hosts = format!(
            "127.0.0.1 localhost {name}\n::1 localhost {name}\n",
            name = host_name()
        );
        cover(
            stage,
            "resolv.conf",
            &resolver,
            &existing("/etc/resolv.conf", "create it, empty")?,
        )?;
        for (name, path, text) in [
            ("hosts", "/etc/hosts", hosts),
            ("nsswitch.conf", "/etc/nsswitch.conf", switch()),
        ] {
            if let Ok(target) = fs::canonicalize(path) {
                cover(stage, name, &text, &target)?;
            }
        }
        let mut bundles = BUNDLES
            .iter()
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect::<Vec<PathBuf>>();
        bundles.sort();
        bundles.dedup();
        if bundles.is_empty() {
            return Err(LabError::MissingFile {
                path: BUNDLES[0].into(),
                remedy: "install the package ca-certificates",
            });
        }
        for bundle in &bundles {
            cover(stage, "authority.pem", &authority, bundle)?;
        }
        // The files live on through their bind mounts; the stage is uncovered again.
        umount2(stage, MntFlags::MNT_DETACH)
            .map_err(|error| LabError::setup(format!("umount2({})", stage.display()), error))?;
        let namespace = File::open("/proc/thread-self/ns/mnt")
            .map_err(|error| LabError::setup("open /proc/thread-self/ns/mnt", error))?;
        Ok(Arc::new(namespace.into()))
    })
}

/// Writes `text` on the staging file system and binds it over `target`.
fn cover(stage: &Path, name: &str, text: &str, target: &Path) -> Result<(), LabError> {
    let file = stage.join(name);
    fs::write(&file, text)
        .map_err(|error| LabError::setup(format!("write {}", file.display()), error))?;
    mount_at(Some(&file), target, None, MsFlags::MS_BIND)
}

fn mount_at(
    source: Option<&Path>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
) -> Result<(), LabError> {
    mount(source, target, kind, flags, None::<&str>).map_err(|error| {
        LabError::setup(
            format!("mount over {} in a private namespace", target.display()),
            error,
        )
    })
}

fn existing(path: &str, remedy: &'static str) -> Result<PathBuf, LabError> {
    fs::canonicalize(path).map_err(|_: io::Error| LabError::MissingFile {
        path: path.into(),
        remedy,
    })
}

/// The machine's name, which `sudo` looks up.
fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The machine's name service switch, with the lab's way to look up hosts.
fn switch() -> String {
    let own = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let mut text = own
        .lines()
        .filter(|line| !line.trim_start().starts_with("hosts:"))
        .fold(String::new(), |text, line| text + line + "\n");
    text.push_str("hosts: files dns\n");
    text
}
