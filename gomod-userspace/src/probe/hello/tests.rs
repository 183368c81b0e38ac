// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hellos captured from the real `go` commands 1.21 to 1.27 (`go mod download` from `https://localhost`), and from
//! programs built with them where `go` has no setting for it.

use super::*;
use crate::wire::{Parsed, tls::ClientHello};

macro_rules! captured {
    ($($name:literal: $release:ident $(, $field:ident = $value:expr)*;)*) => {
        &[$((
            $name,
            include_bytes!(concat!("testdata/", $name, ".bin")).as_slice(),
            HelloShapeOf { release: GoRelease::$release, $($field: $value,)* ..HelloShapeOf::DEFAULT },
        ),)*]
    };
}

struct HelloShapeOf {
    release: GoRelease,
    named: bool,
    alpn: Alpn,
    versions: Versions,
    post_quantum: bool,
}

impl HelloShapeOf {
    const DEFAULT: Self = Self {
        release: GoRelease::NEWEST,
        named: true,
        alpn: Alpn::Http2AndHttp1,
        versions: Versions::Both,
        post_quantum: true,
    };

    fn shape(&self) -> HelloShape {
        HelloShape {
            release: self.release,
            server_name: self.named.then(|| "localhost".to_owned()),
            alpn: self.alpn,
            versions: self.versions,
            post_quantum: self.post_quantum,
        }
    }
}

const CAPTURED: &[(&str, &[u8], HelloShapeOf)] = captured! {
    "1.21-default": Go1_21;
    "1.22-default": Go1_22;
    "1.23-default": Go1_23;
    "1.24-default": Go1_24;
    "1.25-default": Go1_25;
    "1.26-default": Go1_26;
    "1.27-default": Go1_27;
    "1.21-nohttp2": Go1_21, alpn = Alpn::Absent;
    "1.27-nohttp2": Go1_27, alpn = Alpn::Absent;
    "1.24-nomlkem": Go1_24, post_quantum = false;
    "1.26-nomlkem": Go1_26, post_quantum = false;
    "1.27-nomlkem": Go1_27, post_quantum = false;
    "1.21-http1": Go1_21, alpn = Alpn::Http1;
    "1.21-noname": Go1_21, named = false;
    "1.21-tls12": Go1_21, versions = Versions::Only12;
    "1.21-tls13": Go1_21, versions = Versions::Only13;
    "1.27-http1": Go1_27, alpn = Alpn::Http1;
    "1.27-noname": Go1_27, named = false;
    "1.27-tls12": Go1_27, versions = Versions::Only12;
    "1.27-tls13": Go1_27, versions = Versions::Only13;
};

/// The random values of a captured hello, by where the message has them.
fn secrets_of(hello: &[u8], post_quantum: bool) -> Secrets {
    let array = |range: std::ops::Range<usize>| <[u8; 32]>::try_from(&hello[range]).unwrap();
    let end = hello.len();
    Secrets {
        random: array(11..43),
        session_id: array(44..76),
        // The key share is the last extension, and X25519's the last share in it.
        x25519: array(end - 32..end),
        ml_kem: if post_quantum {
            // Before it: the share's header, and the X25519 half of the hybrid.
            let end = end - 32 - 4 - 32;
            hello[end - 1184..end].to_vec()
        } else {
            Vec::new()
        },
    }
}

#[test]
fn every_byte_is_as_go_sends_it() {
    for (name, captured, shape) in CAPTURED {
        let shape = shape.shape();
        let hybrid = shape.release.is_post_quantum()
            && shape.post_quantum
            && shape.versions != Versions::Only12;
        let built = build(&shape, &secrets_of(captured, hybrid)).bytes;
        assert_eq!(built.len(), captured.len(), "{name}: length");
        let difference = built
            .iter()
            .zip(*captured)
            .position(|(built, seen)| built != seen);
        assert_eq!(difference, None, "{name}: first different byte");
    }
}

#[test]
fn our_own_parser_reads_what_is_asked_for() {
    let mut random = fastrand::Rng::with_seed(7);
    for release in GoRelease::ALL {
        let shape = HelloShape::of_go(release, "proxy.golang.org");
        let built = build(&shape, &Secrets::generate(&mut random));
        let Parsed::Complete { value, consumed } = ClientHello::parse(&built.bytes).unwrap() else {
            panic!("{release}: incomplete")
        };
        assert_eq!(consumed, built.bytes.len());
        assert_eq!(value.server_name.as_deref(), Some("proxy.golang.org"));
        assert_eq!(value.alpn, ["h2", "http/1.1"]);
        assert_eq!(value.key_share_bytes > 1000, release.is_post_quantum());
        assert_eq!(
            &built.bytes[built.server_name.unwrap()],
            b"proxy.golang.org"
        );
    }
}

#[test]
fn releases_are_read_as_people_write_them() {
    for text in ["1.24", "go1.24", "go1.24.11"] {
        assert_eq!(text.parse::<GoRelease>(), Ok(GoRelease::Go1_24));
    }
    for text in ["1.2", "1.20", "1.241", "devel", ""] {
        let error = text.parse::<GoRelease>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}
