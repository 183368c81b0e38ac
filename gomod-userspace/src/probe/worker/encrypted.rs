// SPDX-License-Identifier: MIT OR Apache-2.0
//! One question to a resolver by TLS or HTTPS.

use std::{error::Error, io, time::Duration};

use rustls::{CertificateError, RootCertStore};
use tokio::time::Instant;

use super::{
    super::task::{Ending, Failure},
    Trace, broken,
    dns::{resolved, unanswered},
};
use crate::nameserver::{DnsServer, NoAddress, UnexpectedStatus, ask_encrypted};

/// Asks on a connection of its own; the time is that of connection, handshake and question together.
pub(super) async fn ask(
    server: &DnsServer,
    name: &str,
    v6: bool,
    roots: &RootCertStore,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Ending, Failure> {
    let began = Instant::now();
    let answered = ask_encrypted(server, name, v6, roots.clone(), limit).await;
    trace.took = began.elapsed();
    match answered {
        Ok(response) => Ok(resolved(response)),
        Err(error) => ending(&error),
    }
}

/// What an error says, or the first of those behind it that says something.
fn ending(error: &io::Error) -> Result<Ending, Failure> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(tls) = one.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        if one.is::<NoAddress>() {
            return Err(Failure::DnsNoAddress);
        }
        if let Some(UnexpectedStatus(status)) = one.downcast_ref() {
            return Err(Failure::DnsHttpStatus {
                status: status.as_u16(),
            });
        }
        cause = match one.downcast_ref::<io::Error>() {
            // An error that was put into one of these is not its source, but within it.
            Some(io) => match io.get_ref() {
                Some(inner) => Some(inner),
                None => return Err(unanswered(io)),
            },
            None => one.source(),
        };
    }
    Err(broken(error))
}

fn of_tls(error: &rustls::Error) -> Result<Ending, Failure> {
    match error {
        rustls::Error::InvalidCertificate(refused) => Ok(Ending::Untrusted {
            issuer: String::new(),
            reason: error.to_string(),
            unknown_issuer: *refused == CertificateError::UnknownIssuer,
        }),
        rustls::Error::AlertReceived(alert) => Ok(Ending::Alert {
            code: u8::from(*alert),
            description: format!("{alert:?}"),
        }),
        rustls::Error::InvalidMessage(_) => Ok(Ending::NotTls {
            beginning: String::new(),
        }),
        other => Err(Failure::System {
            what: other.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    async fn word(server: &str) -> Option<&'static str> {
        let server = server.parse().unwrap();
        let limit = Duration::from_millis(300);
        let (roots, mut trace) = (RootCertStore::empty(), Trace::default());
        ask(&server, "a.example", false, &roots, limit, &mut trace)
            .await
            .unwrap_or_else(Ending::Failed)
            .failure_word()
    }

    #[tokio::test]
    async fn resolvers_that_do_not_answer_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for scheme in ["tls", "https"] {
            let url = format!("{scheme}://{address}");
            // The kernel accepts it, and nobody says anything.
            assert_eq!(word(&url).await, Some("generic_timeout_error"));
            drop(listener.accept().await.unwrap());
            let closes = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
            };
            let (word, ()) = tokio::join!(word(&url), closes);
            assert_eq!(word, Some("eof_error"));
        }
        drop(listener);
        for scheme in ["tls", "https"] {
            assert_eq!(
                word(&format!("{scheme}://{address}")).await,
                Some("dns_server_unreachable")
            );
        }
    }

    #[test]
    fn what_is_wrapped_is_found() {
        let certificate = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let refused = io::Error::new(io::ErrorKind::InvalidData, certificate);
        let absent = NoAddress {
            server: "dns.example:853".into(),
            why: "unknown".into(),
        };
        let absent = io::Error::new(io::ErrorKind::NotFound, absent);
        let status = io::Error::other(UnexpectedStatus(StatusCode::NOT_FOUND));
        let reset = io::Error::other(io::Error::from_raw_os_error(libc::ECONNRESET));
        let garbage = io::Error::new(io::ErrorKind::InvalidData, "no answer");
        for (error, word) in [
            (refused, "ssl_unknown_authority"),
            (absent, "dns_server_unreachable"),
            (status, "http_unexpected_status_code"),
            (reset, "connection_reset"),
            (garbage, "system_error"),
        ] {
            let ending = ending(&error).unwrap_or_else(Ending::Failed);
            assert_eq!(ending.failure_word(), Some(word), "{error:?}");
        }
    }
}
