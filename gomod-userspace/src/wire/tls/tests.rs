// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parsers against hellos that real `go` commands sent, and against noise.

use super::*;
use crate::wire::Parsed;
use proptest::prelude::*;

const GO_1_21: &[u8] = include_bytes!("../testdata/client_hello_go1.21.13.bin");
const GO_1_24: &[u8] = include_bytes!("../testdata/client_hello_go1.24.11.bin");
const GO_1_27: &[u8] = include_bytes!("../testdata/client_hello_go1.27.3.bin");

fn hello(stream: &[u8]) -> ClientHello {
    ClientHello::parse(stream).unwrap().complete().unwrap()
}

fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![content_type, 3, 3];
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The same handshake bytes, in records of at most `size` bytes.
fn fragmented(stream: &[u8], size: usize) -> Vec<u8> {
    stream[5..]
        .chunks(size)
        .flat_map(|chunk| record(22, chunk))
        .collect()
}

/// A `ServerHello` with an `encrypt_then_mac`-like filler extension before `supported_versions`.
fn server_hello(suite: u16, version: Option<u16>) -> Vec<u8> {
    let mut extensions = vec![0, 51, 0, 4, 0, 29, 0, 0];
    if let Some(version) = version {
        extensions.extend_from_slice(&[0, 43, 0, 2]);
        extensions.extend_from_slice(&version.to_be_bytes());
    } else {
        extensions.extend_from_slice(b"\0\x10\0\x05\0\x03\x02h2");
    }
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0]);
    body.extend_from_slice(&suite.to_be_bytes());
    body.push(0);
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    let mut message = vec![2, 0, 0, body.len() as u8];
    message.extend_from_slice(&body);
    record(22, &message)
}

#[test]
fn reads_the_hello_of_go_1_21() {
    let hello = hello(GO_1_21);
    assert_eq!(hello.bytes, GO_1_21.len());
    assert_eq!(hello.server_name.as_deref(), Some("localhost"));
    assert_eq!(hello.alpn, ["h2", "http/1.1"]);
    assert_eq!(hello.versions, ["1.3", "1.2"]);
    assert_eq!(hello.groups, ["X25519", "P-256", "P-384", "P-521"]);
    assert_eq!(hello.key_share_bytes, 36);
    assert_eq!(hello.legacy_version, 0x0303);
    assert!(!hello.grease && hello.signature_schemes > 0 && hello.cipher_suites.contains(&0x1301));
}

#[test]
fn reads_the_post_quantum_hellos_of_go_1_24_and_1_27() {
    for stream in [GO_1_24, GO_1_27] {
        let hello = hello(stream);
        assert_eq!(hello.bytes, stream.len());
        assert_eq!(hello.server_name.as_deref(), Some("localhost"));
        assert_eq!(hello.alpn, ["h2", "http/1.1"]);
        assert_eq!(hello.groups[0], "X25519MLKEM768");
        // Two entries of 4 bytes of header: 1184 + 32 bytes, and 32 bytes.
        assert_eq!(hello.key_share_bytes, 4 + 1216 + 4 + 32);
    }
    assert!(hello(GO_1_27).signature_schemes > hello(GO_1_24).signature_schemes);
}

#[test]
fn every_prefix_of_a_hello_is_incomplete() {
    for stream in [GO_1_21, GO_1_27] {
        for len in 0..stream.len() {
            let needed = match ClientHello::parse(&stream[..len]).unwrap() {
                Parsed::Incomplete { needed } => needed,
                Parsed::Complete { .. } => panic!("complete after {len} bytes"),
            };
            assert!(
                needed.is_none_or(|needed| needed == stream.len() - len),
                "{len} bytes: {needed:?}"
            );
            assert!(len < 9 || needed.is_some(), "{len} bytes");
        }
    }
}

#[test]
fn a_hello_spread_over_many_records_counts_their_headers() {
    let cut = fragmented(GO_1_27, 100);
    let mut expected = hello(GO_1_27);
    expected.bytes = cut.len();
    assert_eq!(hello(&cut), expected);
    let mut with_more = cut.clone();
    with_more.extend_from_slice(&record(20, &[1]));
    assert_eq!(hello(&with_more), expected);
}

#[test]
fn what_is_no_hello_is_named() {
    assert_eq!(
        ClientHello::parse(b"GET / HTTP/1.1"),
        Err(TlsError::NotTls {
            offset: 0,
            first: b'G'
        })
    );
    assert!(matches!(
        ClientHello::parse(&record(21, &[2, 40])),
        Err(TlsError::UnexpectedRecord { .. })
    ));
    assert_eq!(
        ClientHello::parse(&server_hello(0x1301, Some(0x0304))),
        Err(TlsError::UnexpectedMessage {
            expected: "ClientHello",
            found: 2
        })
    );
    assert_eq!(
        ClientHello::parse(&record(22, &[1, 0xff, 0, 0])),
        Err(TlsError::MessageTooLong {
            length: 0x00ff_0000
        })
    );
}

#[test]
fn the_report_form_of_a_hello_has_the_documented_keys() {
    let json = serde_json::to_value(hello(GO_1_21)).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "bytes",
            "sni",
            "alpn",
            "versions",
            "groups",
            "key_share_bytes"
        ]
    );
}

#[test]
fn a_server_hello_tells_version_and_cipher() {
    let parse = |bytes: &[u8]| ServerHello::parse(bytes).unwrap().complete().unwrap();
    let modern = parse(&server_hello(0x1302, Some(0x0304)));
    assert_eq!(
        (modern.version.as_deref(), modern.cipher.as_str()),
        (Some("1.3"), "TLS_AES_256_GCM_SHA384")
    );
    assert!(modern.whole && !modern.hello_retry_request);
    let legacy = parse(&server_hello(0xc02f, None));
    assert_eq!(legacy.version.as_deref(), Some("1.2"));
    assert_eq!(legacy.cipher, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(legacy.alpn.as_deref(), Some("h2"));
}

#[test]
fn reads_what_openssl_answered_go() {
    let parse = |bytes: &[u8]| ServerHello::parse(bytes).unwrap().complete().unwrap();
    let modern = parse(include_bytes!("../testdata/server_hello_openssl_tls13.bin"));
    assert_eq!(modern.version.as_deref(), Some("1.3"));
    assert_eq!(modern.cipher, "TLS_AES_256_GCM_SHA384");
    let older = parse(include_bytes!("../testdata/server_hello_openssl_tls12.bin"));
    assert_eq!(older.version.as_deref(), Some("1.2"));
    assert!(
        older.cipher.starts_with("TLS_ECDHE_RSA_"),
        "{}",
        older.cipher
    );
    assert!(modern.whole && older.whole);
}

#[test]
fn a_cut_server_hello_gives_what_it_can() {
    let legacy = server_hello(0xc02f, None);
    let suite_end = 5 + 4 + 2 + 32 + 1 + 2;
    for len in 0..legacy.len() {
        match ServerHello::parse(&legacy[..len]).unwrap() {
            Parsed::Incomplete { .. } => assert!(len < suite_end, "{len}"),
            Parsed::Complete { value, .. } => {
                assert!(len >= suite_end && !value.whole, "{len}");
                assert_eq!(value.version, None);
            }
        }
    }
    let modern = server_hello(0x1301, Some(0x0304));
    let cut = ServerHello::parse(&modern[..suite_end])
        .unwrap()
        .complete()
        .unwrap();
    assert_eq!(cut.version.as_deref(), Some("1.3"));
}

#[test]
fn alerts_have_their_registered_names() {
    let parse = |code| {
        Alert::parse(&record(21, &[2, code]))
            .unwrap()
            .complete()
            .unwrap()
    };
    assert_eq!(parse(112).description, "unrecognized_name");
    assert_eq!(parse(40).description, "handshake_failure");
    assert_eq!(parse(200).description, "alert 200");
    assert_eq!(parse(40).level, AlertLevel::Fatal);
    assert!(
        Alert::parse(&record(21, &[2, 40])[..6])
            .unwrap()
            .is_incomplete()
    );
}

#[test]
fn record_sizes_tell_a_finished_from_an_alert() {
    let after = |next: &[u8]| client_reaction(&[record(20, &[1]), next.to_vec()].concat());
    let refusal = Some(ClientReaction::Alert { description: None });
    assert_eq!(after(&[]), None);
    assert_eq!(
        after(&record(23, &[0; 53])),
        Some(ClientReaction::Continues)
    );
    assert_eq!(
        after(&record(23, &[0; 69])),
        Some(ClientReaction::Continues)
    );
    assert_eq!(after(&record(23, &[0; 19])), refusal);
    // The header alone is enough.
    assert_eq!(after(&record(23, &[0; 19])[..5]), refusal);
    assert!(
        is_client_finished_sized(53)
            && is_client_finished_sized(69)
            && !is_client_finished_sized(19)
    );
}

#[test]
fn older_clients_refuse_in_plaintext() {
    let bad = ClientReaction::Alert {
        description: Some("bad_certificate".into()),
    };
    assert_eq!(client_reaction(&record(21, &[2, 42])), Some(bad));
    assert_eq!(
        client_reaction(&record(22, &[16, 0, 0, 33])),
        Some(ClientReaction::Continues)
    );
}

#[test]
fn a_second_hello_is_no_reaction_yet() {
    let retried = [record(20, &[1]), fragmented(GO_1_27, 400)].concat();
    assert_eq!(client_reaction(&retried), None);
    let refused = [retried, record(23, &[0; 19])].concat();
    assert_eq!(
        client_reaction(&refused),
        Some(ClientReaction::Alert { description: None })
    );
}

#[test]
fn grease_is_kept_apart() {
    assert!(is_grease(0x0a0a) && is_grease(0xfafa));
    assert!(!is_grease(0x0a1a) && !is_grease(0x11ec) && !is_grease(0x1301));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for stream in [bytes.clone(), record(22, &bytes), record(21, &bytes)] {
            let _ = ClientHello::parse(&stream);
            let _ = ServerHello::parse(&stream);
            let _ = Alert::parse(&stream);
            let _ = client_reaction(&stream);
        }
    }

    #[test]
    fn changed_hellos_never_panic(
        changes in proptest::collection::vec((0usize..1600, any::<u8>()), 1..8),
        len in 0usize..1700,
    ) {
        for valid in [GO_1_21.to_vec(), GO_1_27.to_vec(), server_hello(0x1301, Some(0x0304))] {
            let mut stream = valid;
            for (at, byte) in &changes {
                let at = at % stream.len();
                stream[at] = *byte;
            }
            stream.truncate(len);
            let _ = ClientHello::parse(&stream);
            let _ = ServerHello::parse(&stream);
            let _ = client_reaction(&stream);
        }
    }
}
