// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which headers pass, and which concern one connection or one host only.

use http::header::{self, HeaderMap, HeaderName};

/// Headers of one connection (RFC 9110 section 7.6.1 and the older ones that never were registered).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
];

/// What only the host it was meant for may see.
const CREDENTIALS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::WWW_AUTHENTICATE,
];

fn strip_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // A client must not be able to have the framing or the credentials removed.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::AUTHORIZATION)
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Leaves what concerns the host from a client's request, and marks credentials as not to be printed.
pub(super) fn strip_request(headers: &mut HeaderMap) {
    strip_connection(headers);
    for name in [
        header::HOST,
        header::PROXY_AUTHORIZATION,
        header::CONTENT_LENGTH,
        header::EXPECT,
    ] {
        headers.remove(name);
    }
    for name in &CREDENTIALS {
        if let header::Entry::Occupied(mut values) = headers.entry(name) {
            values
                .iter_mut()
                .for_each(|value| value.set_sensitive(true));
        }
    }
}

/// Leaves out what only the host that was asked first may see.
pub(super) fn strip_credentials(headers: &mut HeaderMap) {
    for name in &CREDENTIALS {
        headers.remove(name);
    }
}

/// Leaves what concerns the client from a host's response. Cookies and other ways to the host are nothing for `go`,
/// which keeps no cookies and would not come back to us by another way.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    strip_connection(headers);
    for name in [header::SET_COOKIE, header::ALT_SVC] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_request_keeps_what_concerns_the_host() {
        let mut given = headers(&[
            ("host", "elsewhere"),
            ("connection", "keep-alive, X-Hop, authorization"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("proxy-authorization", "Basic x"),
            ("authorization", "Bearer y"),
            ("disable-module-fetch", "true"),
            ("accept-encoding", "gzip"),
            ("user-agent", "Go-http-client/1.1"),
        ]);
        strip_request(&mut given);
        let mut left: Vec<&str> = given.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "accept-encoding",
                "authorization",
                "disable-module-fetch",
                "user-agent"
            ]
        );
        assert!(!format!("{given:?}").contains("Bearer"));
    }

    #[test]
    fn a_response_keeps_what_concerns_the_client() {
        let mut given = headers(&[
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("alt-svc", "h3=\":443\""),
            ("set-cookie", "a=b"),
            ("etag", "\"1\""),
            ("content-length", "3"),
            ("content-encoding", "gzip"),
            ("content-type", "text/plain"),
        ]);
        strip_response(&mut given);
        let mut left: Vec<&str> = given.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            ["content-encoding", "content-length", "content-type", "etag"]
        );
    }
}
