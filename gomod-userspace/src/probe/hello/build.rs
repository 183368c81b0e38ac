// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts a hello together (RFC 8446 section 4.1.2) in the order in which Go's `handshake_messages.go` does.

use super::{Alpn, GoRelease, HelloShape, Secrets, Versions};
use crate::wire::tls::extension;

/// A whole `ClientHello` in one record, and where the things lie by which it may be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHelloBytes {
    /// Record header included.
    pub bytes: Vec<u8>,
    /// Where the name's bytes are; `None` without SNI.
    pub server_name: Option<std::ops::Range<usize>>,
}

const RECORD_HEADER: usize = 5;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;

const X25519: u16 = 29;
const X25519_MLKEM768: u16 = 0x11ec;

const TLS_13: u16 = 0x0304;
const TLS_12: u16 = 0x0303;

/// `RFC 5246` suites with forward secrecy, Go's order with AES instructions.
const ECDHE_SUITES: [u16; 10] = [
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014,
];
/// Suites without it, which the `go` command offered up to 1.23.
const RSA_SUITES: [u16; 6] = [0x009c, 0x009d, 0x002f, 0x0035, 0xc012, 0x000a];
const TLS_13_SUITES: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// Signature schemes, Go's order: PSS with SHA-256, ECDSA P-256, Ed25519, and so on.
const SCHEMES: [u16; 10] = [
    0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603,
];
/// RSA with PKCS #1 v1.5.
const PKCS1_SCHEMES: [u16; 3] = [0x0401, 0x0501, 0x0601];
/// Those with SHA-1; since 1.25 for certificates only.
const SHA1_SCHEMES: [u16; 2] = [0x0201, 0x0203];
/// ML-DSA-44, -65 and -87, since 1.27.
const ML_DSA_SCHEMES: [u16; 3] = [0x0904, 0x0905, 0x0906];

/// The hello of this shape.
pub fn build(shape: &HelloShape, secrets: &Secrets) -> ClientHelloBytes {
    let mut body = Vec::with_capacity(1600);
    body.extend(TLS_12.to_be_bytes());
    body.extend(secrets.random);
    vector8(&mut body, &secrets.session_id);
    vector16(&mut body, &numbers(&suites(shape)));
    vector8(&mut body, &[0]);
    let extensions = extensions(shape, secrets);
    vector16(&mut body, &extensions);

    let mut bytes = vec![HANDSHAKE_RECORD];
    // The record layer of a first hello says TLS 1.0 (RFC 8446 section 5.1).
    bytes.extend([3, 1]);
    bytes.extend(((body.len() + 4) as u16).to_be_bytes());
    bytes.push(CLIENT_HELLO);
    bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.append(&mut body);
    debug_assert!(bytes.len() > RECORD_HEADER);

    let server_name = shape.server_name.as_deref().map(|name| {
        // SNI is the first extension of every release: type, length, list's length, kind, name's length.
        let start = bytes.len() - extensions.len() + 4 + 2 + 1 + 2;
        start..start + name.len()
    });
    ClientHelloBytes { bytes, server_name }
}

fn suites(shape: &HelloShape) -> Vec<u16> {
    let mut suites = Vec::new();
    if shape.versions != Versions::Only13 {
        suites.extend(ECDHE_SUITES);
        if shape.release <= GoRelease::Go1_23 {
            suites.extend(RSA_SUITES);
        }
    }
    if shape.versions != Versions::Only12 {
        suites.extend(TLS_13_SUITES);
    }
    suites
}

fn extensions(shape: &HelloShape, secrets: &Secrets) -> Vec<u8> {
    let mut out = Vec::with_capacity(1500);
    for number in order(shape.release) {
        if let Some(body) = extension_body(*number, shape, secrets) {
            out.extend(number.to_be_bytes());
            vector16(&mut out, &body);
        }
    }
    out
}

const STATUS_REQUEST: u16 = 5;
const EC_POINT_FORMATS: u16 = 11;
const SIGNED_CERTIFICATE_TIMESTAMP: u16 = 18;
const EXTENDED_MASTER_SECRET: u16 = 23;
const SIGNATURE_ALGORITHMS_CERT: u16 = 50;
const RENEGOTIATION_INFO: u16 = 0xff01;

/// Go 1.23 put the extensions without lists first.
const fn order(release: GoRelease) -> &'static [u16] {
    match release {
        GoRelease::Go1_21 | GoRelease::Go1_22 => &[
            extension::SERVER_NAME,
            STATUS_REQUEST,
            extension::SUPPORTED_GROUPS,
            EC_POINT_FORMATS,
            extension::SIGNATURE_ALGORITHMS,
            RENEGOTIATION_INFO,
            EXTENDED_MASTER_SECRET,
            extension::ALPN,
            SIGNED_CERTIFICATE_TIMESTAMP,
            extension::SUPPORTED_VERSIONS,
            extension::KEY_SHARE,
        ],
        _ => &[
            extension::SERVER_NAME,
            EC_POINT_FORMATS,
            RENEGOTIATION_INFO,
            EXTENDED_MASTER_SECRET,
            SIGNED_CERTIFICATE_TIMESTAMP,
            STATUS_REQUEST,
            extension::SUPPORTED_GROUPS,
            extension::SIGNATURE_ALGORITHMS,
            SIGNATURE_ALGORITHMS_CERT,
            extension::ALPN,
            extension::SUPPORTED_VERSIONS,
            extension::KEY_SHARE,
        ],
    }
}

/// `None`: this hello has no such extension.
fn extension_body(number: u16, shape: &HelloShape, secrets: &Secrets) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    match number {
        extension::SERVER_NAME => {
            let name = shape.server_name.as_deref()?;
            let mut entry = vec![0];
            vector16(&mut entry, name.as_bytes());
            vector16(&mut body, &entry);
        }
        // OCSP, no responders, no extensions (RFC 6066 section 8).
        STATUS_REQUEST => body.extend([1, 0, 0, 0, 0]),
        extension::SUPPORTED_GROUPS => vector16(&mut body, &numbers(&groups(shape))),
        EC_POINT_FORMATS => body.extend([1, 0]),
        extension::SIGNATURE_ALGORITHMS => {
            vector16(&mut body, &numbers(&handshake_schemes(shape)));
        }
        SIGNATURE_ALGORITHMS_CERT if shape.release >= GoRelease::Go1_25 => {
            vector16(&mut body, &numbers(&schemes(shape)));
        }
        RENEGOTIATION_INFO => body.push(0),
        EXTENDED_MASTER_SECRET | SIGNED_CERTIFICATE_TIMESTAMP => {}
        extension::ALPN => {
            let protocols: &[&[u8]] = match shape.alpn {
                Alpn::Http2AndHttp1 => &[b"h2", b"http/1.1"],
                Alpn::Http1 => &[b"http/1.1"],
                Alpn::Absent => return None,
            };
            let mut list = Vec::new();
            for protocol in protocols {
                vector8(&mut list, protocol);
            }
            vector16(&mut body, &list);
        }
        extension::SUPPORTED_VERSIONS => {
            let versions: &[u16] = match shape.versions {
                Versions::Both => &[TLS_13, TLS_12],
                Versions::Only13 => &[TLS_13],
                Versions::Only12 => &[TLS_12],
            };
            vector8(&mut body, &numbers(versions));
        }
        extension::KEY_SHARE => vector16(&mut body, &key_shares(shape, secrets)?),
        _ => return None,
    }
    Some(body)
}

/// With the post-quantum share? TLS 1.2 knows none.
fn is_hybrid(shape: &HelloShape) -> bool {
    shape.release.is_post_quantum() && shape.post_quantum && shape.versions != Versions::Only12
}

fn groups(shape: &HelloShape) -> Vec<u16> {
    let mut groups = Vec::new();
    if is_hybrid(shape) {
        groups.push(X25519_MLKEM768);
        if shape.release >= GoRelease::Go1_26 {
            // SecP256r1MLKEM768 and SecP384r1MLKEM1024.
            groups.extend([0x11eb, 0x11ed]);
        }
    }
    groups.extend([X25519, 23, 24, 25]);
    groups
}

fn schemes(shape: &HelloShape) -> Vec<u16> {
    let mut schemes = Vec::new();
    if shape.release >= GoRelease::Go1_27 && shape.versions != Versions::Only12 {
        schemes.extend(ML_DSA_SCHEMES);
    }
    schemes.extend(SCHEMES);
    schemes.extend(SHA1_SCHEMES);
    schemes
}

/// What the server may sign the handshake with. Since 1.25 without SHA-1, and, where TLS 1.2 is not offered, without
/// PKCS #1 v1.5 (RFC 8446 section 4.2.3 allows both in certificates only).
fn handshake_schemes(shape: &HelloShape) -> Vec<u16> {
    let mut schemes = schemes(shape);
    if shape.release >= GoRelease::Go1_25 {
        schemes.retain(|scheme| {
            let only_13 = shape.versions == Versions::Only13;
            !(SHA1_SCHEMES.contains(scheme) || (only_13 && PKCS1_SCHEMES.contains(scheme)))
        });
    }
    schemes
}

fn key_shares(shape: &HelloShape, secrets: &Secrets) -> Option<Vec<u8>> {
    if shape.versions == Versions::Only12 {
        return None;
    }
    let mut shares = Vec::new();
    if is_hybrid(shape) {
        shares.extend(X25519_MLKEM768.to_be_bytes());
        let both = [secrets.ml_kem.as_slice(), &secrets.x25519].concat();
        vector16(&mut shares, &both);
    }
    // The same key again: Go does so too.
    shares.extend(X25519.to_be_bytes());
    vector16(&mut shares, &secrets.x25519);
    Some(shares)
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

fn vector8(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(bytes.len() as u8);
    out.extend(bytes);
}

fn vector16(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}
