// SPDX-License-Identifier: MIT OR Apache-2.0
//! An interactive shell on a terminal of its own, with keys pressed in it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{User, content, eventually, me, state};

struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<String>>,
    shell: Child,
}

impl Terminal {
    fn open() -> Self {
        let pair = openpty(None, None).unwrap();
        let end = || Stdio::from(pair.slave.try_clone().unwrap());
        // setsid makes the terminal the controlling one, so that its keys become signals.
        let shell = Command::new("setsid")
            .args(["--ctty", "bash", "--norc", "--noediting", "-i"])
            .env("PS1", "")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        drop(pair.slave);
        let keyboard = File::from(pair.master);
        let screen = Arc::new(Mutex::new(String::new()));
        let (mut reader, shown) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                shown
                    .lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Self {
            keyboard,
            screen,
            shell,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn shows(&self, text: &str) -> bool {
        self.screen.lock().unwrap().contains(text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        eprintln!("{}", self.screen.lock().unwrap());
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

pub(crate) fn ctrl_c() {
    ctrl_c_under("");
}

/// sudo gives its command a terminal of its own, or none, as its configuration says: both pass the key on.
pub(crate) fn ctrl_c_under_sudo() {
    for use_pty in [true, false] {
        let user = User::create("t", use_pty);
        ctrl_c_under(&format!(
            "setpriv --reuid={} --clear-groups sudo -n ",
            user.ids().0
        ));
    }
}

fn ctrl_c_under(prefix: &str) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let counted = directory.path().join("counted");
    let mut terminal = Terminal::open();
    let me = me();
    terminal.press(&format!(
        "{prefix}{me} --probe {me} --count-interrupts SIGINT {}; echo code=$?\n",
        counted.display()
    ));
    eventually("the child is ready", || content(&counted) == "ready\n");
    terminal.press("\x03");
    eventually("the shell has its prompt again", || {
        terminal.shows("code=9")
    });
    assert_eq!(content(&counted), "ready\ngot\n");
}

pub(crate) fn ctrl_z() {
    let directory = tempfile::tempdir().unwrap();
    let started = directory.path().join("started");
    let mut terminal = Terminal::open();
    let script = format!(
        "echo $$ $PPID >{}; while read line; do echo heard-$line; done; exit 4",
        started.display()
    );
    terminal.press(&format!("{} --probe sh -c '{script}'\n", me()));
    eventually("the child runs", || content(&started).ends_with('\n'));
    let pids: Vec<u32> = content(&started)
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let both = |wanted: &[char]| {
        pids.iter()
            .all(|pid| state(*pid).is_some_and(|now| wanted.contains(&now)))
    };
    for round in 0..3 {
        terminal.press("\x1a");
        eventually("both are stopped", || both(&['T']));
        terminal.press(&format!("echo shell-$((40+{round}))\n"));
        eventually("the shell has the terminal", || {
            terminal.shows(&format!("shell-{}", 40 + round))
        });
        terminal.press("fg\n");
        eventually("both go on", || both(&['S', 'R']));
        terminal.press(&format!("w{round}\n"));
        eventually("the child has the terminal", || {
            terminal.shows(&format!("heard-w{round}"))
        });
    }
    terminal.press("\x04");
    terminal.press("echo code=$?\n");
    eventually("the exit code passes through", || terminal.shows("code=4"));
}

pub(crate) fn child_stops_alone() {
    let directory = tempfile::tempdir().unwrap();
    let started = directory.path().join("started");
    let mut terminal = Terminal::open();
    let script = format!("echo $$ $PPID >{}; exec sleep 300", started.display());
    terminal.press(&format!(
        "{} --probe sh -c '{script}'; echo code=$?\n",
        me()
    ));
    eventually("the child runs", || content(&started).ends_with('\n'));
    let pids: Vec<u32> = content(&started)
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let signal = |pid: u32, signal| kill(Pid::from_raw(pid as i32), signal).unwrap();
    let both = |wanted: &[char]| {
        pids.iter()
            .all(|pid| state(*pid).is_some_and(|now| wanted.contains(&now)))
    };
    for stop in [Signal::SIGSTOP, Signal::SIGTSTP] {
        signal(pids[0], stop);
        eventually("we follow the stopped child", || both(&['T']));
        eventually("the shell sees a stopped job", || terminal.shows("Stopped"));
        // Only we are told to go on: the child must not be left behind.
        signal(pids[1], Signal::SIGCONT);
        eventually("both go on", || both(&['S', 'R']));
    }
    signal(pids[0], Signal::SIGTERM);
    eventually("both have ended", || {
        pids.iter()
            .all(|pid| matches!(state(*pid), None | Some('Z')))
    });
}
