// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/etc/resolv.conf`: which nameservers a process asks, in which order.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use resolv_conf::ScopedIp;

/// Where it is.
pub const PATH: &str = "/etc/resolv.conf";
/// Port of DNS over UDP and TCP (RFC 1035 section 4.2).
const PORT: u16 = 53;
/// How many nameservers resolvers take from the file (`MAXNS` in resolv.conf(5); Go's dnsconfig takes as many).
const MAX_SERVERS: usize = 3;
/// How often a followed file is looked at. Go looks every 5 seconds.
const LOOK: Duration = Duration::from_secs(1);

/// What resolv.conf says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The nameservers, in order, each once.
    pub nameservers: Vec<SocketAddr>,
    /// Domains that short names are tried in.
    pub search: Vec<String>,
    /// Names with at least this many dots are tried as they are first.
    pub ndots: usize,
}

impl Default for ResolvConf {
    /// What resolvers do without the file: ask this machine (resolv.conf(5)).
    fn default() -> Self {
        Self {
            nameservers: vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT)],
            search: Vec::new(),
            ndots: 1,
        }
    }
}

impl ResolvConf {
    /// Reads the text of a file. Lines that nobody understands are passed over, as resolvers do.
    pub fn parse(text: &[u8]) -> Self {
        let (config, errors) = resolv_conf::Config::parse_with_errors(text);
        for error in errors {
            tracing::debug!("resolv.conf: {error}");
        }
        let mut nameservers = Vec::new();
        for server in &config.nameservers {
            if let Some(server) = socket_address(server)
                && !nameservers.contains(&server)
                && nameservers.len() < MAX_SERVERS
            {
                nameservers.push(server);
            }
        }
        let mut conf = Self {
            search: config
                .get_last_search_or_domain()
                .map(|domain| domain.trim_end_matches('.').to_owned())
                .filter(|domain| !domain.is_empty())
                .collect(),
            ndots: config.ndots as usize,
            ..Self::default()
        };
        if !nameservers.is_empty() {
            conf.nameservers = nameservers;
        }
        conf
    }

    /// Reads a file; one that is not there is as good as an empty one.
    pub fn load(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }
}

fn socket_address(server: &ScopedIp) -> Option<SocketAddr> {
    Some(match server {
        ScopedIp::V4(address) => SocketAddr::new(IpAddr::V4(*address), PORT),
        ScopedIp::V6(address, None) => SocketAddr::new(IpAddr::V6(*address).to_canonical(), PORT),
        ScopedIp::V6(address, Some(interface)) => {
            // Without the interface a link-local address leads nowhere.
            let scope = interface
                .parse()
                .ok()
                .or_else(|| interface_index(interface))?;
            SocketAddr::V6(SocketAddrV6::new(*address, PORT, 0, scope))
        }
    })
}

fn interface_index(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// A file whose changes are told.
#[derive(Debug)]
pub struct Followed {
    path: PathBuf,
    stamp: Option<Stamp>,
    current: ResolvConf,
}

impl Followed {
    /// Reads `path` and remembers its state.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let stamp = stamp(&path);
        let current = ResolvConf::load(&path)?;
        Ok(Self {
            path,
            stamp,
            current,
        })
    }

    /// As it was last read.
    pub fn current(&self) -> &ResolvConf {
        &self.current
    }

    /// Waits until the file says something else than before. Nothing is lost if the waiting is cancelled. A file that
    /// can't be read for the moment has not changed.
    pub async fn changed(&mut self) -> &ResolvConf {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.look() {
                return &self.current;
            }
        }
    }

    fn look(&mut self) -> bool {
        let stamp = stamp(&self.path);
        if stamp == self.stamp {
            return false;
        }
        let Ok(read) = ResolvConf::load(&self.path) else {
            return false;
        };
        self.stamp = stamp;
        let changed = read != self.current;
        self.current = read;
        changed
    }
}

/// `None` if there is no such file.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_keep_their_order_and_count_once() {
        let conf = ResolvConf::parse(
            b"# made by hand\nsearch corp.example. lab.example\nnameserver 127.0.0.53\nnameserver 2001:db8::1\n\
              nameserver 127.0.0.53\nnameserver ::ffff:192.0.2.7\nnameserver 192.0.2.8\noptions ndots:2 nonsense\n",
        );
        let servers = conf.nameservers.iter().map(ToString::to_string);
        assert_eq!(
            servers.collect::<Vec<_>>(),
            ["127.0.0.53:53", "[2001:db8::1]:53", "192.0.2.7:53"],
            "no more than resolvers take"
        );
        assert_eq!(conf.search, ["corp.example", "lab.example"]);
        assert_eq!(conf.ndots, 2);
    }

    #[test]
    fn link_local_servers_keep_their_interface() {
        let conf = ResolvConf::parse(b"nameserver fe80::1%lo\nnameserver fe80::2%7\n");
        let scopes = conf.nameservers.iter().map(|server| match server {
            SocketAddr::V6(server) => server.scope_id(),
            SocketAddr::V4(_) => panic!("{server}"),
        });
        assert_eq!(scopes.collect::<Vec<_>>(), [1, 7]);
    }

    #[test]
    fn without_servers_this_machine_is_asked() {
        for text in ["", "nameserver\n", "nameserver not-an-address\n", "\0\u{1}"] {
            let conf = ResolvConf::parse(text.as_bytes());
            assert_eq!(conf.nameservers, ResolvConf::default().nameservers);
        }
        let none = ResolvConf::load(Path::new("/nonexistent/resolv.conf")).unwrap();
        assert_eq!(none, ResolvConf::default());
    }

    #[test]
    fn a_file_replaced_by_another_is_seen_and_one_that_says_the_same_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        let mut followed = Followed::new(&path).unwrap();
        assert!(!followed.look());
        let new = directory.path().join("new");
        fs::write(&new, "# again\nnameserver 192.0.2.1\n").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(!followed.look());
        fs::write(&new, "nameserver 192.0.2.22\n").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(followed.look());
        assert_eq!(
            followed.current().nameservers,
            ["192.0.2.22:53".parse().unwrap()]
        );
        fs::remove_file(&path).unwrap();
        assert!(followed.look(), "then this machine is asked");
    }
}
