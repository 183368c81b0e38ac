// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sees on a terminal while a download hangs, and what is left there afterwards.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use gomod_lab::{Fault, Lab, Project};
use libtest_mimic::Trial;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::needs::DOWNLOADS;
use crate::harness::{DOWNLOAD, Scratch, eventually, newest_go, product, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "terminal::the_live_line_of_an_observed_run",
            DOWNLOADS.iter().copied(),
            hanging_download,
        ),
        trial(
            "terminal::nothing_is_shown_if_quiet",
            DOWNLOADS.iter().copied(),
            quiet,
        ),
    ]
}

/// A command whose standard error is a terminal.
struct OnTerminal {
    child: Child,
    screen: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl OnTerminal {
    fn start(mut command: Command, stdout: File) -> Self {
        let size = Winsize {
            ws_row: 40,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).unwrap();
        let child = command
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::from(pair.slave))
            .process_group(0)
            .spawn()
            .unwrap();
        // It holds the terminal's other end, which would keep the reader waiting.
        drop(command);
        let screen = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let screen = Arc::clone(&screen);
            let mut terminal = File::from(pair.master);
            move || {
                let mut bytes = [0; 4096];
                // The last one that has it open is gone: EIO.
                while let Ok(length @ 1..) = terminal.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..length]);
                    screen.lock().unwrap().push_str(&text);
                }
            }
        });
        Self {
            child,
            screen,
            reader,
        }
    }

    fn shown(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    fn until_shown(&self, text: &str) {
        eventually(
            &format!("`{text}` is shown"),
            || self.shown(),
            || self.shown().contains(text).then_some(()),
        );
    }

    /// Ctrl-C for the command alone; all that was ever written to the terminal.
    fn interrupt(mut self) -> String {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        Arc::into_inner(self.screen).unwrap().into_inner().unwrap()
    }
}

fn start(name: &str, project: &Project<'_>, options: &[&str]) -> (OnTerminal, Scratch) {
    let scratch = Scratch::new(name);
    let mut command = project.command(&newest_go(), product::path());
    command.arg("run").args(options).arg("--").args(DOWNLOAD);
    let stdout = File::create(scratch.file("stdout")).unwrap();
    (OnTerminal::start(command, stdout), scratch)
}

fn hanging_download() {
    let lab = Lab::builder()
        .fault("body-stop=50%,path=*.zip".parse::<Fault>().unwrap())
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let (run, scratch) = start("terminal::live", &project, &["--observe"]);
    // How far of how many, from go.mod; what is waited for, and how long.
    run.until_shown(&format!("of {} modules, ", lab.modules().len()));
    run.until_shown(" in flight, waiting ");
    run.until_shown("anomaly.body.stalled");
    let shown = run.interrupt();
    // What is below the cursor is erased, and the summary takes the live line's place.
    let (before, summary) = shown.rsplit_once("\x1b[J").unwrap();
    assert!(before.contains(" in flight"), "{shown:?}");
    assert!(
        summary.starts_with("gomod-trace: go mod download: ") && summary.contains("1 stall"),
        "the summary comes last: {shown:?}"
    );
    assert_eq!(
        std::fs::read_to_string(scratch.file("stdout")).unwrap(),
        "",
        "something of ours on stdout"
    );
}

/// What `go` itself says, and nothing else.
fn quiet() {
    let lab = Lab::builder()
        .fault("dns-nxdomain".parse::<Fault>().unwrap())
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let (run, _scratch) = start("terminal::quiet", &project, &["--quiet", "--observe"]);
    run.until_shown("no such host");
    let OnTerminal {
        mut child,
        screen,
        reader,
    } = run;
    assert_eq!(child.wait().unwrap().code(), Some(1));
    reader.join().unwrap();
    let shown = screen.lock().unwrap();
    assert!(
        !shown.contains("gomod-trace") && !shown.contains("anomaly"),
        "{shown:?}"
    );
}
