// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who signed a certificate (RFC 5280 section 4.1.2.4).

use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A distinguished name longer than this helps nobody.
const LONGEST: usize = 200;

/// The distinguished name of the issuer of a certificate in DER; `None` if it can't be read. A stranger wrote it:
/// without control characters, and not longer than a few lines.
pub fn issuer(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.issuer().to_string();
    Some(
        name.chars()
            .filter(|character| !character.is_control())
            .take(LONGEST)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_read_without_what_would_move_a_cursor() {
        let mut authority = rcgen::CertificateParams::default();
        authority.distinguished_name = rcgen::DistinguishedName::new();
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Corp\u{1b}[2J CA");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        assert_eq!(issuer(certificate.der()).unwrap(), "CN=Corp[2J CA");
        assert_eq!(issuer(b"no certificate"), None);
    }
}
