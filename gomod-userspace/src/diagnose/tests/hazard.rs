// SPDX-License-Identifier: MIT OR Apache-2.0
//! Caches that share a directory.

use crate::{
    diagnose::{Confidence, Diagnosis, Hazard, Verdict},
    golang::CachePlace,
    kernel::events::{CacheSource, Caches, Event, EventKind, Pid},
    timeline::{Timeline, script::moment},
};

fn place(path: &str) -> CachePlace {
    CachePlace {
        named: path.into(),
        link: false,
        path: path.into(),
        device: (8, 1),
        within: path.into(),
    }
}

fn caches(pid: u32, source: CacheSource, build: Option<&str>, modules: Option<&str>) -> Event {
    Event {
        at: moment(1.0),
        pid: Pid(pid),
        kind: EventKind::Caches(Caches {
            source,
            build: build.map(place),
            modules: modules.map(place),
        }),
    }
}

fn hazards(events: &[Event]) -> Vec<Hazard> {
    let mut timeline = Timeline::new(moment(0.0));
    let mut diagnosis = Diagnosis::new();
    for event in events {
        timeline.apply(event);
        assert!(
            diagnosis.examine(&timeline, moment(2.0)).is_empty(),
            "a stall"
        );
        diagnosis.examine(&timeline, moment(3.0));
    }
    assert!(diagnosis.stalls().is_empty());
    diagnosis.hazards().to_vec()
}

#[test]
fn caches_apart_are_none() {
    use CacheSource::{Opened, Settings};
    let events = [
        caches(
            1,
            Settings,
            Some("/h/.cache/go-build"),
            Some("/h/go/pkg/mod"),
        ),
        caches(1, Opened, None, Some("/h/go/pkg/mod")),
        caches(2, Settings, None, None),
    ];
    assert_eq!(hazards(&events), []);
}

#[test]
fn a_pair_is_told_once_whoever_uses_it() {
    use CacheSource::{Opened, Settings};
    let events = [
        caches(1, Settings, Some("/m/build"), Some("/m")),
        caches(1, Opened, None, Some("/m")),
        caches(2, Settings, Some("/m/build"), Some("/m")),
    ];
    let [hazard] = hazards(&events).try_into().unwrap();
    assert_eq!(hazard.verdict, Verdict::CacheShared);
    assert_eq!(
        (hazard.confidence, hazard.pid),
        (Confidence::Confirmed, Pid(1))
    );
    assert_eq!(hazard.known, moment(2.0));
    assert_eq!(hazard.evidence["relation"], "build_in_modules");
    assert_eq!(hazard.evidence["clean_modcache_deletes"], "both");
    assert_eq!(hazard.evidence["build_cache"], "/m/build");
    assert_eq!(
        hazard.story,
        "GOCACHE (/m/build) lies in GOMODCACHE (/m): `go clean -modcache` deletes both"
    );
}

/// One process builds where the other one downloads to.
#[test]
fn caches_of_two_processes_are_compared() {
    use CacheSource::Settings;
    let events = [
        caches(1, Settings, Some("/a"), Some("/b")),
        caches(2, Settings, Some("/c"), Some("/a")),
    ];
    let [hazard] = hazards(&events).try_into().unwrap();
    assert_eq!(hazard.evidence["relation"], "same");
    assert_eq!(hazard.pid, Pid(2));
}

/// A build cache that nobody here is set to may be left from former times.
#[test]
fn what_lies_on_disk_is_less_sure() {
    use CacheSource::{FoundOnDisk, Settings};
    let events = [
        caches(1, Settings, Some("/h/.cache/go-build"), Some("/m")),
        caches(1, FoundOnDisk, Some("/m"), Some("/m")),
    ];
    let [hazard] = hazards(&events).try_into().unwrap();
    assert_eq!(hazard.confidence, Confidence::Likely);
    assert_eq!(hazard.evidence["build_cache_known_by"], "found_on_disk");
}
