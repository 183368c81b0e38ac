// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who the child is, and what it is given.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use gomod_trace::{
    launch::{Invoker, Source},
    report::{check_target, write_report},
};

use crate::bench::{User, me, probe, text};
use crate::probe::ODD;

fn block(entries: &[&[u8]]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|entry| [entry, &b"\0"[..]].concat())
        .collect()
}

pub(crate) fn plain_environment() {
    let mut command = Command::new(me());
    let line = [
        "--odd-environment",
        &me(),
        "--probe",
        "/bin/cat",
        "/proc/self/environ",
    ];
    let output = command.args(line).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, block(&ODD));
}

/// A command that was given few descriptors gets as few, however many we take for ourselves.
pub(crate) fn limits() {
    for soft in [64, 100] {
        let limits = |start: &str| {
            let script =
                format!("ulimit -Sn {soft}; ulimit -Hn 200; exec {start} cat /proc/self/limits");
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            text(&output)
        };
        let without_us = limits("");
        let line = without_us
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>()[3..5],
            [soft.to_string(), "200".to_owned()]
        );
        assert_eq!(limits(&format!("{} --probe --raise", me())), without_us);
    }
}

pub(crate) fn sudo_environment() {
    for use_pty in [false, true] {
        let user = User::create("e", use_pty);
        let line = "exec \"$ME\" --odd-environment /usr/bin/sudo -n ADDED=1 TWICE=3 \"$ME\" --probe cat /proc/self/environ";
        let output = user.shell(line).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut expected = ODD.to_vec();
        expected[3] = b"TWICE=3";
        expected.remove(4);
        expected.push(b"ADDED=1");
        // With a pty of its own, sudo's line discipline may write a newline as CR LF only to terminals: not here.
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&block(&expected))
        );
    }
}

pub(crate) fn sudo_identity() {
    let user = User::create("i", true);
    let (uid, gid) = user.ids();
    let plain = text(&user.shell("sudo -n id -u").output().unwrap());
    assert_eq!(plain.trim(), "0", "without us, sudo runs commands as root");
    let output = user
        .shell("sudo -n \"$ME\" --probe cat /proc/self/status")
        .output()
        .unwrap();
    let status = text(&output);
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{name}: {output:?}"));
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), vec![uid.to_string(); 4]);
    assert_eq!(field("Gid:"), vec![gid.to_string(); 4]);
    assert_eq!(field("Groups:"), ["4", "24"]);
    assert_eq!(field("CapEff:"), ["0000000000000000"]);
    assert_eq!(field("CapPrm:"), ["0000000000000000"]);
}

pub(crate) fn between() {
    let user = User::create("b", false);
    let uid = user.ids().0.to_string();
    for line in [
        "sudo -n env X=1 \"$ME\" --probe id -u",
        "sudo -n timeout 60 \"$ME\" --probe id -u",
        "sudo -n sh -c '\"$0\" --probe id -u; exit $?' \"$ME\"",
        "sudo -n sudo -n \"$ME\" --probe id -u",
        "sudo -n env -i \"$ME\" --probe id -u",
    ] {
        let output = user.shell(line).output().unwrap();
        assert_eq!(text(&output).trim(), uid, "{line}: {output:?}");
    }
}

pub(crate) fn callers_path() {
    let user = User::create("p", true);
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = directory.path().join("only-here");
    fs::write(&script, "#!/bin/sh\necho found\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let output = user
        .shell("sudo -n only-here")
        .env("PATH", &path)
        .output()
        .unwrap();
    assert!(
        !output.status.success(),
        "sudo's secure_path should hide it"
    );
    let output = user
        .shell("sudo -n \"$ME\" --probe only-here")
        .env("PATH", &path)
        .output()
        .unwrap();
    assert_eq!(text(&output).trim(), "found", "{output:?}");
}

pub(crate) fn files() {
    let user = User::create("f", true);
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let line = "umask 002; sudo -n \"$ME\" --probe touch made";
    let output = user
        .shell(line)
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let made = fs::metadata(directory.path().join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), user.ids());
    assert_eq!(made.mode() & 0o777, 0o664);
}

pub(crate) fn file_rights() {
    let caller = Invoker {
        uid: 54_321,
        gid: 54_322,
        groups: vec![54_323],
        environment: Vec::new(),
        umask: None,
        source: Source::Sudo {
            pid: 1,
            assigned: Vec::new(),
        },
    };
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let roots = directory.path().join("roots");
    fs::write(&roots, "root's").unwrap();
    let groups = directory.path().join("groups");
    fs::write(&groups, "the group's").unwrap();
    fs::set_permissions(&groups, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&groups, None, Some(54_323)).unwrap();
    let made = directory.path().join("made");
    fs::write(&roots, "by root, who may").unwrap();
    let refused = caller
        .with_file_rights(|| {
            fs::write(&made, "").unwrap();
            assert_eq!(fs::read(&groups).unwrap(), b"the group's");
            fs::write(&roots, "").unwrap_err()
        })
        .unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let (new, there) = (closed.join("new"), closed.join("there"));
    fs::write(&there, "").unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o666)).unwrap();
    check_target(&new).unwrap();
    let said = caller.with_file_rights(|| check_target(&roots).unwrap_err());
    assert!(said.unwrap().to_string().contains("open for writing"));
    let said = caller.with_file_rights(|| check_target(&new).unwrap_err());
    assert!(said.unwrap().to_string().contains("cannot be used"));
    caller
        .with_file_rights(|| {
            check_target(&there).unwrap();
            write_report(&there, &1).unwrap();
        })
        .unwrap();
    assert_eq!(fs::read(&there).unwrap(), b"1\n");
    assert_eq!(fs::read(&roots).unwrap(), b"by root, who may");
    let made = fs::metadata(&made).unwrap();
    assert_eq!((made.uid(), made.gid()), (54_321, 54_322));
    // It was one thread's, for once.
    fs::write(&roots, "root again").unwrap();
}

pub(crate) fn forged_variables() {
    let output = probe("id -u")
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .output()
        .unwrap();
    assert_eq!(text(&output).trim(), "0", "{output:?}");
}
