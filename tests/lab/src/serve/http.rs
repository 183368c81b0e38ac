// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the hosts answer: the module proxy protocol (`go help goproxy`), go-import pages, and a page for the rest.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, Version, header};
use hyper::body::Incoming;

use super::Internet;
use super::body::PieceBody;
use super::wiretap::Scissors;
use crate::addresses::{DIRECT, Family, Host, PROXY, SUMDB};
use crate::fault::FaultKind;
use crate::log::Request;

/// Where the direct host keeps its modules, by the same protocol.
const DIRECT_MODULES: &str = "/modules";

/// Where a module proxy answers for the checksum database (`go help goproxy`).
const PROXIED_CHECKSUMS: &str = "/sumdb/sum.golang.org";

struct Answer {
    status: StatusCode,
    kind: &'static str,
    pieces: Vec<Bytes>,
}

impl Answer {
    fn found(kind: &'static str, pieces: Vec<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            kind,
            pieces,
        }
    }

    fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            pieces: vec![Bytes::from(text.into())],
        }
    }
}

pub(crate) async fn respond(
    internet: Arc<Internet>,
    host: Arc<Host>,
    family: Family,
    scissors: Scissors,
    request: http::Request<Incoming>,
) -> Result<Response<PieceBody>, Infallible> {
    let path = percent_decoded(request.uri().path());
    let answer = route(
        &internet,
        &host.name,
        &path,
        request.uri().query().unwrap_or_default(),
    );
    let fault = internet.faults.find(|fault| {
        let acts_here = fault.kind == FaultKind::Silence
            || (fault.kind.is_body() && answer.status == StatusCode::OK);
        (acts_here && fault.concerns(&host.name, family) && fault.path.matches(&path))
            .then_some(fault.kind)
    });
    let silent = fault == Some(FaultKind::Silence);
    if let Some(fault) = fault {
        internet
            .log
            .act(fault, host.name.as_str(), format!("request {path}"));
    }
    internet.log.request(Request {
        at: internet.log.now(),
        host: host.name.clone(),
        path: request
            .uri()
            .query()
            .map_or_else(|| path.clone(), |query| format!("{path}?{query}")),
        http2: request.version() == Version::HTTP_2,
        family,
        status: if silent { 0 } else { answer.status.as_u16() },
        body_bytes: answer.pieces.iter().map(|piece| piece.len() as u64).sum(),
    });
    if silent {
        pending::<()>().await;
    }
    let mut response = Response::new(PieceBody::new(answer.pieces, fault, &scissors));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(answer.kind),
    );
    Ok(response)
}

fn route(internet: &Internet, host: &str, path: &str, query: &str) -> Answer {
    match host {
        PROXY => match path.strip_prefix(PROXIED_CHECKSUMS) {
            // `go` then asks the database's own host.
            Some(_) if !internet.proxy_has_checksums => {
                Answer::text(StatusCode::NOT_FOUND, "not supported\n")
            }
            Some("/supported") => Answer::found("text/plain; charset=utf-8", Vec::new()),
            Some(path) => checksums(internet, path),
            None => module_file(internet, path),
        },
        SUMDB => checksums(internet, path),
        DIRECT => match path.strip_prefix(DIRECT_MODULES) {
            Some(path) => module_file(internet, path),
            None if query.split('&').any(|part| part == "go-get=1") => go_import(path),
            None => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
        },
        _ if path == "/" => Answer::text(StatusCode::OK, format!("This is {host} of the lab.\n")),
        _ => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn checksums(internet: &Internet, path: &str) -> Answer {
    match internet.checksums.answer(path, &internet.modules.modules) {
        Some(bytes) => Answer::found("text/plain; charset=utf-8", vec![Bytes::from(bytes)]),
        None => Answer::text(StatusCode::NOT_FOUND, format!("not found: {path}\n")),
    }
}

/// The page that tells `go` where a module comes from (`go help importpath`): from this host, by the proxy protocol.
fn go_import(path: &str) -> Answer {
    // Modules lie two elements deep: /OWNER/NAME.
    let module = path
        .trim_matches('/')
        .split('/')
        .take(2)
        .collect::<Vec<_>>()
        .join("/");
    let page = format!(
        "<!DOCTYPE html>\n<meta name=\"go-import\" content=\"{DIRECT}/{module} mod https://{DIRECT}{DIRECT_MODULES}\">\n"
    );
    Answer::found("text/html; charset=utf-8", vec![Bytes::from(page)])
}

fn module_file(internet: &Internet, path: &str) -> Answer {
    let not_found = || Answer::text(StatusCode::NOT_FOUND, format!("not found: {path}\n"));
    let path = path.trim_start_matches('/');
    if let Some(module) = path
        .strip_suffix("/@latest")
        .and_then(|path| internet.modules.find(path))
    {
        return Answer::found("application/json", vec![module.info.clone()]);
    }
    let Some((module, file)) = path.split_once("/@v/") else {
        return not_found();
    };
    let Some(module) = internet.modules.find(module) else {
        return not_found();
    };
    if file == "list" {
        return Answer::text(StatusCode::OK, format!("{}\n", module.version));
    }
    match file.strip_prefix(&module.version) {
        Some(".info") => Answer::found("application/json", vec![module.info.clone()]),
        Some(".mod") => Answer::found("text/plain; charset=utf-8", vec![module.go_mod.clone()]),
        Some(".zip") => Answer::found("application/zip", module.zip.clone()),
        _ => not_found(),
    }
}

/// `go` writes `!` as `%21`. What is no valid escape stays as it is.
fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        assert_eq!(percent_decoded("/%21lab/@v/list"), "/!lab/@v/list");
        assert_eq!(percent_decoded("/100%/%zz/%2"), "/100%/%zz/%2");
    }
}
