// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first flight of a TLS connection, as large as Go's since 1.24: what the agent copies and parses of each connection.

/// Bytes of an ML-KEM-768 encapsulation key and an X25519 key together (draft-ietf-tls-ecdhe-mlkem, section 4.1).
const CLIENT_SHARE: usize = 1184 + 32;
/// Bytes of an ML-KEM-768 ciphertext and an X25519 key together.
const SERVER_SHARE: usize = 1088 + 32;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const AES_128_GCM_SHA256: u16 = 0x1301;
const X25519_MLKEM768: u16 = 0x11ec;
const X25519: u16 = 0x001d;

/// A ClientHello for `name` in one TLS record (RFC 8446, sections 4.1.2 and 5.1).
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    let server_name = [vec![0], sized(2, name.as_bytes())].concat();
    let protocols = [sized(1, b"h2"), sized(1, b"http/1.1")].concat();
    let shares = [
        key_share(X25519_MLKEM768, CLIENT_SHARE),
        key_share(X25519, 32),
    ]
    .concat();
    let extensions = [
        extension(0, &sized(2, &server_name)),
        extension(10, &sized(2, &words(&[X25519_MLKEM768, X25519]))),
        extension(13, &sized(2, &words(&[0x0804, 0x0403, 0x0807]))),
        extension(16, &sized(2, &protocols)),
        extension(43, &sized(1, &words(&[0x0304, 0x0303]))),
        extension(51, &sized(2, &shares)),
    ]
    .concat();
    let body = [
        words(&[0x0303]),
        vec![7; 32],
        sized(1, &[9; 32]),
        sized(2, &words(&[AES_128_GCM_SHA256, 0x1302, 0x1303])),
        sized(1, &[0]),
        sized(2, &extensions),
    ]
    .concat();
    record(CLIENT_HELLO, &body)
}

/// A ServerHello that takes the large key share (RFC 8446, section 4.1.3).
pub(crate) fn server_hello() -> Vec<u8> {
    let extensions = [
        extension(43, &words(&[0x0304])),
        extension(51, &key_share(X25519_MLKEM768, SERVER_SHARE)),
    ]
    .concat();
    let body = [
        words(&[0x0303]),
        vec![8; 32],
        sized(1, &[9; 32]),
        words(&[AES_128_GCM_SHA256]),
        vec![0],
        sized(2, &extensions),
    ]
    .concat();
    record(SERVER_HELLO, &body)
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let handshake = [vec![kind], sized(3, body)].concat();
    [vec![HANDSHAKE], words(&[0x0301]), sized(2, &handshake)].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [words(&[number]), sized(2, content)].concat()
}

fn key_share(group: u16, bytes: usize) -> Vec<u8> {
    [words(&[group]), sized(2, &vec![5; bytes])].concat()
}

/// `content` behind its length in `width` bytes.
fn sized(width: usize, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    [&length[8 - width..], content].concat()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_its_own_length() {
        for hello in [client_hello("proxy.golang.org"), server_hello()] {
            let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
            assert_eq!(hello.len(), 5 + length);
            let inner = u32::from_be_bytes([0, hello[6], hello[7], hello[8]]) as usize;
            assert_eq!(length, 4 + inner);
        }
    }

    #[test]
    fn the_client_hello_is_as_large_as_gos() {
        let length = client_hello("proxy.golang.org").len();
        assert!((1400..1600).contains(&length), "{length}");
    }
}
