// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether this kernel, and what we may do on it, is enough to trace.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Check;
use crate::{
    kernel::{
        self, FLOOR, KernelError, Missing, Tried, lacking_capabilities, missing_in_pid_namespace,
        try_programs,
    },
    launch::Hierarchy,
};

/// `sock:inet_sk_error_report` is there from this version on.
const ERROR_NUMBERS: (u32, u32) = (5, 15);

/// What is known of the kernel.
#[derive(Clone, Debug)]
pub struct KernelFacts {
    /// `uname -r`.
    pub release: String,
    /// `/sys/kernel/btf/vmlinux` is there.
    pub btf: bool,
    /// Where cgroup v2 is mounted, and our cgroup; else why not.
    pub cgroup: Result<(PathBuf, String), String>,
    /// The error that names the capabilities which are missing.
    pub lacking: Option<String>,
    /// We are root, in this container or outside.
    pub root: bool,
    /// What became of each program; `None` if it could not be tried for want of capabilities or of a newer kernel.
    pub programs: Option<Result<Vec<Tried>, String>>,
    /// What is lost because this is a pid namespace of its own.
    pub pid_namespace: Option<Missing>,
}

impl KernelFacts {
    /// Looks.
    pub fn gather() -> Self {
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        let lacking = lacking_capabilities().unwrap_or_else(Some);
        let old = kernel::version(&release).is_some_and(|version| version < FLOOR);
        let say = |error: KernelError| error.to_string();
        Self {
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            cgroup: Hierarchy::find()
                .map(|found| (found.mount, found.own_path))
                .map_err(|error| error.to_string()),
            programs: (lacking.is_none() && !old).then(|| try_programs().map_err(say)),
            lacking: lacking.map(say),
            root: rustix::process::geteuid().is_root(),
            pid_namespace: missing_in_pid_namespace(),
            release,
        }
    }

    /// Judges.
    pub fn judge(&self) -> Vec<Check> {
        let mut checks = vec![
            self.version(),
            self.btf(),
            self.cgroup(),
            self.capabilities(),
        ];
        checks.extend(self.programs());
        checks.extend(self.pid_namespace.iter().map(|missing| {
            Check::warn(
                "kernel.pid_namespace",
                format!("{}; without it, not seen: {}", missing.reason, missing.lost),
            )
            .remedy("start the container with `--pid=host`")
        }));
        checks
    }

    fn version(&self) -> Check {
        let (token, release) = ("kernel.version", &self.release);
        let facts = json!({"release": release, "floor": format!("{}.{}", FLOOR.0, FLOOR.1)});
        let remedy = "run it on a host with a newer kernel";
        match kernel::version(release) {
            Some(version) if version < FLOOR => Check::fail(
                token,
                format!("{release}: tracing needs Linux {}.{}", FLOOR.0, FLOOR.1),
            )
            .remedy(remedy),
            Some(version) if version < ERROR_NUMBERS => Check::warn(
                token,
                format!("{release}: error numbers of failed connections are seen from 5.15 on"),
            )
            .remedy(remedy),
            Some(_) => Check::ok(token, format!("Linux {release}")),
            None => Check::unknown(token, format!("{release} is no version that is understood")),
        }
        .facts(facts)
    }

    fn btf(&self) -> Check {
        let there = if self.btf { "there" } else { "not there" };
        Check::ok("kernel.btf", format!("{there}; the programs need none"))
            .facts(json!({"present": self.btf}))
    }

    fn cgroup(&self) -> Check {
        match &self.cgroup {
            Ok((mount, own)) => Check::ok(
                "kernel.cgroup2",
                format!("{}, our cgroup is {own}", mount.display()),
            )
            .facts(json!({"mount": mount, "own": own})),
            Err(reason) => Check::fail("kernel.cgroup2", reason.clone()),
        }
    }

    fn capabilities(&self) -> Check {
        match &self.lacking {
            None => Check::ok("kernel.capabilities", "all that tracing needs"),
            // A user's processes have none, and that is as it should be.
            Some(_) if !self.root => Check::unknown(
                "kernel.capabilities",
                "this is not root, so whether tracing works can't be tried",
            )
            .remedy("run it once more with sudo, as `gomod-trace run` needs it too"),
            Some(reason) => Check::fail("kernel.capabilities", reason.clone()),
        }
    }

    fn programs(&self) -> Vec<Check> {
        let token = "kernel.programs";
        let tried = match &self.programs {
            None => return vec![Check::unknown(token, "not tried: see above")],
            Some(Err(reason)) => return vec![Check::fail(token, reason.clone())],
            Some(Ok(tried)) => tried,
        };
        let loaded = tried.iter().filter(|one| one.outcome.is_ok()).count();
        let facts: Vec<_> = tried
            .iter()
            .map(|one| {
                json!({
                    "program": one.program,
                    "loads": one.outcome.is_ok(),
                    "essential": one.essential,
                    "lost_without": one.lost,
                    "reason": one.outcome.as_ref().err(),
                })
            })
            .collect();
        let finding = format!("{loaded} of {} load", tried.len());
        let refused = |essential: bool| {
            tried
                .iter()
                .any(|one| one.outcome.is_err() && one.essential == essential)
        };
        let all = if refused(true) {
            Check::fail(token, finding)
        } else if refused(false) {
            Check::warn(token, finding)
        } else {
            Check::ok(token, finding)
        };
        let one_by_one = tried.iter().filter_map(|one| {
            let reason = one.outcome.as_ref().err()?;
            let finding = format!("refused ({reason}); without it, lost: {}", one.lost);
            let check = if one.essential {
                Check::fail("kernel.program", finding)
            } else {
                Check::warn("kernel.program", finding)
            };
            Some(
                check
                    .of(one.program)
                    .remedy("docs/privileges.md says which kernels and options have it"),
            )
        });
        [all.facts(json!({"programs": facts}))]
            .into_iter()
            .chain(one_by_one)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn machine() -> KernelFacts {
        KernelFacts {
            release: "6.18.5".into(),
            btf: true,
            cgroup: Ok(("/sys/fs/cgroup".into(), "/".into())),
            lacking: None,
            root: true,
            programs: Some(Ok(vec![
                tried("sock_create", true, true),
                tried("flock_enter", false, true),
            ])),
            pid_namespace: None,
        }
    }

    fn tried(program: &'static str, essential: bool, loads: bool) -> Tried {
        Tried {
            program,
            lost: "something",
            essential,
            outcome: if loads { Ok(()) } else { Err("EINVAL".into()) },
        }
    }

    fn states(facts: &KernelFacts) -> Vec<(&'static str, State)> {
        let checks = facts.judge();
        checks.iter().map(|one| (one.check, one.state)).collect()
    }

    #[test]
    fn all_is_well() {
        assert!(
            states(&machine())
                .iter()
                .all(|(_, state)| *state == State::Ok)
        );
    }

    #[test]
    fn an_old_kernel_fails_and_one_without_error_numbers_warns() {
        for (release, state) in [
            ("5.4.0-150-generic", State::Fail),
            ("5.10.3", State::Warn),
            ("5.15.0", State::Ok),
            ("next", State::Unknown),
        ] {
            let facts = KernelFacts {
                release: release.into(),
                ..machine()
            };
            assert_eq!(states(&facts)[0], ("kernel.version", state), "{release}");
        }
    }

    #[test]
    fn a_user_is_told_what_was_not_seen_and_root_what_is_missing() {
        let user = KernelFacts {
            lacking: Some("needs CAP_BPF".into()),
            root: false,
            programs: None,
            ..machine()
        };
        let of = |facts: &KernelFacts| states(facts)[3..].to_vec();
        assert_eq!(
            of(&user),
            [
                ("kernel.capabilities", State::Unknown),
                ("kernel.programs", State::Unknown)
            ]
        );
        let container = KernelFacts { root: true, ..user };
        assert_eq!(of(&container)[0], ("kernel.capabilities", State::Fail));
    }

    #[test]
    fn each_refused_program_says_what_it_costs() {
        let mut facts = machine();
        facts.programs = Some(Ok(vec![
            tried("sock_create", true, true),
            tried("flock_enter", false, false),
        ]));
        let checks = facts.judge();
        assert_eq!(checks[4].state, State::Warn);
        assert_eq!(checks[4].finding, "1 of 2 load");
        assert_eq!(checks[5].subject.as_deref(), Some("flock_enter"));
        assert!(checks[5].finding.contains("something"), "{checks:?}");
        facts.programs = Some(Ok(vec![tried("sock_create", true, false)]));
        assert_eq!(states(&facts)[4], ("kernel.programs", State::Fail));
        facts.programs = Some(Err("no maps".into()));
        assert_eq!(states(&facts)[4], ("kernel.programs", State::Fail));
    }
}
