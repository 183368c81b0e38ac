// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mounts of a process, as `/proc/PID/mountinfo` lists them (proc(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// Its number, unique while it is mounted.
    pub id: u64,
    /// The file system: major and minor number.
    pub device: (u32, u32),
    /// Which directory of the file system it shows.
    pub root: PathBuf,
    /// Where, relative to the process's root directory.
    pub point: PathBuf,
    /// Type of the file system.
    pub kind: String,
    /// Neither the mount nor the file system is read-only.
    pub writable: bool,
}

/// Reads the list, in its order: of several on one point, the last covers the others.
pub fn mount_points(mountinfo: &[u8]) -> Vec<MountPoint> {
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(mount_point)
        .collect()
}

fn mount_point(line: &[u8]) -> Option<MountPoint> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let separator = words.iter().position(|word| *word == b"-")?;
    let [id, _, device, root, point, options, ..] = words[..] else {
        return None;
    };
    let [kind, _, super_options] = words.get(separator + 1..separator + 4)? else {
        return None;
    };
    let writable = |options: &[u8]| {
        options
            .split(|byte| *byte == b',')
            .any(|option| option == b"rw")
    };
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    Some(MountPoint {
        id: std::str::from_utf8(id).ok()?.parse().ok()?,
        device: (major.parse().ok()?, minor.parse().ok()?),
        root: PathBuf::from(OsString::from_vec(unescape(root))),
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: String::from_utf8_lossy(kind).into_owned(),
        writable: writable(options) && writable(super_options),
    })
}

/// Blanks and backslashes are written as `\` and three octal digits.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn lines_are_read_with_their_escapes_and_others_passed_over() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            50 31 254:16 /a\\040b /mnt ro,nosuid shared:9 master:2 - ext4 /dev/vdb rw\nnonsense\n\n";
        let mounts = mount_points(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].id, mounts[0].writable), (31, true));
        let second = &mounts[1];
        assert_eq!(second.device, (254, 16));
        assert_eq!(second.root, Path::new("/a b"));
        assert_eq!(second.point, Path::new("/mnt"));
        assert_eq!((second.kind.as_str(), second.writable), ("ext4", false));
    }
}
