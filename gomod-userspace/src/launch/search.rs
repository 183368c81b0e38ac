// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the command as `execvp(3)` does, on the caller's `PATH`, and saying plainly why it was not found.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::invoker::lookup;
use super::{Invoker, LaunchError};

/// What `execvp` searches where `PATH` is not set at all (`confstr(_CS_PATH)`).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The files to try, in order. A name with a slash is tried as it is, an empty element of `PATH` is the working directory.
pub(super) fn candidates(command: &CStr, invoker: &Invoker) -> Vec<CString> {
    let command = command.to_bytes();
    if command.is_empty() {
        return Vec::new();
    }
    if command.contains(&b'/') {
        return CString::new(command).into_iter().collect();
    }
    search_path(invoker)
        .split(|byte| *byte == b':')
        .map(|directory| {
            if directory.is_empty() {
                &b"."[..]
            } else {
                directory
            }
        })
        .filter_map(|directory| CString::new([directory, b"/", command].concat()).ok())
        .collect()
}

/// Whether the search goes on after this errno (a missing or unreachable directory), as in glibc.
pub(super) const fn goes_on_after(errno: i32) -> bool {
    matches!(
        errno,
        libc::ENOENT
            | libc::ENOTDIR
            | libc::EACCES
            | libc::ESTALE
            | libc::ENODEV
            | libc::ETIMEDOUT
            | libc::ENAMETOOLONG
    )
}

/// Turns the errno of the last attempt into the error a user can act on.
pub(super) fn explain(
    command: &CStr,
    candidates: &[CString],
    invoker: &Invoker,
    tried: usize,
    errno: i32,
) -> LaunchError {
    let command = show(command.to_bytes());
    let existing = candidates.iter().find(|candidate| path(candidate).exists());
    let refused = |file: &CStr, detail: String| LaunchError::NotExecutable {
        path: show(file.to_bytes()),
        detail,
    };
    match (errno, existing) {
        (libc::EACCES, Some(file)) if path(file).is_dir() => {
            refused(file, "it is a directory".into())
        }
        (libc::EACCES, Some(file)) => refused(
            file,
            format!(
                "permission denied for uid {}: check its mode, its directories and `noexec` mounts",
                invoker.uid
            ),
        ),
        (libc::ENOENT, Some(file)) if path(file).is_file() => LaunchError::NotFound {
            command: show(file.to_bytes()),
            detail: "the file exists, but the interpreter or loader it names does not".into(),
        },
        (_, None) if goes_on_after(errno) => LaunchError::NotFound {
            detail: searched(&command, invoker),
            command,
        },
        (libc::ENOEXEC, _) => refused(
            attempted(candidates, tried),
            "it is not a program for this machine, nor a script".into(),
        ),
        _ => refused(
            attempted(candidates, tried),
            io::Error::from_raw_os_error(errno).to_string(),
        ),
    }
}

fn attempted(candidates: &[CString], tried: usize) -> &CStr {
    candidates.get(tried).map_or(c"", CString::as_c_str)
}

fn searched(command: &str, invoker: &Invoker) -> String {
    if command.is_empty() {
        return "the command is empty".into();
    }
    if command.contains('/') {
        return "no such file".into();
    }
    format!("searched PATH={}", show(search_path(invoker)))
}

fn search_path(invoker: &Invoker) -> &[u8] {
    lookup(&invoker.environment, b"PATH").unwrap_or(DEFAULT_PATH)
}

fn path(file: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(file.to_bytes()))
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Source;

    fn invoker(environment: &[&CStr]) -> Invoker {
        Invoker {
            uid: 1000,
            gid: 1000,
            groups: Vec::new(),
            environment: environment
                .iter()
                .map(|entry| CString::from(*entry))
                .collect(),
            umask: None,
            source: Source::Plain,
        }
    }

    fn found(command: &CStr, environment: &[&CStr]) -> Vec<String> {
        candidates(command, &invoker(environment))
            .iter()
            .map(|file| show(file.to_bytes()))
            .collect()
    }

    #[test]
    fn the_callers_path_is_searched_in_order() {
        assert_eq!(
            found(c"go", &[c"X=1", c"PATH=/a::/b"]),
            ["/a/go", "./go", "/b/go"]
        );
        assert_eq!(found(c"go", &[]), ["/bin/go", "/usr/bin/go"]);
        assert_eq!(found(c"go", &[c"PATH="]), ["./go"]);
        assert_eq!(found(c"./go", &[c"PATH=/a"]), ["./go"]);
        assert!(found(c"", &[c"PATH=/a"]).is_empty());
    }

    #[test]
    fn a_missing_command_names_the_searched_path() {
        let invoker = invoker(&[c"PATH=/nowhere"]);
        let error = explain(
            c"go",
            &candidates(c"go", &invoker),
            &invoker,
            0,
            libc::ENOENT,
        );
        assert_eq!(error.exit_code(), 127);
        assert_eq!(error.to_string(), "go: not found (searched PATH=/nowhere)");
    }

    #[test]
    fn an_unreachable_directory_does_not_make_a_missing_command_forbidden() {
        let invoker = invoker(&[c"PATH=/nowhere"]);
        assert_eq!(
            explain(
                c"go",
                &candidates(c"go", &invoker),
                &invoker,
                0,
                libc::EACCES
            )
            .exit_code(),
            127
        );
    }

    #[test]
    fn a_directory_is_found_but_not_executable() {
        let invoker = invoker(&[]);
        let error = explain(
            c"/tmp",
            &candidates(c"/tmp", &invoker),
            &invoker,
            0,
            libc::EACCES,
        );
        assert_eq!(error.exit_code(), 126);
        assert!(error.to_string().contains("directory"), "{error}");
    }
}
