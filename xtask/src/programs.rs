// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask demo`, `lab` and `bench`: build our programs and start them, as root where the kernel asks for it.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail};

use crate::{apt, go, process, test, workspace::Workspace};

/// The network that the demo shows: distance, and what is wrong with it.
const DEMO_NETWORK: [&str; 4] = ["--rtt", "50ms", "--fault", "large-hello-drop"];

/// What the report must say of that network.
const DEMO_VERDICT: &str = "anomaly.hello.timeout";

/// How long plain `go` may take in the demo before it is stopped, in seconds: on this network it would never end.
const PLAIN_GO_SECONDS: &str = "12";

/// One fault: as plain `go` tells it, as `gomod-trace` explains it, and mended.
pub(crate) fn demo(workspace: &Workspace) -> Result<()> {
    let go = prepare(workspace)?;
    // Not optimised: it is built in half the time, and the demo waits for the network anyway.
    build(workspace, "debug", &["gomod-lab", "gomod-trace"])?;
    let trace = workspace.binary("debug", "gomod-trace");
    let report = workspace.target.join("demo-report.json");
    let patient = ["timeout", PLAIN_GO_SECONDS, "go", "mod", "download"];
    let shown = DEMO_NETWORK.join(" ");

    println!(
        "\n$ go mod download        # in a lab network, {shown}; stopped after {PLAIN_GO_SECONDS} s"
    );
    in_demo_network(workspace, &go, &patient.map(OsStr::new))?;

    println!(
        "\n$ gomod-trace run --observe -- go mod download        # the same: why does it hang?"
    );
    let mut observed = [
        trace.as_os_str(),
        OsStr::new("run"),
        OsStr::new("--observe"),
    ]
    .to_vec();
    observed.extend([OsStr::new("--report"), report.as_os_str(), OsStr::new("--")]);
    observed.extend(patient.map(OsStr::new));
    in_demo_network(workspace, &go, &observed)?;
    let told = std::fs::read_to_string(&report)
        .with_context(|| format!("cannot read {}", report.display()))?;
    if !told.contains(DEMO_VERDICT) {
        bail!(
            "{} does not name {DEMO_VERDICT}: the demo has failed",
            report.display()
        );
    }

    println!(
        "\n$ gomod-trace run -- go mod download        # the same network, carried by gomod-trace"
    );
    let mut carried = vec![trace.as_os_str()];
    carried.extend(["run", "--", "go", "mod", "download"].map(OsStr::new));
    let status = in_demo_network(workspace, &go, &carried)?;
    if !status.success() {
        bail!("the carried download did not complete: the demo has failed");
    }
    Ok(())
}

fn in_demo_network(workspace: &Workspace, go: &Path, words: &[&OsStr]) -> Result<ExitStatus> {
    let mut lab = as_root(&workspace.binary("debug", "gomod-lab"), go)?;
    lab.args(DEMO_NETWORK).arg("--").args(words);
    let status = lab
        .status()
        .with_context(|| format!("cannot start `{}`", process::shown(&lab)))?;
    println!("({status})");
    Ok(status)
}

/// `gomod-lab` with `args`; a command alone needs no `--` in front.
pub(crate) fn lab(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    let go = prepare(workspace)?;
    build(workspace, "debug", &["gomod-lab", "gomod-trace"])?;
    let mut lab = as_root(&workspace.binary("debug", "gomod-lab"), &go)?;
    if args
        .first()
        .is_some_and(|first| !first.as_encoded_bytes().starts_with(b"-"))
    {
        lab.arg("--");
    }
    lab.args(args);
    exec(lab)
}

/// `gomod-bench NAME ARGS`, optimised.
pub(crate) fn bench(workspace: &Workspace, name: Option<&str>, args: &[OsString]) -> Result<()> {
    let go = prepare(workspace)?;
    if name == Some("dns") {
        apt::install(&apt::missing_for_dns_bench())?;
    }
    build(
        workspace,
        "release",
        &["gomod-lab", "gomod-trace", "gomod-bench"],
    )?;
    let mut bench = as_root(&workspace.binary("release", "gomod-bench"), &go)?;
    bench.args(name).args(args);
    exec(bench)
}

/// What all three need: packages and the newest Go, whose `bin` directory is given.
fn prepare(workspace: &Workspace) -> Result<std::path::PathBuf> {
    test::install_packages()?;
    go::install_newest(workspace)
}

fn build(workspace: &Workspace, profile: &str, binaries: &[&str]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--locked"]);
    if profile == "release" {
        cargo.arg("--release");
    }
    for binary in binaries {
        let package = match *binary {
            "gomod-trace" => "gomod-userspace",
            other => other,
        };
        cargo.args(["-p", package, "--bin", binary]);
    }
    process::run(&mut cargo)
}

/// `program` as root, through `sudo` if we are not, with `go` and our own programs first on `PATH`.
fn as_root(program: &Path, go: &Path) -> Result<Command> {
    let own = program
        .parent()
        .context("the program lies in no directory")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(
        [go, own]
            .into_iter()
            .map(Path::to_path_buf)
            .chain(env::split_paths(&path)),
    )
    .context("joining PATH")?;
    let mut command = if process::is_root() {
        Command::new(program)
    } else {
        if process::find_on_path("sudo").is_none() {
            bail!(
                "{} loads kernel programs and makes network namespaces: run this as root",
                program.display()
            );
        }
        eprintln!(
            "note: asking sudo, as root is needed to load kernel programs and to make network namespaces"
        );
        // sudo replaces PATH by its own: say it again behind it.
        let mut assignment = OsString::from("PATH=");
        assignment.push(&path);
        let mut sudo = Command::new("sudo");
        sudo.arg("env").arg(assignment).arg(program);
        sudo
    };
    // `cargo run` points it at our own compiler's libraries.
    command.env("PATH", path).env_remove("LD_LIBRARY_PATH");
    Ok(command)
}

/// Becomes the command, so that signals and the exit code are its own.
fn exec(mut command: Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", process::shown(&command)))
}
