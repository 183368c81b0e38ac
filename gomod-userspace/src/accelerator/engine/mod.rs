// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers requests: from the store, from what was fetched ahead, from the run's knowledge of checksums, or from
//! upstream.

mod ahead;
mod answer;
mod checksums;
mod keep;
mod mirrored;
mod stored;

use std::{future::Future, pin::Pin, sync::Arc};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use url::Url;

pub use ahead::{Ahead, AheadLimits};
pub use mirrored::Knowledge;
pub use stored::Stored;

use self::answer::{Account, Teller};
use super::{
    Askers, Respond, ResponseBody, Session, Sums,
    checksums::{ChecksumLimits, Checksums},
    mirrors::Mirrors,
    text,
    upstream::{HttpProxy, Upstream, UpstreamError, UpstreamRequest, Via},
};
use crate::kernel::events::{Event, Source};

/// Finished requests on their way to the timeline.
const ANSWERED: usize = 4_096;

/// Answers the requests of intercepted connections.
pub struct Engine {
    upstream: Upstream,
    ahead: Arc<Ahead>,
    stored: Option<Arc<Stored>>,
    askers: Askers,
    sums: Arc<Sums>,
    checksums: Arc<Checksums>,
    mirrors: Mirrors,
    answered: Teller,
}

impl Engine {
    /// Fetches by `upstream`; what `stored` has is not fetched. Each finished request comes out of the receiver.
    pub fn new(
        upstream: Upstream,
        limits: AheadLimits,
        knowledge: Knowledge,
    ) -> (Arc<Self>, mpsc::Receiver<Event>) {
        let (answered, receiver) = Teller::new(ANSWERED);
        let Knowledge {
            sums,
            stored,
            mirrors,
        } = knowledge;
        let ahead = Ahead::new(upstream.clone(), limits, stored.clone());
        let checksums = Checksums::new(
            upstream.clone(),
            Arc::clone(&sums),
            ChecksumLimits::default(),
        );
        let mirrors = Mirrors::new(upstream.clone(), Arc::clone(&sums), mirrors);
        let engine = Self {
            upstream,
            ahead,
            stored,
            askers: Askers::default(),
            sums,
            checksums,
            mirrors,
            answered,
        };
        (Arc::new(engine), receiver)
    }

    /// What is fetched before it is asked for.
    pub fn ahead(&self) -> &Arc<Ahead> {
        &self.ahead
    }

    /// Requests and connections to hosts that found no room on their way to the timeline.
    pub fn events_lost(&self) -> u64 {
        self.answered.lost() + self.upstream.events_lost()
    }

    /// The processes that ask.
    pub fn askers(&self) -> &Askers {
        &self.askers
    }

    /// The hashes that are known.
    pub fn sums(&self) -> &Arc<Sums> {
        &self.sums
    }

    /// The checksum databases.
    pub fn checksums(&self) -> &Arc<Checksums> {
        &self.checksums
    }

    async fn answer(
        &self,
        session: &Session,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str)
            .to_owned();
        let account = Account::begin(session, &path, self.answered.clone());
        let Some(url) = url(session, &path) else {
            let line = "gomod-trace: the request names no usable address";
            return account.fail(StatusCode::BAD_GATEWAY, line);
        };
        let plain = request.method() == Method::GET
            && !request.headers().contains_key(header::RANGE)
            && !request.headers().contains_key(header::AUTHORIZATION);
        if !plain {
            return self
                .ask_upstream(session, url, request, account, plain)
                .await;
        }
        // First what this very run fetched: it is in the store by now as well.
        if let Some(response) = self.ahead_of_time(&url, &account).await {
            return response;
        }
        if let Some(response) = self.stored_earlier(&url, &account).await {
            return response;
        }
        if let Some(response) = self.checksum(session, &url, &account).await {
            return response;
        }
        if self.prefers_mirror(&url)
            && let Some(response) = self.mirrored(session, &url, &account).await
        {
            return response;
        }
        let response = self
            .ask_upstream(session, url.clone(), request, account.clone(), plain)
            .await;
        if self.has_failed(&url, response.status())
            && let Some(mirrored) = self.mirrored(session, &url, &account).await
        {
            return mirrored;
        }
        response
    }

    /// `None` if the store does not have it, or the run does not know its hash.
    async fn stored_earlier(&self, url: &Url, account: &Account) -> Option<Response<ResponseBody>> {
        let response = self.stored.as_ref()?.answer(url).await?;
        let account = account.clone();
        account.head(response.status(), Source::Store);
        account.promised(response.headers());
        let (parts, body) = response.into_parts();
        Some(Response::from_parts(parts, account.count(body)))
    }

    /// `None` if nothing was fetched ahead, or it failed: then the request goes upstream as if it had not been.
    async fn ahead_of_time(&self, url: &Url, account: &Account) -> Option<Response<ResponseBody>> {
        let (fetched, source) = self.ahead.claim(url)?;
        let head = fetched.head().await?;
        let account = account.clone();
        account.head(head.status, source);
        account.promised(&head.headers);
        account.upstream(Arc::clone(&head.account));
        let mut response = Response::new(account.count(fetched.body()));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers.clone();
        Some(response)
    }

    /// The way of the process to its hosts. One that is gone is not known any more: then the way that its connection took.
    fn way(&self, session: &Session) -> Via {
        if let Some(asker) = self.askers.get(session.origin.pid) {
            return asker.via.clone();
        }
        let proxy = session.connect.as_ref().and_then(|connect| {
            let at = session.origin.destination;
            let authorization = connect.authorization.as_ref();
            let authorization = authorization.and_then(|value| value.to_str().ok());
            HttpProxy::new(&at.ip().to_string(), at.port(), authorization)
        });
        proxy.map_or_else(Via::direct, Via::proxy)
    }

    async fn ask_upstream(
        &self,
        session: &Session,
        url: Url,
        request: Request<Incoming>,
        account: Account,
        plain: bool,
    ) -> Response<ResponseBody> {
        let (parts, _body) = request.into_parts();
        let request = UpstreamRequest::get(url.clone())
            .method(parts.method)
            .headers(parts.headers)
            .via(self.way(session));
        match self.upstream.fetch(request).await {
            Ok(fetched) => {
                account.head(fetched.status, Source::Upstream);
                account.promised(&fetched.headers);
                account.upstream(Arc::clone(&fetched.account));
                let body = fetched
                    .body
                    .map_err(|error: UpstreamError| error.into())
                    .boxed_unsync();
                let body = match &self.stored {
                    Some(stored) if plain && fetched.status == StatusCode::OK => {
                        stored.copy(&url, &fetched.headers, body)
                    }
                    _ => body,
                };
                let mut response = Response::new(account.count(body));
                *response.status_mut() = fetched.status;
                *response.headers_mut() = fetched.headers;
                response
            }
            Err(error) => account.fail(error.status(), &format!("gomod-trace: {error}")),
        }
    }
}

impl Respond for Engine {
    fn respond<'a>(
        &'a self,
        session: &'a Session,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send + 'a>> {
        Box::pin(self.answer(session, request))
    }
}

impl Account {
    /// An answer of one line of text, accounted for like any other.
    fn fail(self, status: StatusCode, line: &str) -> Response<ResponseBody> {
        self.head(status, Source::Upstream);
        let (parts, body) = text(status, line).into_parts();
        Response::from_parts(parts, self.count(body))
    }
}

fn url(session: &Session, path: &str) -> Option<Url> {
    let mut url = Url::parse("https://host/").ok()?;
    url.set_host(Some(&session.host)).ok()?;
    url.set_port(Some(session.port)).ok()?;
    url.join(path)
        .ok()
        .filter(|joined| joined.host_str() == url.host_str())
}
