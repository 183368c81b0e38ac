// SPDX-License-Identifier: MIT OR Apache-2.0

pub(crate) use super::tree::tests::grown;
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest, Sha256};

const NAME: &str = "sum.example";

/// The key to check with, and a signer of notes.
pub(crate) fn signer() -> (Verifier, impl Fn(&str) -> String) {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = [&[1], key.public_key().as_ref()].concat();
    let digest = Sha256::digest([NAME.as_bytes(), b"\n", &public].concat());
    let id = digest[..4].to_vec();
    let number = u32::from_be_bytes(id.as_slice().try_into().unwrap());
    let verifier = Verifier::parse(&format!("{NAME}+{number:08x}+{}", STANDARD.encode(&public)));
    let sign = move |text: &str| {
        let signature = [&id, key.sign(text.as_bytes()).as_ref()].concat();
        format!("{text}\n\u{2014} {NAME} {}\n", STANDARD.encode(signature))
    };
    (verifier.unwrap(), sign)
}

pub(crate) fn record(number: usize) -> String {
    let hash = |what: &str| H1::of_go_mod(format!("{what}{number}").as_bytes());
    format!(
        "a.b/m{number} v1.0.0 {}\na.b/m{number} v1.0.0/go.mod {}\n",
        hash("zip"),
        hash("mod")
    )
}

pub(crate) fn module(number: usize) -> ModuleVersion {
    ModuleVersion {
        path: format!("a.b/m{number}"),
        version: "v1.0.0".into(),
    }
}

#[test]
fn a_lookup_is_believed_only_with_its_proof() {
    let records: Vec<String> = (0..700).map(record).collect();
    let (tree, tiles) = grown(&records);
    let (verifier, sign) = signer();
    let note = sign(&format!(
        "go.sum database tree\n700\n{}\n",
        STANDARD.encode(tree.root)
    ));
    let answer = |number: usize, record: &str| format!("{number}\n{record}\n{note}");
    let read = |tile: &Tile| tiles.get(tile).map(Vec::as_slice);

    let lookup = Lookup::open(answer(600, &records[600]).as_bytes(), &verifier).unwrap();
    assert!(
        lookup
            .tiles()
            .iter()
            .any(|tile| tile.path() == "tile/8/0/002.p/188")
    );
    let sums = lookup.verify(read).unwrap();
    assert!(confirms(
        &sums,
        &module(600),
        Hashed::Zip,
        H1::of_go_mod(b"zip600")
    ));
    assert!(confirms(
        &sums,
        &module(600),
        Hashed::GoMod,
        H1::of_go_mod(b"mod600")
    ));
    assert!(!confirms(
        &sums,
        &module(600),
        Hashed::Zip,
        H1::of_go_mod(b"zip601")
    ));
    assert!(!confirms(
        &sums,
        &module(601),
        Hashed::Zip,
        H1::of_go_mod(b"zip601")
    ));

    let forged = Lookup::open(answer(600, &records[601]).as_bytes(), &verifier).unwrap();
    assert_eq!(forged.verify(read), Err(SumdbError::NotInTree));
    let beyond = Lookup::open(answer(700, &records[600]).as_bytes(), &verifier).unwrap();
    assert_eq!(beyond.verify(read), Err(SumdbError::NotInTree));
    assert!(matches!(
        lookup.verify(|_| None),
        Err(SumdbError::Tile { .. })
    ));

    let unsigned = answer(600, &records[600]).replace("\n700\n", "\n701\n");
    assert_eq!(
        Lookup::open(unsigned.as_bytes(), &verifier),
        Err(SumdbError::Signature)
    );
}

#[test]
fn what_is_no_answer_is_refused() {
    let (verifier, sign) = signer();
    let note = sign("something else\n");
    for (answer, error) in [
        (String::new(), SumdbError::Record),
        (format!("-1\na\n\n{note}"), SumdbError::Record),
        (format!("1\n\n\n{note}"), SumdbError::Record),
        (format!("1\na\tb\n\n{note}"), SumdbError::Record),
        ("1\na\n\nno note".into(), SumdbError::Note),
        (format!("1\na\n\n{note}"), SumdbError::Tree),
    ] {
        assert_eq!(
            Lookup::open(answer.as_bytes(), &verifier),
            Err(error),
            "{answer}"
        );
    }
    let path = Lookup::path(&ModuleVersion {
        path: "github.com/Azure/x".into(),
        version: "v1.0.0-RC1".into(),
    });
    assert_eq!(path.unwrap(), "lookup/github.com/!azure/x@v1.0.0-!r!c1");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), text in "[0-9a\n]{0,40}") {
        let (verifier, _) = signer();
        let _ = Lookup::open(&bytes, &verifier);
        let _ = Lookup::open(text.as_bytes(), &verifier);
    }
}
