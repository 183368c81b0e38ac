// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests share: starting the helper, waiting for facts, a temporary user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gomod_trace::launch::Hierarchy;

pub(crate) fn me() -> String {
    std::env::current_exe()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// The helper with its arguments, split at blanks.
pub(crate) fn probe(line: &str) -> Command {
    let mut command = Command::new(me());
    command.arg("--probe").args(line.split_whitespace());
    command
}

/// The helper running a shell script.
pub(crate) fn probe_sh(script: &str) -> Command {
    let mut command = Command::new(me());
    command.args(["--probe", "sh", "-c", script]);
    command
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for a fact; the limit only turns a hang into a failure.
pub(crate) fn eventually(what: &str, mut fact: impl FnMut() -> bool) {
    let began = Instant::now();
    while !fact() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Cgroups of this process id, directly below our own.
pub(crate) fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    let own = Hierarchy::find().unwrap().own;
    let prefix = format!("gomod-trace.{pid}.");
    fs::read_dir(own)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(&prefix)
        })
        .collect()
}

/// State letter of a process, if it exists.
pub(crate) fn state(pid: u32) -> Option<char> {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()?
        .rsplit_once(") ")?
        .1
        .chars()
        .next()
}

/// A user who may call sudo without a password; the account and the rule go with it.
pub(crate) struct User {
    pub(crate) name: String,
    rule: PathBuf,
    users: OnceLock<(u32, u32)>,
}

impl User {
    /// Each test has its own, as they run side by side.
    pub(crate) fn create(tag: &str, use_pty: bool) -> Self {
        let name = format!("gmt{}{tag}", std::process::id() % 100_000);
        let user = Self {
            rule: Path::new("/etc/sudoers.d").join(&name),
            name,
            users: OnceLock::new(),
        };
        retry("useradd", || {
            Command::new("useradd")
                .args(["-M", "-U", "-s", "/bin/sh", &user.name])
                .status()
                .unwrap()
                .success()
        });
        let pty = if use_pty { "use_pty" } else { "!use_pty" };
        fs::write(
            &user.rule,
            format!(
                "{0} ALL=(ALL) NOPASSWD:SETENV: ALL\nDefaults:{0} {pty}, !requiretty\n",
                user.name
            ),
        )
        .unwrap();
        user
    }

    pub(crate) fn ids(&self) -> (u32, u32) {
        *self.users.get_or_init(|| {
            let found = nix::unistd::User::from_name(&self.name).unwrap().unwrap();
            (found.uid.as_raw(), found.gid.as_raw())
        })
    }

    /// A shell of that user, with groups of its own that the group database does not know.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let (uid, gid) = self.ids();
        let mut command = Command::new("setpriv");
        command.args([
            &format!("--reuid={uid}"),
            &format!("--regid={gid}"),
            "--groups",
            "4,24",
            "sh",
            "-c",
            script,
        ]);
        command.env("ME", me());
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.rule);
        // Logging in may have left a process of that user for a moment; the account database has one lock.
        retry("userdel", || {
            Command::new("userdel")
                .arg(&self.name)
                .output()
                .is_ok_and(|out| out.status.success())
        });
    }
}

fn retry(what: &str, mut attempt: impl FnMut() -> bool) {
    for _ in 0..100 {
        if attempt() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("{what} kept failing");
}
