// SPDX-License-Identifier: MIT OR Apache-2.0
//! Redirects, followed as `go` does: at most ten, and never from https to http (`net/http`, `cmd/go/internal/web`).

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use url::Url;

use super::Shared;
use super::account::Account;
use super::attempt::{Ask, Head};
use super::error::{FailureKind, UpstreamError};
use super::head::head;
use super::headers::strip_credentials;
use super::request::UpstreamRequest;
use super::route::Route;

/// Redirects followed for one request.
const MOST_REDIRECTS: usize = 10;

/// Asks for `request` with `headers`, which hold its own, and follows redirects to the response that is none.
pub(super) async fn follow(
    shared: &Arc<Shared>,
    request: &UpstreamRequest,
    mut headers: HeaderMap,
    allowed: u32,
    account: &Account,
) -> Result<(Head, Url), UpstreamError> {
    let mut url = request.url.clone();
    for _ in 0..=MOST_REDIRECTS {
        let ask = Ask {
            method: request.method.clone(),
            url: url.clone(),
            headers: headers.clone(),
            host: shared.pool.host(Route::to(&url, request.via.of(&url))?),
            urgency: request.urgency,
        };
        let head = head(shared, Arc::new(ask), allowed, account).await?;
        let Some(target) = target(&url, &head)? else {
            return Ok((head, url));
        };
        head.discard();
        if target.origin() != url.origin() {
            strip_credentials(&mut headers);
        }
        url = target;
    }
    let host = request.url.host_str().unwrap_or_default();
    Err(refused(format!(
        "{host} redirected more than {MOST_REDIRECTS} times"
    )))
}

fn refused(story: String) -> UpstreamError {
    UpstreamError::lasting(FailureKind::Redirect, story)
}

/// Where `head`, the answer for `from`, sends its client; `None` if it's no redirect.
fn target(from: &Url, head: &Head) -> Result<Option<Url>, UpstreamError> {
    let redirect = matches!(
        head.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = head.headers.get(header::LOCATION).filter(|_| redirect) else {
        return Ok(None);
    };
    let host = from.host_str().unwrap_or_default();
    let mut target = std::str::from_utf8(location.as_bytes())
        .ok()
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| refused(format!("{host} redirected to what is no URL")))?;
    if from.scheme() == "https" && target.scheme() != "https" {
        let other = target.host_str().unwrap_or_default();
        return Err(refused(format!(
            "{host} redirected from https to {}://{other}: refused",
            target.scheme()
        )));
    }
    target.set_fragment(None);
    // Credentials in a redirect are the redirecting host's choice, not the user's: `go` would not have sent them
    // before; both calls fail only without a host, which the route refuses.
    let _hostless = target.set_username("");
    let _hostless = target.set_password(None);
    Ok(Some(target))
}
