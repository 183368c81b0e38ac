// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as they go over the wire.

use std::net::IpAddr;

/// Bytes of a `ClientHello` of Go 1.27, two segments.
pub(crate) fn client_hello() -> Vec<u8> {
    include_bytes!("../../wire/testdata/client_hello_go1.27.3.bin").to_vec()
}

/// Bytes of a `ClientHello` of Go 1.21, one segment.
pub(crate) fn small_hello() -> Vec<u8> {
    include_bytes!("../../wire/testdata/client_hello_go1.21.13.bin").to_vec()
}

/// The same with `old` replaced by `new`, which is as long.
pub(crate) fn patched(mut bytes: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let place = bytes
        .windows(old.len())
        .position(|window| window == old.as_bytes())
        .expect("it is there");
    bytes[place..place + new.len()].copy_from_slice(new.as_bytes());
    bytes
}

pub(super) fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

/// A TLS 1.3 `ServerHello` and an encrypted flight of 2000 bytes.
pub(crate) fn server_flight() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend([0x13, 0x01, 0]);
    hello.extend([0, 6, 0, 43, 0, 2, 3, 4]);
    let mut message = vec![2, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut flight = record(22, &message);
    flight.extend(record(20, &[1]));
    flight.extend(record(23, &[0; 2000]));
    flight
}

pub(super) fn dns_message(
    id: u16,
    flags: u16,
    name: &str,
    qtype: u16,
    answers: &[IpAddr],
) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [id, flags, 1, answers.len() as u16, 0, 0] {
        message.extend(field.to_be_bytes());
    }
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(qtype.to_be_bytes());
    message.extend(1u16.to_be_bytes());
    for answer in answers {
        message.extend([0xc0, 12]);
        message.extend(qtype.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        match answer {
            IpAddr::V4(address) => {
                message.extend([0, 4]);
                message.extend(address.octets());
            }
            IpAddr::V6(address) => {
                message.extend([0, 16]);
                message.extend(address.octets());
            }
        }
    }
    message
}

pub(super) fn type_number(qtype: &str) -> u16 {
    if qtype == "AAAA" { 28 } else { 1 }
}
