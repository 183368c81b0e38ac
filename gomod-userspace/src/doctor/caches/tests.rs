// SPDX-License-Identifier: MIT OR Apache-2.0
//! Caches, locks and room of made-up machines.

use super::super::State;
use super::*;
use crate::kernel::{HeldLock, events::Pid};

fn facts(path: &str) -> DirectoryFacts {
    DirectoryFacts {
        place: CachePlace {
            named: path.into(),
            link: false,
            path: path.into(),
            device: (8, 1),
            within: path.into(),
        },
        exists: true,
        writable: true,
        room: Some(Room {
            bytes: 50 << 30,
            files: Some(1 << 20),
        }),
    }
}

fn machine(modules: &str, build: &str) -> CacheFacts {
    CacheFacts {
        modules: Ok(Some(facts(modules))),
        build: Ok(Some(facts(build))),
        found_on_disk: None,
        locks: Some(Ok(HeldLocks {
            locks: Vec::new(),
            complete: true,
        })),
    }
}

fn ordinary() -> CacheFacts {
    machine("/h/go/pkg/mod", "/h/.cache/go-build")
}

#[track_caller]
fn check(facts: &CacheFacts, token: &str) -> Check {
    let checks = facts.judge();
    checks
        .iter()
        .find(|one| one.check == token)
        .unwrap_or_else(|| panic!("no {token}: {checks:#?}"))
        .clone()
}

#[test]
fn ordinary_caches_are_well() {
    let checks = ordinary().judge();
    assert!(
        checks.iter().all(|one| one.state == State::Ok),
        "{checks:#?}"
    );
    assert_eq!(checks.len(), 5, "one line for the file system of both");
}

#[test]
fn shared_caches_are_a_hazard_by_settings_or_on_disk() {
    let nested = check(&machine("/m", "/m/build"), "caches.shared");
    assert_eq!(
        (nested.state, nested.verdict),
        (State::Warn, Some(Verdict::CacheShared))
    );
    assert!(nested.finding.contains("deletes both"), "{nested:?}");
    let mut left = ordinary();
    left.found_on_disk = Some(facts("/h/go/pkg/mod").place);
    let left = check(&left, "caches.shared");
    assert_eq!(left.verdict, Some(Verdict::CacheShared));
    assert!(left.finding.contains("README"), "{left:?}");
    let mut unknown = ordinary();
    unknown.build = Ok(None);
    assert_eq!(check(&unknown, "caches.shared").state, State::Unknown);
    assert_eq!(check(&unknown, "caches.build").state, State::Fail);
}

#[test]
fn holders_of_locks_are_named() {
    let mut held = ordinary();
    held.locks = Some(Ok(HeldLocks {
        locks: vec![HeldLock {
            path: "/m/v1.lock".into(),
            holder: Pid(4711),
            command: "go mod download".into(),
        }],
        complete: true,
    }));
    let lock = check(&held, "caches.locks");
    assert_eq!(lock.state, State::Warn);
    assert!(lock.finding.contains("4711") && lock.finding.contains("go mod download"));
    held.locks = Some(Ok(HeldLocks::default()));
    assert_eq!(
        check(&held, "caches.locks").state,
        State::Unknown,
        "not looked through"
    );
}

#[test]
fn a_full_disk_and_a_foreign_cache_fail() {
    for (bytes, files, state) in [
        (FULL - 1, Some(1 << 20), State::Fail),
        (SCARCE - 1, Some(1 << 20), State::Warn),
        (50 << 30, Some(100), State::Warn),
        (50 << 30, Some(0), State::Fail),
        (50 << 30, None, State::Ok),
    ] {
        let mut full = ordinary();
        let mut modules = facts("/m");
        modules.room = Some(Room { bytes, files });
        full.modules = Ok(Some(modules));
        assert_eq!(
            check(&full, "caches.room").state,
            state,
            "{bytes} {files:?}"
        );
    }
    let mut foreign = ordinary();
    let mut modules = facts("/m");
    modules.writable = false;
    foreign.modules = Ok(Some(modules));
    assert_eq!(check(&foreign, "caches.modules").state, State::Fail);
}
