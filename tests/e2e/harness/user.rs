// SPDX-License-Identifier: MIT OR Apache-2.0
//! A user of the machine who may call sudo, for one trial.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use gomod_lab::Identity;

/// The account database has one lock, and waiting for it has an end.
static ACCOUNTS: Mutex<()> = Mutex::new(());

/// An account and its sudo rule; both go with it.
#[derive(Debug)]
pub(crate) struct User {
    name: String,
    rule: PathBuf,
    pub(crate) identity: Identity,
}

impl User {
    /// `tag` tells the users of one test run apart.
    pub(crate) fn create(tag: &str) -> Self {
        let name = format!("gme{}{tag}", std::process::id() % 100_000);
        let rule = Path::new("/etc/sudoers.d").join(&name);
        let mut user = Self {
            name,
            rule,
            identity: Identity { uid: 0, gid: 0 },
        };
        let made = accounts("useradd", &["-M", "-U", "-s", "/bin/sh", &user.name]);
        assert!(made, "useradd {} kept failing", user.name);
        let found = nix::unistd::User::from_name(&user.name).unwrap().unwrap();
        user.identity = Identity {
            uid: found.uid.as_raw(),
            gid: found.gid.as_raw(),
        };
        fs::write(
            &user.rule,
            format!(
                "{0} ALL=(ALL) NOPASSWD:SETENV: ALL\nDefaults:{0} !requiretty\n",
                user.name
            ),
        )
        .unwrap();
        user
    }

    /// Where sudo keeps what it knows of the user; for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.rule);
        if !accounts("userdel", &[&self.name]) {
            eprintln!("userdel {} kept failing", self.name);
        }
    }
}

fn accounts(program: &str, arguments: &[&str]) -> bool {
    for _ in 0..100 {
        let lock = ACCOUNTS.lock();
        let done = Command::new(program)
            .args(arguments)
            .output()
            .is_ok_and(|output| output.status.success());
        drop(lock);
        if done {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
