// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks certificates as always, and remembers who signed those that were refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::wire::tls::issuer;

/// Hosts whose issuers are remembered; past it everything is forgotten and learnt again.
const CAPACITY: usize = 64;

/// The verifier, and whom it refused.
#[derive(Debug)]
pub(super) struct Witness {
    /// None without any certificate to trust.
    inner: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    refused: Mutex<HashMap<String, String>>,
}

impl Witness {
    /// Trusts `roots`; without any, nobody.
    pub(super) fn new(
        roots: RootCertStore,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let inner = if roots.is_empty() {
            None
        } else {
            Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                    .build()?,
            )
        };
        Ok(Self {
            inner,
            algorithms: provider.signature_verification_algorithms,
            refused: Mutex::default(),
        })
    }

    /// Who had signed the last certificate of `host` that was refused.
    pub(super) fn issuer(&self, host: &str) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(host).cloned()
    }
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
        let nobody = || Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        let verified = self.inner.as_ref().map_or_else(nobody, |inner| {
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        if verified.is_err() {
            // The last of the chain was signed by whoever runs the interception, or the authority.
            let last = intermediates.last().unwrap_or(end_entity);
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.len() >= CAPACITY {
                refused.clear();
            }
            if let Some(issuer) = issuer(last) {
                refused.insert(server_name.to_str().into_owned(), issuer);
            }
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
