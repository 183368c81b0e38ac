// SPDX-License-Identifier: MIT OR Apache-2.0
//! The live line on a small terminal, beside a child that writes there too.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    kernel::events::FetchedAhead,
    report::tests::run,
    timeline::{DnsOutcome, FileProgress, ModuleFileKind},
};

const COLUMNS: u16 = 120;
const ROWS: usize = 4;

/// A terminal of four rows that knows what a live line needs. `\n` returns the carriage, as with ONLCR.
#[derive(Clone, Default)]
struct Terminal(Arc<Mutex<Grid>>);

#[derive(Default)]
struct Grid {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    saved: (usize, usize),
    scrolled: Vec<String>,
    pending: String,
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut grid = self.0.lock().unwrap();
        grid.pending += std::str::from_utf8(bytes).unwrap();
        grid.interpret();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Grid {
    fn interpret(&mut self) {
        self.rows.resize(ROWS, Vec::new());
        let text = std::mem::take(&mut self.pending);
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\r' => self.column = 0,
                '\n' => {
                    self.down();
                    self.column = 0;
                }
                '\x1b' => match characters.next().unwrap() {
                    'D' => self.down(),
                    'M' => self.row -= 1,
                    '7' => self.saved = (self.row, self.column),
                    '8' => (self.row, self.column) = self.saved,
                    '[' => {
                        assert_eq!(characters.next(), Some('J'));
                        self.rows[self.row].truncate(self.column);
                        self.rows[self.row + 1..].fill(Vec::new());
                    }
                    other => panic!("the terminal does not know ESC {other}"),
                },
                character => {
                    assert!(self.column < usize::from(COLUMNS), "it wraps");
                    let (row, column) = (self.row, self.column);
                    if self.rows[row].len() <= column {
                        self.rows[row].resize(column + 1, ' ');
                    }
                    self.rows[row][column] = character;
                    self.column += 1;
                }
            }
        }
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == ROWS {
            self.row -= 1;
            let first = self.rows.remove(0);
            self.scrolled.push(first.into_iter().collect());
            self.rows.push(Vec::new());
        }
    }
}

impl Terminal {
    fn child(&self, text: &str) {
        self.clone().write_all(text.as_bytes()).unwrap();
    }

    /// Everything that was ever on it, without empty rows at the end.
    fn text(&self) -> Vec<String> {
        let grid = self.0.lock().unwrap();
        let mut lines = grid.scrolled.clone();
        lines.extend(grid.rows.iter().map(|row| row.iter().collect::<String>()));
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

fn live(terminal: &Terminal) -> Live {
    let output = line(terminal.clone(), terminal.clone(), || (COLUMNS, 4));
    Live::with(output, Palette::PLAIN, Some(120))
}

fn live_line() -> String {
    "gomod-trace: 1 of 120 modules, 1.1 MiB, 1 in flight, \
     waiting 2 s for proxy.golang.org: rest of the response"
        .into()
}

/// The connections answered everything but the file that is still open.
fn now() -> MonotonicNanos {
    run::ms(4_100)
}

#[test]
fn the_line_stands_below_what_the_child_writes() {
    let terminal = Terminal::default();
    let mut live = live(&terminal);
    let timeline = run::timeline();
    live.tick(&timeline, &[], now());
    assert_eq!(terminal.text(), ["", &live_line()]);
    terminal.child("go: downloading a\n");
    live.tick(&timeline, &[], now());
    assert_eq!(terminal.text(), ["go: downloading a", "", &live_line()]);
    terminal.child("50 %");
    live.tick(&timeline, &[], now());
    terminal.child(", 100 %\n");
    live.tick(&timeline, &[], now());
    for letter in ["b", "c", "d"] {
        terminal.child(&format!("go: downloading {letter}\n"));
        live.tick(&timeline, &[], now());
    }
    let child = [
        "go: downloading a",
        "50 %, 100 %",
        "go: downloading b",
        "go: downloading c",
        "go: downloading d",
    ];
    assert_eq!(terminal.text()[..5], child);
    assert_eq!(terminal.text()[5..], [String::new(), live_line()]);
    live.finish();
    assert_eq!(terminal.text(), child, "nothing of it stays");
}

#[test]
fn stalls_are_printed_above_the_line_and_stay() {
    let terminal = Terminal::default();
    let mut live = live(&terminal);
    let timeline = run::timeline();
    let mut stall = run::stalls().remove(2);
    live.tick(&timeline, &[StallChange::Known(stall.clone())], now());
    stall.ended = Some(run::ms(9_000));
    live.tick(&timeline, &[StallChange::Ended(stall.clone())], now());
    live.finish();
    let text = terminal.text();
    assert_eq!(
        text[0],
        "gomod-trace: 3.0 s  anomaly.body.stalled  proxy.golang.org"
    );
    assert_eq!(
        text.last().unwrap(),
        "gomod-trace: 9.0 s  anomaly.body.stalled  proxy.golang.org  over after 6.0 s"
    );
    assert_eq!(text.len(), 5);
}

#[test]
fn a_suspended_line_is_off_the_terminal_until_it_is_resumed() {
    let terminal = Terminal::default();
    let mut live = live(&terminal);
    let timeline = run::timeline();
    live.tick(&timeline, &[], now());
    live.suspend();
    assert_eq!(terminal.text(), [""; 0]);
    live.tick(&timeline, &[], now());
    assert_eq!(terminal.text(), [""; 0]);
    let stall = StallChange::Known(run::stalls().remove(3));
    live.tick(&timeline, &[stall], now());
    assert_eq!(terminal.text().len(), 3, "a stall is said all the same");
    live.resume();
    live.tick(&timeline, &[], now());
    assert_eq!(terminal.text().last().unwrap(), &live_line());
    drop(live);
    assert_eq!(terminal.text().len(), 3);
}

#[test]
fn without_a_terminal_only_stalls_are_printed() {
    let output = Terminal::default();
    let mut live = Live::with(
        Output::Lines(Box::new(output.clone())),
        Palette::PLAIN,
        None,
    );
    live.tick(&run::timeline(), &[], now());
    assert_eq!(output.text(), [""; 0]);
    let reset = run::stalls().remove(0);
    let changes = [StallChange::Known(reset.clone()), StallChange::Ended(reset)];
    live.tick(&run::timeline(), &changes, now());
    let said = |text: Vec<String>| text.iter().filter(|line| line.contains("anomaly")).count();
    assert_eq!(said(output.text()), 1, "it was over when it became known");
}

#[test]
fn quiet_is_quiet() {
    let mut live = Live::new(LiveOptions {
        quiet: true,
        total: None,
    });
    assert!(matches!(live.output, Output::Nothing));
    live.tick(
        &run::timeline(),
        &[StallChange::Known(run::stalls().remove(0))],
        now(),
    );
}

#[test]
fn a_narrow_terminal_gets_the_wait_before_anything_else() {
    let mut progress = Progress::new(Some(120));
    progress.tick(&run::timeline(), now());
    assert_eq!(progress.line(200), live_line());
    assert_eq!(
        progress.line(95),
        "gomod-trace: 1 of 120 modules, 1.1 MiB, waiting 2 s for proxy.golang.org: rest of the response"
    );
    assert_eq!(
        progress.line(76),
        "1 of 120 modules, waiting 2 s for proxy.golang.org: rest of the response"
    );
    assert_eq!(progress.line(20), "waiting 2 s for pro…");
    assert_eq!(progress.line(0), "");
}

#[test]
fn the_rate_is_that_of_the_last_seconds() {
    let mut progress = Progress::new(None);
    let mut timeline = run::timeline();
    timeline.connections.truncate(1);
    for second in 0..10 {
        timeline.connections[0].bytes_received = second * 2_048;
        progress.tick(&timeline, run::ms(second * 1_000));
    }
    // The last sample is that of the ninth second; closing the connection loses no byte.
    timeline.connections[0].closed = Some(run::ms(9_000));
    progress.tick(&timeline, run::ms(9_000));
    assert!(
        progress.line(200).contains(", 18 KiB, 2.0 KiB/s, "),
        "{}",
        progress.line(200)
    );
}

#[test]
fn before_the_first_zip_it_counts_go_mod_files() {
    let mut timeline = run::timeline();
    timeline
        .files
        .retain(|file| file.kind == ModuleFileKind::Mod);
    timeline.connections.clear();
    timeline.dns.clear();
    let mut progress = Progress::new(Some(120));
    progress.tick(&timeline, now());
    assert_eq!(
        progress.line(200),
        "gomod-trace: 1 go.mod file, 0 B, 0 in flight"
    );
}

#[test]
fn what_is_fetched_ahead_is_shown_where_there_is_room() {
    let mut timeline = run::timeline();
    let mut progress = Progress::new(Some(120));
    let mut line = |ahead, width| {
        timeline.ahead = ahead;
        progress.tick(&timeline, now());
        progress.line(width)
    };
    let nothing = line(Some(FetchedAhead::default()), 200);
    assert_eq!(nothing, line(None, 200), "nothing is fetched ahead");
    let ahead = FetchedAhead {
        files: 7,
        bytes: 3 << 20,
        ..FetchedAhead::default()
    };
    let whole = line(Some(ahead), 200);
    assert!(
        whole.contains(", 1 in flight, 3.0 MiB fetched ahead, waiting "),
        "{whole}"
    );
    assert_eq!(line(Some(ahead), 72), line(None, 72), "no room");
}

#[test]
fn each_wait_has_its_words() {
    let mut timeline = run::timeline();
    timeline.connections.truncate(1);
    timeline.dns.clear();
    let wait = |timeline: &Timeline| {
        let mut progress = Progress::new(None);
        progress.tick(timeline, run::ms(13_000));
        let line = progress.line(300);
        line.split_once("waiting ").map(|(_, wait)| wait.to_owned())
    };
    assert_eq!(
        wait(&timeline).unwrap(),
        "12 s for proxy.golang.org: rest of the response"
    );
    let connection = &mut timeline.connections[0];
    let traffic = connection.traffic.as_mut().unwrap();
    traffic.response = None;
    assert_eq!(
        wait(&timeline).unwrap(),
        "12 s for proxy.golang.org: response"
    );
    let mut other = timeline.clone();
    other.files[2].progress = FileProgress::Failed;
    assert_eq!(wait(&other), None, "an idle connection is no wait");
    timeline.connections[0].handshake_done = None;
    assert_eq!(
        wait(&timeline).unwrap(),
        "12 s for proxy.golang.org: TLS handshake"
    );
    timeline.connections[0].established = None;
    timeline.connections[0].host = None;
    assert_eq!(
        wait(&timeline).unwrap(),
        "12 s for 198.18.0.10:443: TCP connection"
    );
    timeline.dns = run::timeline().dns;
    timeline.dns.truncate(1);
    timeline.dns[0].outcome = DnsOutcome::Pending;
    assert_eq!(
        wait(&timeline).unwrap(),
        "12 s for proxy.golang.org: DNS answer from 198.18.0.53"
    );
    timeline.dns.clear();
    timeline.connections.clear();
    timeline.locks[0].ended = None;
    assert_eq!(
        wait(&timeline).unwrap(),
        "12 s for example.com/a@v1.2.3: lock held by process 77"
    );
}
