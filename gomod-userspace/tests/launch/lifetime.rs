// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit status, signals, and the cgroup's life.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use gomod_trace::launch::{Cgroup, Hierarchy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{cgroups_of, content, eventually, me, probe, probe_sh, state, text};

fn lives(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

pub(crate) fn exit_codes() {
    for code in [0, 3, 126, 127, 255] {
        assert_eq!(
            probe_sh(&format!("exit {code}")).status().unwrap().code(),
            Some(code)
        );
    }
}

pub(crate) fn command_errors() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, text: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let plain = file("plain", 0o644, b"echo\n");
    let foreign = file("foreign", 0o755, b"\x7fELF\x02\x01\x01\0\0\n");
    let orphan = file("orphan", 0o755, b"#!/no/such/interpreter\n");
    for (command, code, word) in [
        ("no-such-command-here", 127, "PATH="),
        ("./no/such/file", 127, "no such file"),
        ("/tmp", 126, "directory"),
        (&plain, 126, "permission denied"),
        (&foreign, 126, "machine"),
        (&orphan, 127, "interpreter"),
    ] {
        let output = probe(command).output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command}: {message}");
        assert!(message.contains(word), "{command}: {message}");
    }
}

pub(crate) fn bare_script() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("bare");
    fs::write(&script, "echo \"$0 $1\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(me())
        .arg("--probe")
        .arg(&script)
        .arg("argument")
        .output()
        .unwrap();
    assert_eq!(text(&output), format!("{} argument\n", script.display()));
}

pub(crate) fn deaths() {
    for signal in [
        Signal::SIGKILL,
        Signal::SIGSEGV,
        Signal::SIGTERM,
        Signal::SIGPIPE,
    ] {
        let status = probe_sh(&format!("kill -{} $$", signal as i32))
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(signal as i32), "{status:?}");
    }
}

pub(crate) fn sigterm_once() {
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let counted = directory.path().join("counted");
        let mut child = Command::new(me())
            .args(["--probe", &me(), "--count-interrupts", signal.as_str()])
            .arg(&counted)
            .spawn()
            .unwrap();
        eventually("the child is ready", || content(&counted) == "ready\n");
        send(child.id(), signal);
        assert_eq!(child.wait().unwrap().code(), Some(9));
        assert_eq!(content(&counted), "ready\ngot\n", "{signal}");
    }
}

pub(crate) fn signal_state() {
    let line = "trap '' INT HUP; exec \"$0\" --probe cat /proc/self/status";
    let output = Command::new("sh")
        .args(["-c", line, &me()])
        .output()
        .unwrap();
    let set = |name: &str| {
        let status = text(&output);
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .trim()
            .to_owned();
        u64::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("{name}: {output:?}"))
    };
    // What a command started without us by the same shell has.
    let bare = Command::new("sh")
        .args(["-c", "trap '' INT HUP; exec cat /proc/self/status"])
        .output()
        .unwrap();
    let bare = text(&bare);
    for (name, value) in [("SigIgn:", set("SigIgn:")), ("SigBlk:", set("SigBlk:"))] {
        let line = bare
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim();
        assert_eq!(value, u64::from_str_radix(line, 16).unwrap(), "{name}");
    }
    assert_eq!(set("SigIgn:") & 0b11, 0b11);
    assert_eq!(set("SigIgn:") >> (Signal::SIGPIPE as i32 - 1) & 1, 0);
}

pub(crate) fn ignored_sigchld() {
    let line = "trap '' CHLD; exec \"$0\" --probe sh -c 'exit 5'";
    assert_eq!(
        Command::new("bash")
            .args(["-c", line, &me()])
            .status()
            .unwrap()
            .code(),
        Some(5)
    );
}

pub(crate) fn cgroup_membership() {
    let mut child = probe("cat /proc/self/cgroup")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = {
        let mut text = String::new();
        std::io::Read::read_to_string(child.stdout.as_mut().unwrap(), &mut text).unwrap();
        text
    };
    assert!(child.wait().unwrap().success());
    assert!(
        output
            .lines()
            .any(|line| line.starts_with("0::") && line.contains(&format!("/gomod-trace.{pid}."))),
        "{output}"
    );
    assert!(cgroups_of(pid).is_empty());
}

pub(crate) fn nested_cgroups() {
    let hierarchy = Hierarchy::find().unwrap();
    let line = format!(
        "d={}$(sed -n 's/^0:://p' /proc/self/cgroup); mkdir -p $d/a/b && echo $$ >$d/a/b/cgroup.procs && cat /proc/self/cgroup",
        hierarchy.mount.display()
    );
    let child = probe_sh(&line).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && text(&output).contains("/a/b"),
        "{output:?}"
    );
    assert!(cgroups_of(pid).is_empty());
}

pub(crate) fn survivors() {
    let child = probe_sh("sleep 300 >/dev/null 2>&1 & echo $!")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let survivor: u32 = text(&output).trim().parse().unwrap();
    assert!(cgroups_of(pid).is_empty());
    assert!(lives(survivor));
    let home = content(format!("/proc/{survivor}/cgroup").as_ref());
    assert!(
        home.lines()
            .any(|line| line == format!("0::{}", Hierarchy::find().unwrap().own_path)),
        "{home}"
    );
    send(survivor, Signal::SIGKILL);
}

pub(crate) fn waiting() {
    let directory = tempfile::tempdir().unwrap();
    let started = directory.path().join("started");
    let run = |seconds: u32| {
        let script = format!(
            "sleep {seconds} >/dev/null 2>&1 & echo $! >{}",
            started.display()
        );
        Command::new(me())
            .args(["--probe", "--wait", "sh", "-c", &script])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let output = run(1).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "emptied\n");

    fs::remove_file(&started).unwrap();
    let child = run(300);
    let pid = child.id();
    let background = || content(&started).trim().parse::<u32>().ok();
    eventually("only the background child is left", || {
        background().is_some_and(|left| {
            let members = cgroups_of(pid)
                .first()
                .map(|path| content(&path.join("cgroup.procs")));
            members.is_some_and(|members| members.trim() == left.to_string())
        })
    });
    send(pid, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "interrupted by 15\n"
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(cgroups_of(pid).is_empty());
    let left = background().unwrap();
    assert!(lives(left));
    send(left, Signal::SIGKILL);
}

pub(crate) fn sweep_after_crash() {
    let directory = tempfile::tempdir().unwrap();
    let started = directory.path().join("started");
    let script = format!("echo $$ >{}; exec sleep 300", started.display());
    let mut crashed = probe_sh(&script).spawn().unwrap();
    let pid = || content(&started).trim().parse::<u32>().ok();
    eventually("the command runs", || pid().is_some());
    let command = pid().unwrap();
    assert!(probe("true").status().unwrap().success());
    assert_eq!(cgroups_of(crashed.id()).len(), 1, "a living run was swept");
    send(crashed.id(), Signal::SIGKILL);
    crashed.wait().unwrap();
    assert_eq!(
        cgroups_of(crashed.id()).len(),
        1,
        "nobody could have removed it yet"
    );
    assert!(probe("true").status().unwrap().success());
    assert!(cgroups_of(crashed.id()).is_empty());
    assert!(lives(command), "the command of the crashed run goes on");
    send(command, Signal::SIGKILL);
}

pub(crate) fn id_and_level() {
    let hierarchy = Hierarchy::find().unwrap();
    let cgroup = Cgroup::create(&hierarchy).unwrap();
    assert_eq!(cgroup.id(), fs::metadata(cgroup.path()).unwrap().ino());
    let depth = cgroup
        .path()
        .strip_prefix(&hierarchy.mount)
        .unwrap()
        .components()
        .count() as u32;
    assert!(
        cgroup.level().is_none_or(|level| level >= depth),
        "{:?} {depth}",
        cgroup.level()
    );
    assert!(!cgroup.populated().unwrap() && cgroup.members().unwrap().is_empty());
    let path = cgroup.path().to_owned();
    assert_eq!(cgroup.dismantle().unwrap(), 0);
    assert!(!path.exists());
}
