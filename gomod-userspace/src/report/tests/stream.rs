// SPDX-License-Identifier: MIT OR Apache-2.0
//! The event stream.

use serde_json::{Value, json};

use super::{run, schema};
use crate::{
    diagnose::StallChange,
    report::EventStream,
    timeline::{DnsOutcome, Ended, FileProgress, Timeline},
};

fn lines(text: &mut Vec<u8>) -> Vec<Value> {
    let lines = std::mem::take(text);
    assert!(lines.is_empty() || lines.ends_with(b"\n"));
    String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn told(lines: &[Value]) -> Vec<(String, String, f64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines
        .iter()
        .map(|line| {
            (
                text(&line["kind"]),
                text(&line["state"]),
                line["t_ms"].as_f64().unwrap(),
            )
        })
        .collect()
}

fn step(kind: &str, state: &str, t_ms: f64) -> (String, String, f64) {
    (kind.into(), state.into(), t_ms)
}

/// Only the first connection and the first file of the run.
fn small() -> Timeline {
    let mut timeline = run::timeline();
    timeline.processes.clear();
    timeline.ended_processes.clear();
    timeline.dns.clear();
    timeline.locks.clear();
    timeline.connections.truncate(1);
    timeline.files.drain(..2);
    timeline
}

#[test]
fn every_line_fits_the_schema() {
    let mut definition = schema::schema();
    let definitions = definition["$defs"].take();
    let validator =
        jsonschema::draft202012::new(&json!({"$ref": "#/$defs/event", "$defs": definitions}))
            .unwrap();
    let mut stream = EventStream::new(Vec::new());
    let changes: Vec<StallChange> = run::stalls()
        .into_iter()
        .flat_map(|stall| {
            let explained = StallChange::Explained {
                stall: stall.clone(),
                because: "a smaller one passes".into(),
                at: stall.known,
            };
            [
                StallChange::Known(stall.clone()),
                explained,
                StallChange::Ended(stall),
            ]
        })
        .collect();
    stream.tick(&run::timeline(), &changes).unwrap();
    let mut text = stream
        .finish(&run::timeline(), &[], run::ms(12_400))
        .unwrap();
    let lines = lines(&mut text);
    let mut kinds: Vec<&str> = lines
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(
        kinds,
        ["connection", "dns", "lock", "module", "process", "stall"]
    );
    for line in &lines {
        schema::assert_valid(&validator, line);
        let mut mutated = line.clone();
        mutated["unheard_of"] = json!(1);
        assert!(!validator.is_valid(&mutated), "{mutated}");
        mutated = line.clone();
        mutated["state"] = json!("elsewhere");
        assert!(!validator.is_valid(&mutated), "{mutated}");
    }
}

#[test]
fn the_lines_of_a_stall_do_not_go_back_in_time() {
    let mut stream = EventStream::new(Vec::new());
    let mut stall = run::stalls().remove(0);
    stall.known = run::ms(5_000);
    stall.ended = Some(run::ms(6_000));
    let explained = StallChange::Explained {
        stall: stall.clone(),
        because: "a smaller one passes".into(),
        at: run::ms(6_001),
    };
    stream
        .tick(&small(), &[StallChange::Known(stall.clone()), explained])
        .unwrap();
    let mut text = stream
        .finish(&small(), &[StallChange::Ended(stall)], run::ms(12_400))
        .unwrap();
    let told: Vec<(Value, f64)> = lines(&mut text)
        .into_iter()
        .filter(|line| line["kind"] == "stall")
        .map(|line| (line["state"].clone(), line["t_ms"].as_f64().unwrap()))
        .collect();
    let moments = [5_000.0, 6_001.0, 6_001.0];
    let states = ["known", "explained", "ended"].map(Value::from);
    assert_eq!(told, states.into_iter().zip(moments).collect::<Vec<_>>());
}

#[test]
fn a_tick_tells_only_what_is_new() {
    let mut text = Vec::new();
    let mut stream = EventStream::new(&mut text);
    let mut timeline = small();
    timeline.connections[0].established = None;
    stream.tick(&timeline, &[]).unwrap();
    stream.tick(&timeline, &[]).unwrap();
    timeline.connections[0].established = Some(run::ms(62));
    stream.tick(&timeline, &[]).unwrap();
    timeline.connections[0].closed = Some(run::ms(900));
    timeline.connections[0].ended = Ended::Fin;
    timeline.files[0].progress = FileProgress::Done;
    timeline.files[0].done = Some(run::ms(800));
    stream.tick(&timeline, &[]).unwrap();
    timeline.connections[0].bytes_received += 1;
    stream.tick(&timeline, &[]).unwrap();
    stream.finish(&timeline, &[], run::ms(12_400)).unwrap();
    let lines = lines(&mut text);
    assert_eq!(
        told(&lines),
        [
            step("connection", "opened", 50.0),
            step("module", "wanted", 410.0),
            step("connection", "established", 62.0),
            step("module", "done", 800.0),
            step("connection", "closed", 900.0),
        ]
    );
    assert_eq!(lines[4]["ended"], "fin");
    assert_eq!(lines[3]["files"], json!(["zip"]));
}

#[test]
fn a_connection_that_has_just_closed_is_told_when_it_is_known_how() {
    let mut text = Vec::new();
    let mut stream = EventStream::new(&mut text);
    let mut timeline = small();
    timeline.connections[0].closed = Some(run::ms(900));
    timeline.connections[0].ended = Ended::Fin;
    stream.tick(&timeline, &[]).unwrap();
    timeline.connections[0].ended = Ended::RstReceived;
    stream.tick(&timeline, &[]).unwrap();
    drop(stream);
    let lines = lines(&mut text);
    let closed: Vec<_> = lines
        .iter()
        .filter(|line| line["state"] == "closed")
        .collect();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["ended"], "rst_received");
}

#[test]
fn what_happened_between_two_ticks_is_told_in_order() {
    let mut text = EventStream::new(Vec::new())
        .finish(&run::timeline(), &[], run::ms(12_400))
        .unwrap();
    let lines = lines(&mut text);
    let times: Vec<f64> = told(&lines).into_iter().map(|(.., t_ms)| t_ms).collect();
    assert!(times.is_sorted(), "{times:?}");
    let of_shell: Vec<&str> = lines
        .iter()
        .filter(|line| line["kind"] == "process" && line["pid"] == 100)
        .map(|line| line["state"].as_str().unwrap())
        .collect();
    assert_eq!(of_shell, ["started", "ended"]);
}

#[test]
fn what_never_ended_is_told_at_the_end() {
    let mut timeline = small();
    timeline.dns = run::timeline().dns;
    timeline.dns.truncate(1);
    timeline.dns[0].outcome = DnsOutcome::Pending;
    let mut stream = EventStream::new(Vec::new());
    stream.tick(&timeline, &[]).unwrap();
    let mut text = stream.finish(&timeline, &[], run::ms(12_400)).unwrap();
    let unfinished: Vec<_> = told(&lines(&mut text))
        .into_iter()
        .filter(|(_, state, _)| state == "unfinished")
        .collect();
    assert_eq!(
        unfinished,
        [
            step("dns", "unfinished", 12_400.0),
            step("connection", "unfinished", 12_400.0),
            step("module", "unfinished", 12_400.0),
        ]
    );
}

#[test]
fn a_process_id_that_is_used_again_is_another_process() {
    let mut text = Vec::new();
    let mut stream = EventStream::new(&mut text);
    let mut timeline = small();
    let mut process = run::timeline().ended_processes.remove(0);
    process.ended = None;
    timeline.processes.insert(process.pid, process.clone());
    stream.tick(&timeline, &[]).unwrap();
    // It ends and two more come and go under its id before the next look.
    let mut old = Vec::new();
    for start in [10, 20] {
        process.ended = Some(run::ms(start - 1));
        old.push(process.clone());
        process.started = run::ms(start);
        process.ended = None;
    }
    timeline.ended_processes = old;
    timeline.processes.insert(process.pid, process);
    stream.tick(&timeline, &[]).unwrap();
    stream.tick(&timeline, &[]).unwrap();
    drop(stream);
    let processes: Vec<_> = told(&lines(&mut text))
        .into_iter()
        .filter(|(kind, ..)| kind == "process")
        .collect();
    assert_eq!(
        processes,
        [
            step("process", "started", 0.0),
            step("process", "ended", 9.0),
            step("process", "started", 10.0),
            step("process", "ended", 19.0),
            step("process", "started", 20.0),
        ]
    );
}

#[test]
fn a_full_disk_is_an_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = EventStream::new(Full)
        .tick(&run::timeline(), &[])
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
