// SPDX-License-Identifier: MIT OR Apache-2.0
//! The certificate authority of one run: made in memory, good for the module hosts only, gone with the process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use zeroize::{Zeroize as _, Zeroizing};

/// What people see who look at a certificate of ours.
const SUBJECT: &str = "gomod-trace, this run only";

/// Clocks of containers and machines may differ: a certificate is good from this long before it was made.
const BEFORE: Duration = Duration::hours(24);

/// And this long after.
const AFTER: Duration = Duration::hours(48);

/// A name that nobody can have (RFC 6761): permitted where there is no module host at all, since a list of
/// permitted names that is empty would permit every name.
const NOBODY: &str = "invalid";

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Making a key or signing failed; the source of randomness is the only thing that can.
    #[error("cannot make the certificates of this run: {0}; use --observe, which needs none")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library would not take the key.
    #[error("cannot use the key of this run for TLS: {0}; use --observe, which needs none")]
    Key(#[from] rustls::Error),
}

/// Signs certificates for the module hosts it was made for, and no others: critical name constraints (RFC 5280
/// section 4.2.1.10) bind whoever trusts it. Its key is never written anywhere.
pub struct Authority {
    hosts: BTreeSet<String>,
    params: CertificateParams,
    key: Zeroizing<KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    /// Never more than there are hosts.
    leaves: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Authority {
    /// Makes the authority of a run whose modules come from `hosts`. Addresses and what is no host name are left
    /// out: they can't be permitted, so connections to them are spliced.
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, AuthorityError> {
        let hosts = hosts
            .into_iter()
            .map(|host| host.trim_end_matches('.').to_ascii_lowercase())
            .filter(|host| DnsName::try_from(host.as_str()).is_ok())
            .collect::<BTreeSet<_>>();
        let mut params = params();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: if hosts.is_empty() {
                vec![GeneralSubtree::DnsName(NOBODY.to_owned())]
            } else {
                hosts.iter().cloned().map(GeneralSubtree::DnsName).collect()
            },
            excluded_subtrees: vec![
                GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)),
                GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)),
            ],
        });
        // `KeyPair::generate` is ECDSA on P-256: every TLS client verifies it, and it is made in microseconds.
        let key = Zeroizing::new(KeyPair::generate()?);
        let certificate = params.self_signed(&*key)?;
        Ok(Self {
            hosts,
            pem: certificate.pem(),
            der: certificate.der().clone(),
            params,
            key,
            leaves: Mutex::default(),
        })
    }

    /// The authority's own certificate, for the trust overlay of the child.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Whether a certificate for `host` (lower case) can be had.
    pub fn permits(&self, host: &str) -> bool {
        self.hosts.contains(host)
    }

    /// The certificate of `host` with its key, made at the first call; `None` for a host that is not permitted.
    pub fn leaf(&self, host: &str) -> Result<Option<Arc<CertifiedKey>>, AuthorityError> {
        if !self.permits(host) {
            return Ok(None);
        }
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(host) {
            return Ok(Some(Arc::clone(leaf)));
        }
        let leaf = Arc::new(self.sign(SanType::DnsName(host.try_into()?))?);
        leaves.insert(host.to_owned(), Arc::clone(&leaf));
        Ok(Some(leaf))
    }

    /// The name constraints, not this, keep it from being of use for other names.
    pub(super) fn sign(&self, name: SanType) -> Result<CertifiedKey, AuthorityError> {
        let mut params = params();
        params.subject_alt_names = vec![name];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = Zeroizing::new(KeyPair::generate()?);
        let certificate =
            params.signed_by(&*key, &Issuer::from_params(&self.params, &*self.key))?;
        let mut der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing_key = any_ecdsa_type(&der);
        der.zeroize();
        Ok(CertifiedKey::new(
            vec![certificate.der().clone(), self.der.clone()],
            signing_key?,
        ))
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name()?.to_ascii_lowercase();
        self.leaf(&host).ok().flatten()
    }
}

/// The key is not shown.
impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// What all our certificates have in common.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, SUBJECT);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BEFORE;
    params.not_after = now + AFTER;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
