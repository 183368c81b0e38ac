// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to fetch.

use http::{HeaderMap, Method, header};
use url::Url;

use super::proxy::{Via, basic_authorization};

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// `go` asked for it.
    Awaited,
    /// It will probably be asked for; never delays what is awaited.
    Speculative,
}

/// What to fetch, and how.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) via: Via,
    pub(super) urgency: Urgency,
}

impl UpstreamRequest {
    /// A GET of `url`, without a proxy. A user and password in the URL become its Authorization.
    pub fn get(url: Url) -> Self {
        let mut request = Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            via: Via::direct(),
            urgency: Urgency::Awaited,
        };
        if let Some(credentials) = basic_authorization(&request.url) {
            request.headers.insert(header::AUTHORIZATION, credentials);
        }
        // Neither call can fail for a URL with a host; without one the fetch is refused.
        let _hostless = request.url.set_username("");
        let _hostless = request.url.set_password(None);
        request.url.set_fragment(None);
        request
    }

    /// With another method. Only GET and HEAD can be fetched: nothing else may be asked for twice.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// With the client's headers. Credentials among them are for the URL's own scheme, host and port, and go nowhere
    /// else; what concerns only the client's connection is left out.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        let own = self.headers.remove(header::AUTHORIZATION);
        self.headers = headers;
        super::headers::strip_request(&mut self.headers);
        if let Some(own) = own {
            self.headers.entry(header::AUTHORIZATION).or_insert(own);
        }
        self
    }

    /// Through a proxy.
    #[must_use]
    pub fn via(mut self, via: Via) -> Self {
        self.via = via;
        self
    }

    /// With this urgency.
    #[must_use]
    pub fn urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }
}
