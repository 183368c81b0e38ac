// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which certificate authorities `go` trusts here, and whether one of ours could be added for a command.

use std::path::PathBuf;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::json;

use super::Check;
use crate::launch::{Invoker, TrustOverlay, TrustStore};

/// What stands for the certificate of a run: it is covered and uncovered unseen, and only its form matters.
const STAND_IN: &[u8] = b"-----BEGIN CERTIFICATE-----\nc3RhbmQtaW4=\n-----END CERTIFICATE-----\n";

/// What is known of trust.
#[derive(Clone, Debug)]
pub struct TrustFacts {
    /// The certificate files, or why they can't be read.
    pub store: Result<StoreFacts, String>,
    /// What came of a rehearsal of the overlay: what it covers, or why it can't; `None` if it was not tried, for want of
    /// capabilities.
    pub overlay: Option<Result<PathBuf, String>>,
}

/// Certificate files.
#[derive(Clone, Debug)]
pub struct StoreFacts {
    /// The bundle.
    pub bundle: Option<PathBuf>,
    /// Files with certificates.
    pub files: usize,
    /// Usable certificates in them, each once.
    pub certificates: usize,
    /// Where they were looked for.
    pub looked_at: Vec<PathBuf>,
    /// What the overlay would cover, or why nothing.
    pub target: Result<PathBuf, String>,
}

impl TrustFacts {
    /// Looks. `may_try`: with the capabilities for it, the overlay is tried.
    pub fn gather(invoker: &Invoker, may_try: bool) -> Self {
        let store = match TrustStore::read(invoker) {
            Ok(store) => store,
            Err(error) => {
                return Self {
                    store: Err(error.to_string()),
                    overlay: None,
                };
            }
        };
        let plan = TrustOverlay::plan(&store, STAND_IN);
        let overlay = plan.as_ref().ok().filter(|_| may_try).map(|plan| {
            plan.rehearse()
                .map(|()| plan.target().to_owned())
                .map_err(|error| error.to_string())
        });
        let facts = StoreFacts {
            bundle: store.bundle().map(ToOwned::to_owned),
            files: store.files().count(),
            certificates: certificates(&store),
            looked_at: store.looked_at().to_vec(),
            target: plan
                .map(|plan| plan.target().to_owned())
                .map_err(|error| error.to_string()),
        };
        Self {
            store: Ok(facts),
            overlay,
        }
    }

    /// Judges.
    pub fn judge(&self) -> Vec<Check> {
        let store = match &self.store {
            Ok(store) => store,
            Err(reason) => return vec![Check::unknown("trust.store", reason.clone())],
        };
        vec![certificates_check(store), self.overlay(store)]
    }

    fn overlay(&self, store: &StoreFacts) -> Check {
        let token = "trust.overlay";
        match (&store.target, &self.overlay) {
            (Err(reason), _) => Check::fail(token, reason.clone()),
            (Ok(target), None) => Check::unknown(
                token,
                format!(
                    "a run would cover {} for its command alone; not tried",
                    target.display()
                ),
            )
            .remedy("run it once more with sudo"),
            (Ok(_), Some(Ok(target))) => Check::ok(
                token,
                format!(
                    "works: a run covers {} for its command alone",
                    target.display()
                ),
            )
            .facts(json!({"target": target})),
            (Ok(_), Some(Err(reason))) => Check::warn(token, reason.clone())
                .remedy("runs can still be observed: `gomod-trace run --observe`"),
        }
    }
}

fn certificates_check(store: &StoreFacts) -> Check {
    let token = "trust.store";
    let facts = json!({
        "bundle": store.bundle,
        "files": store.files,
        "certificates": store.certificates,
    });
    if store.certificates == 0 {
        let places: Vec<_> = store
            .looked_at
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Check::fail(
            token,
            format!("go trusts nobody here (looked at: {})", places.join(", ")),
        )
        .remedy("install the ca-certificates package, or set SSL_CERT_FILE to a PEM file")
        .facts(facts);
    }
    let bundle = store.bundle.as_ref().map_or_else(
        || format!("{} files", store.files),
        |bundle| bundle.display().to_string(),
    );
    Check::ok(
        token,
        format!("{} certificate authorities, {bundle}", store.certificates),
    )
    .facts(facts)
}

/// As many as different ones can be used.
fn certificates(store: &TrustStore) -> usize {
    let mut seen = std::collections::HashSet::new();
    let mut roots = RootCertStore::empty();
    for file in store.files() {
        for certificate in CertificateDer::pem_slice_iter(file).flatten() {
            if seen.insert(certificate.to_vec()) {
                roots.add_parsable_certificates([certificate]);
            }
        }
    }
    roots.len()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn facts(certificates: usize) -> TrustFacts {
        TrustFacts {
            store: Ok(StoreFacts {
                bundle: Some("/etc/ssl/cert.pem".into()),
                files: 1,
                certificates,
                looked_at: vec!["/etc/ssl/cert.pem".into()],
                target: Ok("/etc/ssl/cert.pem".into()),
            }),
            overlay: Some(Ok("/etc/ssl/cert.pem".into())),
        }
    }

    fn states(facts: &TrustFacts) -> Vec<State> {
        facts.judge().iter().map(|check| check.state).collect()
    }

    #[test]
    fn trust_and_overlay_are_judged_apart() {
        assert_eq!(states(&facts(140)), [State::Ok, State::Ok]);
        assert_eq!(states(&facts(0)), [State::Fail, State::Ok]);
        let mut untried = facts(140);
        untried.overlay = None;
        assert_eq!(states(&untried), [State::Ok, State::Unknown]);
        let mut refused = facts(140);
        refused.overlay = Some(Err("EPERM".into()));
        assert_eq!(states(&refused), [State::Ok, State::Warn]);
        let unreadable = TrustFacts {
            store: Err("no right".into()),
            overlay: None,
        };
        assert_eq!(states(&unreadable), [State::Unknown]);
    }
}
