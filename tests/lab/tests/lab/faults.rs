// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every fault does what its name says, and a plain `go` says or hides it as the catalogue claims.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gomod_lab::{
    Amount, CATALOGUE, FORGED_TTL, Families, Family, Fault, FaultKind, GENUINE_TTL, Lab, Modules,
    PROXY, SUMDB,
};
use libtest_mimic::Trial;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::support::{LONG, Outcome, newest, run, trial};

/// What a plain `go mod download` of one module does.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// Fails, and says this.
    Says(&'static str),
    /// Is still running when a healthy download had long ended, and has said nothing.
    Hangs,
    /// Succeeds, having said nothing.
    Succeeds,
    /// Takes too long to wait for here; tested by a client of the test's own.
    Slow,
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = CATALOGUE
        .iter()
        .map(|entry| (entry.name, entry.usual, expected(entry.usual)))
        .filter(|(_, _, expected)| !matches!(expected, Expected::Slow))
        .map(|(name, kind, expected)| {
            crate::support::named_trial(
                &format!("go_under_{}", name.replace('-', "_")),
                move || go_under(quick(kind), expected),
            )
        })
        .collect::<Vec<_>>();
    trials.extend([
        trial!(syn_drop_leaves_one_family_alone),
        trial!(forged_resets_have_a_ttl_of_their_own),
        trial!(sni_faults_leave_other_names_alone),
        trial!(large_hello_drop_lets_small_hellos_pass),
        trial!(h2_hello_silence_lets_http1_pass),
        trial!(bodies_are_cut_over_http1_too),
        trial!(one_silent_nameserver_of_two_costs_time_only),
        trial!(counted_faults_make_room),
        trial!(downloads_are_continued),
        trial!(faults_come_and_go_while_the_lab_runs),
        trial!(a_lock_is_held_by_the_process_that_says_so),
    ]);
    trials
}

fn expected(kind: FaultKind) -> Expected {
    match kind {
        FaultKind::DnsDrop => Expected::Says("i/o timeout"),
        FaultKind::DnsDelay(_)
        | FaultKind::DnsLoss(_)
        | FaultKind::DnsTruncated
        | FaultKind::DnsWrongId
        | FaultKind::DnsWrongSource
        | FaultKind::BodySlow(_) => Expected::Succeeds,
        FaultKind::DnsNxdomain => Expected::Says("no such host"),
        FaultKind::DnsRefused | FaultKind::DnsServfail => Expected::Says("server misbehaving"),
        FaultKind::DnsLame => Expected::Says("lame referral"),
        FaultKind::SynDrop => Expected::Slow,
        FaultKind::ConnectRefused => Expected::Says("connection refused"),
        FaultKind::HostUnreachable | FaultKind::NoRoute => Expected::Says("no route to host"),
        FaultKind::SniReset | FaultKind::BodyReset(_) => Expected::Says("connection reset by peer"),
        FaultKind::SniDrop | FaultKind::LargeHelloDrop | FaultKind::H2HelloSilence => {
            Expected::Says("TLS handshake timeout")
        }
        FaultKind::TlsAlert(_) => Expected::Says("remote error: tls: handshake failure"),
        FaultKind::TlsClose => Expected::Says("EOF"),
        FaultKind::UntrustedCertificate => {
            Expected::Says("certificate signed by unknown authority")
        }
        FaultKind::BodyCut(_) => Expected::Says("unexpected EOF"),
        FaultKind::Status(_) => Expected::Says("503 Service Unavailable"),
        FaultKind::BodyCorrupt => Expected::Says("checksum error"),
        // For good, or for the 15 s that it gives the dead address.
        FaultKind::Silence
        | FaultKind::BodyStop(_)
        | FaultKind::LockHeld
        | FaultKind::DnsDeadFirst => Expected::Hangs,
        // A new fault must be given its expectation here.
        other => panic!("no expectation for {other}"),
    }
}

/// The same fault, shorter.
fn quick(kind: FaultKind) -> FaultKind {
    match kind {
        FaultKind::DnsDelay(_) => FaultKind::DnsDelay(Duration::from_millis(300)),
        FaultKind::BodySlow(_) => FaultKind::BodySlow(20_000),
        other => other,
    }
}

fn one_module() -> Modules {
    Modules::many(1)
}

fn go_under(kind: FaultKind, expected: Expected) -> Outcome {
    let lab = Lab::builder().modules(one_module()).fault(kind).start()?;
    let project = lab.project()?;
    let limit = if matches!(expected, Expected::Hangs) {
        Duration::from_secs(4)
    } else {
        LONG
    };
    let ran = run(project.go(&newest()?, ["mod", "download"]), limit)?;
    match expected {
        Expected::Says(text) => {
            assert!(
                ran.status.is_some_and(|status| !status.success()),
                "{ran:?}"
            );
            assert!(ran.stderr.contains(text), "{ran:?}");
        }
        Expected::Hangs => {
            assert!(ran.status.is_none(), "{ran:?}");
            assert_eq!(ran.stderr, "");
        }
        Expected::Succeeds | Expected::Slow => {
            assert!(ran.succeeded(), "{ran:?}");
            assert_eq!(ran.stderr, "");
        }
    }
    if kind != FaultKind::LockHeld {
        let acts = lab.acts();
        assert!(
            !acts.is_empty()
                && acts
                    .iter()
                    .all(|act| act.fault == kind && act.host == PROXY),
            "{acts:?}"
        );
    }
    Ok(())
}

fn syn_drop_leaves_one_family_alone() -> Outcome {
    for (family, other) in [(Family::V4, Families::V6), (Family::V6, Families::V4)] {
        let lab = Lab::builder()
            .fault(Fault::from(FaultKind::SynDrop).family(family))
            .start()?;
        let dropped = if family == Family::V4 {
            Families::V4
        } else {
            Families::V6
        };
        for (families, passes) in [(dropped, false), (other, true)] {
            for address in lab.host(PROXY).ok_or("no proxy")?.addresses(families) {
                let peer = SocketAddr::new(address, 443);
                let outcome = lab
                    .on_client(|| TcpStream::connect_timeout(&peer, Duration::from_millis(1500)))?;
                assert_eq!(outcome.is_ok(), passes, "{peer}: {outcome:?}");
            }
        }
        // The first SYN and at least one that was sent again.
        assert!(lab.acts().len() >= 2, "{:?}", lab.acts());
    }
    Ok(())
}

fn forged_resets_have_a_ttl_of_their_own() -> Outcome {
    for families in [Families::V4, Families::V6] {
        let lab = Lab::builder()
            .families(families)
            .modules(one_module())
            .fault(FaultKind::SniReset)
            .start()?;
        let project = lab.project()?;
        let toolchain = newest()?;
        let frames = frames_during(&lab, || {
            let ran = run(project.go(&toolchain, ["mod", "download"]), LONG)?;
            assert!(ran.stderr.contains("connection reset by peer"), "{ran:?}");
            Ok(())
        })?;
        let (genuine, forged) = (
            ttls_from_server(&frames, SYN_ACK),
            ttls_from_server(&frames, RST),
        );
        assert!(
            !genuine.is_empty() && genuine.iter().all(|ttl| *ttl == GENUINE_TTL),
            "{genuine:?}"
        );
        assert!(
            !forged.is_empty() && forged.iter().all(|ttl| *ttl == FORGED_TTL),
            "{forged:?}"
        );
    }
    Ok(())
}

fn sni_faults_leave_other_names_alone() -> Outcome {
    for kind in [FaultKind::SniReset, FaultKind::SniDrop, FaultKind::TlsClose] {
        let lab = Lab::builder()
            .modules(one_module())
            .fault(Fault::from(kind).host(SUMDB))
            .start()?;
        let project = lab.project()?;
        let ran = run(project.go(&newest()?, ["mod", "download"]), LONG)?;
        assert!(ran.succeeded(), "{kind}: {ran:?}");
    }
    Ok(())
}

fn large_hello_drop_lets_small_hellos_pass() -> Outcome {
    let lab = Lab::builder()
        .modules(one_module())
        .fault(FaultKind::LargeHelloDrop)
        .start()?;
    let project = lab.project()?;
    let mut command = project.go(&newest()?, ["mod", "download"]);
    command.env("GODEBUG", "tlsmlkem=0");
    let ran = run(command, LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    Ok(())
}

fn h2_hello_silence_lets_http1_pass() -> Outcome {
    let lab = Lab::builder()
        .modules(one_module())
        .fault(FaultKind::H2HelloSilence)
        .start()?;
    let project = lab.project()?;
    let mut command = project.go(&newest()?, ["mod", "download"]);
    command.env("GODEBUG", "http2client=0");
    let ran = run(command, LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    Ok(())
}

fn bodies_are_cut_over_http1_too() -> Outcome {
    for (kind, text) in [
        (FaultKind::BodyCut(Amount::Bytes(1000)), "unexpected EOF"),
        (
            FaultKind::BodyReset(Amount::Bytes(1000)),
            "connection reset by peer",
        ),
    ] {
        let lab = Lab::builder().modules(one_module()).fault(kind).start()?;
        let project = lab.project()?;
        let mut command = project.go(&newest()?, ["mod", "download"]);
        command.env("GODEBUG", "http2client=0");
        let ran = run(command, LONG)?;
        assert!(ran.stderr.contains(text), "{kind}: {ran:?}");
    }
    Ok(())
}

fn one_silent_nameserver_of_two_costs_time_only() -> Outcome {
    let lab = Lab::builder()
        .modules(one_module())
        .nameservers(2)
        .fault(Fault::from(FaultKind::DnsDrop).server(1))
        .start()?;
    let project = lab.project()?;
    let ran = run(project.go(&newest()?, ["mod", "download"]), LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    let mut servers = lab
        .questions()
        .iter()
        .map(|question| question.server)
        .collect::<Vec<_>>();
    servers.sort_unstable();
    servers.dedup();
    assert_eq!(servers, [1, 2]);
    Ok(())
}

fn counted_faults_make_room() -> Outcome {
    let lab = Lab::builder()
        .fault("status=503,times=1".parse::<Fault>()?)
        .start()?;
    let project = lab.project()?;
    for succeeds in [false, false, false, true] {
        let ran = run(project.go(&newest()?, ["mod", "download"]), LONG)?;
        assert_eq!(ran.succeeded(), succeeds, "{ran:?}");
    }
    // `.mod`, `.info` and `.zip` of each module, once refused and once given.
    assert_eq!(lab.acts().len(), 3 * lab.modules().len());
    Ok(())
}

fn downloads_are_continued() -> Outcome {
    let lab = Lab::builder().modules(one_module()).start()?;
    let module = &lab.modules()[0];
    let path = format!("/{}/@v/{}.zip", module.escaped_path(), module.version);
    let address = lab
        .host(PROXY)
        .and_then(|host| host.addresses(Families::Both).next())
        .ok_or("no proxy")?;
    let fetch = |header: &str| {
        lab.on_client(|| {
            let mut stream = TcpStream::connect((address, 80))?;
            let head = format!("GET {path} HTTP/1.1\r\nHost: {PROXY}\r\nConnection: close\r\n");
            stream.write_all(format!("{head}{header}\r\n").as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        })
    };
    let whole = fetch("")??;
    let rest = fetch("Range: bytes=100-\r\n")??;
    let text = String::from_utf8_lossy(&rest);
    assert!(text.starts_with("HTTP/1.1 206 "), "{text}");
    let total = module.zip_bytes();
    let range = format!("content-range: bytes 100-{}/{total}\r\n", total - 1);
    assert!(text.contains(&range), "{text}");
    let tail = total as usize - 100;
    assert_eq!(rest[rest.len() - tail..], whole[whole.len() - tail..]);
    Ok(())
}

fn faults_come_and_go_while_the_lab_runs() -> Outcome {
    let lab = Lab::builder().modules(one_module()).start()?;
    let project = lab.project()?;
    let toolchain = newest()?;
    for (fault, works) in [
        (None, true),
        (Some(FaultKind::NoRoute), false),
        (Some(FaultKind::DnsNxdomain), false),
        (None, true),
    ] {
        project.clear_module_cache()?;
        lab.set_faults(fault.map(Fault::from))?;
        let ran = run(project.go(&toolchain, ["mod", "download"]), LONG)?;
        assert_eq!(ran.succeeded(), works, "{fault:?}: {ran:?}");
    }
    Ok(())
}

fn a_lock_is_held_by_the_process_that_says_so() -> Outcome {
    let lab = Lab::builder().modules(one_module()).start()?;
    let project = lab.project()?;
    let module = lab.modules().first().ok_or("no module")?;
    let lock = project.hold_lock(module)?;
    let holder = format!(" {} ", lock.pid());
    let held = |pid: &str| {
        Ok::<_, std::io::Error>(
            std::fs::read_to_string("/proc/locks")?
                .lines()
                .any(|line| line.contains(pid)),
        )
    };
    assert!(held(&holder)?);
    drop(lock);
    assert!(!held(&holder)?);
    let ran = run(project.go(&newest()?, ["mod", "download"]), LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    Ok(())
}

pub(crate) const SYN_ACK: u8 = 0x12;
pub(crate) const RST: u8 = 0x04;

/// All frames that the client's interface saw while `work` ran.
pub(crate) fn frames_during(
    lab: &Lab,
    work: impl FnOnce() -> Outcome,
) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let sniffer = lab.on_client(|| {
        let sniffer = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )?;
        setsockopt(&sniffer, sockopt::ReceiveTimeout, &TimeVal::new(0, 50_000))?;
        Ok::<_, nix::Error>(sniffer)
    })??;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut frames = Vec::new();
            let mut buffer = vec![0; 65_536];
            loop {
                let finished = done.load(Ordering::Acquire);
                match recv(sniffer.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    Ok(length) => frames.push(buffer[..length].to_vec()),
                    // Silence after the work's end: all has been read.
                    Err(_) if finished => return frames,
                    Err(_) => {}
                }
            }
        });
        let outcome = work();
        done.store(true, Ordering::Release);
        let frames = reader.join().map_err(|_| "the sniffer panicked")?;
        outcome.map(|()| frames)
    })
}

/// Time to live, or hop limit, of TCP segments that come from port 443 with all of `flags`.
pub(crate) fn ttls_from_server(frames: &[Vec<u8>], flags: u8) -> Vec<u8> {
    frames
        .iter()
        .filter_map(|frame| {
            let (ttl, protocol, tcp) = match frame.get(12..14)? {
                [0x08, 0x00] => (frame.get(22)?, frame.get(23)?, frame.get(34..)?),
                [0x86, 0xdd] => (frame.get(21)?, frame.get(20)?, frame.get(54..)?),
                _ => return None,
            };
            let from_server = *protocol == 6
                && tcp.get(..2)? == 443u16.to_be_bytes()
                && tcp.get(13)? & flags == flags;
            from_server.then_some(*ttl)
        })
        .collect()
}
