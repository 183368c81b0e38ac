// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the caller's store is, and how large it may become.
//!
//! Rule: XDG Base Directory Specification: `$XDG_CACHE_HOME`, else `~/.cache`; a path that is not absolute counts as
//! not set.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::{DEFAULT_LIMIT, StoreError};
use crate::launch::Invoker;

/// The variable that sets the limit for all commands.
pub const LIMIT_VARIABLE: &str = "GOMOD_TRACE_CACHE_SIZE";

/// The directory, which need not exist.
pub fn of(invoker: &Invoker) -> Result<PathBuf, StoreError> {
    let absolute = |name: &str| {
        let path = Path::new(invoker.variable(name)?);
        path.is_absolute().then(|| path.to_owned())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .map(|cache| cache.join("gomod-trace"))
        .ok_or(StoreError::NoDirectory)
}

/// The limit in bytes: as asked for, else by the caller's environment, else [`DEFAULT_LIMIT`]. The error names the
/// variable.
pub fn limit(asked: Option<ByteSize>, invoker: &Invoker) -> Result<u64, String> {
    if let Some(asked) = asked {
        return Ok(asked.as_u64());
    }
    let Some(value) = invoker.variable(LIMIT_VARIABLE) else {
        return Ok(DEFAULT_LIMIT);
    };
    value
        .to_str()
        .and_then(|value| value.parse::<ByteSize>().ok())
        .map(|size| size.as_u64())
        .ok_or_else(|| {
            let value = value.to_string_lossy();
            format!("{LIMIT_VARIABLE}={value:?} is no size: write it as 5GiB or 800MiB")
        })
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use crate::launch::Source;

    fn caller(environment: &[&str]) -> Invoker {
        Invoker {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            environment: environment
                .iter()
                .map(|entry| CString::new(*entry).unwrap())
                .collect(),
            umask: None,
            source: Source::Plain,
        }
    }

    #[test]
    fn the_directory_is_below_the_cache_home() {
        for (environment, expected) in [
            (&["HOME=/home/a", "XDG_CACHE_HOME=/c"][..], "/c/gomod-trace"),
            (
                &["HOME=/home/a", "XDG_CACHE_HOME=c"],
                "/home/a/.cache/gomod-trace",
            ),
            (
                &["HOME=/home/a", "XDG_CACHE_HOME="],
                "/home/a/.cache/gomod-trace",
            ),
        ] {
            assert_eq!(of(&caller(environment)).unwrap(), Path::new(expected));
        }
        for environment in [&[][..], &["HOME="], &["HOME=relative"]] {
            assert!(matches!(
                of(&caller(environment)),
                Err(StoreError::NoDirectory)
            ));
        }
    }

    #[test]
    fn the_limit_is_the_callers() {
        assert_eq!(limit(None, &caller(&[])), Ok(DEFAULT_LIMIT));
        let set = caller(&["GOMOD_TRACE_CACHE_SIZE=800MiB"]);
        assert_eq!(limit(None, &set), Ok(800 << 20));
        assert_eq!(limit(Some(ByteSize::kib(1)), &set), Ok(1024));
        let error = limit(None, &caller(&["GOMOD_TRACE_CACHE_SIZE=much"])).unwrap_err();
        assert!(error.contains("GOMOD_TRACE_CACHE_SIZE=\"much\""), "{error}");
    }
}
