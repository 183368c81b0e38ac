// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper side: composes the room as `gomod-trace run` does.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::process::exit;

use gomod_trace::launch::{
    Cgroup, Child, Ending, Hierarchy, Invoker, LaunchError, Signals, SpawnOptions, Supervisor,
    TrustOverlay, TrustStore, sweep,
};
use nix::sys::signal::{SigSet, Signal};

/// `--probe [--wait | --trust CERTIFICATE | --raise] CMD…`; with `--raise`, the helper's own limit of open files goes up
/// first.
pub(crate) fn run(words: impl Iterator<Item = OsString>) -> ! {
    let mut argv: Vec<CString> = words
        .map(|word| CString::new(word.into_vec()).unwrap())
        .collect();
    let wait = argv
        .first()
        .is_some_and(|word| word.as_bytes() == b"--wait");
    if wait {
        argv.remove(0);
    }
    if argv
        .first()
        .is_some_and(|word| word.as_bytes() == b"--raise")
    {
        argv.remove(0);
        let raised = gomod_trace::launch::raise_descriptor_limit();
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        let (soft, hard) = limit.unwrap();
        assert_eq!((soft, raised), (hard, Some(hard)), "ours was not raised");
    }
    let mut certificate = None;
    if argv
        .first()
        .is_some_and(|word| word.as_bytes() == b"--trust")
    {
        certificate = Some(std::fs::read(argv[1].to_str().unwrap()).unwrap());
        argv.drain(..2);
    }
    match supervise(&argv, wait, certificate.as_deref()) {
        Ok(ending) => ending.pass_on(),
        Err(error) => {
            eprintln!("{error}");
            exit(error.exit_code())
        }
    }
}

fn supervise(
    argv: &[CString],
    wait: bool,
    certificate: Option<&[u8]>,
) -> Result<Ending, LaunchError> {
    let signals = Signals::take()?;
    let invoker = Invoker::detect()?;
    let hierarchy = Hierarchy::find()?;
    for swept in sweep(&hierarchy) {
        swept.result?;
    }
    let cgroup = Cgroup::create(&hierarchy)?;
    if let Some(signal) = signals.take_pending()? {
        return Ok(Ending::Signaled {
            signal,
            core: false,
        });
    }
    let child = match certificate {
        None => Child::spawn(argv, &invoker, &cgroup, SpawnOptions::default())?,
        Some(certificate) => spawn_trusting(argv, &invoker, &cgroup, certificate)?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ending = runtime.block_on(async {
        let mut supervisor = Supervisor::new(child, &cgroup, signals)?;
        let ending = supervisor.ended().await?;
        if wait {
            tokio::select! {
                emptied = cgroup.emptied() => { emptied?; eprintln!("emptied"); }
                signal = supervisor.interrupted() => eprintln!("interrupted by {}", signal?),
            }
        }
        Ok::<_, LaunchError>(ending)
    })?;
    cgroup.dismantle()?;
    Ok(ending)
}

/// Without the overlay where there can be none, as a run has to go on.
fn spawn_trusting(
    argv: &[CString],
    invoker: &Invoker,
    cgroup: &Cgroup,
    certificate: &[u8],
) -> Result<Child, LaunchError> {
    let plan = TrustStore::read(invoker).and_then(|store| TrustOverlay::plan(&store, certificate));
    // What happens on the machine between reading and covering.
    if let Some(script) = std::env::var_os("MEANWHILE") {
        let mut shell = std::process::Command::new("sh");
        assert!(shell.arg("-c").arg(script).status().unwrap().success());
    }
    let spawned = plan.map_err(LaunchError::from).and_then(|overlay| {
        let options = SpawnOptions::default().trusting(&overlay);
        Child::spawn(argv, invoker, cgroup, options)
    });
    match spawned {
        Err(LaunchError::Overlay(error)) => {
            eprintln!("no overlay: {error}");
            Child::spawn(argv, invoker, cgroup, SpawnOptions::default())
        }
        other => other,
    }
}

/// The entries no shell would make.
pub(crate) const ODD: [&[u8]; 7] = [
    b"PATH=/usr/bin:/bin",
    b"no equals sign",
    b"",
    b"TWICE=1",
    b"TWICE=2",
    b"RAW=\xff\xfe\n",
    b"=x",
];

/// `--odd-environment PROGRAM ARG…`: becomes the program, with that environment.
pub(crate) fn with_odd_environment(words: impl Iterator<Item = OsString>) -> ! {
    let argv: Vec<CString> = words
        .map(|word| CString::new(word.into_vec()).unwrap())
        .collect();
    let environment: Vec<CString> = ODD
        .iter()
        .map(|entry| CString::new(*entry).unwrap())
        .collect();
    let error = nix::unistd::execve(&argv[0], &argv, &environment).unwrap_err();
    panic!("execve: {error}");
}

/// `--count-interrupts SIGNAL FILE`: appends a line for each arrival of the signal, ends half a second after the first.
pub(crate) fn count_signal(mut words: impl Iterator<Item = OsString>) -> ! {
    let signal: Signal = words.next().unwrap().to_str().unwrap().parse().unwrap();
    let file = words.next().unwrap();
    let set: SigSet = [signal].into_iter().collect();
    set.thread_block().unwrap();
    std::fs::write(&file, "ready\n").unwrap();
    let mut lines = String::from("ready\n");
    set.wait().unwrap();
    lines.push_str("got\n");
    let more = nix::sys::signalfd::SignalFd::new(&set).unwrap();
    let mut polled = [nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(&more),
        nix::poll::PollFlags::POLLIN,
    )];
    while nix::poll::poll(&mut polled, 500_u16).unwrap() > 0 {
        more.read_signal().unwrap();
        lines.push_str("got\n");
    }
    std::fs::write(&file, lines).unwrap();
    exit(9)
}
