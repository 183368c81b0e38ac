// SPDX-License-Identifier: MIT OR Apache-2.0
//! As much of a TLS `ClientHello` as a middlebox looks at (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301).

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What a client's first bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inspection {
    /// The beginning of a `ClientHello`, or too little to tell; with what could be read already.
    Incomplete(ClientHello),
    /// A whole `ClientHello`.
    Complete(ClientHello),
    /// Something else.
    NotHello,
}

/// Fields of a `ClientHello`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientHello {
    /// Bytes of the hello on the wire, record header included; `None` before its header is read.
    pub(crate) length: Option<usize>,
    /// The host name of the server name extension.
    pub(crate) server_name: Option<String>,
    /// The protocols offered by ALPN.
    pub(crate) protocols: Vec<String>,
}

/// Reads the first bytes that a client sent, from the first on.
pub(crate) fn inspect(stream: &[u8]) -> Inspection {
    let mut hello = ClientHello::default();
    let mut message = Vec::new();
    let mut rest = stream;
    let mut headers = 0;
    // A handshake message may be spread over several records.
    while let Some((&kind, after)) = rest.split_first() {
        if kind != HANDSHAKE_RECORD {
            return Inspection::NotHello;
        }
        headers += 5;
        let [_, _, high, low, body @ ..] = after else {
            break;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        message.extend_from_slice(&body[..length.min(body.len())]);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Inspection::NotHello;
        }
        if let [_, a, b, c, ..] = message[..] {
            let wanted = 4 + u32::from_be_bytes([0, a, b, c]) as usize;
            hello.length = Some(wanted + headers);
            if message.len() >= wanted {
                message.truncate(wanted);
                read_body(&message[4..], &mut hello);
                return Inspection::Complete(hello);
            }
        }
        rest = body.get(length..).unwrap_or_default();
    }
    read_body(message.get(4..).unwrap_or_default(), &mut hello);
    Inspection::Incomplete(hello)
}

/// Reads as far as there are bytes.
fn read_body(body: &[u8], hello: &mut ClientHello) {
    let mut reader = Reader(body);
    let extensions = (|| {
        reader.take(2 + 32)?;
        reader.vector8()?;
        reader.vector16()?;
        reader.vector8()?;
        reader.number16()
    })();
    if extensions.is_none() {
        return;
    }
    while let (Some(kind), Some(value)) = (reader.number16(), reader.vector16()) {
        match kind {
            SERVER_NAME => hello.server_name = server_name(value),
            ALPN => hello.protocols = protocols(value),
            _ => {}
        }
    }
}

fn server_name(value: &[u8]) -> Option<String> {
    let mut list = Reader(Reader(value).vector16()?);
    loop {
        let kind = list.take(1)?;
        let name = list.vector16()?;
        if kind == [0] {
            return String::from_utf8(name.to_vec()).ok();
        }
    }
}

fn protocols(value: &[u8]) -> Vec<String> {
    let mut list = Reader(Reader(value).vector16().unwrap_or_default());
    std::iter::from_fn(|| list.vector8())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn number16(&mut self) -> Option<u16> {
        self.take(2)
            .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `ClientHello` for `name` that offers `protocols`, padded by an unknown extension, in records of at most `record` bytes.
    fn hello(name: &str, protocols: &[&str], padding: usize, record: usize) -> Vec<u8> {
        fn vector16(body: &[u8]) -> Vec<u8> {
            [&(body.len() as u16).to_be_bytes()[..], body].concat()
        }
        let names = vector16(&[&[0][..], &vector16(name.as_bytes())].concat());
        let list = vector16(
            &protocols
                .iter()
                .flat_map(|name| [&[name.len() as u8][..], name.as_bytes()].concat())
                .collect::<Vec<_>>(),
        );
        let extensions = [
            [&[0, 0][..], &vector16(&names)].concat(),
            [&[0, 16][..], &vector16(&list)].concat(),
            [&[0, 21][..], &vector16(&vec![0; padding])].concat(),
        ]
        .concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[0],
            &[0, 2, 0x13, 1],
            &[1, 0],
            &vector16(&extensions),
        ]
        .concat();
        let message = [
            &[CLIENT_HELLO],
            &(body.len() as u32).to_be_bytes()[1..],
            &body,
        ]
        .concat();
        message
            .chunks(record)
            .flat_map(|chunk| [&[HANDSHAKE_RECORD, 3, 1][..], &vector16(chunk)].concat())
            .collect()
    }

    #[test]
    fn a_whole_hello_gives_name_and_protocols() {
        let bytes = hello("proxy.golang.org", &["h2", "http/1.1"], 10, 4096);
        let Inspection::Complete(found) = inspect(&bytes) else {
            panic!("not complete")
        };
        assert_eq!(found.server_name.as_deref(), Some("proxy.golang.org"));
        assert_eq!(found.protocols, ["h2", "http/1.1"]);
        assert_eq!(found.length, Some(bytes.len()));
    }

    #[test]
    fn every_prefix_is_incomplete_and_the_name_shows_as_soon_as_it_is_there() {
        let bytes = hello("proxy.golang.org", &["h2"], 1400, 16384);
        for end in 0..bytes.len() {
            let Inspection::Incomplete(found) = inspect(&bytes[..end]) else {
                panic!("prefix of {end} bytes")
            };
            if end > 200 {
                assert_eq!(found.server_name.as_deref(), Some("proxy.golang.org"));
                assert_eq!(found.length, Some(bytes.len()));
            }
        }
    }

    #[test]
    fn a_hello_in_small_records_is_put_together() {
        let bytes = hello("sum.golang.org", &["h2"], 300, 40);
        let Inspection::Complete(found) = inspect(&bytes) else {
            panic!("not complete")
        };
        assert_eq!(found.server_name.as_deref(), Some("sum.golang.org"));
    }

    #[test]
    fn other_bytes_are_no_hello() {
        assert_eq!(inspect(b"GET / HTTP/1.1\r\n"), Inspection::NotHello);
        assert_eq!(inspect(&[22, 3, 3, 0, 4, 2, 0, 0, 0]), Inspection::NotHello);
        assert_eq!(inspect(&[]), Inspection::Incomplete(ClientHello::default()));
    }

    #[test]
    fn damaged_hellos_are_read_without_panic() {
        let bytes = hello("proxy.golang.org", &["h2"], 30, 4096);
        for position in 5..bytes.len() {
            for value in [0, 1, 127, 255] {
                let mut damaged = bytes.clone();
                damaged[position] = value;
                // The result may be anything; reaching the end is what is shown.
                let _ = inspect(&damaged);
            }
        }
    }
}
