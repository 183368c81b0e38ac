// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that a module proxy serves of a module version, and their paths.
//!
//! Rules: "Go Modules Reference", GOPROXY protocol; `proxyRepo` of cmd/go/internal/modfetch, which asks for `!` as
//! `%21`.

use std::path::PathBuf;

use super::base_url::BaseUrl;
use super::module_path::{
    ModulePathError, ModuleVersion, escape_path, escape_version, unescape_path, unescape_version,
};

/// A file of a module version. Their order is the one in which `go` asks: kind by kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyFile {
    /// Which file.
    pub kind: ProxyFileKind,
    /// Of which module.
    pub module: ModuleVersion,
}

/// Which file of a module version, the smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyFileKind {
    /// `.mod`, verified by go.sum.
    Mod,
    /// `.info`, which nothing verifies.
    Info,
    /// `.zip`, verified by go.sum.
    Zip,
}

impl ProxyFileKind {
    const ALL: [Self; 3] = [Self::Mod, Self::Info, Self::Zip];

    /// `mod`, `info`, `zip`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mod => "mod",
            Self::Info => "info",
            Self::Zip => "zip",
        }
    }
}

impl ProxyFile {
    /// Reads the path of a request below a proxy's own path, `PATH/@v/VERSION.KIND`, with `!` or `%21`. `None` for
    /// all else, lists and queries among them.
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.replace("%21", "!");
        let (module, file) = path
            .strip_prefix('/')
            .unwrap_or(&path)
            .rsplit_once("/@v/")?;
        let (version, extension) = file.rsplit_once('.')?;
        let kind = ProxyFileKind::ALL
            .into_iter()
            .find(|kind| kind.extension() == extension)?;
        Some(Self {
            kind,
            module: ModuleVersion {
                path: unescape_path(module).ok()?,
                version: unescape_version(version).ok()?,
            },
        })
    }

    /// `PATH/@v/VERSION.KIND` with `!`: the layout of a file system proxy, and of `cache/download` in GOMODCACHE.
    pub fn relative_path(&self) -> Result<PathBuf, ModulePathError> {
        self.escaped().map(PathBuf::from)
    }

    /// The URL at a module proxy, written as `go` does; without user information.
    pub fn url(&self, proxy: &BaseUrl) -> Result<String, ModulePathError> {
        Ok(proxy.join(&self.escaped()?.replace('!', "%21")))
    }

    fn escaped(&self) -> Result<String, ModulePathError> {
        let module = escape_path(&self.module.path)?;
        let version = escape_version(&self.module.version)?;
        Ok(format!("{module}/@v/{version}.{}", self.kind.extension()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn upper_case_is_asked_for_as_go_does() {
        let file = ProxyFile {
            kind: ProxyFileKind::Zip,
            module: ModuleVersion {
                path: "github.com/BurntSushi/toml".into(),
                version: "v1.0.0-RC1+incompatible".into(),
            },
        };
        let proxy = BaseUrl::parse("https://u:p@p.example/go/").unwrap();
        assert_eq!(
            file.url(&proxy).unwrap(),
            "https://p.example/go/github.com/%21burnt%21sushi/toml/@v/v1.0.0-%21r%21c1+incompatible.zip"
        );
        let path = file.relative_path().unwrap();
        assert_eq!(
            path.to_str(),
            Some("github.com/!burnt!sushi/toml/@v/v1.0.0-!r!c1+incompatible.zip")
        );
        assert_eq!(ProxyFile::parse(path.to_str().unwrap()), Some(file.clone()));
        let asked = "/github.com/%21burnt%21sushi/toml/@v/v1.0.0-%21r%21c1+incompatible.zip";
        assert_eq!(ProxyFile::parse(asked), Some(file));
    }

    #[test]
    fn other_requests_are_no_files() {
        for path in [
            "",
            "a.b/@v/list",
            "a.b/@latest",
            "a.b/@v/master.info",
            "a.b/@v/v1.0.0.ziphash",
            "a.b/@v/V1.0.0.mod",
            "../@v/v1.0.0.mod",
        ] {
            assert_eq!(ProxyFile::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), like in "[a-z.!%21]{1,9}/@v/v1[.0-9]{1,6}(mod|zip)") {
            for text in [text, like] {
                if let Some(file) = ProxyFile::parse(&text) {
                    let again = file.relative_path().unwrap();
                    prop_assert_eq!(ProxyFile::parse(again.to_str().unwrap()), Some(file));
                }
            }
        }
    }
}
