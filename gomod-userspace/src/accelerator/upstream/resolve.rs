// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who knows the addresses of a host.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RecordType;
use tokio::sync::OnceCell;

/// How long the slower of A and AAAA is waited for once the other has answered. Some networks drop AAAA questions.
const OTHER_FAMILY_GRACE: Duration = Duration::from_millis(150);
/// One question to one name server, as long as `go` itself waits (`net`, resolv.conf(5)): what answers `go`, late, must
/// answer us. Two name servers are asked at once, and lost questions are sent again meanwhile.
const QUESTION: Duration = Duration::from_secs(5);

/// The addresses of a host, or why there are none.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, String>> + Send + 'a>>;

/// Who knows the addresses of a host.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, of both families. The error says why there are none, in plain words.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a>;
}

/// Asks the name servers of `/etc/resolv.conf`, after `/etc/hosts`. Both are read at the first question.
#[derive(Default)]
pub struct SystemResolver {
    resolver: OnceCell<TokioResolver>,
}

impl SystemResolver {
    async fn resolver(&self) -> Result<&TokioResolver, String> {
        self.resolver
            .get_or_try_init(|| async {
                let mut builder = TokioResolver::builder_tokio()
                    .map_err(|error| format!("read /etc/resolv.conf: {error}"))?;
                let options = builder.options_mut();
                options.timeout = QUESTION;
                options.attempts = 2;
                builder
                    .build()
                    .map_err(|error| format!("start the resolver: {error}"))
            })
            .await
    }

    async fn ask(
        resolver: &TokioResolver,
        host: &str,
        kind: RecordType,
    ) -> Result<Vec<IpAddr>, String> {
        match resolver.lookup(host, kind).await {
            Ok(found) => Ok(found
                .answers()
                .iter()
                .filter_map(|record| record.data.ip_addr())
                .collect()),
            Err(error) if error.is_nx_domain() => Err("no such name".to_owned()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn both(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let resolver = self.resolver().await?;
        let v4 = Self::ask(resolver, host, RecordType::A);
        let v6 = Self::ask(resolver, host, RecordType::AAAA);
        tokio::pin!(v4, v6);
        let (first, second) = tokio::select! {
            first = &mut v4 => match first {
                Ok(found) if !found.is_empty() => (Ok(found), tokio::time::timeout(OTHER_FAMILY_GRACE, v6).await),
                other => (other, Ok(v6.await)),
            },
            first = &mut v6 => match first {
                Ok(found) if !found.is_empty() => (Ok(found), tokio::time::timeout(OTHER_FAMILY_GRACE, v4).await),
                other => (other, Ok(v4.await)),
            },
        };
        match (first, second) {
            (Ok(mut found), Ok(Ok(more))) => {
                found.extend(more);
                Ok(found)
            }
            (Ok(found), _) | (Err(_), Ok(Ok(found))) => Ok(found),
            (Err(reason), _) => Err(reason),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(self.both(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_machine_itself_is_known_without_a_name_server() {
        let found = SystemResolver::default()
            .resolve("localhost")
            .await
            .unwrap();
        assert!(
            !found.is_empty() && found.iter().all(IpAddr::is_loopback),
            "{found:?}"
        );
    }
}
