// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests to a checksum database, answered by [`Checksums`](crate::accelerator::checksums::Checksums).

use std::sync::Arc;

use http::Response;
use http_body_util::{BodyExt as _, Full};
use url::Url;

use super::{Account, Engine};
use crate::{
    accelerator::{ResponseBody, Session, asker::Asker},
    golang::{ProxyFile, ProxyFileKind, go_sum::Hashed},
};

impl Engine {
    /// `None` if the request is none to a checksum database that the process uses.
    pub(super) async fn checksum(
        &self,
        session: &Session,
        url: &Url,
        account: &Account,
    ) -> Option<Response<ResponseBody>> {
        let asker = self.askers.get(session.origin.pid)?;
        self.look_up_soon(&asker, url);
        let account = account.clone();
        let (answer, source) = match self.checksums.answer(&asker, url).await? {
            Ok(answered) => answered,
            Err(why) => return Some(account.fail(why.status, &format!("gomod-trace: {why}"))),
        };
        account.head(answer.status, source);
        account.upstream(Arc::clone(&answer.account));
        let body = Full::new(answer.body.clone())
            .map_err(|never| match never {})
            .boxed_unsync();
        let mut response = Response::new(account.count(body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers.clone();
        // The body is whole, whatever it came in.
        let framing = [
            http::header::CONTENT_LENGTH,
            http::header::TRANSFER_ENCODING,
        ];
        for name in framing {
            response.headers_mut().remove(name);
        }
        Some(response)
    }

    /// A file is asked for whose hash nobody knows: a command that adds hashes to go.sum will ask for it next.
    fn look_up_soon(&self, asker: &Arc<Asker>, url: &Url) {
        let Some(ProxyFile { kind, module }) = asker.file(url).filter(|_| asker.adds_sums) else {
            return;
        };
        let hashed = match kind {
            ProxyFileKind::Mod => Hashed::GoMod,
            ProxyFileKind::Zip => Hashed::Zip,
            ProxyFileKind::Info => return,
        };
        if self.sums.expected(&module, hashed).is_none() {
            self.checksums.foresee(asker, [module]);
        }
    }
}
