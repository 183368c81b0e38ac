// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one `gomod-trace` process has in the kernel, and whether anything of it is left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gomod_trace::launch::Hierarchy;

use super::eventually;

/// Taken while it runs. Other runs on the machine have ids of their own.
#[derive(Debug)]
pub(crate) struct Footprint {
    pid: u32,
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    namespaces: BTreeSet<PathBuf>,
}

impl Footprint {
    /// Of the process `pid`, which must have attached its programs.
    pub(crate) fn of(pid: u32) -> Self {
        let footprint = Self {
            pid,
            programs: ids(pid, "prog_id:"),
            maps: ids(pid, "map_id:"),
            namespaces: namespaces(pid)
                .difference(&namespaces(std::process::id()))
                .cloned()
                .collect(),
        };
        assert!(
            footprint.programs.len() > 10 && !footprint.maps.is_empty(),
            "{footprint:?}"
        );
        assert!(
            footprint.programs.is_subset(&loaded_programs()),
            "{footprint:?}"
        );
        footprint
    }

    /// Waits until all of it is gone but the cgroup; the kernel frees programs a moment after their owner's death.
    pub(crate) fn vanishes_from_the_kernel(&self) {
        let left = || {
            let programs = self.programs.intersection(&loaded_programs()).count();
            let maps = self.maps.intersection(&loaded_maps()).count();
            let users = users_of(&self.namespaces);
            format!("{programs} programs, {maps} maps, processes {users:?} in its namespaces")
        };
        let nothing = "0 programs, 0 maps, processes [] in its namespaces";
        eventually("nothing of it is left in the kernel", left, || {
            (left() == nothing).then_some(())
        });
    }

    /// Nothing is left at all.
    pub(crate) fn vanishes(&self) {
        self.vanishes_from_the_kernel();
        assert_eq!(cgroups_of(self.pid), Vec::<PathBuf>::new());
    }
}

/// Cgroups that the process with this id made beside its own.
pub(crate) fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    let prefix = format!("gomod-trace.{pid}.");
    fs::read_dir(Hierarchy::find().unwrap().own)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        })
        .collect()
}

/// The machine's mounts as we see them.
pub(crate) fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn ids(pid: u32, field: &str) -> BTreeSet<u32> {
    fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .flat_map(|info| {
            info.lines()
                .filter_map(|line| line.strip_prefix(field)?.trim().parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn loaded_programs() -> BTreeSet<u32> {
    // One that vanishes between two steps of the walk ends it with an error.
    aya::programs::loaded_programs()
        .filter_map(|program| program.ok().map(|program| program.id()))
        .collect()
}

fn loaded_maps() -> BTreeSet<u32> {
    aya::maps::loaded_maps()
        .filter_map(|map| map.ok().map(|map| map.id()))
        .collect()
}

/// Namespaces of all threads of a process, as `mnt:[4026531840]`.
fn namespaces(pid: u32) -> BTreeSet<PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|thread| namespaces_of(&thread.path()))
        .collect()
}

fn namespaces_of(process: &Path) -> Vec<PathBuf> {
    ["mnt", "net", "pid", "cgroup"]
        .iter()
        .filter_map(|kind| fs::read_link(process.join("ns").join(kind)).ok())
        .collect()
}

/// Processes that are in any of `namespaces`.
fn users_of(namespaces: &BTreeSet<PathBuf>) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            namespaces_of(&entry.path())
                .iter()
                .any(|namespace| namespaces.contains(namespace))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
