// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel programs that redirect DNS, against real sockets of all kinds: the question goes to the stub, the answer
//! comes from the nameserver, and nothing is changed when the agent does not beat or the nameserver is not in the table.
//!
//! The asking process is this file's own executable.
#![expect(clippy::unwrap_used, reason = "a test panics on failure")]

use std::{
    env,
    ffi::CString,
    io::{self, Read as _, Write as _},
    net::{
        IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket,
    },
    os::{fd::AsFd as _, unix::ffi::OsStrExt as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use gomod_trace::{
    kernel::{
        Options, Tracer,
        events::{EventKind, Packet},
        netns_cookie,
    },
    launch::{Cgroup, Child, Ending, Hierarchy, Invoker, Signals, SpawnOptions, Supervisor},
};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::socket::{setsockopt, sockopt::BindToDevice};

/// Nameservers that the stub speaks for.
const KNOWN: [&str; 3] = ["198.18.0.53", "127.0.0.53", "2001:2::53"];
/// One that it does not.
const UNKNOWN: &str = "198.18.0.54";
/// What both say to a question, and by which name the asker tells them apart.
const STUB: &[u8] = b"stub";
const SERVER: &[u8] = b"server";
/// First word of the asking process.
const ASK: &str = "--ask";
/// The same for one whose sockets are bound to a device.
const ASK_BOUND: &str = "--ask-bound";
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let words: Vec<String> = env::args().collect();
    match words.as_slice() {
        [_, ask, from, servers @ ..] if ask == ASK => {
            std::process::exit(asker(from.as_bytes(), servers));
        }
        [_, ask, from, servers @ ..] if ask == ASK_BOUND => {
            std::process::exit(bound_asker(from.as_bytes(), servers));
        }
        _ => {}
    }
    // Before any other thread.
    let lacking = own_network().err();
    let trial = |name: &str, run: fn() -> Result<(), Failed>| {
        Trial::test(name.to_owned(), run).with_ignored_flag(lacking.is_some())
    };
    if let Some(reason) = &lacking {
        eprintln!("ignored: no network namespace of our own (needs root): {reason}");
    }
    let trials = vec![
        trial("sockets_of_all_kinds_reach_the_stub", all_kinds),
        trial("a_silent_agent_redirects_no_question", silent),
        trial("other_nameservers_are_asked_themselves", others),
        trial("sockets_bound_to_a_device_are_left_alone", bound),
        trial("a_nameserver_that_was_left_is_asked_itself", left),
    ];
    let mut arguments = Arguments::from_args();
    // The traced cgroup and the signals are one per process.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit();
}

/// Moves this process to a network namespace of its own whose loopback device has the nameservers' addresses.
fn own_network() -> io::Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    let ip = |line: String| {
        let done = std::process::Command::new("ip")
            .args(line.split(' '))
            .status()?;
        assert!(done.success(), "ip {line}");
        Ok::<_, io::Error>(())
    };
    ip("link set lo up".to_owned())?;
    for address in KNOWN.into_iter().chain([UNKNOWN]) {
        let address: IpAddr = address.parse().unwrap();
        match address {
            IpAddr::V4(v4) if !v4.is_loopback() => ip(format!("addr add {v4}/32 dev lo"))?,
            IpAddr::V4(_) => {}
            IpAddr::V6(v6) => ip(format!("addr add {v6}/128 dev lo nodad"))?,
        }
    }
    Ok(())
}

/// The asking process: asks each server in every way that sockets know, and wants the answer of `from`.
fn asker(from: &[u8], servers: &[String]) -> i32 {
    let mut wrong = 0;
    for server in servers {
        let server = SocketAddr::new(server.parse().unwrap(), 53);
        let mut tell = |way: &str, outcome: io::Result<Vec<u8>>| match outcome {
            Ok(answer) if answer == from => {}
            Ok(answer) => {
                eprintln!(
                    "{server} {way}: answered by {}",
                    String::from_utf8_lossy(&answer)
                );
                wrong += 1;
            }
            Err(error) => {
                eprintln!("{server} {way}: {error}");
                wrong += 1;
            }
        };
        tell("connected", connected(server));
        tell("unconnected", unconnected(server));
        tell("TCP", tcp(server));
        if let SocketAddr::V4(v4) = server {
            let mapped = SocketAddrV6::new(v4.ip().to_ipv6_mapped(), 53, 0, 0).into();
            tell("v4-mapped connected", connected(mapped));
            tell("v4-mapped unconnected", unconnected(mapped));
            tell("v4-mapped TCP", tcp(mapped));
        }
    }
    i32::from(wrong > 0)
}

/// Asks from sockets that are bound to a device, which need not reach the loopback addresses of the stub.
fn bound_asker(from: &[u8], servers: &[String]) -> i32 {
    let ask = |server: SocketAddr| {
        let socket = socket_for(server)?;
        setsockopt(&socket, BindToDevice, &"lo".into())?;
        socket.connect(server)?;
        socket.send(b"who")?;
        receive(&socket, server)
    };
    let wrong = servers.iter().filter(|server| {
        let outcome = ask(SocketAddr::new(server.parse().unwrap(), 53));
        !outcome.is_ok_and(|answer| answer == from)
    });
    i32::from(wrong.count() > 0)
}

fn socket_for(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// As glibc and Go do.
fn connected(server: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = socket_for(server)?;
    socket.connect(server)?;
    check("peer", socket.peer_addr()?, server)?;
    socket.send(b"who")?;
    receive(&socket, server)
}

/// As musl does.
fn unconnected(server: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = socket_for(server)?;
    socket.send_to(b"who", server)?;
    receive(&socket, server)
}

fn receive(socket: &UdpSocket, server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; 64];
    let (length, source) = socket.recv_from(&mut answer)?;
    check("source", source, server)?;
    answer.truncate(length);
    Ok(answer)
}

fn tcp(server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    check("peer", stream.peer_addr()?, server)?;
    stream.write_all(b"who")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn check(what: &str, shown: SocketAddr, wanted: SocketAddr) -> io::Result<()> {
    if shown == wanted {
        Ok(())
    } else {
        Err(io::Error::other(format!("{what} shown as {shown}")))
    }
}

/// Answers datagrams and connections at one endpoint with a fixed text, until told to end.
struct Answerer {
    endpoint: SocketAddr,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Answerer {
    fn start(at: SocketAddr, says: &'static [u8], ending: &Arc<AtomicBool>) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let endpoint = listener.local_addr()?;
        let socket = UdpSocket::bind(endpoint)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let datagrams = thread::spawn({
            let ending = Arc::clone(ending);
            move || {
                let mut question = [0; 64];
                while !ending.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = socket.recv_from(&mut question) {
                        socket.send_to(says, from).unwrap();
                    }
                }
            }
        });
        let connections = thread::spawn({
            let ending = Arc::clone(ending);
            move || {
                for stream in listener.incoming() {
                    if ending.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut stream = stream.unwrap();
                    let mut question = [0; 3];
                    let _ = stream.read_exact(&mut question);
                    let _ = stream.write_all(says);
                }
            }
        });
        Ok(Self {
            endpoint,
            threads: vec![datagrams, connections],
        })
    }

    fn end(self) {
        // Wakes the listener out of `accept`.
        drop(TcpStream::connect(self.endpoint));
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// What the agent does in a trial.
#[derive(Clone, Copy)]
struct Agent {
    beats: bool,
    leaves: bool,
    /// How the asker is called.
    asker: &'static str,
}

const ALIVE: Agent = Agent {
    beats: true,
    leaves: false,
    asker: ASK,
};

/// Lets the asker ask `servers` in a traced cgroup and wants all answers `from` one of the two. Returns the DNS packets
/// that were seen.
fn ask(agent: Agent, from: &[u8], servers: &[&str]) -> Result<Vec<Packet>, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = Signals::take()?;
    let invoker = Invoker::detect()?;
    let cgroup = Cgroup::create(&Hierarchy::find()?)?;
    let outcome = runtime.block_on(trace(agent, from, servers, signals, &invoker, &cgroup));
    cgroup.dismantle()?;
    let (ended, packets) = outcome?;
    assert_eq!(ended, Ending::Exited(0));
    Ok(packets)
}

async fn trace(
    agent: Agent,
    from: &[u8],
    servers: &[&str],
    signals: Signals,
    invoker: &Invoker,
    cgroup: &Cgroup,
) -> Result<(Ending, Vec<Packet>), Failed> {
    let options = Options {
        names: true,
        ..Options::default()
    };
    let mut tracer = Tracer::start(cgroup.as_fd(), options)?;
    assert_eq!(tracer.missing(), []);
    let (mut redirector, mut heartbeat) = tracer.take_names().unwrap();
    let ending = Arc::new(AtomicBool::new(false));
    let mut answerers = Vec::new();
    for server in KNOWN.into_iter().chain([UNKNOWN]) {
        let server = SocketAddr::new(server.parse()?, 53);
        answerers.push(Answerer::start(server, SERVER, &ending)?);
    }
    for server in KNOWN {
        let server = SocketAddr::new(server.parse()?, 53);
        let loopback: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let stub = Answerer::start(SocketAddr::new(loopback, 0), STUB, &ending)?;
        let netns = netns_cookie(TcpListener::bind("127.0.0.1:0")?)?;
        redirector.redirect(netns, server, stub.endpoint)?;
        if agent.leaves {
            redirector.leave(netns, server)?;
        }
        answerers.push(stub);
    }
    if agent.beats {
        heartbeat.beat()?;
    }
    let argv: Vec<CString> = [
        env::current_exe()?.as_os_str().as_bytes(),
        agent.asker.as_bytes(),
        from,
    ]
    .into_iter()
    .chain(servers.iter().map(|server| server.as_bytes()))
    .map(|word| CString::new(word).unwrap())
    .collect();
    let child = Child::spawn(&argv, invoker, cgroup, SpawnOptions::default())?;
    let mut supervisor = Supervisor::new(child, cgroup, signals)?;
    let mut packets = Vec::new();
    let mut keep = |events: Vec<gomod_trace::kernel::events::Event>| {
        packets.extend(events.into_iter().filter_map(|event| match event.kind {
            EventKind::Packet(packet) if !packet.payload.is_empty() => Some(packet),
            _ => None,
        }));
    };
    let ended = loop {
        tokio::select! {
            ended = supervisor.ended() => break ended?,
            batch = tracer.next() => {
                keep(batch?);
                if agent.beats {
                    heartbeat.beat()?;
                }
            }
        }
    };
    keep(tracer.finish()?);
    redirector.stop()?;
    ending.store(true, Ordering::Relaxed);
    for answerer in answerers {
        answerer.end();
    }
    Ok((ended, packets))
}

fn all_kinds() -> Result<(), Failed> {
    let packets = ask(ALIVE, STUB, &KNOWN)?;
    // Two IPv4 servers in six ways, one IPv6 server in three: a question and an answer each, and who was asked.
    assert_eq!(packets.len(), (2 * 6 + 3) * 2);
    let known: Vec<SocketAddr> = KNOWN
        .iter()
        .map(|server| SocketAddr::new(server.parse().unwrap(), 53))
        .collect();
    for packet in &packets {
        assert!(known.contains(&packet.remote), "{}", packet.remote);
    }
    Ok(())
}

fn silent() -> Result<(), Failed> {
    let hung = Agent {
        beats: false,
        ..ALIVE
    };
    ask(hung, SERVER, &KNOWN).map(drop)
}

fn others() -> Result<(), Failed> {
    ask(ALIVE, SERVER, &[UNKNOWN]).map(drop)
}

fn left() -> Result<(), Failed> {
    let leaving = Agent {
        leaves: true,
        ..ALIVE
    };
    ask(leaving, SERVER, &KNOWN).map(drop)
}

fn bound() -> Result<(), Failed> {
    let bound = Agent {
        asker: ASK_BOUND,
        ..ALIVE
    };
    ask(bound, SERVER, &["198.18.0.53", "2001:2::53"]).map(drop)
}
