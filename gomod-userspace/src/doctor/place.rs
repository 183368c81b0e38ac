// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a cache directory really lies: symbolic links and mounts resolved, as the process sees them that uses it.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat},
    io::Errno,
};

use crate::{
    golang::{CacheFile, CachePlace},
    kernel::events::Pid,
    launch::{MountPoint, mount_points, read_bounded},
};

/// What Go writes into a build cache (`initDefaultCache` of cmd/go/internal/cache): `README` begins so.
const README: &[u8] = b"This directory holds cached build artifacts";

/// The file systems as one process sees them.
#[derive(Debug)]
pub struct FileSystems {
    root: OwnedFd,
    mounts: Vec<MountPoint>,
}

impl FileSystems {
    /// As this process sees them.
    pub fn own() -> io::Result<Self> {
        Self::seen_by("self")
    }

    /// As another process sees them; needs the right to trace it.
    pub fn of(pid: Pid) -> io::Result<Self> {
        Self::seen_by(&pid.to_string())
    }

    fn seen_by(process: &str) -> io::Result<Self> {
        let root = openat(
            CWD,
            format!("/proc/{process}/root"),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mounts = mount_points(&fs::read(format!("/proc/{process}/mountinfo"))?);
        Ok(Self { root, mounts })
    }

    /// Where an absolute path leads. What does not exist yet lies below what does.
    ///
    /// # Errors
    /// Of openat2(2) (Linux 5.6), and if the mount is not one of the process's.
    pub fn place(&self, named: &Path) -> io::Result<CachePlace> {
        let (directory, rest) = self.deepest(named)?;
        let number = directory.as_raw_fd();
        let existing = fs::read_link(format!("/proc/self/fd/{number}"))?;
        let path = below(&existing, &rest);
        let mount = self.mount_of(number)?;
        let from_mount = path.strip_prefix(&mount.point).unwrap_or(&path);
        Ok(CachePlace {
            named: named.to_owned(),
            link: self.is_link(named),
            device: mount.device,
            within: below(&mount.root, from_mount),
            path,
        })
    }

    /// The deepest part of a path that exists, opened, and the rest. A link that leads to what does not exist yet is
    /// followed nevertheless: `go` will.
    fn deepest(&self, named: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        /// As many links as the kernel follows in one path (symlink(7)).
        const LINKS: usize = 40;
        let mut path = named.to_owned();
        for _ in 0..LINKS {
            let (directory, existing, rest) = self.existing_part(&path)?;
            let mut missing = rest.components();
            let Some(name) = missing.next() else {
                return Ok((directory, rest));
            };
            match readlinkat(&directory, name.as_os_str(), Vec::new()) {
                Ok(target) => {
                    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
                    path = existing.join(target).join(missing.as_path());
                }
                Err(_) => return Ok((directory, rest)),
            }
        }
        Err(Errno::LOOP.into())
    }

    fn existing_part(&self, path: &Path) -> io::Result<(OwnedFd, PathBuf, PathBuf)> {
        for existing in path.ancestors() {
            let opened = openat2(
                &self.root,
                existing,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                // Absolute links lead from the process's root directory, not from ours.
                ResolveFlags::IN_ROOT,
            );
            match opened {
                Ok(directory) => {
                    let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
                    return Ok((directory, existing.to_owned(), rest.to_owned()));
                }
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn mount_of(&self, descriptor: i32) -> io::Result<&MountPoint> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"))?;
        let id = info
            .lines()
            .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u64>().ok());
        self.mounts
            .iter()
            .find(|mount| Some(mount.id) == id)
            .ok_or_else(|| io::Error::other("its mount is not among those of the process"))
    }

    fn is_link(&self, named: &Path) -> bool {
        let (Some(parent), Some(name)) = (named.parent(), named.file_name()) else {
            return false;
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(
            &self.root,
            parent,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
        .is_ok_and(|parent| readlinkat(parent.as_fd(), name, Vec::new()).is_ok())
    }
}

/// Joined without the slash that an empty rest would leave at the end.
fn below(directory: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        directory.to_owned()
    } else {
        directory.join(rest)
    }
}

/// The module cache that a file which `go` opened belongs to.
pub fn module_cache_of(path: &Path) -> Option<PathBuf> {
    Some(CacheFile::parse(path.as_os_str().as_bytes())?.modcache)
}

/// A build cache that is this directory, holds it, or lies directly in it, by the README that Go puts there.
pub fn build_cache_around(directory: &Path) -> Option<PathBuf> {
    /// A module cache has an entry for each host of its modules.
    const MOST: usize = 1_000;
    let is_build_cache = |candidate: &Path| {
        read_bounded(&candidate.join("README")).is_ok_and(|text| text.starts_with(README))
    };
    if let Some(found) = directory.ancestors().find(|path| is_build_cache(path)) {
        return Some(found.to_owned());
    }
    fs::read_dir(directory)
        .ok()?
        .take(MOST)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .find(|path| is_build_cache(path))
}

/// The same as another process sees it.
pub fn build_cache_around_of(pid: Pid, directory: &Path) -> Option<PathBuf> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let inside = directory.strip_prefix("/").ok()?;
    let found = build_cache_around(&root.join(inside))?;
    Some(Path::new("/").join(found.strip_prefix(&root).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::golang::Sharing;

    #[test]
    fn links_are_followed_and_what_is_missing_is_appended() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();
        let systems = FileSystems::own().unwrap();
        let place = |path: &str| systems.place(&root.join(path)).unwrap();
        let real = place("real");
        assert!(!real.path.to_string_lossy().ends_with('/'));
        assert_eq!(
            (real.path.as_path(), real.link),
            (root.join("real").as_path(), false)
        );
        let link = place("link");
        assert_eq!((&link.path, link.link), (&real.path, true));
        assert_eq!((link.device, &link.within), (real.device, &real.within));
        assert_eq!(Sharing::between(&link, &real), Some(Sharing::Same));
        let inside = place("link/not/yet");
        assert_eq!(inside.path, root.join("real/not/yet"));
        assert!(!inside.link);
        assert_eq!(
            Sharing::between(&inside, &real),
            Some(Sharing::BuildInModules)
        );
        assert_eq!(Sharing::between(&place("other"), &real), None);
        // It leads to a directory that is still to be made.
        symlink("../absent/b", root.join("real/dangling")).unwrap();
        symlink("real/dangling", root.join("chain")).unwrap();
        let absent = place("chain/c");
        assert_eq!(absent.path, root.join("absent/b/c"));
        symlink("loop", root.join("loop")).unwrap();
        systems.place(&root.join("loop")).unwrap_err();
    }

    #[test]
    fn a_build_cache_is_known_by_what_go_writes_there() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("cache/mod/example.com")).unwrap();
        let text = [README, b" from the Go build system.\n"].concat();
        let modules = root.join("cache/mod");
        fs::write(modules.join("README"), "of somebody else").unwrap();
        assert_eq!(build_cache_around(&modules), None);
        fs::write(root.join("cache/README"), &text).unwrap();
        assert_eq!(build_cache_around(&modules), Some(root.join("cache")));
        fs::write(modules.join("README"), &text).unwrap();
        assert_eq!(build_cache_around(&modules), Some(modules.clone()));
        fs::remove_file(modules.join("README")).unwrap();
        fs::remove_file(root.join("cache/README")).unwrap();
        fs::write(modules.join("example.com/README"), &text).unwrap();
        assert_eq!(
            build_cache_around(&modules),
            Some(modules.join("example.com"))
        );
    }
}
