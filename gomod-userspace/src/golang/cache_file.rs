// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of Go's module cache, told by the paths that `go` opens.
//!
//! Below GOMODCACHE, `cache/download/` has the layout of a module proxy: `PATH/@v/VERSION.KIND`, escaped.
//! What `go` does with each, see [`CacheFileKind`]; read in cmd/go/internal/modfetch (`cache.go`, `fetch.go`) and
//! seen by strace on Go 1.21.13 and 1.27.3, which do the same. `docs/go-module-cache.md` has the sequence.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::module_path::{ModuleVersion, unescape_path, unescape_version};

/// Where the download cache starts, below GOMODCACHE.
const DOWNLOAD: &str = "/cache/download/";

/// The lock of former Go versions' go.sum edits, below GOMODCACHE.
const SIDE_LOCK: &str = "/cache/lock";

/// A file of a module cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFile {
    /// GOMODCACHE.
    pub modcache: PathBuf,
    /// Which file below it.
    pub what: CacheEntry,
}

/// Which file of a module cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheEntry {
    /// `cache/download/PATH/@v/VERSION.KIND`
    Module {
        /// The module.
        module: ModuleVersion,
        /// What is kept of it.
        kind: CacheFileKind,
        /// Whether it is the file that is being written, `…KIND<up to 9 digits>.tmp`.
        temporary: bool,
    },
    /// `cache/download/PATH/@v/list`: rewritten under `flock` after each `.mod` that arrived.
    List {
        /// The module path.
        path: String,
    },
    /// `cache/download/sumdb/NAME/…`: `lookup/M@V` and `tile/…`. Read first (`O_RDONLY`, missing: not cached), asked
    /// for next, then opened `O_CREAT` and written under `flock`, with no temporary file.
    Sumdb {
        /// The checksum database, `sum.golang.org`.
        name: String,
        /// The rest of the path.
        rest: String,
    },
    /// `cache/lock`: held by `flock` while go.sum is rewritten.
    Lock,
}

/// What is kept of a module version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheFileKind {
    /// `.info`: opened `O_RDONLY` before the request (`ENOENT`: the request follows). The temporary file is made only
    /// after the whole body came, and renamed at once.
    Info,
    /// `.mod`: as `.info`, but looked for twice before the request; `list` is rewritten after the rename.
    Mod,
    /// `.zip`: the `.lock` is taken first, then the temporary file is made with `O_EXCL` **before** the request,
    /// and the body streams into it. Then it is opened `O_RDONLY` to be hashed, `.ziphash` is written, and the
    /// rename tells that the module is downloaded. The final name is opened `O_RDONLY` to be extracted.
    Zip,
    /// `.ziphash`: opened `O_CREAT` and locked after the zip was hashed, before the zip's rename.
    ZipHash,
    /// `.lock`: opened `O_CREAT` and taken by `flock(LOCK_EX)`, which waits for ever; held for the whole zip download,
    /// then let go, taken again, and held while the zip is extracted.
    Lock,
    /// `.partial`: made before the zip is extracted, removed after it.
    Partial,
}

const KINDS: [(&str, CacheFileKind); 6] = [
    (".info", CacheFileKind::Info),
    (".mod", CacheFileKind::Mod),
    (".zip", CacheFileKind::Zip),
    (".ziphash", CacheFileKind::ZipHash),
    (".lock", CacheFileKind::Lock),
    (".partial", CacheFileKind::Partial),
];

impl CacheFile {
    /// The module cache's file at this absolute path; `None` for any other file, directories among them.
    pub fn parse(path: &[u8]) -> Option<Self> {
        let path = std::str::from_utf8(path).ok()?;
        if !path.starts_with('/')
            || path
                .split('/')
                .skip(1)
                .any(|part| matches!(part, "" | "." | ".."))
        {
            return None;
        }
        // A path may hold the marker more than once: the first place from which all the rest makes sense counts.
        for (at, _) in path.match_indices(DOWNLOAD) {
            if let Some(what) = download_entry(&path[at + DOWNLOAD.len()..]) {
                return Some(Self::new(&path[..at], what));
            }
        }
        let modcache = path
            .strip_suffix(SIDE_LOCK)
            .filter(|modcache| modcache.ends_with("/mod"))?;
        Some(Self::new(modcache, CacheEntry::Lock))
    }

    fn new(modcache: &str, what: CacheEntry) -> Self {
        Self {
            modcache: PathBuf::from(OsStr::from_bytes(modcache.as_bytes())),
            what,
        }
    }
}

/// The build cache that has a file of this absolute path: `DIRECTORY/xx/HASH-a` or `…-d`, where `xx` begins the hash
/// (`fileName` of cmd/go/internal/cache).
pub fn build_cache_of(path: &Path) -> Option<PathBuf> {
    const DIGITS: usize = 64;
    let name = path.file_name()?.to_str()?;
    let hash = name
        .strip_suffix("-a")
        .or_else(|| name.strip_suffix("-d"))?;
    let is_hash = hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fan = path.parent()?;
    let begins = fan.file_name()?.to_str()?;
    (is_hash && begins.len() == 2 && hash.starts_with(begins) && path.is_absolute())
        .then(|| fan.parent().map(Path::to_owned))?
}

/// What a temporary file of the module cache is called in the end; `None` for a name that is not temporary. `go` makes
/// such a name by appending a number and `.tmp` (`tempFile` in modfetch/cache.go).
pub fn final_name(path: &Path) -> Option<&Path> {
    let numbered = path.as_os_str().as_bytes().strip_suffix(b".tmp")?;
    let digits = numbered
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    (1..=9)
        .contains(&digits)
        .then(|| Path::new(OsStr::from_bytes(&numbered[..numbered.len() - digits])))
}

fn download_entry(rest: &str) -> Option<CacheEntry> {
    if let Some(rest) = rest.strip_prefix("sumdb/") {
        let (name, rest) = rest.split_once('/')?;
        return Some(CacheEntry::Sumdb {
            name: name.to_owned(),
            rest: rest.to_owned(),
        });
    }
    let (path, file) = rest.rsplit_once("/@v/")?;
    let path = unescape_path(path).ok()?;
    if file == "list" {
        return Some(CacheEntry::List { path });
    }
    let (file, temporary) = match file.strip_suffix(".tmp") {
        Some(numbered) => (without_number(numbered)?, true),
        None => (file, false),
    };
    let (version, kind) = KINDS
        .iter()
        .find_map(|(suffix, kind)| file.strip_suffix(suffix).map(|version| (version, *kind)))?;
    if temporary
        && !matches!(
            kind,
            CacheFileKind::Info | CacheFileKind::Mod | CacheFileKind::Zip
        )
    {
        return None;
    }
    let version = unescape_version(version).ok()?;
    Some(CacheEntry::Module {
        module: ModuleVersion { path, version },
        kind,
        temporary,
    })
}

/// Takes the random number off: 0 to 999999999 (`tempFile` in modfetch/cache.go).
fn without_number(name: &str) -> Option<&str> {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (1..=9).contains(&(name.len() - stem.len())).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(path: &str) -> CacheEntry {
        let file = CacheFile::parse(path.as_bytes()).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(file.modcache.to_str(), Some("/home/u/go/pkg/mod"));
        file.what
    }

    fn module(kind: CacheFileKind, temporary: bool) -> CacheEntry {
        let module = ModuleVersion {
            path: "github.com/Azure/foo".into(),
            version: "v1.2.3".into(),
        };
        CacheEntry::Module {
            module,
            kind,
            temporary,
        }
    }

    #[test]
    fn reads_every_kind() {
        let base = "/home/u/go/pkg/mod/cache/download/github.com/!azure/foo/@v/";
        for (suffix, kind) in KINDS {
            assert_eq!(entry(&format!("{base}v1.2.3{suffix}")), module(kind, false));
        }
        assert_eq!(
            entry(&format!("{base}v1.2.3.zip633786156.tmp")),
            module(CacheFileKind::Zip, true)
        );
        assert_eq!(
            entry(&format!("{base}v1.2.3.mod7.tmp")),
            module(CacheFileKind::Mod, true)
        );
        assert_eq!(
            entry(&format!("{base}v1.2.3.info87727714.tmp")),
            module(CacheFileKind::Info, true)
        );
        assert_eq!(
            entry(&format!("{base}list")),
            CacheEntry::List {
                path: "github.com/Azure/foo".into()
            }
        );
        assert_eq!(entry("/home/u/go/pkg/mod/cache/lock"), CacheEntry::Lock);
        let lookup = "lookup/example.com/a@v1.0.0";
        assert_eq!(
            entry(&format!(
                "/home/u/go/pkg/mod/cache/download/sumdb/sum.golang.org/{lookup}"
            )),
            CacheEntry::Sumdb {
                name: "sum.golang.org".into(),
                rest: lookup.into()
            }
        );
    }

    #[test]
    fn the_toolchain_is_a_module() {
        let path = "/m/cache/download/golang.org/toolchain/@v/v0.0.1-go1.27.3.linux-amd64.zip";
        let Some(CacheFile {
            what: CacheEntry::Module { module, .. },
            ..
        }) = CacheFile::parse(path.as_bytes())
        else {
            panic!("{path}");
        };
        assert_eq!(module.version, "v0.0.1-go1.27.3.linux-amd64");
    }

    #[test]
    fn a_cache_inside_a_folder_of_the_same_name_is_found() {
        let path = "/srv/cache/download/mod/cache/download/example.com/cache/download/x/@v/list";
        let file = CacheFile::parse(path.as_bytes()).unwrap();
        assert_eq!(file.modcache.to_str(), Some("/srv/cache/download/mod"));
        assert_eq!(
            file.what,
            CacheEntry::List {
                path: "example.com/cache/download/x".into()
            }
        );
    }

    #[test]
    fn a_build_cache_is_told_by_its_hashes() {
        let hash = "3f".repeat(32);
        let of = |path: String| build_cache_of(Path::new(&path));
        let expected = Some(PathBuf::from("/h/.cache/go-build"));
        for kind in ["a", "d"] {
            assert_eq!(of(format!("/h/.cache/go-build/3f/{hash}-{kind}")), expected);
        }
        for other in [
            format!("/h/.cache/go-build/3f/{hash}-x"),
            format!("/h/.cache/go-build/aa/{hash}-a"),
            format!("/h/.cache/go-build/3f/{}-a", &hash[2..]),
            format!("3f/{hash}-a"),
            format!("/h/.cache/go-build/{hash}-a"),
            "/a/b-d".to_owned(),
        ] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn other_files_are_not_misread() {
        let base = "/m/cache/download/example.com/a/@v";
        for name in [
            "v1.2.3",
            "v1.2.3.zip.tmp",
            "v1.2.3.zip1234567890.tmp",
            "v1.2.3.lock1.tmp",
            "master.info",
            ".zip",
            "list1.tmp",
            "v1.2.3.zip/x",
            "",
        ] {
            let path = format!("{base}/{name}");
            assert_eq!(CacheFile::parse(path.as_bytes()), None, "{path}");
        }
        for path in [
            "m/cache/download/example.com/a/@v/list",
            "/m/cache/download/Example.com/a/@v/list",
            "/var/cache/lock",
            "/m/cache/download/../download/example.com/a/@v/list",
            "/m/cache/download/sumdb/sum.golang.org",
            "/m/example.com/a@v1.2.3/go.mod",
            "/m/cache/vcs/0123.info",
        ] {
            assert_eq!(CacheFile::parse(path.as_bytes()), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_paths_never_panic(tail in any::<Vec<u8>>(), text in "[a-z!/@.0-9]{0,60}") {
            let _ = CacheFile::parse(&tail);
            let _ = CacheFile::parse(&[b"/m/cache/download/", tail.as_slice()].concat());
            let _ = CacheFile::parse(format!("/m/cache/download/{text}").as_bytes());
        }
    }
}
