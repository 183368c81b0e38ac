// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's certificate authority, another that nobody trusts, and a certificate of each for every host.

use std::collections::HashMap;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::LabError;
use crate::addresses::Host;

/// TLS configurations by host name.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The authority's certificate, PEM.
    pub(crate) authority: String,
    trusted: HashMap<String, Arc<ServerConfig>>,
    untrusted: HashMap<String, Arc<ServerConfig>>,
}

impl Certificates {
    pub(crate) fn generate(hosts: &[Host]) -> Result<Self, LabError> {
        let trusted = Authority::new("Lab Authority")?;
        let untrusted = Authority::new("Unknown Authority")?;
        // One key for all hosts: making keys is what costs time here.
        let key = KeyPair::generate()?;
        let configure = |authority: &Authority| {
            hosts
                .iter()
                .map(|host| {
                    Ok((
                        host.name.clone(),
                        Arc::new(authority.configuration(&host.name, &key)?),
                    ))
                })
                .collect::<Result<HashMap<_, _>, LabError>>()
        };
        Ok(Self {
            authority: trusted.certificate.clone(),
            trusted: configure(&trusted)?,
            untrusted: configure(&untrusted)?,
        })
    }

    pub(crate) fn configuration(&self, host: &str, trusted: bool) -> Option<Arc<ServerConfig>> {
        if trusted {
            &self.trusted
        } else {
            &self.untrusted
        }
        .get(host)
        .cloned()
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> Result<Self, LabError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
        })
    }

    fn configuration(&self, host: &str, key: &KeyPair) -> Result<ServerConfig, LabError> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut configuration =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)?;
        configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(configuration)
    }
}
