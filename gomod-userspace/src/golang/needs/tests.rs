// SPDX-License-Identifier: MIT OR Apache-2.0

use std::fmt::Write as _;

use super::*;
use crate::golang::dirhash::H1;
use crate::golang::settings::{EnvFile, Environment, Sources};
use proptest::prelude::*;

const GO_MOD: &str = "module x.y/main\ngo 1.22.0\nrequire (\n\ta.b/direct v1.0.0\n\ta.b/indirect v1.1.0 // indirect\n\
    \ta.b/fork v1.2.0\n\ta.b/local v1.3.0\n\ta.b/out v1.4.0\n\tpriv.b/p v1.0.0\n)\n\
    replace a.b/fork => a.b/Forked v1.2.1\nreplace a.b/local => ../local\nexclude a.b/out v1.4.0\n";

fn settings(entries: &[&str]) -> Settings {
    let shipped = EnvFile::Content {
        bytes: b"GOPROXY=https://p.example,direct\nGOSUMDB=sum.golang.org\nGOTOOLCHAIN=auto\n"
            .to_vec(),
    };
    Settings::effective(&Sources {
        environment: &Environment::from_entries(entries),
        user_file: &EnvFile::Missing,
        goroot_file: &shipped,
        go_version: None,
    })
    .unwrap()
}

/// `zips` have both hashes, `mods` only that of go.mod.
fn sums(zips: &[&str], mods: &[&str]) -> GoSum {
    let hash = H1::of_go_mod(b"x");
    let mut text = String::new();
    for module in zips {
        writeln!(text, "{module} {hash}\n{module}/go.mod {hash}").unwrap();
    }
    for module in mods {
        writeln!(text, "{module}/go.mod {hash}").unwrap();
    }
    GoSum::parse(text.as_bytes())
}

fn project() -> Project {
    Project {
        mods: vec![GoMod::parse(GO_MOD.as_bytes())],
        sums: sums(
            &["a.b/direct v1.0.0", "a.b/Forked v1.2.1", "priv.b/p v1.0.0"],
            &["a.b/indirect v1.1.0", "a.b/deep v0.1.0"],
        ),
        ..Project::default()
    }
}

fn plan(command: &str, project: &Project, entries: &[&str]) -> Plan {
    let settings = settings(entries);
    let argv: Vec<_> = command.split(' ').collect();
    let local = Local {
        version: GoVersion::parse("1.24.11").unwrap(),
        platform: "linux-amd64".into(),
    };
    GoCommand::parse(&argv, &settings)
        .map(|command| Plan::new(&command, project, Some(&local), &settings))
        .unwrap_or_default()
}

/// Last elements of the paths, by kind: `mod: … info: … zip: …`.
fn shown(plan: &Plan) -> String {
    [ProxyFileKind::Mod, ProxyFileKind::Info, ProxyFileKind::Zip]
        .map(|kind| {
            let of_kind = plan.files.iter().filter(|file| file.kind == kind);
            let names = of_kind.map(|file| file.module.path.rsplit('/').next().unwrap());
            format!(
                "{}: {}",
                kind.extension(),
                names.collect::<Vec<_>>().join(" ")
            )
        })
        .join(" ")
}

fn looked_up(command: &str, project: &Project, entries: &[&str]) -> Vec<String> {
    let modules = plan(command, project, entries).lookups.into_iter();
    modules
        .map(|module| format!("{}@{}", module.path, module.version))
        .collect()
}

#[test]
fn only_missing_hashes_are_looked_up_and_only_by_commands_that_add_them() {
    let whole = project();
    // `indirect` has the hash of its go.mod alone.
    assert_eq!(
        looked_up("go mod download", &whole, PRIVATE),
        ["a.b/indirect@v1.1.0"]
    );
    assert_eq!(looked_up("go mod tidy", &whole, PRIVATE), [""; 0]);
    let empty = Project {
        sums: GoSum::default(),
        ..project()
    };
    let all = [
        "a.b/Forked@v1.2.1",
        "a.b/direct@v1.0.0",
        "a.b/indirect@v1.1.0",
    ];
    for command in [
        "go mod download",
        "go mod tidy",
        "go get a.b/direct@v1.0.0",
        "go build -mod=mod ./...",
    ] {
        assert_eq!(looked_up(command, &empty, PRIVATE), all, "{command}");
    }
    for command in [
        "go build ./...",
        "go mod vendor",
        "go mod verify",
        "go list -m all",
    ] {
        assert_eq!(looked_up(command, &empty, PRIVATE), [""; 0], "{command}");
    }
}

#[test]
fn private_modules_are_never_looked_up() {
    let empty = Project {
        sums: GoSum::default(),
        ..project()
    };
    for entries in [
        &["GOPRIVATE=a.b,priv.b"][..],
        &["GONOSUMDB=a.b,priv.b"],
        &["GOSUMDB=off"],
    ] {
        assert_eq!(
            looked_up("go mod download", &empty, entries),
            [""; 0],
            "{entries:?}"
        );
    }
    // One that is fetched from its own repository is looked up when `go` asks.
    let entries = [
        "GONOPROXY=a.b/direct",
        "GONOSUMDB=priv.b,a.b/Forked,a.b/indirect",
    ];
    assert_eq!(looked_up("go mod download", &empty, &entries), [""; 0]);
}

const PRIVATE: &[&str] = &["GOPRIVATE=priv.b"];

#[test]
fn each_subcommand_asks_for_its_own() {
    for (command, expected) in [
        (
            "go mod download",
            "mod: Forked deep direct indirect info: Forked direct indirect zip: Forked direct indirect",
        ),
        (
            "go build ./...",
            "mod: Forked direct info: Forked direct zip: Forked direct",
        ),
        (
            "go list -deps -f x ./...",
            "mod: Forked direct info: Forked direct zip: Forked direct",
        ),
        (
            "go mod vendor",
            "mod: Forked direct info: Forked direct zip: Forked direct",
        ),
        (
            "go mod tidy",
            "mod: Forked deep direct indirect info:  zip: Forked direct",
        ),
        (
            "go mod graph",
            "mod: Forked deep direct indirect info:  zip: ",
        ),
        (
            "go mod verify",
            "mod: Forked deep direct indirect info:  zip: ",
        ),
        (
            "go list -m all",
            "mod: Forked deep direct indirect info:  zip: ",
        ),
        (
            "go mod download a.b/else@v1.0.0 a.b/x@latest",
            "mod: else info: else zip: else",
        ),
        (
            "go get -u a.b/direct@v1.0.9 a.b/package@v1.0.0",
            "mod: Forked deep direct direct indirect info: direct zip: direct",
        ),
        ("go build -mod=vendor ./...", "mod:  info:  zip: "),
        ("go build -mod vendor", "mod:  info:  zip: "),
        ("go run a.b/tool@v1.0.0", "mod:  info:  zip: "),
        ("go version", "mod:  info:  zip: "),
        ("go fmt ./...", "mod:  info:  zip: "),
        ("go mod edit", "mod:  info:  zip: "),
        ("go", "mod:  info:  zip: "),
    ] {
        assert_eq!(
            shown(&plan(command, &project(), PRIVATE)),
            expected,
            "{command}"
        );
    }
}

#[test]
fn private_modules_are_nobodys_business() {
    let public = plan("go mod download", &project(), &[]);
    assert!(
        public
            .files
            .iter()
            .any(|file| file.module.path == "priv.b/p")
    );
    for proxy in [
        "GOPROXY=direct",
        "GOPROXY=off",
        "GOPROXY=direct,https://p.example",
        "GOPROXY=file:///srv/go",
    ] {
        let asked_of_proxies = Plan {
            direct: Vec::new(),
            ..plan("go mod download", &project(), &[proxy])
        };
        assert_eq!(asked_of_proxies, Plan::default(), "{proxy}");
    }
}

#[test]
fn modules_from_their_own_hosts_are_known_apart() {
    let direct = |entries: &[&str]| {
        let plan = plan("go mod download", &project(), entries);
        let paths = plan.direct.into_iter().map(|file| file.module.path);
        paths.collect::<BTreeSet<_>>()
    };
    assert!(direct(&[]).is_empty());
    assert!(direct(&["GOPROXY=file:///srv/go"]).is_empty());
    assert!(direct(&["GOPROXY=off"]).is_empty());
    assert_eq!(direct(PRIVATE), BTreeSet::from(["priv.b/p".to_owned()]));
    assert!(direct(&["GOPROXY=direct"]).contains("a.b/direct"));
}

#[test]
fn vendored_projects_need_nothing_unless_told_otherwise() {
    let mut vendored = project();
    vendored.vendor = true;
    assert_eq!(plan("go test ./...", &vendored, PRIVATE).files, []);
    assert_ne!(plan("go mod tidy", &vendored, PRIVATE).files, []);
    assert_ne!(plan("go build", &vendored, &["GOFLAGS=-mod=mod"]).files, []);
    assert_eq!(
        plan("go build", &project(), &["GOFLAGS=-mod=vendor"]).files,
        []
    );
    assert_eq!(
        plan("go build", &project(), &["GO111MODULE=off"]),
        Plan::default()
    );
}

#[test]
fn the_toolchain_comes_first() {
    let mut newer = project();
    newer.mods[0].toolchain = Some("go1.27.3".into());
    let toolchain = plan("go mod download", &newer, PRIVATE).toolchain.unwrap();
    assert_eq!(
        toolchain.relative_path().unwrap().to_str(),
        Some("golang.org/toolchain/@v/v0.0.1-go1.27.3.linux-amd64.zip")
    );
    assert_eq!(
        plan("go mod download", &newer, &["GOTOOLCHAIN=local"]).toolchain,
        None
    );
    assert_eq!(
        plan("go mod download", &newer, &["GOPROXY=direct"]).toolchain,
        None
    );
}

#[test]
fn a_workspace_takes_all_its_modules() {
    let mut workspace = project();
    workspace.mods.push(GoMod::parse(b"module x.y/two\ngo 1.22.0\nrequire (\n\tx.y/main v1.0.0\n\ta.b/fork v1.2.0\n\ta.b/second v1.0.0\n)\n"));
    workspace.work = Some(GoWork::parse(
        b"go 1.22.0\nuse ./main\nuse ./two\nreplace a.b/fork => ./fork\n",
    ));
    let all = shown(&plan("go mod download", &workspace, PRIVATE));
    assert_eq!(
        all,
        "mod: Forked deep direct indirect second info: Forked direct indirect second zip: Forked direct indirect second"
    );
    let build = shown(&plan("go build", &workspace, PRIVATE));
    assert_eq!(
        build,
        "mod: Forked deep direct indirect info: direct zip: direct"
    );
}

#[test]
fn flags_tell_where_to_look() {
    let settings = settings(&["GOFLAGS=-modfile=other.mod"]);
    let command = GoCommand::parse(
        &["go", "mod", "download", "-C", "dir", "-x", "all"],
        &settings,
    )
    .unwrap();
    assert_eq!(
        (command.directory(), command.mod_file()),
        (Some("dir"), Some("other.mod"))
    );
    assert_eq!(command.arguments, ["all"]);
    assert!(command.uses_workspace());
    let tidy = GoCommand::parse(&["go", "mod", "tidy", "--", "-x"], &settings).unwrap();
    assert!(!tidy.uses_workspace() && tidy.arguments == ["-x"]);
}

proptest! {
    #[test]
    fn arbitrary_commands_never_panic(words in prop::collection::vec("(go|mod|get|list|tidy|download|-m|-mod|--|-C|[a-z@.=-]{0,8})", 0..6), bytes in any::<Vec<u8>>()) {
        let settings = settings(&[]);
        if let Some(command) = GoCommand::parse(&words, &settings) {
            let mut project = project();
            project.mods.push(GoMod::parse(&bytes));
            let plan = Plan::new(&command, &project, None, &settings);
            prop_assert!(plan.files.is_sorted());
        }
    }
}
