// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the hosts have to say: the module proxy protocol (`go help goproxy`), go-import pages, and a page for the rest.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::Internet;
use super::login::PRIVATE_LOGIN;
use crate::addresses::{CONTROL, DIRECT, GIT, PRIVATE, PROXY, SUMDB};
use crate::modules::ModuleSet;

/// Where direct hosts keep their modules, by the same protocol.
const DIRECT_MODULES: &str = "/modules";

/// Where a module proxy answers for the checksum database (`go help goproxy`).
const PROXIED_CHECKSUMS: &str = "/sumdb/sum.golang.org";

/// Where [`CONTROL`] keeps the large files of others, each below the other's name.
const STORED: &str = "/stored/";

/// An answer, as it would be without faults.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) kind: String,
    pub(super) pieces: Vec<Bytes>,
    /// What a file is known by, if it's one that never changes.
    pub(super) tag: Option<String>,
    /// Where to ask instead.
    pub(super) location: Option<String>,
}

impl Answer {
    pub(super) fn found(kind: &str, pieces: Vec<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            kind: kind.to_owned(),
            pieces,
            tag: None,
            location: None,
        }
    }

    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            ..Self::found("text/plain; charset=utf-8", vec![Bytes::from(text.into())])
        }
    }

    /// The place of the host's file `path` at the host that stores large files.
    fn elsewhere(host: &str, path: &str) -> Self {
        let path = path.replace('!', "%21");
        Self {
            location: Some(format!("https://{CONTROL}/stored/{host}{path}")),
            ..Self::text(StatusCode::FOUND, "see there\n")
        }
    }

    fn tagged(mut self, tag: &str) -> Self {
        self.tag = Some(format!("\"{tag}\""));
        self
    }
}

/// What is asked of whom.
#[derive(Clone, Copy)]
pub(super) struct Asked<'request> {
    pub(super) host: &'request str,
    /// False over plain HTTP.
    pub(super) secure: bool,
    pub(super) path: &'request str,
    pub(super) query: &'request str,
    pub(super) headers: &'request HeaderMap,
}

impl Asked<'_> {
    /// True if `go` asks where a module comes from (`go help importpath`).
    pub(super) fn is_go_get(&self) -> bool {
        self.query.split('&').any(|part| part == "go-get=1")
    }
}

pub(super) fn route(internet: &Internet, asked: Asked<'_>) -> Answer {
    let path = asked.path;
    match asked.host {
        PROXY => match path.strip_prefix(PROXIED_CHECKSUMS) {
            // `go` then asks the database's own host.
            Some(_) if !internet.proxy_has_checksums => {
                Answer::text(StatusCode::NOT_FOUND, "not supported\n")
            }
            Some("/supported") => Answer::found("text/plain; charset=utf-8", Vec::new()),
            Some(path) => checksums(internet, path),
            None if internet.zips_elsewhere && is_zip(path) => Answer::elsewhere(PROXY, path),
            None => module_file(&internet.modules, path),
        },
        CONTROL if path.starts_with(STORED) => stored(internet, path),
        SUMDB => checksums(internet, path),
        DIRECT => own_modules(&internet.modules, asked, false),
        PRIVATE => {
            let login = asked.headers.get(header::AUTHORIZATION);
            if login.is_some_and(|login| login == PRIVATE_LOGIN.basic().as_str()) {
                own_modules(&internet.private_modules, asked, internet.zips_elsewhere)
            } else {
                Answer::text(StatusCode::UNAUTHORIZED, "who are you?\n")
            }
        }
        GIT if asked.is_go_get() => go_import(asked, "git", ""),
        _ if path == "/" => Answer::text(
            StatusCode::OK,
            format!("This is {} of the lab.\n", asked.host),
        ),
        _ => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

/// A host that serves the modules of its own name.
fn own_modules(modules: &ModuleSet, asked: Asked<'_>, elsewhere: bool) -> Answer {
    match asked.path.strip_prefix(DIRECT_MODULES) {
        Some(path) if elsewhere && is_zip(path) => Answer::elsewhere(asked.host, path),
        Some(path) => module_file(modules, path),
        None if asked.is_go_get() => go_import(asked, "mod", DIRECT_MODULES),
        None => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

/// A file that another host has stored here.
fn stored(internet: &Internet, path: &str) -> Answer {
    let path = path.trim_start_matches(STORED);
    match path.split_once('/') {
        Some((PRIVATE, path)) => module_file(&internet.private_modules, path),
        Some((_, path)) => module_file(&internet.modules, path),
        None => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn checksums(internet: &Internet, path: &str) -> Answer {
    match internet.checksums.answer(path, &internet.modules) {
        Some(bytes) => Answer::found("text/plain; charset=utf-8", vec![Bytes::from(bytes)]),
        None => Answer::text(StatusCode::NOT_FOUND, format!("not found: {path}\n")),
    }
}

/// The page that tells `go` where a module comes from: this host, by `method` at `place`, or where the module's own path
/// leads if that is empty.
fn go_import(asked: Asked<'_>, method: &str, place: &str) -> Answer {
    // Modules lie two elements deep: /OWNER/NAME.
    let elements = asked.path.trim_matches('/').split('/').take(2);
    let module = elements.collect::<Vec<_>>().join("/");
    let host = asked.host;
    let scheme = if asked.secure { "https" } else { "http" };
    let place = match place {
        "" => format!("/{module}"),
        place => place.to_owned(),
    };
    let page = format!(
        "<!DOCTYPE html>\n<meta name=\"go-import\" content=\"{host}/{module} {method} {scheme}://{host}{place}\">\n"
    );
    Answer::found("text/html; charset=utf-8", vec![Bytes::from(page)])
}

/// `go` writes endings in lower case.
fn is_zip(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, ending)| ending == "zip")
}

fn module_file(modules: &ModuleSet, path: &str) -> Answer {
    let not_found = || Answer::text(StatusCode::NOT_FOUND, format!("not found: {path}\n"));
    let path = path.trim_start_matches('/');
    if let Some(module) = path
        .strip_suffix("/@latest")
        .and_then(|path| modules.find(path))
    {
        return Answer::found("application/json", vec![module.info.clone()]);
    }
    let Some((module, file)) = path.split_once("/@v/") else {
        return not_found();
    };
    let Some(module) = modules.find(module) else {
        return not_found();
    };
    if file == "list" {
        return Answer::text(StatusCode::OK, format!("{}\n", module.version));
    }
    let [files, go_mod] = &module.sums;
    match file.strip_prefix(&module.version) {
        Some(".info") => Answer::found("application/json", vec![module.info.clone()]),
        Some(".mod") => {
            Answer::found("text/plain; charset=utf-8", vec![module.go_mod.clone()]).tagged(go_mod)
        }
        Some(".zip") => Answer::found("application/zip", module.zip.clone()).tagged(files),
        _ => not_found(),
    }
}
