// SPDX-License-Identifier: MIT OR Apache-2.0
//! The redirecting kernel programs against real sockets: right destination, right process, and nothing when the agent
//! does not beat.
//!
//! The dialling process is this file's own executable under the name `go`, or another one.
#![expect(clippy::unwrap_used, reason = "a test panics on failure")]

use std::{
    collections::BTreeSet,
    env,
    ffi::CString,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use gomod_trace::{
    kernel::{Heartbeat, NearEnds, Options, Tracer, netns_cookie},
    launch::{Cgroup, Child, Ending, Hierarchy, Invoker, Signals, SpawnOptions, Supervisor},
};
use libtest_mimic::{Arguments, Failed, Trial};

const THREADS: u32 = 16;
const CONNECTS: u32 = 1_000;

fn main() {
    let words: Vec<String> = env::args().collect();
    if let [_, dial, rest @ ..] = words.as_slice()
        && dial == "--dial"
    {
        std::process::exit(dialler(rest));
    }
    // Before any other thread. The addresses that are dialled exist nowhere, so no packet may leave.
    let lacking = own_network().err();
    let trial = |name: &str, run: fn() -> Result<(), Failed>| {
        Trial::test(name.to_owned(), run).with_ignored_flag(lacking.is_some())
    };
    if let Some(reason) = &lacking {
        eprintln!("ignored: no network namespace of our own (needs root): {reason}");
    }
    let trials = vec![
        trial("every_redirected_connection_knows_its_destination", many),
        trial("only_go_is_redirected", others),
        trial("a_silent_agent_redirects_nothing", silent),
    ];
    let mut arguments = Arguments::from_args();
    // The traced cgroup and the signals are one per process.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit();
}

/// Moves this process to a network namespace with nothing but a loopback device.
fn own_network() -> std::io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    let up = std::process::Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    assert!(up.success(), "ip link set lo up");
    Ok(())
}

/// The dialling process: `threads connects`, to addresses of 198.18.0.0/15 and `2001:2::/48`, port 443. Sends each
/// listener the destination it meant, and checks the peer that the kernel shows.
fn dialler(words: &[String]) -> i32 {
    let number = |index: usize| -> u32 { words[index].parse().unwrap() };
    let (threads, connects) = (number(0), number(1));
    let wrong = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..threads {
            let wrong = &wrong;
            scope.spawn(move || {
                for index in 0..connects {
                    let (high, low) = (index / 250, index % 250 + 1);
                    let text = if index % 4 == 3 {
                        format!("[2001:2:0:{thread:x}::{high:x}:{low:x}]:443")
                    } else {
                        format!("198.18.{}.{low}:443", thread * 8 + high)
                    };
                    if let Err(error) = dial(&text) {
                        eprintln!("{text}: {error}");
                        wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    i32::from(wrong.into_inner() > 0)
}

fn dial(text: &str) -> std::io::Result<()> {
    let wanted: SocketAddr = text.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&wanted, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let shown = stream.peer_addr()?;
    if shown != wanted {
        return Err(std::io::Error::other(format!("peer shown as {shown}")));
    }
    stream.write_all(format!("{text}\n").as_bytes())?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer == *b"y" {
        Ok(())
    } else {
        Err(std::io::Error::other(
            "the listener knew another destination",
        ))
    }
}

/// What a trial looks at.
struct Scene {
    /// Connections whose destination was known and right.
    right: Arc<AtomicU32>,
    /// Connections that nobody had redirected.
    unknown: Arc<AtomicU32>,
}

/// Runs this executable under `name` in a traced cgroup with listeners, as `go` processes find them.
fn scene(
    name: &str,
    beats: bool,
    words: &[&str],
    also: impl FnOnce(SocketAddr) + Send + 'static,
) -> Result<(Scene, Ending), Failed> {
    let directory = tempfile::tempdir()?;
    let executable = directory.path().join(name);
    fs::copy(env::current_exe()?, &executable)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = Signals::take()?;
    let invoker = Invoker::detect()?;
    let cgroup = Cgroup::create(&Hierarchy::find()?)?;
    let outcome = runtime.block_on(trace(
        &executable,
        beats,
        words,
        also,
        signals,
        &invoker,
        &cgroup,
    ));
    cgroup.dismantle()?;
    outcome
}

async fn trace(
    executable: &Path,
    beats: bool,
    words: &[&str],
    also: impl FnOnce(SocketAddr) + Send + 'static,
    signals: Signals,
    invoker: &Invoker,
    cgroup: &Cgroup,
) -> Result<(Scene, Ending), Failed> {
    let options = Options {
        redirect: true,
        ..Options::default()
    };
    let mut tracer = Tracer::start(cgroup.as_fd(), options)?;
    assert_eq!(tracer.missing(), []);
    let (mut redirector, heartbeat, near_ends) = tracer.take_redirect().unwrap();
    let v4 = TcpListener::bind("127.0.0.1:0")?;
    let v6 = TcpListener::bind("[::1]:0")?;
    let (address4, address6) = (v4.local_addr()?, v6.local_addr()?);
    let netns = netns_cookie(&v4)?;
    redirector.listen(netns, Some(address4.port()), Some(address6.port()))?;
    redirector.add_ports(&BTreeSet::from([443]))?;
    let scene = Scene {
        right: Arc::default(),
        unknown: Arc::default(),
    };
    let near_ends = Arc::new(near_ends);
    let ending = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for listener in [v4, v6] {
        let near_ends = Arc::clone(&near_ends);
        let (right, unknown) = (Arc::clone(&scene.right), Arc::clone(&scene.unknown));
        let ending = Arc::clone(&ending);
        threads.push(thread::spawn(move || {
            serve(&listener, netns, &near_ends, &right, &unknown, &ending);
        }));
    }
    threads.push(thread::spawn({
        let ending = Arc::clone(&ending);
        move || beat(heartbeat, beats, &ending)
    }));
    if beats {
        // The first beat must be there before the child dials.
        thread::sleep(Duration::from_millis(50));
    }
    let also = thread::spawn(move || also(address4));
    let argv: Vec<CString> = [executable.as_os_str().as_bytes(), b"--dial"]
        .into_iter()
        .chain(words.iter().map(|word| word.as_bytes()))
        .map(|word| CString::new(word).unwrap())
        .collect();
    let child = Child::spawn(&argv, invoker, cgroup, SpawnOptions::default())?;
    let mut supervisor = Supervisor::new(child, cgroup, signals)?;
    let ended = loop {
        tokio::select! {
            ended = supervisor.ended() => break ended?,
            batch = tracer.next() => { batch?; }
        }
    };
    also.join().map_err(|_| "the other dialler panicked")?;
    redirector.stop()?;
    ending.store(true, Ordering::Relaxed);
    for address in [address4, address6] {
        // Wakes the listener out of `accept`.
        drop(TcpStream::connect(address));
    }
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")?;
    }
    Ok((scene, ended))
}

fn serve(
    listener: &TcpListener,
    netns: u64,
    near_ends: &NearEnds,
    right: &AtomicU32,
    unknown: &AtomicU32,
    ending: &AtomicBool,
) {
    for stream in listener.incoming() {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        let mut stream = stream.unwrap();
        let Some(from) = near_ends.take(netns, stream.peer_addr().unwrap()) else {
            unknown.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let mut said = String::new();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && byte != *b"\n" {
            said.push(char::from(byte[0]));
        }
        let is_right = said.parse() == Ok(from.destination) && from.pid.0 != 0;
        right.fetch_add(u32::from(is_right), Ordering::Relaxed);
        let _ = stream.write_all(if is_right { b"y" } else { b"n" });
    }
}

fn beat(mut heartbeat: Heartbeat, beats: bool, ending: &AtomicBool) {
    while !ending.load(Ordering::Relaxed) {
        if beats {
            heartbeat.beat().unwrap();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn many() -> Result<(), Failed> {
    let (threads, connects) = (THREADS.to_string(), CONNECTS.to_string());
    let stranger = |listener: SocketAddr| {
        // A local process that dials the port itself is nobody's redirected connection.
        for _ in 0..20 {
            let mut stream = TcpStream::connect(listener).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.is_empty());
        }
    };
    let (scene, ended) = scene("go", true, &[&threads, &connects], stranger)?;
    assert_eq!(ended, Ending::Exited(0));
    assert_eq!(scene.right.load(Ordering::Relaxed), THREADS * CONNECTS);
    assert_eq!(scene.unknown.load(Ordering::Relaxed), 20);
    Ok(())
}

fn others() -> Result<(), Failed> {
    let (scene, ended) = scene("curl", true, &["1", "1"], |_| ())?;
    // There is nothing at that address: the process fails as it would without us.
    assert_eq!(ended, Ending::Exited(1));
    assert_eq!(scene.right.load(Ordering::Relaxed), 0);
    Ok(())
}

fn silent() -> Result<(), Failed> {
    let (scene, ended) = scene("go", false, &["1", "1"], |_| ())?;
    assert_eq!(ended, Ending::Exited(1));
    assert_eq!(scene.right.load(Ordering::Relaxed), 0);
    Ok(())
}
