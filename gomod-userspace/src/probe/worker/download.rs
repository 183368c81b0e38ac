// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first part of a file, to see whether something cuts or slows what gets long.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use tokio::time::{Instant, timeout};

use super::{
    super::task::{Ending, Failure, Route, Transfer},
    Trace,
    handshake::{Shaken, encrypt},
};

/// A transfer that still goes on after this long is told of as it is.
const PATIENCE: Duration = Duration::from_secs(8);

/// What to fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) path: &'a str,
    pub(super) bytes: u64,
}

pub(super) async fn fetch(
    route: &Route,
    wanted: Wanted<'_>,
    roots: &Arc<RootCertStore>,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Ending, Failure> {
    let shaken = encrypt(route, wanted.name, &[b"http/1.1"], roots, limit, trace).await?;
    let stream = match shaken {
        Ok(Shaken { stream, .. }) => stream,
        Err(ending) => return Ok(ending),
    };
    let request = Request::get(wanted.path)
        .header(header::HOST, wanted.name)
        .header(
            header::USER_AGENT,
            concat!("gomod-trace/", env!("CARGO_PKG_VERSION")),
        )
        .header(
            header::RANGE,
            format!("bytes=0-{}", wanted.bytes.saturating_sub(1)),
        )
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::System {
            what: error.to_string(),
        })?;
    let asked = Instant::now();
    let respond = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        // The sender must outlive the body.
        Ok::<_, hyper::Error>((sender, driver, response))
    };
    let (sender, driver, response) = match timeout(limit, respond).await {
        Err(_) => {
            trace.took = asked.elapsed();
            return Ok(Ending::NoResponse);
        }
        Ok(Err(error)) => {
            trace.took = asked.elapsed();
            return Err(failure(&error));
        }
        Ok(Ok(parts)) => parts,
    };
    trace.took = asked.elapsed();
    let promised = response
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let began = Instant::now();
    let (mut bytes, mut last) = (0, began);
    let transfer = |bytes, last: Instant| Transfer {
        status,
        bytes,
        promised,
        took_us: last.duration_since(began).as_micros() as u64,
    };
    let ending = loop {
        if bytes >= wanted.bytes {
            break Ending::Downloaded(transfer(bytes, last));
        }
        if began.elapsed() >= PATIENCE {
            break Ending::Unfinished(transfer(bytes, last));
        }
        match timeout(limit, body.frame()).await {
            Err(_) => break Ending::Stopped(transfer(bytes, last)),
            Ok(None) if promised.is_some_and(|promised| bytes < promised) => {
                break Ending::Cut(transfer(bytes, last));
            }
            Ok(None) => break Ending::Downloaded(transfer(bytes, last)),
            Ok(Some(Err(_))) => break Ending::Cut(transfer(bytes, last)),
            Ok(Some(Ok(frame))) => {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                last = Instant::now();
            }
        }
    };
    drop(sender);
    driver.abort();
    Ok(ending)
}

/// A connection that broke before the response.
fn failure(error: &hyper::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            return super::broken(io);
        }
        cause = current.source();
    }
    if error.is_incomplete_message() || error.is_closed() {
        Failure::Closed
    } else {
        Failure::System {
            what: error.to_string(),
        }
    }
}
