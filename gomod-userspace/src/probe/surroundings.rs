// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine says of names and ways: nameservers, /etc/hosts, HTTP proxy.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use super::{Host, ProbeError};
use crate::golang::http_proxy::{HttpProxyProtocol, HttpProxySettings, TargetScheme};

/// As many as resolv.conf(5) lets a resolver use.
const NAMESERVERS: usize = 3;

/// The system's nameservers, in their order.
pub fn nameservers() -> Result<Vec<IpAddr>, ProbeError> {
    let (configuration, _) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|error| ProbeError::Nameservers(error.to_string()))?;
    let mut found: Vec<IpAddr> = Vec::new();
    for server in configuration.name_servers() {
        if !found.contains(&server.ip) {
            found.push(server.ip);
        }
    }
    found.truncate(NAMESERVERS);
    if found.is_empty() {
        return Err(ProbeError::Nameservers("it names no nameserver".to_owned()));
    }
    Ok(found)
}

/// Addresses that /etc/hosts has for a name: `go` asks nobody else then.
pub fn in_hosts_file(name: &str) -> Vec<IpAddr> {
    fs::read_to_string("/etc/hosts").map_or_else(|_| Vec::new(), |text| read_hosts(&text, name))
}

fn read_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|word| word.eq_ignore_ascii_case(name))
                .then_some(address)
        })
        .collect()
}

/// An HTTP proxy to go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `HOST:PORT`, without credentials.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Value of `Proxy-Authorization`; a secret.
    pub authorization: Option<String>,
}

/// The proxy that `go` would use for this host, from the caller's variables.
pub async fn proxy_for<'a>(
    host: &Host,
    variable: impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<Proxy>, ProbeError> {
    let settings = HttpProxySettings::from_variables(variable)?;
    let Some(proxy) = settings.proxy_for(TargetScheme::Https, &host.name, host.port) else {
        return Ok(None);
    };
    let kind = match proxy.protocol {
        HttpProxyProtocol::Http => None,
        HttpProxyProtocol::Https => Some("https"),
        HttpProxyProtocol::Socks5 => Some("socks5"),
    };
    if let Some(kind) = kind {
        return Err(ProbeError::ProxyKind { kind });
    }
    let name = format!("{}:{}", proxy.host, proxy.port);
    let unresolved = |why: String| ProbeError::ProxyName {
        proxy: name.clone(),
        why,
    };
    let bare = proxy.host.trim_start_matches('[').trim_end_matches(']');
    let address = tokio::net::lookup_host((bare, proxy.port))
        .await
        .map_err(|error| unresolved(error.to_string()))?
        .next()
        .ok_or_else(|| unresolved("it has no address".to_owned()))?;
    Ok(Some(Proxy {
        address,
        authorization: proxy.authorization(),
        name,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_is_read_as_hosts_5_says() {
        let text = "127.0.0.1 localhost # a.example\n198.18.2.1\ta.example A.alias\n2001:2::1 b.example a.example\nnonsense a.example\n";
        let expected: [IpAddr; 2] = ["198.18.2.1".parse().unwrap(), "2001:2::1".parse().unwrap()];
        assert_eq!(read_hosts(text, "a.example"), expected);
        assert_eq!(read_hosts(text, "a.ALIAS"), expected[..1]);
        assert!(read_hosts(text, "c.example").is_empty());
    }

    #[tokio::test]
    async fn the_proxy_of_the_variables_is_found_and_odd_kinds_are_refused() {
        let host: Host = "a.example".parse().unwrap();
        let with = |value: &'static str| move |name: &str| (name == "HTTPS_PROXY").then_some(value);
        let found = proxy_for(&host, with("http://u:p@127.0.0.1:3128"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.name.as_str(), found.address.port()),
            ("127.0.0.1:3128", 3128)
        );
        assert!(found.authorization.is_some());
        assert_eq!(proxy_for(&host, |_| None).await.unwrap(), None);
        let refused = proxy_for(&host, with("socks5://127.0.0.1:1080"))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("--direct"), "{refused}");
    }
}
