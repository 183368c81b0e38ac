// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom a connection is to: connections of one route can carry each other's requests.

use http::HeaderValue;
use http::uri::Uri;
use url::Url;

use super::error::{FailureKind, UpstreamError};
use super::proxy::HttpProxy;

/// A host, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) tls: bool,
    /// The name or address; IPv6 addresses in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) via: Option<HttpProxy>,
}

impl Route {
    /// The route to `url`'s host.
    pub(super) fn to(url: &Url, via: Option<HttpProxy>) -> Result<Self, UpstreamError> {
        let refused = |what: String| UpstreamError::lasting(FailureKind::Request, what);
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => {
                return Err(refused(format!(
                    "URLs of the scheme {other} are not fetched: only http and https"
                )));
            }
        };
        let host = url
            .host_str()
            .ok_or_else(|| refused("the URL names no host".to_owned()))?
            .to_owned();
        let port = url
            .port_or_known_default()
            .unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            tls,
            host,
            port,
            via,
        })
    }

    /// Whom to dial: the proxy, if there is one.
    pub(super) fn dialled(&self) -> (&str, u16) {
        self.via
            .as_ref()
            .map_or((&self.host, self.port), |proxy| (&proxy.host, proxy.port))
    }

    /// The request target for `url`: absolute for a proxy that is asked in clear text, else the path (RFC 9112 section 3.2).
    pub(super) fn target(&self, url: &Url) -> Result<Uri, UpstreamError> {
        let path = url.query().map_or_else(
            || url.path().to_owned(),
            |query| format!("{}?{query}", url.path()),
        );
        let text = if self.via.is_some() && !self.tls {
            format!("http://{}{path}", self.authority())
        } else {
            path
        };
        Uri::try_from(text).map_err(|error| {
            UpstreamError::lasting(
                FailureKind::Request,
                format!("the URL's path can't be asked for: {error}"),
            )
        })
    }

    /// The host, with its port unless it's the scheme's own: the Host header.
    pub(super) fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// The credentials for a proxy that is asked in clear text; for TLS they go with CONNECT only.
    pub(super) fn proxy_authorization(&self) -> Option<&HeaderValue> {
        if self.tls {
            None
        } else {
            self.via.as_ref()?.authorization.as_ref()
        }
    }
}
