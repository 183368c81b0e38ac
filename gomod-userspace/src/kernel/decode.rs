// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records of the ring buffer to events: bytes in, value or error out.

mod fields;

use fields::Fields;
use gomod_ebpf_common as record;

use super::events::{
    Direction, Event, EventKind, Exec, File, FileOperation, MonotonicNanos, Packet, Pid, Protocol,
    Tcp, TcpFlags, TcpMoment, TcpState,
};

/// A record that is not what the kernel programs send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too short for its kind.
    #[error("record of {found} bytes is too short for what it says it is")]
    Short {
        /// Its length.
        found: usize,
    },
    /// A number stands for nothing.
    #[error("record has an unknown {what} {value}")]
    Unknown {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u32,
    },
}

/// Decodes one record. Fields are read at the offsets that `gomod-ebpf-common` asserts at compile time.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let mut fields = Fields::new(bytes);
    let at = MonotonicNanos(fields.u64()?);
    let kind = fields.u32()?;
    let pid = Pid(fields.u32()?);
    let kind = match kind {
        k if k == record::RecordKind::Exec as u32 => exec(&mut fields)?,
        k if k == record::RecordKind::Exit as u32 => {
            let code = fields.i32()?;
            EventKind::Exit {
                code: (code >= 0).then_some(code),
            }
        }
        k if k == record::RecordKind::Connect as u32 => EventKind::Connect {
            cookie: fields.cookie()?,
            remote: fields.endpoint()?,
            protocol: protocol(fields.u32()?)?,
        },
        k if k == record::RecordKind::ConnectResult as u32 => EventKind::ConnectFailed {
            cookie: fields.cookie()?,
            errno: fields.u32()?,
        },
        k if k == record::RecordKind::State as u32 => EventKind::State {
            cookie: fields.cookie()?,
            old: tcp_state(fields.u32()?),
            new: tcp_state(fields.u32()?),
        },
        k if k == record::RecordKind::Tcp as u32 => EventKind::Tcp(tcp(&mut fields)?),
        k if k == record::RecordKind::SocketError as u32 => {
            let errno = fields.u32()?;
            let protocol = protocol(fields.u32()?)?;
            EventKind::SocketError {
                errno,
                protocol,
                local: fields.endpoint()?,
                remote: fields.endpoint()?,
            }
        }
        k if k == record::RecordKind::Packet as u32 => EventKind::Packet(packet(&mut fields)?),
        k if k == record::RecordKind::File as u32 => EventKind::File(file(&mut fields)?),
        value => {
            return Err(DecodeError::Unknown {
                what: "kind",
                value,
            });
        }
    };
    Ok(Event { at, pid, kind })
}

fn exec(fields: &mut Fields<'_>) -> Result<EventKind, DecodeError> {
    let parent = Pid(fields.u32()?);
    let uid = fields.u32()?;
    let length = fields.u32()?;
    fields.u32()?;
    Ok(EventKind::Exec(Exec {
        parent,
        uid,
        exe: fields.path(length)?,
        ..Exec::default()
    }))
}

fn tcp(fields: &mut Fields<'_>) -> Result<Tcp, DecodeError> {
    let cookie = fields.cookie()?;
    let bytes_acked = fields.u64()?;
    let bytes_received = fields.u64()?;
    let moment = match fields.u32()? {
        m if m == record::TcpMoment::Established as u32 => TcpMoment::Established,
        m if m == record::TcpMoment::Timeout as u32 => TcpMoment::Timeout,
        m if m == record::TcpMoment::Retransmit as u32 => TcpMoment::Retransmit,
        m if m == record::TcpMoment::Closed as u32 => TcpMoment::Closed,
        value => {
            return Err(DecodeError::Unknown {
                what: "moment",
                value,
            });
        }
    };
    Ok(Tcp {
        cookie,
        moment,
        srtt_us: fields.u32()?,
        total_retransmits: fields.u32()?,
        state: tcp_state(fields.u32()?),
        bytes_acked,
        bytes_received,
        local: fields.endpoint()?,
        remote: fields.endpoint()?,
    })
}

fn packet(fields: &mut Fields<'_>) -> Result<Packet, DecodeError> {
    let cookie = fields.cookie()?;
    let local = fields.endpoint()?;
    let remote = fields.endpoint()?;
    let seq = fields.u32()?;
    let ack = fields.u32()?;
    let stream_offset = fields.u32()?;
    let payload_len = fields.u32()?;
    let captured = fields.u32()?;
    let [protocol_number, direction, flags, ttl] = fields.array()?;
    Ok(Packet {
        cookie,
        direction: match direction {
            record::EGRESS => Direction::Egress,
            record::INGRESS => Direction::Ingress,
            value => {
                return Err(DecodeError::Unknown {
                    what: "direction",
                    value: value.into(),
                });
            }
        },
        protocol: protocol(protocol_number.into())?,
        local,
        remote,
        flags: TcpFlags(flags),
        ttl,
        seq,
        ack,
        stream_offset: (stream_offset != u32::MAX).then_some(stream_offset),
        payload_len,
        payload: fields.bytes(captured as usize)?.to_vec(),
    })
}

fn file(fields: &mut Fields<'_>) -> Result<File, DecodeError> {
    let tid = fields.u32()?;
    let operation = match fields.u32()? {
        o if o == record::FileOperation::Open as u32 => FileOperation::Open,
        o if o == record::FileOperation::Rename as u32 => FileOperation::Rename,
        o if o == record::FileOperation::LockDone as u32 => FileOperation::LockDone,
        o if o == record::FileOperation::Unlink as u32 => FileOperation::Unlink,
        value => {
            return Err(DecodeError::Unknown {
                what: "file operation",
                value,
            });
        }
    };
    let result = fields.i32()?;
    let flags = fields.u32()?;
    let length = fields.u32()?;
    fields.u32()?;
    Ok(File {
        tid,
        operation,
        result,
        flags,
        path: fields.path(length)?,
    })
}

fn protocol(number: u32) -> Result<Protocol, DecodeError> {
    match number {
        6 => Ok(Protocol::Tcp),
        17 => Ok(Protocol::Udp),
        value => Err(DecodeError::Unknown {
            what: "protocol",
            value,
        }),
    }
}

/// The order of `include/net/tcp_states.h`.
fn tcp_state(number: u32) -> TcpState {
    match number {
        1 => TcpState::Established,
        2 => TcpState::SynSent,
        3 => TcpState::SynReceived,
        4 => TcpState::FinWait1,
        5 => TcpState::FinWait2,
        6 => TcpState::TimeWait,
        7 => TcpState::Close,
        8 => TcpState::CloseWait,
        9 => TcpState::LastAck,
        10 => TcpState::Listen,
        11 => TcpState::Closing,
        12 => TcpState::NewSynReceived,
        _ => TcpState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::{mem::size_of_val, path::PathBuf};

    use proptest::prelude::*;

    use super::*;

    /// The bytes of a record as the kernel would send them.
    #[expect(unsafe_code, reason = "records are plain C structs without padding")]
    fn bytes_of<T>(record: &T) -> Vec<u8> {
        // SAFETY: `T` is one of the common crate's records: `repr(C)`, padding explicit, all bytes initialised.
        unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of_val(record))
                .to_vec()
        }
    }

    fn header(kind: record::RecordKind) -> record::RecordHeader {
        record::RecordHeader {
            at_ns: 7,
            kind: kind as u32,
            pid: 42,
        }
    }

    #[test]
    fn decodes_a_packet_with_its_payload() {
        let mut sent = record::PacketRecord {
            head: record::PacketHead {
                header: header(record::RecordKind::Packet),
                cookie: 9,
                local: record::Endpoint::v4([198, 18, 0, 2], 40000),
                remote: record::Endpoint::v4([198, 18, 0, 10], 443),
                seq: 1,
                ack: 2,
                stream_offset: 0,
                payload_len: 600,
                captured: 3,
                protocol: 6,
                direction: record::INGRESS,
                flags: record::TCP_ACK | record::TCP_PSH,
                ttl: 57,
            },
            payload: [0; record::SMALL_CAPTURE],
        };
        sent.payload[..3].copy_from_slice(&[0x16, 3, 3]);
        let event = decode(&bytes_of(&sent)).unwrap();
        assert_eq!((event.at, event.pid), (MonotonicNanos(7), Pid(42)));
        let EventKind::Packet(packet) = event.kind else {
            panic!("not a packet");
        };
        assert_eq!(packet.remote, "198.18.0.10:443".parse().unwrap());
        assert_eq!(packet.direction, Direction::Ingress);
        assert_eq!((packet.payload_len, packet.ttl), (600, 57));
        assert_eq!(packet.payload, [0x16, 3, 3]);
        assert!(packet.flags.ack() && !packet.flags.rst());
    }

    #[test]
    fn decodes_a_file_operation() {
        let mut sent = record::FileRecord {
            header: header(record::RecordKind::File),
            tid: 43,
            operation: record::FileOperation::Open as u32,
            result: -2,
            flags: 0,
            path_len: 4,
            padding: 0,
            path: [0; record::PATH_BYTES],
        };
        sent.path[..4].copy_from_slice(b"/a.z");
        let event = decode(&bytes_of(&sent)).unwrap();
        let EventKind::File(file) = event.kind else {
            panic!("not a file");
        };
        assert_eq!((file.result, file.path), (-2, PathBuf::from("/a.z")));
    }

    #[test]
    fn an_exit_without_code_has_none() {
        let sent = record::ExitRecord {
            header: header(record::RecordKind::Exit),
            code: -1,
            padding: 0,
        };
        let event = decode(&bytes_of(&sent)).unwrap();
        assert_eq!(event.kind, EventKind::Exit { code: None });
    }

    #[test]
    fn says_what_it_does_not_know() {
        let mut bytes = bytes_of(&header(record::RecordKind::Exit));
        assert_eq!(decode(&bytes), Err(DecodeError::Short { found: 16 }));
        bytes[8] = 99;
        assert_eq!(
            decode(&bytes),
            Err(DecodeError::Unknown {
                what: "kind",
                value: 99
            })
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            kind in 0_u32..12,
            tail in proptest::collection::vec(any::<u8>(), 0..700),
        ) {
            let mut bytes = vec![0; 8];
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(tail);
            let _ = decode(&bytes);
        }
    }
}
