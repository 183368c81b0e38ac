// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fetches against servers in this process, on 127.0.0.0/8 and `::1`.

mod attempts;
mod bodies;
mod bounds;
mod heads;
mod routes;
pub(in crate::accelerator) mod server;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use rustls::RootCertStore;
use url::Url;

use super::{
    Deadlines, Resolve, Resolving, Retries, Upstream, UpstreamError, UpstreamOptions,
    UpstreamRequest, UpstreamResponse,
};

/// Every name has these addresses.
struct Addresses(Vec<IpAddr>);

impl Resolve for Addresses {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            if host.starts_with("nowhere") {
                Err("no such name".to_owned())
            } else {
                Ok(self.0.clone())
            }
        })
    }
}

/// Short enough for tests of silence, long enough for a busy machine: 1.8 times these are waited.
fn brisk() -> Deadlines {
    let short = Duration::from_millis(400);
    Deadlines {
        resolve: short,
        connect: short,
        tunnel: short,
        hello: 2 * short,
        first_byte: short,
        between_bytes: short,
    }
}

/// Options for a host with these addresses.
fn options(addresses: &[&str], roots: RootCertStore) -> UpstreamOptions {
    UpstreamOptions {
        resolver: Arc::new(Addresses(
            addresses
                .iter()
                .map(|address| address.parse().unwrap())
                .collect(),
        )),
        retries: Retries {
            pause: Duration::from_millis(5),
            ..Retries::default()
        },
        ..UpstreamOptions::new(roots)
    }
}

/// A client with the usual deadlines.
pub(in crate::accelerator) fn patient(addresses: &[&str]) -> Upstream {
    Upstream::new(options(addresses, RootCertStore::empty())).unwrap()
}

/// A client that soon loses patience.
fn impatient(addresses: &[&str]) -> Upstream {
    Upstream::new(UpstreamOptions {
        deadlines: brisk(),
        ..options(addresses, RootCertStore::empty())
    })
    .unwrap()
}

fn get(url: &str) -> UpstreamRequest {
    UpstreamRequest::get(Url::parse(url).unwrap())
}

/// The whole body, or what came of it and why it ended short.
async fn read(response: &mut UpstreamResponse) -> Result<Bytes, (Bytes, UpstreamError)> {
    let mut whole = Vec::new();
    while let Some(frame) = response.body.frame().await {
        match frame {
            Ok(frame) => whole.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => return Err((whole.into(), error)),
        }
    }
    Ok(whole.into())
}

/// Fetches the whole.
async fn fetch(upstream: &Upstream, url: &str) -> (UpstreamResponse, Bytes) {
    let mut response = upstream.fetch(get(url)).await.unwrap();
    let body = read(&mut response).await.unwrap();
    (response, body)
}
