// SPDX-License-Identifier: MIT OR Apache-2.0
use std::time::Duration;

use super::{
    DnsOutcome, DnsTransport, Ended, FileProgress, StreamKind, Timeline,
    script::{GO, HOST, PROXY, Script, client_hello, moment, server_flight},
};
use crate::kernel::events::{Event, EventKind, Pid, SocketCookie, TcpState, Way};

fn tell(script: &Script) -> Timeline {
    let mut timeline = Timeline::new(moment(0.0));
    for event in &script.events {
        timeline.apply(event);
    }
    timeline
}

#[test]
fn a_connection_is_followed_from_lookup_to_handshake() {
    let timeline = tell(
        &Script::new()
            .at(1.0)
            .resolved()
            .at(2.0)
            .shaken(10, PROXY)
            .at(3.0)
            .request(10)
            .at(9.0)
            .response(10, 400),
    );
    let [connection] = timeline.connections.as_slice() else {
        panic!("one connection")
    };
    // The name in the hello counts more than the one that was looked up.
    assert_eq!(connection.host.as_deref(), Some("localhost"));
    let lookup = tell(
        &Script::new()
            .at(1.0)
            .resolved()
            .at(2.0)
            .connected(10, PROXY),
    );
    assert_eq!(lookup.connections[0].host.as_deref(), Some(HOST));
    assert_eq!(connection.pid, GO);
    assert_eq!(connection.syn_ack_ttl, Some(57));
    assert_eq!(connection.srtt_us, Some(400));
    assert_eq!(connection.stream, StreamKind::Tls);
    let hello = connection.client_hello.as_ref().unwrap();
    assert_eq!(hello.bytes as usize, client_hello().len());
    assert_eq!((hello.segments, hello.retransmits), (2, 0));
    let server = connection.server_hello.as_ref().unwrap();
    assert_eq!(server.version.as_deref(), Some("1.3"));
    assert_eq!(server.cipher.as_deref(), Some("TLS_AES_128_GCM_SHA256"));
    assert_eq!(connection.handshake_done, Some(moment(2.0)));
    assert_eq!(
        connection.bytes_received_in_handshake as usize,
        server_flight().len()
    );
    assert_eq!(connection.first_byte, Some(moment(9.0)));
    assert_eq!(connection.ended, Ended::Open);
    assert_eq!(timeline.dns.len(), 2);
    assert!(
        timeline
            .dns
            .iter()
            .all(|exchange| exchange.outcome.is_final() && exchange.attempt == 1)
    );
}

#[test]
fn any_order_within_a_millisecond_gives_the_same_handshake() {
    let script = Script::new().at(2.0).shaken(10, PROXY);
    let whole = tell(&script);
    let mut late_connect = script.clone();
    // Connect comes after the packets that follow it.
    let connect = late_connect.events.remove(1);
    late_connect.events.push(connect);
    let other = tell(&late_connect);
    assert_eq!(other.connections.len(), 1);
    assert_eq!(
        other.connections[0].handshake_done,
        whole.connections[0].handshake_done
    );
    assert_eq!(
        other.connections[0].client_hello,
        whole.connections[0].client_hello
    );
}

#[test]
fn a_hello_in_pieces_is_put_together_and_retransmissions_are_counted() {
    let hello = client_hello();
    let (first, second) = hello.split_at(1000);
    let script = Script::new()
        .connected(10, PROXY)
        .at(1.0)
        .send(10, first.to_vec())
        .resend(10, first.to_vec())
        .at(2.0)
        .send(10, second.to_vec())
        .resend(10, second.to_vec());
    let timeline = tell(&script);
    let seen = timeline.connections[0].client_hello.as_ref().unwrap();
    assert_eq!((seen.segments, seen.retransmits), (2, 2));
    assert_eq!(seen.sent, moment(2.0));
}

#[test]
fn a_reused_socket_makes_another_connection() {
    let script = Script::new()
        .connect(10, PROXY)
        .connect_failed(10, 101)
        .at(5.0)
        .connect(10, "198.18.0.11:443")
        .syn(10)
        .syn_ack(10, 57);
    let timeline = tell(&script);
    assert_eq!(timeline.connections.len(), 2);
    assert_eq!(timeline.connections[0].ended, Ended::Unreachable);
    assert!(timeline.connections[1].established.is_some());
    assert_eq!(timeline.connection_of(SocketCookie(10)).unwrap().id.0, 2);
}

#[test]
fn each_end_of_a_connection_has_its_name() {
    let closed = |script: Script, old| script.state(10, old, TcpState::Close);
    let connecting = || Script::new().connect(10, PROXY).syn(10).at(5.0);
    let open = || Script::new().connected(10, PROXY).at(5.0);
    let cases = [
        (
            closed(connecting().rst(10, 64), TcpState::SynSent).tcp_error(10, 111),
            Ended::Refused,
        ),
        (
            closed(connecting().tcp_error(10, 110), TcpState::SynSent),
            Ended::ConnectTimeout,
        ),
        (
            closed(connecting().tcp_error(10, 113), TcpState::SynSent),
            Ended::Unreachable,
        ),
        (closed(connecting(), TcpState::SynSent), Ended::Abandoned),
        (
            closed(open().rst(10, 64), TcpState::Established).tcp_error(10, 104),
            Ended::RstReceived,
        ),
        (open().close(10).at(6.0).rst(10, 57), Ended::Fin),
        (open(), Ended::Open),
    ];
    for (script, ended) in cases {
        assert_eq!(tell(&script).connections[0].ended, ended);
    }
}

#[test]
fn a_reused_process_id_is_another_process() {
    let script = Script::new().at(10.0).exit(0).at(20.0).exec("", 1);
    let timeline = tell(&script);
    assert_eq!(timeline.ended_processes.len(), 1);
    assert_eq!(timeline.ended_processes[0].exit_code, Some(0));
    assert!(timeline.ended_processes[0].is_go() && !timeline.processes[&GO].is_go());
    assert_eq!(timeline.process_end(GO, moment(5.0)), Some(moment(10.0)));
    assert_eq!(timeline.process_end(GO, moment(25.0)), None);
}

#[test]
fn an_exit_that_overtakes_its_exec_still_ends_the_process() {
    let mut script = Script::new().at(1.0).exit(3);
    script.events.swap(0, 1);
    let process = tell(&script).processes[&GO].clone();
    assert_eq!(
        (process.ended, process.exit_code),
        (Some(moment(1.0)), Some(3))
    );
}

#[test]
fn a_question_asked_again_has_another_attempt() {
    let script = Script::new()
        .query(1, 7, "A", HOST)
        .at(5000.0)
        .query(2, 8, "A", HOST)
        .at(5001.0)
        .answer(2, 8, "A", HOST, 0, &["198.18.0.10"])
        .at(6000.0)
        .query(3, 9, "A", HOST);
    let timeline = tell(&script);
    assert_eq!(
        timeline.dns[0].outcome,
        DnsOutcome::Unanswered { at: moment(5000.0) }
    );
    let attempts: Vec<u32> = timeline
        .dns
        .iter()
        .map(|exchange| exchange.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 1]);
}

#[test]
fn dns_over_tcp_is_read_from_its_stream() {
    let mut framed = Vec::new();
    let [
        Event {
            kind: crate::kernel::events::EventKind::Packet(query),
            ..
        },
    ] = &Script::new().query(1, 7, "A", HOST).events[1..]
    else {
        panic!("one packet")
    };
    framed.extend((query.payload.len() as u16).to_be_bytes());
    framed.extend(&query.payload);
    let (first, second) = framed.split_at(10);
    let script = Script::new()
        .connected(10, "198.18.0.2:53")
        .send(10, first.to_vec())
        .send(10, second.to_vec())
        .at(5.0)
        .close(10);
    let timeline = tell(&script);
    assert_eq!(timeline.dns.len(), 1);
    assert_eq!(
        (timeline.dns[0].name.as_str(), timeline.dns[0].transport),
        (HOST, DnsTransport::Tcp)
    );
    assert_eq!(
        timeline.dns[0].outcome,
        DnsOutcome::Unanswered { at: moment(5.0) }
    );
}

#[test]
fn module_files_go_from_wanted_to_done_or_failed() {
    let zip = "golang.org/x/text/@v/v0.3.0.zip";
    let script = Script::new()
        .missing(zip)
        .at(1.0)
        .temporary(zip)
        .at(2.0)
        .size(zip, 10);
    let timeline = tell(&script);
    let file = &timeline.files[0];
    assert_eq!(
        (file.progress, file.bytes, file.grew),
        (FileProgress::Writing, Some(10), Some(moment(2.0)))
    );
    assert_eq!(file.label(), "golang.org/x/text@v0.3.0.zip");
    let done = script.clone().at(3.0).read_back(zip).completed(zip);
    let done = tell(&done.at(3.1).final_size(zip, 25));
    let file = &done.files[0];
    assert_eq!(
        (file.progress, file.done, file.bytes, file.grew),
        (
            FileProgress::Done,
            Some(moment(3.0)),
            Some(25),
            Some(moment(2.0))
        )
    );
    assert!(done.files[0].whole.is_some() && done.unfinished_files(GO).next().is_none());
    let failed = tell(&script.at(3.0).discarded(zip).exit(1));
    assert_eq!(failed.files[0].progress, FileProgress::Failed);
    assert_eq!(failed.files[0].discarded, Some(moment(3.0)));
}

#[test]
fn lock_waits_end_with_the_lock_or_the_process() {
    let lock = "golang.org/x/text/@v/v0.3.0.lock";
    let script = Script::new()
        .lock_wait(lock)
        .at(9.0)
        .lock_holder(lock, 55, "go build");
    let done = tell(&script.clone().lock_done(lock));
    assert_eq!(done.locks[0].ended, Some(moment(9.0)));
    assert_eq!(done.locks[0].holder, Some((Pid(55), "go build".to_owned())));
    assert_eq!(
        done.locks[0].module,
        Some(("golang.org/x/text".to_owned(), "v0.3.0".to_owned()))
    );
    assert_eq!(tell(&script.exit(1)).locks[0].ended, Some(moment(9.0)));
}

#[test]
fn ten_thousand_connections_keep_no_buffers() {
    let mut script = Script::new();
    for cookie in 10..10_010 {
        script = script
            .at(f64::from(cookie as u32))
            .shaken(cookie, PROXY)
            .close(cookie);
    }
    let timeline = tell(&script);
    assert_eq!(timeline.connections.len(), 10_000);
    assert!(
        timeline
            .connections
            .iter()
            .all(|connection| connection.ended == Ended::Fin)
    );
    assert_eq!(timeline.buffers_held(), 0);
    assert!(
        timeline.connections[0]
            .closed
            .unwrap()
            .since(timeline.began)
            < Duration::from_secs(1)
    );
}

#[test]
fn how_a_connection_is_carried_may_be_known_before_the_connection() {
    let script = Script::new().at(2.0).shaken(10, PROXY);
    let carried = Event {
        at: moment(1.0),
        pid: GO,
        kind: EventKind::Carried {
            cookie: SocketCookie(10),
            way: Way::Accelerated,
            why: "module host".into(),
            host: Some(HOST.into()),
        },
    };
    for place in [0, script.events.len()] {
        let mut script = script.clone();
        script.events.insert(place, carried.clone());
        let timeline = tell(&script);
        let [connection] = timeline.connections.as_slice() else {
            panic!("one connection");
        };
        assert_eq!(connection.way, Way::Accelerated);
        assert_eq!(connection.why.as_deref(), Some("module host"));
    }
}

#[test]
fn an_answer_of_the_stub_is_known_whoever_tells_of_it_first() {
    use crate::kernel::events::{NameAnswered, NameSource};
    let script = Script::new()
        .query(1, 1, "A", HOST)
        .answer(1, 1, "A", HOST, 0, &["198.18.0.10"])
        .query(2, 2, "AAAA", HOST)
        .query(3, 3, "A", HOST);
    let local = |cookie: u64| {
        let packet = |event: &&Event| matches!(&event.kind, EventKind::Packet(packet) if packet.cookie.0 == cookie);
        match &script.events.iter().find(packet).unwrap().kind {
            EventKind::Packet(packet) => packet.local,
            other => panic!("{other:?}"),
        }
    };
    let told = |cookie: u64, id, qtype: &str, source| Event {
        at: script.events[0].at,
        pid: Pid(0),
        kind: EventKind::NameAnswered(NameAnswered {
            client: local(cookie),
            server: "198.18.0.2:53".parse().unwrap(),
            id,
            name: HOST.to_owned(),
            qtype: qtype.to_owned(),
            source,
            fetched_in: std::time::Duration::from_millis(7),
        }),
    };
    let mut timeline = Timeline::default();
    timeline.apply(&told(2, 2, "AAAA", NameSource::Cache));
    for event in &script.events {
        timeline.apply(event);
    }
    timeline.apply(&told(1, 1, "A", NameSource::Prewarmed));
    // Another id, another type: nobody's.
    timeline.apply(&told(3, 4, "A", NameSource::Stale));
    timeline.apply(&told(3, 3, "AAAA", NameSource::Stale));
    let sources: Vec<_> = timeline
        .dns
        .iter()
        .map(|exchange| exchange.stub.map(|stub| stub.source))
        .collect();
    assert_eq!(
        sources,
        [Some(NameSource::Prewarmed), Some(NameSource::Cache), None]
    );
    assert_eq!(timeline.dns.len(), 3, "no question is told twice");
    let seven = std::time::Duration::from_millis(7);
    assert_eq!(timeline.dns[0].network_time(), Some(seven));
    assert_eq!(timeline.dns[1].network_time(), None, "no answer was seen");
}
