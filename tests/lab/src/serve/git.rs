// SPDX-License-Identifier: MIT OR Apache-2.0
//! Git repositories over HTTP, by git's own program for that (git-http-backend(1)).

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use http::{StatusCode, header, request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::route::Answer;
use crate::LabError;
use crate::modules::Source;

/// Repositories, one a module, at the paths that the modules have at their host.
#[derive(Debug)]
pub(crate) struct Repositories(TempDir);

impl Repositories {
    /// One commit for each of `modules`, tagged with its version.
    pub(crate) fn of(modules: &[Source]) -> Result<Self, LabError> {
        let directory = tempfile::Builder::new()
            .prefix("gomod-lab-git-")
            .tempdir()
            .map_err(|error| LabError::setup("make a directory for repositories", error))?;
        for module in modules {
            let place = module
                .path
                .split_once('/')
                .map_or(module.path.as_str(), |(_, place)| place);
            commit(&directory.path().join(place), module)
                .map_err(|error| LabError::setup(format!("git: make {place}"), error))?;
        }
        Ok(Self(directory))
    }
}

fn commit(repository: &Path, module: &Source) -> io::Result<()> {
    fs::create_dir_all(repository)?;
    for (name, content) in module.files() {
        let file = repository.join(name);
        fs::create_dir_all(file.parent().unwrap_or(repository))?;
        fs::write(file, content)?;
    }
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all"],
        &["commit", "--quiet", "--message", "One and only"],
        &["tag", module.version.as_str()],
    ] {
        let mut git = std::process::Command::new("git");
        quiet(&mut git);
        let output = git.arg("-C").arg(repository).args(arguments).output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!(
                "git {}: {}",
                arguments[0],
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
    }
    Ok(())
}

/// No settings of the machine or its user; always the same author and time.
fn quiet(git: &mut std::process::Command) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    git.env_clear().env("PATH", path).stdin(Stdio::null());
    git.env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nonexistent");
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "Lab")
            .env(format!("GIT_{role}_EMAIL"), "lab@example.org")
            .env(format!("GIT_{role}_DATE"), "2024-01-01T00:00:00Z");
    }
}

/// Has git answer.
pub(super) async fn answer(
    repositories: &Repositories,
    request: &request::Parts,
    body: Incoming,
) -> Answer {
    match backend(repositories, request, body).await {
        Ok(output) => read(&output),
        Err(error) => Answer::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("git http-backend: {error}\n"),
        ),
    }
}

async fn backend(
    repositories: &Repositories,
    request: &request::Parts,
    body: Incoming,
) -> io::Result<Vec<u8>> {
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut git = std::process::Command::new("git");
    quiet(&mut git);
    git.arg("http-backend")
        .env("GIT_PROJECT_ROOT", repositories.0.path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", request.method.as_str())
        .env("PATH_INFO", request.uri.path())
        .env("QUERY_STRING", request.uri.query().unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for (variable, name) in [
        ("CONTENT_TYPE", "content-type"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
        ("GIT_PROTOCOL", "git-protocol"),
    ] {
        if let Some(value) = request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
        {
            git.env(variable, value);
        }
    }
    let mut child = tokio::process::Command::from(git)
        .kill_on_drop(true)
        .spawn()?;
    // Requests are small: they fit into the pipe.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&body).await?;
    }
    Ok(child.wait_with_output().await?.stdout)
}

/// A CGI answer (RFC 3875 section 6): headers, an empty line, the body.
fn read(output: &[u8]) -> Answer {
    let mut answer = Answer::found("", Vec::new());
    let mut rest = output;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(rest[..end].trim_ascii()).into_owned();
        rest = &rest[end + 1..];
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let number = value
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            answer.status = number.unwrap_or(StatusCode::BAD_GATEWAY);
        } else if name.eq_ignore_ascii_case(header::CONTENT_TYPE.as_str()) {
            value.clone_into(&mut answer.kind);
        }
    }
    answer.pieces = vec![Bytes::copy_from_slice(rest)];
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_git_is_read_with_its_status() {
        let answer = read(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\na: b\n");
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.kind, "text/plain");
        assert_eq!(answer.pieces.concat(), b"a: b\n");
    }
}
