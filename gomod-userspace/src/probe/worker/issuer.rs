// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks certificates as always, and remembers who signed the one that came.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::wire::tls::issuer;

/// The verifier, and what it saw.
#[derive(Debug)]
pub(super) struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    seen: Mutex<Seen>,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The distinguished name of the issuer; empty before any certificate came.
    pub(super) issuer: String,
    /// Why it was refused.
    pub(super) refused: Option<Refusal>,
}

/// Why a certificate was refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) unknown_issuer: bool,
}

impl Witness {
    pub(super) fn new(inner: Arc<WebPkiServerVerifier>) -> Self {
        Self {
            inner,
            seen: Mutex::default(),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn issuer_of(certificate: &CertificateDer<'_>) -> String {
    issuer(certificate).unwrap_or_else(|| "a certificate that cannot be read".to_owned())
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let refused = verified.as_ref().err().map(|error| Refusal {
            reason: error.to_string(),
            unknown_issuer: matches!(
                error,
                Error::InvalidCertificate(CertificateError::UnknownIssuer)
            ),
        });
        // The last of the chain was signed by whoever runs the interception, or the authority.
        let last = intermediates.last().unwrap_or(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
            issuer: issuer_of(last),
            refused,
        };
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
