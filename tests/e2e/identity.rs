// SPDX-License-Identifier: MIT OR Apache-2.0
//! Under `sudo gomod-trace run`, the command is the caller's: who it is, what it is given, how it ends, whose its files are.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use gomod_lab::{Identity, Lab};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::harness::needs::DOWNLOADS;
use crate::harness::user::User;
use crate::harness::{DOWNLOAD, Need, Scratch, Traced, eventually, newest_go, product, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let sudo = [Need::Tracing, Need::Sudo];
    let trial = |name: &str, needs: &[Need], test: fn()| {
        let needs = sudo.iter().chain(needs).copied().collect::<Vec<_>>();
        trial(format!("identity::{name}"), needs, test)
    };
    vec![
        trial("a_download_under_sudo_is_the_callers", DOWNLOADS, download),
        trial("what_the_command_is_given", &[], given),
        trial("how_the_command_ends", &[], endings),
        trial("a_program_on_the_callers_path", &[], callers_path),
        trial("sigterm_reaches_the_command", &[], sigterm),
        trial("only_the_command_writes_to_stdout", &[], stdout),
        trial("quiet_prints_nothing", &[], quiet),
    ]
}

/// `words` as the user, with groups that the group database does not know of, in an environment with odd entries.
fn as_user(user: &User, words: &[&str]) -> Command {
    let Identity { uid, gid } = user.identity;
    let mut command = Command::new("setpriv");
    command
        .args([
            &format!("--reuid={uid}"),
            &format!("--regid={gid}"),
            "--groups=4,24",
            "--",
        ])
        .args(words)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env("LD_LIBRARY_PATH", "/somewhere/else")
        .env("GOFLAGS", "-mod=mod -trimpath")
        .env("GOPROXY", "https://proxy.golang.org,direct")
        .env("SUDO_ASKPASS", "")
        .env("ODD", "line\nbreak=\t\u{e9}")
        .env("BASH_FUNC_f%%", "() {  :; }");
    command
}

/// The same command plain and traced under sudo.
fn both(user: &User, words: &[&str], prepare: impl Fn(&mut Command)) -> [Output; 2] {
    let product = product::path();
    let traced = [
        "sudo",
        "-n",
        product.to_str().unwrap(),
        "run",
        "--observe",
        "--",
    ];
    [words.to_vec(), [&traced, words].concat()].map(|words| {
        let mut command = as_user(user, &words);
        prepare(&mut command);
        command.output().unwrap()
    })
}

/// Byte for byte what the command prints without us.
fn same(user: &User, words: &[&str]) -> Vec<u8> {
    let [plain, traced] = both(user, words, |_| {});
    assert!(plain.status.success(), "{words:?}: {plain:?}");
    assert!(traced.status.success(), "{words:?}: {traced:?}");
    assert_eq!(
        String::from_utf8_lossy(&traced.stdout),
        String::from_utf8_lossy(&plain.stdout),
        "{words:?}"
    );
    assert_eq!(traced.stdout, plain.stdout, "{words:?}");
    plain.stdout
}

fn given() {
    let user = User::create("g");
    let environment = same(&user, &["cat", "/proc/self/environ"]);
    assert!(String::from_utf8_lossy(&environment).contains("ODD=line\nbreak"));
    identity(&user);
    same(&user, &["pwd"]);
    same(&user, &["sh", "-c", "umask; ulimit -a"]);
    same(
        &user,
        &["printf", "<%s>\\n", "", "a b", "$HOME", "*", "--", "-x"],
    );
    let [plain, traced] = both(&user, &["pwd"], |command| {
        command.current_dir("/usr/share");
    });
    assert_eq!(plain.stdout, b"/usr/share\n");
    assert_eq!(traced.stdout, plain.stdout);
}

/// Its groups are those of the process that called sudo, as a shell does.
fn identity(user: &User) {
    let product = product::path();
    let traced = format!("sudo -n {} run --observe -- ", product.display());
    let [plain, traced] = ["", &traced].map(|prefix| {
        let fields = "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)";
        let script = format!("{prefix}grep -E '{fields}' /proc/self/status; exit $?");
        let output = as_user(user, &["sh", "-c", &script]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    });
    assert!(plain.contains(&format!("Uid:\t{}\t", user.identity.uid)));
    assert!(plain.contains("Groups:\t4 24"));
    assert_eq!(traced, plain);
}

fn endings() {
    let user = User::create("x");
    for (script, code) in [("exit 0", 0), ("exit 1", 1), ("exit 3", 3)] {
        let [plain, traced] = both(&user, &["sh", "-c", script], |_| {});
        assert_eq!(plain.status.code(), Some(code));
        assert_eq!(traced.status, plain.status, "{traced:?}");
    }
    let scratch = Scratch::new("identity::endings");
    let plain_file = scratch.file("plain-file");
    fs::write(&plain_file, "x").unwrap();
    for (command, code) in [
        ("/no/such/command", 127),
        (plain_file.to_str().unwrap(), 126),
    ] {
        let [plain, _] = both(&user, &["sh", "-c", "exec \"$0\"", command], |_| {});
        assert_eq!(plain.status.code(), Some(code), "a shell: {plain:?}");
        let [_, traced] = both(&user, &[command], |_| {});
        assert_eq!(traced.status.code(), Some(code), "{traced:?}");
    }
    // Under sudo, whose own way of passing a death on is its affair; and as root, where it is ours.
    for signal in ["TERM", "KILL", "INT", "SEGV"] {
        let script = format!("kill -{signal} $$");
        let plain = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(plain.status.signal().is_some());
        let traced = Command::new(product::path())
            .args(["run", "--observe", "--", "sh", "-c", &script])
            .output()
            .unwrap();
        assert_eq!(traced.status.signal(), plain.status.signal(), "{traced:?}");
        let sudo = as_user(&user, &["sudo", "-n", "sh", "-c", &script])
            .output()
            .unwrap();
        let [_, traced] = both(&user, &["sh", "-c", &script], |_| {});
        assert_eq!(
            traced.status, sudo.status,
            "{signal} under sudo: {traced:?}"
        );
    }
}

/// sudo's own PATH does not have it.
fn callers_path() {
    let user = User::create("p");
    let scratch = Scratch::new("identity::callers_path");
    let script = scratch.file("only-here");
    fs::write(&script, "#!/bin/sh\necho found \"$0\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let on_path = |command: &mut Command| {
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", scratch.path().display()),
        );
    };
    let mut sudo = as_user(&user, &["sudo", "-n", "only-here"]);
    on_path(&mut sudo);
    assert!(
        !sudo.output().unwrap().status.success(),
        "sudo finds it by itself"
    );
    // setpriv looks the plain command up by the same PATH.
    let [plain, traced] = both(&user, &["only-here"], on_path);
    assert!(plain.status.success(), "{plain:?}");
    assert_eq!(traced.stdout, plain.stdout, "{traced:?}");
}

fn sigterm() {
    let user = User::create("t");
    let scratch = Scratch::new("identity::sigterm");
    let ready = scratch.file("ready");
    let script = "trap 'echo caught; exit 7' TERM; : >\"$0\"; while :; do sleep 0.05; done";
    let product = product::path();
    let command = as_user(&user, &["sudo", "-n", product.to_str().unwrap()]);
    let words = ["sh", "-c", script, ready.to_str().unwrap()];
    let mut traced = Traced::start("identity::sigterm", command, words);
    eventually("the command is ready", String::new, || {
        ready.exists().then_some(())
    });
    traced.signal(Signal::SIGTERM);
    let outcome = traced.finish();
    assert_eq!(outcome.status.code(), Some(7), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "caught\n");
}

fn stdout() {
    let user = User::create("o");
    let script = "cat; printf 'a\\0b\\377'; echo to-stderr >&2; exit 1";
    let product = product::path();
    let words = [
        "sudo",
        "-n",
        product.to_str().unwrap(),
        "run",
        "--observe",
        "--",
        "sh",
        "-c",
        script,
    ];
    let scratch = Scratch::new("identity::stdout");
    let input = scratch.file("input");
    fs::write(&input, "from stdin\n").unwrap();
    let output = as_user(&user, &words)
        .stdin(Stdio::from(fs::File::open(&input).unwrap()))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"from stdin\na\0b\xff", "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("to-stderr\ngomod-trace: "), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}

fn quiet() {
    let user = User::create("q");
    let product = product::path();
    let words = [
        "sudo",
        "-n",
        product.to_str().unwrap(),
        "run",
        "--observe",
        "--quiet",
        "--",
    ];
    for (script, code) in [("exit 0", 0), ("exit 4", 4)] {
        let output = as_user(&user, &[&words[..], &["sh", "-c", script]].concat())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (&b""[..], &b""[..])
        );
    }
}

/// The whole of it: the real `go` in a lab, under sudo.
fn download() {
    let user = User::create("d");
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap().owned_by(user.identity).unwrap();
    let scratch = Scratch::new("identity::download");
    let directory = scratch.path().to_owned();
    let mut command = project.command(&newest_go(), "sudo");
    command.arg("-n").arg(product::path());
    let traced = Traced::start_in(scratch, command, &[], DOWNLOAD);
    let outcome = traced.finish();
    assert!(
        outcome.status.success(),
        "{}: {}",
        user.name(),
        outcome.stderr
    );
    assert_eq!(outcome.stdout, "");
    assert_eq!(outcome.list("modules").len(), lab.modules().len());
    assert!(outcome.list("stalls").is_empty());
    let go = &outcome.list("processes")[0];
    assert_eq!(go["exe"], newest_go().go().to_str().unwrap());

    let owner = (user.identity.uid, user.identity.gid);
    assert!(owned(&project.module_cache(), owner) > 3 * lab.modules().len());
    for kind in ["report", "events", "record"] {
        assert_eq!(
            owned(&directory.join(format!("{kind}.json")), owner),
            1,
            "{kind}"
        );
    }
}

/// How many files there are, all of which must be the owner's.
fn owned(path: &Path, owner: (u32, u32)) -> usize {
    let found = fs::symlink_metadata(path).unwrap();
    assert_eq!((found.uid(), found.gid()), owner, "{}", path.display());
    if !found.is_dir() {
        return 1;
    }
    fs::read_dir(path)
        .unwrap()
        .map(|entry| owned(&entry.unwrap().path(), owner))
        .sum()
}
