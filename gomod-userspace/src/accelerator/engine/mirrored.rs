// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests that their own host did not answer, answered by a [mirror](crate::accelerator::mirrors).

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode, header};
use url::Url;

use super::{Account, Engine, Stored};
use crate::{
    accelerator::{ResponseBody, Session},
    kernel::events::Source,
};

impl Engine {
    /// `None` if no mirror may be asked, or none has the right file.
    pub(super) async fn mirrored(
        &self,
        session: &Session,
        url: &Url,
        account: &Account,
    ) -> Option<Response<ResponseBody>> {
        let asker = self.askers.get(session.origin.pid)?;
        let rescued = self.mirrors.rescue(&asker, url).await?;
        let account = account.clone();
        account.head(StatusCode::OK, Source::Upstream);
        account.upstream(rescued.account);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, rescued.kind);
        headers.insert(header::CONTENT_LENGTH, rescued.length.into());
        account.promised(&headers);
        let mut response = Response::new(account.count(rescued.body));
        *response.headers_mut() = headers;
        Some(response)
    }

    /// Whether the host of `url` failed lately, so that a mirror is asked first.
    pub(super) fn prefers_mirror(&self, url: &Url) -> bool {
        self.mirrors.is_unreachable(url)
    }

    /// Takes note of how the host of `url` answered; true if it failed, so that a mirror may stand in.
    pub(super) fn has_failed(&self, url: &Url, status: StatusCode) -> bool {
        let failed = matches!(
            status,
            StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        self.mirrors.note(url, !failed);
        failed
    }
}

/// What the engine knows beyond the request.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// The hashes that module files must have.
    pub sums: Arc<crate::accelerator::Sums>,
    /// The store of verified files; without it nothing is kept for later runs.
    pub stored: Option<Arc<Stored>>,
    /// Further module proxies that may be asked.
    pub mirrors: Vec<crate::accelerator::mirrors::Mirror>,
}
