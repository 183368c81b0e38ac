// SPDX-License-Identifier: MIT OR Apache-2.0
//! What people read: stall lines and the summary, word for word.

use std::path::Path;

use super::run;
use crate::report::{
    Palette, SummaryFacts, hazard_known, stall_ended, stall_explained, stall_known, summary,
};

#[track_caller]
fn assert_text(text: &str, golden: &str) {
    assert_eq!(text, golden, "\n--- now:\n{text}\n--- golden:\n{golden}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn stall_lines_tell_what_where_why_and_what_to_do() {
    let known: String = run::stalls()
        .iter()
        .skip(1)
        .map(|stall| stall_known(stall, run::ms(0), Palette::PLAIN))
        .collect();
    assert_text(&known, include_str!("stall_lines.txt"));
}

#[test]
fn a_stall_that_is_over_has_one_more_line() {
    let stalls = run::stalls();
    assert_text(
        &stall_ended(&stalls[3], run::ms(0), Palette::PLAIN),
        "gomod-trace: 4.5 s  contention.lock  /cache/v1.2.3.lock  over after 4.1 s\n",
    );
    assert_eq!(stall_ended(&stalls[2], run::ms(0), Palette::PLAIN), "");
}

#[test]
fn a_cause_that_becomes_known_later_is_told_with_what_to_do() {
    let stall = &run::stalls()[3];
    let because = "so another `go` is downloading the same, or hangs";
    assert_text(
        &stall_explained(
            stall,
            because,
            run::ms(3_600).since(run::ms(0)),
            Palette::PLAIN,
        ),
        "gomod-trace: 3.6 s  contention.lock  /cache/v1.2.3.lock, cause: lock_of_another_go\n    \
         so another `go` is downloading the same, or hangs\n    \
         → wait for process 77, or end it if it hangs\n",
    );
}

#[test]
fn a_hazard_is_told_with_what_it_leads_to() {
    let text = hazard_known(&run::hazards()[0], run::ms(0), Palette::PLAIN);
    assert_text(&text, include_str!("hazard_lines.txt"));
}

#[test]
fn the_summary_has_everything_at_a_glance() {
    let run_facts = run::facts();
    let facts = SummaryFacts {
        run: &run_facts,
        hazards: &run::hazards(),
        report: Some(Path::new("/home/user/report.json")),
        events: None,
    };
    let text = summary(&run::timeline(), &run::stalls(), &facts, Palette::PLAIN);
    assert_text(&text, include_str!("summary.txt"));
}

#[test]
fn the_summary_of_a_quiet_run_is_short() {
    let mut run_facts = run::facts();
    (run_facts.exit_code, run_facts.signal) = (None, Some(15));
    let facts = SummaryFacts {
        run: &run_facts,
        hazards: &[],
        report: None,
        events: None,
    };
    let mut timeline = crate::timeline::Timeline {
        began: run::ms(0),
        ..Default::default()
    };
    timeline.events_received = 3;
    assert_text(
        &summary(&timeline, &[], &facts, Palette::PLAIN),
        include_str!("summary_quiet.txt"),
    );
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let run_facts = run::facts();
    let facts = SummaryFacts {
        run: &run_facts,
        hazards: &[],
        report: None,
        events: None,
    };
    let (timeline, stalls) = (run::timeline(), run::stalls());
    let hazards = run::hazards();
    let facts = SummaryFacts {
        hazards: &hazards,
        ..facts
    };
    let plain = summary(&timeline, &stalls, &facts, Palette::PLAIN);
    let coloured = summary(&timeline, &stalls, &facts, Palette::COLOURED);
    assert_ne!(coloured, plain);
    let mut stripped = coloured;
    for code in [
        "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m",
    ] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn names_from_outside_cannot_draw_on_the_terminal() {
    let mut stalls = run::stalls();
    stalls[0].host = Some("evil\x1b[2J".into());
    stalls[0].modules = vec!["x\x1b]0;y\x07".into()];
    let mut timeline = run::timeline();
    timeline.connections[0].host = stalls[0].host.clone();
    timeline.dns[0].name = "a\x1bb".into();
    let mut hazards = run::hazards();
    hazards[0].place = "/a\x1b[2J".into();
    hazards[0].story.push('\x07');
    let mut run_facts = run::facts();
    run_facts.command.push("\x1b[31m".into());
    let facts = SummaryFacts {
        run: &run_facts,
        hazards: &hazards,
        report: None,
        events: None,
    };
    let text = summary(&timeline, &stalls, &facts, Palette::PLAIN)
        + &stall_known(&stalls[0], run::ms(0), Palette::PLAIN)
        + &hazard_known(&hazards[0], run::ms(0), Palette::PLAIN);
    assert!(!text.contains(|character: char| character.is_control() && character != '\n'));
}
