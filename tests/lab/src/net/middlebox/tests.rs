// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames in, frames out.

use super::*;
use crate::addresses::{PROXY, tls_hosts};
use crate::fault::FaultKind;
use crate::wire::forge::{self, Forged};
use crate::wire::frame::{ACK, ETHERNET, RST, SYN};

/// A `ClientHello` for `proxy.golang.org`, as short as can be.
fn hello() -> Vec<u8> {
    let name = PROXY.as_bytes();
    let length = |bytes: usize| (bytes as u16).to_be_bytes();
    let server_name = [&length(name.len() + 3)[..], &[0], &length(name.len()), name].concat();
    let extensions = [&[0, 0][..], &length(server_name.len()), &server_name].concat();
    let body = [
        &[3, 3][..],
        &[0; 32],
        &[0, 0, 2, 0x13, 1, 1, 0],
        &length(extensions.len()),
        &extensions,
    ]
    .concat();
    [
        &[22, 3, 1][..],
        &length(body.len() + 4),
        &[1, 0],
        &length(body.len()),
        &body,
    ]
    .concat()
}

/// A frame from the client to the proxy.
fn frame(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut ethernet = [0; ETHERNET];
    ethernet[12..].copy_from_slice(&[0x08, 0x00]);
    let segment = Forged {
        source: "198.18.0.2".parse().unwrap(),
        destination: "198.18.2.1".parse().unwrap(),
        source_port: 40_000,
        destination_port: 443,
        sequence,
        acknowledgment: 5000,
        flags,
        ttl: 64,
    };
    let mut frame = forge::segment(ethernet, &segment);
    frame.extend_from_slice(payload);
    let total = ((frame.len() - ETHERNET) as u16).to_be_bytes();
    frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&total);
    frame
}

fn middlebox() -> Middlebox {
    Middlebox::new(tls_hosts(&[]), Log::new())
}

fn forged(middlebox: &mut Middlebox) -> Vec<(Direction, u32, u32)> {
    middlebox
        .take_forged()
        .map(|(direction, frame)| {
            let segment = packet(&frame).unwrap().segment().unwrap();
            assert!(segment.has(RST));
            (direction, segment.sequence, segment.acknowledgment)
        })
        .collect()
}

#[test]
fn a_hello_in_pieces_out_of_order_is_reset_at_both_ends_where_they_are() {
    let faults = [Fault::from(FaultKind::SniReset)];
    let (hello, mut middlebox) = (hello(), middlebox());
    let (first, second) = hello.split_at(20);
    assert!(middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
    assert!(middlebox.passes(Direction::ToInternet, &frame(120, ACK, second), &faults));
    assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, first), &faults));
    assert_eq!(
        forged(&mut middlebox),
        [
            (Direction::ToClient, 5000, 120),
            (Direction::ToInternet, 100, 5000)
        ]
    );
    // A retransmission, because a reset was lost, is answered again.
    assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, &hello), &faults));
    assert_eq!(forged(&mut middlebox).len(), 2);
}

#[test]
fn a_dropped_name_takes_the_whole_connection_with_it() {
    let faults = [Fault::from(FaultKind::SniDrop)];
    let mut middlebox = middlebox();
    assert!(middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
    assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, &hello()), &faults));
    assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, &[]), &faults));
    assert!(forged(&mut middlebox).is_empty());
}

#[test]
fn size_is_held_against_the_segment_size_of_the_syn() {
    let faults = [Fault::from(FaultKind::LargeHelloDrop)];
    let mut large = hello();
    // A record and a message that promise more than a segment: the rest has yet to come.
    large[3..5].copy_from_slice(&1600u16.to_be_bytes());
    large[7..9].copy_from_slice(&1596u16.to_be_bytes());
    for (hello, passes) in [(hello(), true), (large, false)] {
        let mut middlebox = middlebox();
        assert!(middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
        assert_eq!(
            middlebox.passes(Direction::ToInternet, &frame(100, ACK, &hello), &faults),
            passes
        );
    }
}

#[test]
fn a_refusal_acknowledges_the_syn() {
    let faults = [Fault::from(FaultKind::ConnectRefused)];
    let mut middlebox = middlebox();
    assert!(!middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
    assert_eq!(forged(&mut middlebox), [(Direction::ToClient, 0, 100)]);
}
