// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run of `go mod download` with a bit of everything.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::json;
use time::macros::datetime;

use crate::{
    diagnose::{
        Cause, Confidence, Evidence, Hazard, SharedCaches, Stage, Stall, StallId, StallSubject,
        Verdict,
    },
    golang::CachePlace,
    kernel::events::{MonotonicNanos, Pid, SocketCookie, Traffic},
    report::{Mode, RunFacts},
    timeline::{
        ClientHelloSeen, Connection, ConnectionId, DnsExchange, DnsOutcome, DnsTransport, Ended,
        FileProgress, LockWait, ModuleFile, ModuleFileKind, Process, ServerHelloSeen, Timeline,
    },
    wire::tls::ClientHello,
};

const BEGAN: u64 = 5_000_000_000;

/// So many milliseconds after the run began.
pub(in crate::report) fn ms(milliseconds: u64) -> MonotonicNanos {
    MonotonicNanos(BEGAN) + Duration::from_millis(milliseconds)
}

pub(in crate::report) fn facts() -> RunFacts {
    RunFacts {
        version: "0.1.0".into(),
        kernel: "6.18.5".into(),
        mode: Mode::Observe,
        command: ["go", "mod", "download"].map(String::from).to_vec(),
        started: datetime!(2026-03-01 12:30:15.123456 +01:00),
        ended_at: ms(12_400),
        exit_code: Some(1),
        signal: None,
    }
}

pub(in crate::report) fn timeline() -> Timeline {
    let shell = Process {
        pid: Pid(100),
        parent: None,
        exe: "/bin/sh".into(),
        argv: vec!["sh".into()],
        started: ms(0),
        ended: Some(ms(5)),
        exit_code: Some(0),
        ..Process::default()
    };
    let go = Process {
        pid: Pid(101),
        parent: Some(Pid(100)),
        exe: "/usr/local/go/bin/go".into(),
        argv: ["go", "mod", "download"].map(String::from).to_vec(),
        cwd: Some("/home/user/project".into()),
        go_version: Some("go1.27.3".into()),
        started: ms(6),
        ended: Some(ms(12_390)),
        exit_code: Some(1),
    };
    let mut timeline = Timeline {
        began: ms(0),
        ..Timeline::default()
    };
    timeline.processes = [(go.pid, go)].into();
    timeline.ended_processes = vec![shell];
    timeline.dns = vec![
        query(
            "A",
            20,
            DnsOutcome::Answered {
                at: ms(43),
                rcode: "NOERROR".into(),
                addresses: vec!["198.18.0.10".parse().unwrap()],
                truncated: false,
                lame: false,
            },
        ),
        query("AAAA", 20, DnsOutcome::Unanswered { at: ms(5_020) }),
        query(
            "AAAA",
            5_020,
            DnsOutcome::Failed {
                at: ms(5_021),
                errno: 111,
            },
        ),
    ];
    timeline.connections = vec![good(1, 50), refused(2, 60), reset(3, 1_200), good(4, 1_300)];
    timeline.files = vec![
        file(
            "example.com/a",
            ModuleFileKind::Mod,
            15,
            Some(300),
            Some(200),
        ),
        file(
            "example.com/a",
            ModuleFileKind::Zip,
            400,
            Some(2_000),
            Some(1_048_576),
        ),
        file("example.com/b", ModuleFileKind::Zip, 410, None, Some(4_096)),
    ];
    timeline.locks = vec![LockWait {
        pid: Pid(101),
        tid: 103,
        path: "/home/user/go/pkg/mod/cache/download/example.com/a/@v/v1.2.3.lock".into(),
        module: Some(("example.com/a".into(), "v1.2.3".into())),
        began: ms(401),
        ended: Some(ms(4_500)),
        holder: Some((Pid(77), "go build ./...".into())),
    }];
    timeline.events_received = 12_345;
    timeline.events_lost = 37;
    timeline
}

fn query(qtype: &str, sent: u64, outcome: DnsOutcome) -> DnsExchange {
    DnsExchange {
        pid: Pid(101),
        cookie: SocketCookie(1),
        id: 7,
        name: "proxy.golang.org".into(),
        qtype: qtype.into(),
        local: "198.18.0.2:40000".parse().unwrap(),
        server: "198.18.0.53:53".parse().unwrap(),
        transport: DnsTransport::Udp,
        sent: ms(sent),
        attempt: 1,
        outcome,
        stub: None,
    }
}

pub(in crate::report) fn connection(id: u32, opened: u64, remote: &str) -> Connection {
    Connection {
        host: Some("proxy.golang.org".into()),
        ..Connection::new(
            ConnectionId(id),
            SocketCookie(id.into()),
            Pid(101),
            remote.parse::<SocketAddr>().unwrap(),
            ms(opened),
        )
    }
}

fn hello(sent: u64) -> ClientHelloSeen {
    ClientHelloSeen {
        hello: ClientHello {
            bytes: 1_531,
            server_name: Some("proxy.golang.org".into()),
            alpn: vec!["h2".into(), "http/1.1".into()],
            versions: vec!["1.3".into(), "1.2".into()],
            groups: vec!["X25519MLKEM768".into(), "X25519".into()],
            key_share_bytes: 1_260,
            ..ClientHello::default()
        },
        bytes: 1_531,
        segments: 2,
        retransmits: 0,
        sent: ms(sent),
    }
}

/// Established, used, still open.
fn good(id: u32, opened: u64) -> Connection {
    Connection {
        established: Some(ms(opened + 12)),
        srtt_us: Some(11_800),
        bytes_sent: 2_048,
        bytes_received: 600_000,
        syn_ack_ttl: Some(57),
        client_hello: Some(hello(opened + 13)),
        server_hello: Some(ServerHelloSeen {
            version: Some("1.3".into()),
            cipher: Some("TLS_AES_128_GCM_SHA256".into()),
            at: ms(opened + 30),
        }),
        handshake_done: Some(ms(opened + 36)),
        first_byte: Some(ms(opened + 60)),
        traffic: Some(Traffic {
            cookie: SocketCookie(id.into()),
            bytes_out: 2_048,
            bytes_in: 600_000,
            last_out: Some(ms(opened + 40)),
            last_in: Some(ms(opened + 700)),
            request: Some(ms(opened + 40)),
            bytes_in_at_request: 3_000,
            response: Some(ms(opened + 60)),
            requests: 1,
            last_in_len: 1_400,
            bytes_acked: 0,
        }),
        ..connection(id, opened, "198.18.0.10:443")
    }
}

fn refused(id: u32, opened: u64) -> Connection {
    Connection {
        host: None,
        closed: Some(ms(opened + 1)),
        rst_ttl: Some(64),
        errno: Some(111),
        ended: Ended::Refused,
        ..connection(id, opened, "[2001:2::10]:443")
    }
}

fn reset(id: u32, opened: u64) -> Connection {
    Connection {
        server_hello: None,
        handshake_done: None,
        first_byte: None,
        traffic: None,
        closed: Some(ms(opened + 14)),
        bytes_received: 0,
        rst_ttl: Some(64),
        rst_received: Some(ms(opened + 14)),
        errno: Some(104),
        ended: Ended::RstReceived,
        ..good(id, opened)
    }
}

fn file(
    module: &str,
    kind: ModuleFileKind,
    wanted: u64,
    done: Option<u64>,
    bytes: Option<u64>,
) -> ModuleFile {
    ModuleFile {
        done: done.map(ms),
        progress: if done.is_some() {
            FileProgress::Done
        } else {
            FileProgress::Writing
        },
        bytes,
        ..ModuleFile::wanted(Pid(101), module.into(), "v1.2.3".into(), kind, ms(wanted))
    }
}

/// A stall for each verdict would be too many to read: a reset that came twice, one that never ended, a lock.
pub(in crate::report) fn stalls() -> Vec<Stall> {
    let reset = Stall {
        id: StallId(1),
        subject: StallSubject::Connection(ConnectionId(3)),
        verdict: Verdict::HelloReset,
        stage: Stage::Hello,
        confidence: Confidence::Confirmed,
        cause: None,
        host: Some("proxy.golang.org".into()),
        modules: ["a", "b", "c", "d"].map(|name| format!("example.com/{name}@v1.2.3.zip")).to_vec(),
        began: ms(1_213),
        known: ms(1_214),
        ended: Some(ms(1_214)),
        evidence: evidence(&json!({
            "rst_ttl": 64, "syn_ack_ttl": 57, "us_after_hello": 210,
            "alpn": ["h2", "http/1.1"], "promised": null,
        })),
        story: "a reset came 210 µs after the ClientHello, before any answer; its TTL is 64, that of the \
                SYN-ACK was 57, so that it came from somebody nearer than the server"
            .into(),
        action: "ask who runs the network whether it filters proxy.golang.org by name; \
                 gomod-trace cannot change it while it observes"
            .into(),
    };
    vec![
        reset.clone(),
        Stall {
            id: StallId(2),
            began: ms(2_300),
            known: ms(2_302),
            ended: Some(ms(2_302)),
            ..reset.clone()
        },
        Stall {
            id: StallId(3),
            subject: StallSubject::Connection(ConnectionId(4)),
            verdict: Verdict::BodyStalled,
            stage: Stage::Body,
            confidence: Confidence::Likely,
            modules: vec!["example.com/b@v1.2.3.zip".into()],
            began: ms(3_000),
            known: ms(8_000),
            ended: None,
            evidence: evidence(
                &json!({"bytes_received": 4_096, "idle_ms": 5_000, "promised": null}),
            ),
            story: "the response stopped after 4.0 KiB and nothing came for 5.0 s".into(),
            action: "press Ctrl-C and run it again: go has no deadline of its own here".into(),
            ..reset.clone()
        },
        Stall {
            id: StallId(4),
            cause: Some(Cause::LockOfAnotherGo),
            subject: StallSubject::Lock {
                pid: Pid(101),
                path: PathBuf::from("/cache/v1.2.3.lock"),
            },
            verdict: Verdict::LockContention,
            stage: Stage::Lock,
            host: None,
            modules: vec![],
            began: ms(401),
            known: ms(3_401),
            ended: Some(ms(4_500)),
            evidence: evidence(&json!({"holder_pid": 77, "holder_command": "go build ./..."})),
            story: "process 77 (go build ./...) holds the lock of example.com/a@v1.2.3".into(),
            action: "wait for process 77, or end it if it hangs".into(),
            ..reset
        },
    ]
}

fn evidence(value: &serde_json::Value) -> Evidence {
    value.as_object().unwrap().clone()
}

/// GOCACHE in GOMODCACHE.
pub(in crate::report) fn hazards() -> Vec<Hazard> {
    let place = |path: &str| CachePlace {
        named: path.into(),
        link: false,
        path: path.into(),
        device: (8, 1),
        within: path.into(),
    };
    let modules = place("/home/user/go/pkg/mod");
    let shared = SharedCaches::between(&place("/home/user/go/pkg/mod/build"), &modules).unwrap();
    vec![Hazard {
        verdict: Verdict::CacheShared,
        confidence: Confidence::Confirmed,
        pid: Pid(101),
        known: ms(8),
        place: modules.path,
        evidence: evidence(&json!({"relation": shared.sharing})),
        story: shared.story,
        action: shared.action,
    }]
}
