// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client that trusts the run's authority accepts, and what not.

use std::net::{IpAddr, Ipv4Addr};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};

use super::*;

fn verify(authority: &Authority, leaf: &CertifiedKey, name: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .expect("a verifier");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    verifier
        .verify_server_cert(&leaf.cert[0], &[], &name, &[], UnixTime::now())
        .map(drop)
}

#[test]
fn a_certificate_for_a_module_host_is_accepted_and_made_once() {
    let authority = Authority::new(["Proxy.Example.", "sum.example"]).expect("an authority");
    let leaf = authority.leaf("proxy.example").expect("signed");
    let leaf = leaf.expect("permitted");
    verify(&authority, &leaf, "proxy.example").expect("accepted");
    assert!(verify(&authority, &leaf, "sum.example").is_err());
    let again = authority.leaf("proxy.example").expect("signed");
    assert!(Arc::ptr_eq(&leaf, &again.expect("permitted")));
}

#[test]
fn no_certificate_is_made_for_another_host() {
    let authority = Authority::new(["proxy.example"]).expect("an authority");
    for host in ["other.example", "sub.proxy.example", "127.0.0.1", ""] {
        assert!(
            authority.leaf(host).expect("no failure").is_none(),
            "{host}"
        );
    }
}

/// Even with the authority's key in hand nobody else can be impersonated.
#[test]
fn a_certificate_for_another_host_or_an_address_is_refused_though_it_is_signed() {
    for authority in [
        Authority::new(["proxy.example"]).expect("an authority"),
        Authority::new([]).expect("an authority"),
    ] {
        let other = SanType::DnsName("other.example".try_into().expect("a name"));
        let leaf = authority.sign(other).expect("signed");
        assert!(verify(&authority, &leaf, "other.example").is_err());
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let leaf = authority
            .sign(SanType::IpAddress(loopback))
            .expect("signed");
        assert!(verify(&authority, &leaf, "127.0.0.1").is_err());
    }
}

#[test]
fn addresses_and_malformed_names_are_left_out() {
    let authority = Authority::new(["10.0.0.1", "::1", "", "bad name", "good.example"]);
    let authority = authority.expect("an authority");
    assert_eq!(authority.hosts.iter().collect::<Vec<_>>(), ["good.example"]);
}

#[test]
fn the_key_is_not_shown() {
    let authority = Authority::new(["proxy.example"]).expect("an authority");
    let shown = format!("{authority:?}");
    assert_eq!(shown, "Authority { hosts: {\"proxy.example\"}, .. }");
    assert!(
        authority
            .certificate_pem()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    assert_eq!(authority.certificate_pem().matches("BEGIN").count(), 1);
}
