// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab and the machine it runs on: identities, exit codes, and nothing left behind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gomod_lab::{Identity, Lab, LabError, Modules};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{LONG, Outcome, newest, run, trial};

/// A user that owns nothing.
const STRANGER: Identity = Identity {
    uid: 54_321,
    gid: 54_321,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial!(another_user_downloads_and_owns_the_files),
        trial!(commands_start_in_the_directory_they_were_given),
        trial!(the_control_group_tree_stays_visible),
        trial!(dropping_a_lab_leaves_nothing),
        trial!(killing_the_program_leaves_nothing),
        trial!(the_program_passes_exit_codes_on),
        trial!(the_program_passes_signals_on),
        trial!(sudo_works_inside),
        trial!(the_program_runs_as_the_user_named),
        trial!(the_program_explains_wrong_faults),
    ]
}

fn another_user_downloads_and_owns_the_files() -> Outcome {
    let lab = Lab::builder().modules(Modules::many(2)).start()?;
    let project = lab.project()?.owned_by(STRANGER)?;
    let ran = run(project.go(&newest()?, ["mod", "download"]), LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    for module in lab.modules() {
        let zip = fs::metadata(project.lock_file(module).with_extension("zip"))?;
        assert_eq!((zip.uid(), zip.gid()), (STRANGER.uid, STRANGER.gid));
    }
    Ok(())
}

fn commands_start_in_the_directory_they_were_given() -> Outcome {
    let lab = Lab::builder().start()?;
    let directory = tempfile::tempdir()?;
    let directory = directory.path().canonicalize()?;
    let mut command = lab.command("pwd");
    command.current_dir(&directory);
    assert_eq!(Path::new(run(command, LONG)?.stdout.trim_end()), directory);
    Ok(())
}

fn the_control_group_tree_stays_visible() -> Outcome {
    let lab = Lab::builder().start()?;
    let list = |mut command: Command| {
        command.arg("/sys/fs/cgroup");
        run(command, LONG).map(|ran| ran.stdout)
    };
    assert_eq!(list(lab.command("ls"))?, list(Command::new("ls"))?);
    Ok(())
}

/// The namespaces of a process started in the lab, by their numbers.
fn namespaces(lab: &Lab) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut command = lab.command("readlink");
    command.args(["/proc/self/ns/net", "/proc/self/ns/mnt"]);
    let names = run(command, LONG)?
        .stdout
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert_eq!(names.len(), 2);
    Ok(names)
}

/// True if any process is in one of `namespaces` or has it open.
fn in_use(namespaces: &[String]) -> bool {
    let links = |directory: String| {
        fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .flat_map(|process| {
            let path = process.path().display().to_string();
            links(format!("{path}/ns")).chain(links(format!("{path}/fd")))
        })
        .filter_map(|link| fs::read_link(link).ok())
        .any(|target| {
            namespaces
                .iter()
                .any(|namespace| Path::new(namespace) == target)
        })
}

fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn dropping_a_lab_leaves_nothing() -> Outcome {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let lab = Lab::builder().start()?;
    let namespaces = namespaces(&lab)?;
    assert!(in_use(&namespaces));
    drop(lab);
    // A child that another test has forked, and that has not executed yet, still has our descriptors.
    assert!(eventually(|| !in_use(&namespaces)), "{namespaces:?} in use");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo")?, mounts);
    assert!(!Path::new("/sys/class/net/lab0").exists());
    Ok(())
}

fn killing_the_program_leaves_nothing() -> Outcome {
    // Says what the machine lacks, where it lacks something.
    drop(Lab::builder().start()?);
    newest()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let directory = tempfile::tempdir()?;
    let note = directory.path().join("note");
    let script = format!(
        "readlink /proc/self/ns/net /proc/self/ns/mnt > {0}.new; mv {0}.new {0}; exec sleep 600",
        note.display()
    );
    let mut program = Command::new(env!("CARGO_BIN_EXE_gomod-lab"))
        .arg("--project")
        .arg(directory.path().join("project"))
        .args(["--", "sh", "-c", &script])
        .stdin(Stdio::null())
        .spawn()?;
    let noted = eventually(|| note.exists());
    let namespaces = fs::read_to_string(&note)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let used_before = in_use(&namespaces);
    program.kill()?;
    program.wait()?;
    assert!(
        noted && used_before && namespaces.len() == 2,
        "{namespaces:?}"
    );
    assert!(eventually(|| !in_use(&namespaces)), "{namespaces:?} in use");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo")?, mounts);
    Ok(())
}

fn the_program_passes_exit_codes_on() -> Outcome {
    drop(Lab::builder().start()?);
    newest()?;
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gomod-lab"));
        command.args(["--", "sh", "-c", script]);
        let ran = run(command, LONG)?;
        assert_eq!(
            ran.status.and_then(|status| status.code()),
            Some(code),
            "{ran:?}"
        );
    }
    Ok(())
}

fn the_program_passes_signals_on() -> Outcome {
    drop(Lab::builder().start()?);
    newest()?;
    let directory = tempfile::tempdir()?;
    let ready = directory.path().join("ready");
    let script = format!(
        "trap 'exit 9' TERM; touch {}; while :; do sleep 0.05; done",
        ready.display()
    );
    let mut program = Command::new(env!("CARGO_BIN_EXE_gomod-lab"))
        .args(["--", "sh", "-c", &script])
        .stdin(Stdio::null())
        .spawn()?;
    let started = eventually(|| ready.exists());
    kill(Pid::from_raw(program.id() as i32), Signal::SIGTERM)?;
    assert_eq!(program.wait()?.code(), Some(9));
    assert!(started);
    Ok(())
}

fn sudo_works_inside() -> Outcome {
    let sudo = Path::new("/usr/bin/sudo");
    if !sudo.exists() {
        return Err(LabError::MissingFile {
            path: sudo.into(),
            remedy: "install the package sudo",
        }
        .into());
    }
    let lab = Lab::builder().start()?;
    let mut command = lab.command(sudo);
    command.args(["-n", "cat", "/etc/resolv.conf"]);
    let ran = run(command, LONG)?;
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("nameserver 198.18.1.1\n", ""),
        "{ran:?}"
    );
    Ok(())
}

fn the_program_runs_as_the_user_named() -> Outcome {
    drop(Lab::builder().start()?);
    newest()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_gomod-lab"));
    command.args([
        "--user",
        "54321",
        "--",
        "sh",
        "-c",
        "id -u; id -G; go mod download && touch written",
    ]);
    let ran = run(command, LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    assert_eq!(ran.stdout, "54321\n54321\n");
    Ok(())
}

fn the_program_explains_wrong_faults() -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gomod-lab"));
    command.args(["--fault", "sni-rest", "--", "true"]);
    let ran = run(command, LONG)?;
    assert!(!ran.succeeded());
    assert!(
        ran.stderr.contains("sni-rest") && ran.stderr.contains("gomod-lab faults"),
        "{ran:?}"
    );
    Ok(())
}
