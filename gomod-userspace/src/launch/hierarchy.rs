// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where cgroup v2 is mounted, and where our own cgroup lies in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::LaunchError;
use super::ancestors::{own_pid, read};
use super::mount_points::{MountPoint, mount_points};

/// The unified hierarchy as this process sees it.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    /// Mount point through which our cgroup is visible (`/sys/fs/cgroup`, or `…/unified` on hybrid systems).
    pub mount: PathBuf,
    /// Directory of the cgroup this process is in.
    pub own: PathBuf,
    /// Our cgroup as `/proc/self/cgroup` names it, relative to the root of our cgroup namespace.
    pub own_path: String,
    /// Depth of our cgroup in the whole hierarchy (the root is 0), as kernel programs count it; `None` where a
    /// cgroup namespace hides it.
    pub own_level: Option<u32>,
}

impl Hierarchy {
    /// Finds our cgroup by `/proc/self/cgroup` and `/proc/self/mountinfo`; a writable mount goes before a read-only one.
    ///
    /// # Errors
    /// [`LaunchError::NoCgroup2`], [`LaunchError::CgroupNotVisible`], [`LaunchError::CgroupReadOnly`], [`LaunchError::Proc`].
    pub fn find() -> Result<Self, LaunchError> {
        let membership = read(own_pid(), "cgroup")?;
        let own_path = unified_path(&membership).ok_or(LaunchError::NoCgroup2)?;
        let mounts = cgroup2_mounts(&read(own_pid(), "mountinfo")?);
        if mounts.is_empty() {
            return Err(LaunchError::NoCgroup2);
        }
        let visible: Vec<_> = mounts
            .iter()
            .filter_map(|mount| {
                Some((
                    mount,
                    mount
                        .point
                        .join(below(&mount.root.to_string_lossy(), &own_path)?),
                ))
            })
            .filter(|(_, directory)| is_cgroup2(directory))
            .collect();
        let Some((mount, own)) = visible.iter().find(|(mount, _)| mount.writable) else {
            return Err(match visible.first() {
                Some((mount, _)) => LaunchError::CgroupReadOnly {
                    mount: mount.point.clone(),
                },
                None => LaunchError::CgroupNotVisible { path: own_path },
            });
        };
        let own_level = level(&mount.point, own, &own_path);
        Ok(Self {
            mount: mount.point.clone(),
            own: own.clone(),
            own_path,
            own_level,
        })
    }
}

/// Inode of the hierarchy's root directory: kernfs numbers it 1.
const ROOT_INODE: u64 = 1;
/// Inode of the initial cgroup namespace (`PROC_CGROUP_INIT_INO`, `include/linux/proc_ns.h`).
const INITIAL_NAMESPACE: &str = "cgroup:[4026531835]";

/// A namespaced path counts from the namespace's root, not from the real one; so the depth is known only if the mount
/// shows the real root, or if we are in the initial namespace.
fn level(mount: &Path, own: &Path, own_path: &str) -> Option<u32> {
    if fs::metadata(mount).is_ok_and(|root| root.ino() == ROOT_INODE) {
        return Some(own.strip_prefix(mount).ok()?.components().count() as u32);
    }
    let namespace = fs::read_link("/proc/self/ns/cgroup").ok()?;
    (namespace.as_os_str() == INITIAL_NAMESPACE).then(|| components(own_path).count() as u32)
}

/// The path of the `0::` line of `/proc/PID/cgroup`.
pub(super) fn unified_path(membership: &[u8]) -> Option<String> {
    String::from_utf8_lossy(membership)
        .lines()
        .find_map(|line| line.strip_prefix("0::").map(str::to_owned))
}

/// Those whose file system is cgroup2; of several on one point, the one that covers the others comes first.
fn cgroup2_mounts(mountinfo: &[u8]) -> Vec<MountPoint> {
    let mut mounts = mount_points(mountinfo);
    mounts.retain(|mount| mount.kind == "cgroup2");
    mounts.reverse();
    mounts
}

/// The way from a mount's root down to a cgroup; `None` if it lies elsewhere, or above the namespace's root, where
/// the names are not known.
fn below(root: &str, path: &str) -> Option<PathBuf> {
    let mut path = components(path);
    for expected in components(root) {
        if path.next() != Some(expected) {
            return None;
        }
    }
    let rest: PathBuf = path.collect();
    (!rest
        .components()
        .any(|part| part == std::path::Component::ParentDir))
    .then_some(rest)
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn is_cgroup2(directory: &Path) -> bool {
    nix::sys::statfs::statfs(directory)
        .is_ok_and(|found| found.filesystem_type() == nix::sys::statfs::CGROUP2_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_and_shadowed_mounts_are_told_apart() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n\
            50 31 0:38 /a\\040b /mnt ro - cgroup2 cgroup2 rw\n";
        let mounts = cgroup2_mounts(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(
            (mounts[0].root.as_path(), mounts[0].writable),
            (Path::new("/a b"), false)
        );
        assert_eq!(
            (mounts[1].point.as_path(), mounts[1].writable),
            (Path::new("/sys/fs/cgroup/unified"), true)
        );
    }

    #[test]
    fn a_cgroup_is_located_below_the_root_of_its_mount() {
        assert_eq!(below("/", "/"), Some(PathBuf::new()));
        assert_eq!(below("/a", "/a/b/c"), Some("b/c".into()));
        assert_eq!(below("/a", "/ab"), None);
        assert_eq!(below("/a/b", "/a"), None);
        // A mount made outside our cgroup namespace, and a cgroup outside of it.
        assert_eq!(below("/..", "/"), None);
        assert_eq!(below("/..", "/../x"), Some("x".into()));
        assert_eq!(below("/", "/../x"), None);
    }

    #[test]
    fn the_unified_line_is_found_among_the_others() {
        assert_eq!(
            unified_path(b"9:name=systemd:/\n0::/user.slice\n").as_deref(),
            Some("/user.slice")
        );
        assert_eq!(unified_path(b"1:cpu:/\n"), None);
    }
}
