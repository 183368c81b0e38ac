// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signed notes: a text, an empty line, and lines `— NAME SIGNATURE`. Rules: golang.org/x/mod/sumdb/note.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::SumdbError;

/// The algorithm byte of Ed25519, the only one there is.
const ALGORITHM: u8 = 1;

/// The most signatures that are looked at, as in Go.
const MAX_SIGNATURES: usize = 100;

/// A key that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

impl Verifier {
    /// Reads `NAME+HASH+KEY`: 8 hexadecimal digits, and base64 of the algorithm and the key.
    pub fn parse(text: &str) -> Result<Self, SumdbError> {
        let wrong = || SumdbError::Key;
        let (name, rest) = text.split_once('+').ok_or_else(wrong)?;
        let (digits, encoded) = rest.split_once('+').ok_or_else(wrong)?;
        let public = STANDARD.decode(encoded).map_err(|_| wrong())?;
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update("\n")
            .chain_update(&public)
            .finalize();
        let id = [digest[0], digest[1], digest[2], digest[3]];
        let hexadecimal = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let claimed = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
        let [ALGORITHM, key @ ..] = public.as_slice() else {
            return Err(wrong());
        };
        if !is_name(name) || !hexadecimal || claimed != u32::from_be_bytes(id) {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            id,
            key: key.try_into().map_err(|_| wrong())?,
        })
    }

    /// Who signs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a note, its last line break included, if this key signed it.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, SumdbError> {
        if note.chars().any(|letter| letter < ' ' && letter != '\n') {
            return Err(SumdbError::Note);
        }
        let split = note.rfind("\n\n").ok_or(SumdbError::Note)?;
        let (text, signatures) = (&note[..=split], &note[split + 2..]);
        let lines = signatures.strip_suffix('\n').ok_or(SumdbError::Note)?;
        for line in lines.split('\n').take(MAX_SIGNATURES) {
            let signature = line
                .strip_prefix("\u{2014} ")
                .and_then(|line| line.split_once(' '))
                .ok_or(SumdbError::Note)?;
            let bytes = STANDARD.decode(signature.1).map_err(|_| SumdbError::Note)?;
            if signature.0 != self.name || !bytes.starts_with(&self.id) {
                continue;
            }
            return UnparsedPublicKey::new(&ED25519, self.key)
                .verify(text.as_bytes(), &bytes[self.id.len()..])
                .map(|()| text)
                .map_err(|_| SumdbError::Signature);
        }
        Err(SumdbError::Signature)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|letter| letter.is_whitespace() || letter == '+')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The example of the note package's documentation.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_published_note_is_opened_and_no_changed_one() {
        let key = Verifier::parse(KEY).unwrap();
        let note = format!("{TEXT}\n\u{2014} Other AAAAAAAA\n{SIGNATURE}");
        assert_eq!(key.open(&note), Ok(TEXT));
        assert_eq!(
            key.open(&note.replace("think", "thinK")),
            Err(SumdbError::Signature)
        );
        assert_eq!(
            key.open(&format!("{TEXT}\n\u{2014} Other AAAAAAAA\n")),
            Err(SumdbError::Signature)
        );
        assert_eq!(
            key.open(&note.replace("x08go/Z", "x08go/Y")),
            Err(SumdbError::Signature)
        );
        for wrong in [
            "",
            "\n\n",
            TEXT,
            &note.replace('\n', "\r\n"),
            &note.replace(" x08", " ?08"),
        ] {
            assert_eq!(key.open(wrong), Err(SumdbError::Note), "{wrong:?}");
        }
    }

    #[test]
    fn keys_must_hash_to_their_own_id() {
        Verifier::parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
            .unwrap();
        for wrong in [
            "",
            "a+b",
            &KEY.replace("c74f", "c74e"),
            &KEY.replace("Peter", "Pete"),
            &KEY[..60],
            "a+00000000+",
        ] {
            assert_eq!(Verifier::parse(wrong), Err(SumdbError::Key), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), tail in any::<String>()) {
            let _ = Verifier::parse(&text);
            let _ = Verifier::parse(KEY).unwrap().open(&format!("{text}\n\n\u{2014} PeterNeumann {tail}\n"));
        }
    }
}
