// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the modules of a run can be carried, and what is made for that before its command starts.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Context as _;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    policies::{self, TrustVariables},
    settings,
};
use crate::{
    accelerator::{Authority, store::Store},
    launch::{Invoker, TrustOverlay, TrustStore, forbid_core_dumps, raise_descriptor_limit},
};

/// Made before the command starts.
pub(in crate::commands) struct Prepared {
    /// What the command must trust, for its mount namespace.
    pub(in crate::commands) overlay: TrustOverlay,
    /// What the accelerator is made of.
    pub(in crate::commands) provisions: Provisions,
}

/// What the accelerator is made of.
pub(in crate::commands) struct Provisions {
    pub(super) authority: Arc<Authority>,
    pub(super) roots: RootCertStore,
    pub(super) store: Option<Store>,
    pub(super) trust: TrustVariables,
    /// Where a `go` with the command's own settings connects to.
    pub(super) ports: BTreeSet<u16>,
}

/// Finds out whether the modules of this run can be carried by us, and makes what that needs. The error says why not;
/// the run then observes. Without `store`, nothing is kept for later runs.
pub(in crate::commands) fn prepare(
    invoker: &Invoker,
    store: Option<Store>,
) -> anyhow::Result<Prepared> {
    // Each connection that is carried takes two of ours.
    raise_descriptor_limit();
    // One would hold the key of the authority.
    forbid_core_dumps().context("cannot keep the run's key out of core dumps")?;
    let settings = settings::of_run(invoker)?;
    let hosts = settings.settings.module_hosts();
    anyhow::ensure!(
        !hosts.is_empty(),
        "GOPROXY and GOSUMDB name no host that is spoken to by HTTPS"
    );
    settings::via(&settings.settings)?;
    let authority = Authority::new(hosts.iter().map(|(host, _)| host.as_str()))?;
    let trust_store = TrustStore::read(invoker)?;
    let roots = trusted(&trust_store);
    anyhow::ensure!(
        !roots.is_empty(),
        "no trusted certificate was found: install the system's CA certificates"
    );
    let overlay = TrustOverlay::plan(&trust_store, authority.certificate_pem().as_bytes())?;
    Ok(Prepared {
        overlay,
        provisions: Provisions {
            authority: Arc::new(authority),
            roots,
            store,
            trust: TrustVariables::of(&settings.environment),
            ports: policies::policy(&settings.settings, false).ports(),
        },
    })
}

/// Hosts of the checksum database in effect for the run; none where the settings can't be read.
pub(in crate::commands) fn databases(invoker: &Invoker) -> Vec<String> {
    let settings = settings::of_run(invoker).ok();
    let database = settings.and_then(|effective| {
        let database = effective.settings.sumdb.database()?;
        Some(database.own_url().host().to_owned())
    });
    database.into_iter().collect()
}

/// What the command trusts, so that we never trust more.
pub(in crate::commands) fn trusted(store: &TrustStore) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for file in store.files() {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(file).flatten());
    }
    roots
}
