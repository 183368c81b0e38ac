// SPDX-License-Identifier: MIT OR Apache-2.0
//! Through an HTTP proxy, as `HTTPS_PROXY` says; and past it.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gomod_lab::{FaultKind, Lab};
use libtest_mimic::Trial;

use super::{PROBES, Probed, lab};
use crate::harness::{product, trial};

pub(super) fn trials() -> Vec<Trial> {
    let trial =
        |name: &str, test: fn()| trial(format!("probe::{name}"), PROBES.iter().copied(), test);
    vec![
        trial(
            "https_proxy_is_taken_and_direct_ignores_it",
            taken_and_ignored,
        ),
        trial("a_proxy_that_is_not_there", not_there),
        trial("a_proxy_that_refuses_the_host", refusing),
    ]
}

/// A host and the status with which the proxy answers CONNECT to it.
type Refused = (&'static str, &'static str);

/// One CONNECT, to one of the lab's hosts.
fn tunnel(lab: &Lab, client: TcpStream, refused: Option<Refused>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let authority = first.split(' ').nth(1).unwrap_or_default();
    let name = authority.strip_suffix(":443").unwrap_or_default();
    let mut client = client;
    if let Some((_, status)) = refused.filter(|(host, _)| *host == name) {
        return client.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
    }
    let Some(host) = lab.host(name) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
    };
    let server = TcpStream::connect((host.v4, 443))?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    let mut server = server;
    let _ = io::copy(&mut reader, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}

/// Runs `work` beside a proxy on the client's loopback device, of which it gets the port.
fn beside_proxy(lab: &Lab, refused: Option<Refused>, work: impl FnOnce(u16)) {
    let listener = lab
        .on_client(|| TcpListener::bind(("127.0.0.1", 0)).unwrap())
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (stop, listener) = (&stop, &listener);
        scope.spawn(move || {
            lab.on_client(|| {
                thread::scope(|tunnels| {
                    while let Ok((client, _)) = listener.accept() {
                        if stop.load(Ordering::Acquire) {
                            break;
                        }
                        // A client that goes away is no concern of the proxy's.
                        tunnels.spawn(move || tunnel(lab, client, refused));
                    }
                });
            })
            .unwrap();
        });
        work(port);
        stop.store(true, Ordering::Release);
        lab.on_client(|| TcpStream::connect(("127.0.0.1", port)))
            .unwrap()
            .unwrap();
    });
}

fn taken_and_ignored() {
    let lab = lab().start().unwrap();
    beside_proxy(&lab, None, |port| {
        // Something that the proxy, which goes by IPv4, does not meet.
        lab.set_fault(gomod_lab::Fault::from(FaultKind::SynDrop).family(gomod_lab::Family::V6))
            .unwrap();
        let with_proxy = || {
            let mut command = lab.command(product::path());
            command.env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"));
            command
        };
        let through = Probed::of("probe::proxied", with_proxy(), &["--tries", "3"]);
        assert_eq!(
            through.tokens(),
            BTreeSet::from(["ok"]),
            "{}{}",
            through.stdout,
            through.stderr
        );
        let evidence = &through.verdicts()[0]["evidence"];
        assert_eq!(
            evidence["through_proxy"],
            format!("127.0.0.1:{port}"),
            "{evidence:#}"
        );
        assert_eq!(
            through.report["hosts"][0]["addresses"],
            serde_json::json!([])
        );

        let direct = Probed::of("probe::direct", with_proxy(), &["--tries", "3", "--direct"]);
        assert_eq!(
            direct.tokens(),
            BTreeSet::from(["interference.tcp.syn_timeout"]),
            "{}{}",
            direct.stdout,
            direct.stderr
        );
    });
}

fn not_there() {
    let lab = lab().start().unwrap();
    let mut command = lab.command(product::path());
    // The port of discard: nobody listens.
    command.env("HTTPS_PROXY", "http://127.0.0.1:9");
    let probed = Probed::of("probe::no_proxy", command, &["--tries", "2"]);
    assert_eq!(probed.code, Some(3), "{}{}", probed.stdout, probed.stderr);
    assert_eq!(
        probed.tokens(),
        BTreeSet::from(["inconclusive.control_failed"]),
        "{}",
        probed.stdout
    );
}

fn refusing() {
    for (status, number, advice) in [
        ("403 Forbidden", 403, "--mirror"),
        ("407 Proxy Authentication Required", 407, "USER:PASSWORD"),
    ] {
        let lab = lab().start().unwrap();
        beside_proxy(&lab, Some(("proxy.golang.org", status)), |port| {
            let mut command = lab.command(product::path());
            command.env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"));
            let probed = Probed::of("probe::refusing_proxy", command, &[]);
            let seen = format!("{}{}{:#}", probed.stdout, probed.stderr, probed.report);
            assert_eq!(probed.code, Some(3), "{seen}");
            assert_eq!(
                probed.tokens(),
                BTreeSet::from(["anomaly.tunnel.refused"]),
                "{seen}"
            );
            let verdict = &probed.verdicts()[0];
            assert_eq!(verdict["stage"], "request", "{seen}");
            assert_eq!(verdict["confidence"], "confirmed", "{seen}");
            assert_eq!(verdict["evidence"]["status"], number, "{seen}");
            // The proxy does open tunnels to others.
            let control = &verdict["evidence"]["passed"]["tcp.control"];
            assert_eq!(control, "5/5", "{seen}");
            assert!(probed.stdout.contains(advice), "{seen}");
        });
    }
}
