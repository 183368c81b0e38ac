// SPDX-License-Identifier: MIT OR Apache-2.0
//! The settings in effect for a run or for one process, read from where `go` itself reads them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    accelerator::upstream::{HttpProxy, Via},
    golang::{
        BuildInfo, GoVersion, Settings,
        http_proxy::{HttpProxyProtocol, TargetScheme},
        settings::{EnvFile, Environment, Sources, paths},
    },
    launch::Invoker,
};

/// A file of settings larger than this is none.
const LARGEST: u64 = 1 << 20;

/// Settings and the environment that they come from.
pub(super) struct Effective {
    pub(super) settings: Settings,
    pub(super) environment: Environment,
}

/// The settings of the `go` that the command will find first.
pub(super) fn of_run(invoker: &Invoker) -> anyhow::Result<Effective> {
    let environment =
        Environment::from_entries(invoker.environment.iter().map(|entry| entry.to_bytes()));
    let go = environment
        .get("PATH")
        .into_iter()
        .flat_map(|path| path.split(|byte| *byte == b':'))
        .map(|directory| Path::new(OsStr::from_bytes(directory)).join("go"))
        .find_map(|file| file.canonicalize().ok().filter(|file| file.is_file()))
        .context("no `go` on the caller's PATH")?;
    let version = File::open(&go)
        .ok()
        .and_then(|file| BuildInfo::read(&file).ok())
        .filter(BuildInfo::is_go_command)
        .and_then(|info| GoVersion::of_toolchain(&info.go_version));
    effective(environment, &go, version.as_ref())
}

/// The settings of a process from its own environment.
pub(super) fn effective(
    environment: Environment,
    executable: &Path,
    version: Option<&GoVersion>,
) -> anyhow::Result<Effective> {
    let user_file = paths::user_file(&environment).map_or(EnvFile::Missing, env_file);
    let goroot = paths::goroot(&environment, &user_file, executable)
        .into_iter()
        .find(|candidate| candidate.certain || candidate.directory.join("pkg/tool").is_dir());
    let goroot_file = goroot.map_or(EnvFile::Missing, |goroot| {
        env_file(goroot.directory.join("go.env"))
    });
    let settings = Settings::effective(&Sources {
        environment: &environment,
        user_file: &user_file,
        goroot_file: &goroot_file,
        go_version: version,
    })?;
    Ok(Effective {
        settings,
        environment,
    })
}

fn env_file(path: PathBuf) -> EnvFile {
    match read_bounded(&path) {
        Ok(bytes) => EnvFile::Content { bytes },
        Err(error) if error.kind() == io::ErrorKind::NotFound => EnvFile::Missing,
        Err(error) => EnvFile::Unreadable {
            reason: error.to_string(),
            path,
        },
    }
}

/// A regular file of a size that such files have; nothing that could block.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::other("not a regular file of at most 1 MiB"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The way of a process to its module hosts: directly, or through the HTTP proxy that its settings name. An error if that is
/// a proxy whose connections can't be taken over.
pub(super) fn via(settings: &Settings) -> anyhow::Result<Via> {
    let rules = settings.http_proxy.clone();
    for (host, port) in settings.module_hosts() {
        let proxy = rules.proxy_for(TargetScheme::Https, &host, port);
        anyhow::ensure!(
            proxy.is_none_or(|proxy| proxy.protocol == HttpProxyProtocol::Http),
            "HTTPS_PROXY names a proxy that is itself spoken to by TLS or SOCKS: what goes through it is not carried"
        );
    }
    Ok(Via::chosen_by(move |url| {
        let port = url.port_or_known_default()?;
        let proxy = rules.proxy_for(TargetScheme::Https, url.host_str()?, port)?;
        HttpProxy::new(&proxy.host, proxy.port, proxy.authorization().as_deref())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via_of(entries: &[&str]) -> anyhow::Result<Via> {
        let known = ["GOPROXY=https://m.test,direct", "GOSUMDB=sum.golang.org"];
        let entries = known.iter().chain(entries).map(|entry| entry.as_bytes());
        let settings = Settings::effective(&Sources {
            environment: &Environment::from_entries(entries),
            user_file: &EnvFile::Missing,
            goroot_file: &EnvFile::Missing,
            go_version: None,
        })?;
        via(&settings)
    }

    #[test]
    fn proxies_that_cannot_be_taken_over_are_left_alone() {
        for proxy in ["socks5://p.test:1080", "https://p.test"] {
            let set = format!("HTTPS_PROXY={proxy}");
            let refused = via_of(&[&set]).unwrap_err().to_string();
            assert!(refused.contains("TLS or SOCKS"), "{refused}");
            // Where no module host is behind it, it does not matter.
            via_of(&[&set, "NO_PROXY=m.test,sum.golang.org"]).unwrap();
        }
        via_of(&["HTTPS_PROXY=http://p.test:3128"]).unwrap();
        via_of(&[]).unwrap();
    }
}
