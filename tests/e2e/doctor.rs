// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace doctor` in the lab: a healthy machine, and one thing wrong at a time; as root, as a user, under sudo.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::LazyLock;

use gomod_lab::{Fault, FaultKind, Lab, PROXY, Project};
use jsonschema::Validator;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::footprint::{cgroups_of, mounts};
use crate::harness::user::User;
use crate::harness::{Need, Running, Scratch, needs::DOWNLOADS, newest_go, product, trial};

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../docs/doctor.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

pub(crate) fn trials() -> Vec<Trial> {
    let with = |name: &str, further: &[Need], test: fn()| {
        let needs = DOWNLOADS.iter().chain(further).copied().collect::<Vec<_>>();
        trial(format!("doctor::{name}"), needs, test)
    };
    let trial = |name: &str, test: fn()| with(name, &[], test);
    vec![
        trial("a_healthy_machine", healthy),
        trial("nothing_is_changed", changes_nothing),
        trial("a_dead_nameserver", dead_nameserver),
        trial("a_nameserver_that_fails", failing_nameserver),
        trial("shared_caches", shared_caches),
        trial("no_go_on_path", no_go),
        trial("a_held_lock", held_lock),
        trial("an_unreadable_resolv_conf", unreadable_resolv_conf),
        trial("no_certificates", no_certificates),
        trial("settings_that_stop_go", bad_settings),
        trial("a_full_disk", full_disk),
        with("without_root", &[Need::Sudo], without_root),
        with(
            "without_capabilities",
            &[Need::Program("setpriv")],
            without_capabilities,
        ),
        with("under_sudo_it_is_the_callers", &[Need::Sudo], under_sudo),
        trial("bad_command_lines", bad_command_lines),
    ]
}

/// What became of it.
#[derive(Debug)]
struct Doctor {
    code: Option<i32>,
    stderr: String,
    report: Value,
}

impl Doctor {
    /// Appends `doctor --json` to the command. The report follows its schema, and the exit code follows the report.
    fn of(trial: &str, mut command: Command) -> Self {
        let scratch = Scratch::new(&format!("doctor::{trial}"));
        command.args(["doctor", "--json"]);
        let mut running = Running::start(command, &scratch, "doctor");
        let code = running.wait().code();
        let (stdout, stderr) = (running.stdout(), running.stderr());
        let report: Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {code:?}\n{stdout}{stderr}"));
        let deviations: Vec<String> = SCHEMA
            .iter_errors(&report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            deviations.is_empty(),
            "the report does not follow docs/doctor.schema.json: {deviations:#?}\n{report:#}"
        );
        let wrong = report["summary"]["fail"] != 0;
        assert_eq!(code, Some(if wrong { 3 } else { 0 }), "{report:#}");
        Self {
            code,
            stderr,
            report,
        }
    }

    fn in_project(trial: &str, project: &Project<'_>) -> Self {
        Self::of(trial, project.command(&newest_go(), product::path()))
    }

    fn checks(&self) -> &[Value] {
        self.report["checks"].as_array().unwrap()
    }

    /// Those with this token.
    fn all(&self, token: &str) -> Vec<&Value> {
        let checks = self.checks().iter();
        checks.filter(|check| check["check"] == token).collect()
    }

    #[track_caller]
    fn one(&self, token: &str) -> &Value {
        let found = self.all(token);
        assert_eq!(found.len(), 1, "{token}: {:#}", self.report);
        found[0]
    }

    /// Tokens of the checks in a state.
    fn tokens(&self, state: &str) -> Vec<&str> {
        let checks = self.checks().iter();
        checks
            .filter(|check| check["state"] == state)
            .map(|check| check["check"].as_str().unwrap())
            .collect()
    }

    /// Exactly these checks fail.
    #[track_caller]
    fn fails_only(&self, tokens: &[&str]) {
        assert_eq!(self.tokens("fail"), tokens, "{:#}", self.report);
    }
}

fn lab() -> Lab {
    Lab::builder().start().unwrap()
}

fn healthy() {
    let lab = lab();
    let project = lab.project().unwrap();
    let mut command = project.command(&newest_go(), product::path());
    // What the lab does not replace are the machine's own certificates.
    command.env("SSL_CERT_DIR", "/nonexistent");
    let doctor = Doctor::of("healthy", command);
    doctor.fails_only(&[]);
    assert_eq!(doctor.code, Some(0));
    assert_eq!(doctor.tokens("unknown"), [""; 0], "{:#}", doctor.report);
    assert_eq!(doctor.stderr, "");
    let go = doctor.one("go.command");
    assert_eq!(
        go["evidence"]["version"],
        format!("go{}", newest_go().version)
    );
    assert_eq!(
        go["evidence"]["executable"],
        newest_go().go().to_str().unwrap()
    );
    assert!(
        doctor.one("go.resolver")["finding"]
            .as_str()
            .unwrap()
            .contains("static")
    );
    let programs = doctor.one("kernel.programs");
    let tried = programs["evidence"]["programs"].as_array().unwrap();
    let names: Vec<_> = tried
        .iter()
        .map(|one| one["program"].as_str().unwrap())
        .collect();
    assert_eq!(names, gomod_trace::kernel::PROGRAM_NAMES);
    assert_eq!(doctor.one("trust.overlay")["state"], "ok");
    // The lab's own authority, and no other.
    assert_eq!(doctor.one("trust.store")["evidence"]["certificates"], 1);
    let server = doctor.one("names.server");
    assert_eq!(server["subject"], "198.18.1.1");
    assert!(server["evidence"]["latency_ms"].as_f64().unwrap() > 0.0);
    let asked: Vec<_> = lab.questions().into_iter().map(|one| one.name).collect();
    assert_eq!(asked, [PROXY], "only a name that go itself would ask for");
    // GOSUMDB is off in the lab; hellos are large and HTTP/2 is on in every such go.
    let warned = doctor.tokens("warn");
    assert_eq!(
        warned,
        ["go.setting", "go.known_bug", "go.known_bug"],
        "{:#}",
        doctor.report
    );

    // The same on the screen, without colours as this is no terminal.
    let mut command = project.command(&newest_go(), product::path());
    let output = command.arg("doctor").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let screen = String::from_utf8(output.stdout).unwrap();
    assert!(!screen.contains('\x1b'), "{screen}");
    for part in [
        "✓ version",
        "✓ 198.18.1.1",
        "! TLS hello",
        "GODEBUG=tlsmlkem=0",
        "0 wrong",
    ] {
        assert!(screen.contains(part), "no {part:?}: {screen}");
    }
    // The reports that it speaks of, for those who want to read them.
    for issue in [
        "80573", "70047", "81199", "79626", "51323", "69544", "28194",
    ] {
        assert!(screen.contains(issue), "{screen}");
    }
    assert!(screen.lines().count() < 60, "more than a screen: {screen}");
}

fn changes_nothing() {
    let lab = lab();
    let project = lab.project().unwrap();
    let scratch = Scratch::new("doctor::changes_nothing");
    let before = mounts();
    let mut command = project.command(&newest_go(), product::path());
    command.arg("doctor");
    let mut running = Running::start(command, &scratch, "doctor");
    assert_eq!(running.wait().code(), Some(0), "{}", running.stdout());
    assert_eq!(cgroups_of(running.pid()), Vec::<std::path::PathBuf>::new());
    assert_eq!(mounts(), before);
    assert_eq!(fs::read_dir(project.module_cache()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(project.build_cache()).unwrap().count(), 0);
}

fn dead_nameserver() {
    let lab = Lab::builder()
        .nameservers(2)
        .fault("dns-drop,server=1".parse::<Fault>().unwrap())
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let doctor = Doctor::in_project("dead_nameserver", &project);
    doctor.fails_only(&["names.server"]);
    let servers = doctor.all("names.server");
    assert_eq!(servers.len(), 2);
    assert_eq!(
        (&servers[0]["subject"], &servers[0]["state"]),
        (&"198.18.1.1".into(), &"fail".into())
    );
    assert_eq!(servers[0]["evidence"]["latency_ms"], Value::Null);
    assert_eq!(
        (&servers[1]["subject"], &servers[1]["state"]),
        (&"198.18.1.2".into(), &"ok".into())
    );
    // One lost datagram alone would be no silence.
    let asked = lab
        .questions()
        .into_iter()
        .filter(|one| one.server == 1)
        .count();
    assert_eq!(asked, 2);
}

fn failing_nameserver() {
    let lab = Lab::builder()
        .fault(FaultKind::DnsServfail)
        .start()
        .unwrap();
    let project = lab.project().unwrap();
    let doctor = Doctor::in_project("failing_nameserver", &project);
    doctor.fails_only(&["names.server"]);
    assert_eq!(doctor.one("names.server")["evidence"]["rcode"], "SERVFAIL");
}

fn shared_caches() {
    let lab = lab();
    let project = lab.project().unwrap();
    let mut command = project.command(&newest_go(), product::path());
    let link = project.root().join("link");
    std::os::unix::fs::symlink(project.module_cache(), &link).unwrap();
    command.env("GOCACHE", link.join("build"));
    let doctor = Doctor::of("shared_caches", command);
    let shared = doctor.one("caches.shared");
    assert_eq!(
        (&shared["verdict"], &shared["state"]),
        (&"hazard.cache.shared".into(), &"warn".into())
    );
    assert_eq!(shared["evidence"]["relation"], "build_in_modules");
    assert_eq!(shared["evidence"]["clean_modcache_deletes"], "both");
    doctor.fails_only(&[]);
}

fn no_go() {
    let lab = lab();
    let project = lab.project().unwrap();
    let mut command = project.command(&newest_go(), product::path());
    command.env("PATH", "/nowhere:/neither");
    let doctor = Doctor::of("no_go", command);
    doctor.fails_only(&["go.command"]);
    assert!(
        doctor.one("go.command")["finding"]
            .as_str()
            .unwrap()
            .contains("/neither")
    );
    // The rest is seen nevertheless.
    assert_eq!(doctor.one("names.server")["state"], "ok");
    assert_eq!(doctor.one("kernel.programs")["state"], "ok");
}

fn held_lock() {
    let lab = lab();
    let project = lab.project().unwrap();
    let free = Doctor::in_project("free_lock", &project);
    assert_eq!(free.one("caches.locks")["state"], "ok");
    let module = &lab.modules()[0];
    let held = project.hold_lock(module).unwrap();
    let doctor = Doctor::in_project("held_lock", &project);
    let lock = doctor.one("caches.locks");
    assert_eq!(lock["state"], "warn");
    assert_eq!(lock["evidence"]["holder_pid"], held.pid());
    assert_eq!(lock["evidence"]["holder_command"], "sleep infinity");
    assert_eq!(
        lock["evidence"]["path"],
        project.lock_file(module).to_str().unwrap()
    );
}

/// A command in a mount namespace of its own in which `script` was run.
fn after(project: &Project<'_>, script: &str) -> Command {
    let mut command = project.command(&newest_go(), "unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg(format!("{script} && exec \"$0\" \"$@\""))
        .arg(product::path());
    command
}

fn unreadable_resolv_conf() {
    let lab = lab();
    let project = lab.project().unwrap();
    let directory = project.root().join("tmp");
    // Not even root can read a directory as a file.
    let script = format!(
        "mount -t tmpfs none {0} && cp -r /etc/. {0}/ && rm {0}/resolv.conf && mkdir {0}/resolv.conf && mount --bind {0} /etc",
        directory.display()
    );
    let doctor = Doctor::of("unreadable_resolv_conf", after(&project, &script));
    doctor.fails_only(&["names.resolv_conf"]);
    assert_eq!(doctor.all("names.server").len(), 0);
}

fn no_certificates() {
    let lab = lab();
    let project = lab.project().unwrap();
    let mut command = project.command(&newest_go(), product::path());
    command
        .env("SSL_CERT_FILE", "/nonexistent.pem")
        .env("SSL_CERT_DIR", "/nonexistent");
    let doctor = Doctor::of("no_certificates", command);
    doctor.fails_only(&["trust.store", "trust.overlay"]);
}

fn bad_settings() {
    let lab = lab();
    let project = lab.project().unwrap();
    let mut plain = project.go(&newest_go(), ["mod", "download"]);
    let plain = plain.env("GOFLAGS", "nonsense").output().unwrap();
    assert!(!plain.status.success(), "go itself stops: {plain:?}");
    let mut command = project.command(&newest_go(), product::path());
    command.env("GOFLAGS", "nonsense");
    let doctor = Doctor::of("bad_settings", command);
    doctor.fails_only(&["go.settings"]);
}

fn full_disk() {
    let lab = lab();
    let project = lab.project().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=1m none {}",
        project.module_cache().display()
    );
    let doctor = Doctor::of("full_disk", after(&project, &script));
    doctor.fails_only(&["caches.room"]);
    let rooms = doctor.all("caches.room");
    assert_eq!(rooms.len(), 2, "two file systems");
    assert!(rooms[0]["evidence"]["bytes"].as_u64().unwrap() <= 1 << 20);
}

fn without_root() {
    let user = User::create("o");
    let lab = lab();
    let project = lab.project().unwrap().owned_by(user.identity).unwrap();
    let doctor = Doctor::in_project("without_root", &project);
    doctor.fails_only(&[]);
    assert_eq!(doctor.report["uid"], user.identity.uid, "{}", user.name());
    assert_eq!(doctor.report["sudo"], false);
    assert_eq!(
        doctor.tokens("unknown"),
        ["kernel.capabilities", "kernel.programs", "trust.overlay"],
        "{:#}",
        doctor.report
    );
    assert_eq!(doctor.one("names.server")["state"], "ok");
    // A cache that root has left behind is of no use to the user.
    let cache = project.module_cache();
    std::os::unix::fs::chown(&cache, Some(0), Some(0)).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    let doctor = Doctor::in_project("without_root_foreign", &project);
    doctor.fails_only(&["caches.modules"]);
}

fn without_capabilities() {
    let lab = lab();
    let project = lab.project().unwrap();
    let mut command = project.command(&newest_go(), "setpriv");
    command
        .arg("--bounding-set=-perfmon,-bpf")
        .arg(product::path());
    let doctor = Doctor::of("without_capabilities", command);
    doctor.fails_only(&["kernel.capabilities"]);
    let finding = doctor.one("kernel.capabilities")["finding"]
        .as_str()
        .unwrap();
    assert!(finding.contains("CAP_PERFMON, CAP_BPF"), "{finding}");
    assert!(finding.contains("docker run --privileged"), "{finding}");
    assert_eq!(doctor.one("kernel.programs")["state"], "unknown");
}

/// Their `go`, their PATH, their settings and caches: not root's.
fn under_sudo() {
    let user = User::create("k");
    let lab = lab();
    let project = lab.project().unwrap().owned_by(user.identity).unwrap();
    let mut command = project.command(&newest_go(), "sudo");
    command
        .env("GOPRIVATE", "only.the.user.example")
        .arg("-n")
        .arg(product::path());
    let doctor = Doctor::of("under_sudo", command);
    doctor.fails_only(&[]);
    assert_eq!(doctor.report["uid"], user.identity.uid);
    assert_eq!(doctor.report["sudo"], true);
    assert_eq!(doctor.tokens("unknown"), [""; 0], "{:#}", doctor.report);
    assert_eq!(
        doctor.one("go.command")["evidence"]["executable"],
        newest_go().go().to_str().unwrap()
    );
    let private = doctor
        .all("go.setting")
        .into_iter()
        .find(|check| check["subject"] == "GOPRIVATE")
        .unwrap();
    assert_eq!(private["evidence"]["value"], "only.the.user.example");
    assert_eq!(
        doctor.one("caches.modules")["evidence"]["named"],
        project.module_cache().to_str().unwrap()
    );
}

fn bad_command_lines() {
    for words in [
        &["doctor", "--yaml"][..],
        &["doctor", "file.json"],
        &["doctor", "--json=x"],
    ] {
        let output = Command::new(product::path()).args(words).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert_eq!(output.stdout, b"", "{words:?}");
        assert_eq!(stderr.matches("error:").count(), 1, "{words:?}: {stderr}");
    }
    // Nobody to read it: an error in one line, no panic.
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" doctor > /dev/full"])
        .arg(product::path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("cannot write to standard output"),
        "{stderr}"
    );
}
