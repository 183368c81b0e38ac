// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order the addresses of a host are tried, and which of them failed lately.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long an address is tried after all others once it failed; doubled with each further failure.
const AVOIDED: Duration = Duration::from_secs(30);
/// The most doublings: an address is avoided for 8 minutes at most.
const DOUBLINGS: u32 = 4;

#[derive(Clone, Copy, Debug)]
struct Failure {
    until: Instant,
    times: u32,
}

/// The addresses that failed lately.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    failures: Mutex<HashMap<SocketAddr, Failure>>,
}

impl AddressBook {
    /// `address` did not do what it should.
    pub(super) fn failed(&self, address: SocketAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = failures.entry(address).or_insert(Failure {
            until: Instant::now(),
            times: 0,
        });
        failure.until = Instant::now() + AVOIDED * 2_u32.pow(failure.times.min(DOUBLINGS));
        failure.times += 1;
    }

    /// `address` answered.
    pub(super) fn answered(&self, address: SocketAddr) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&address);
    }

    /// The order to try `addresses` in: healthy ones first, the two families in turn (IPv6 first, RFC 8305 section 4),
    /// then those that failed, the one that is avoided for the shortest time first.
    pub(super) fn order(&self, addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut six, mut four, mut avoided) = (Vec::new(), Vec::new(), Vec::new());
        for address in addresses {
            let address = SocketAddr::new(address.to_canonical(), port);
            if six.contains(&address)
                || four.contains(&address)
                || avoided.iter().any(|(_, known)| *known == address)
            {
                continue;
            }
            match failures.get(&address) {
                Some(failure) if failure.until > now => avoided.push((failure.until, address)),
                _ if address.is_ipv6() => six.push(address),
                _ => four.push(address),
            }
        }
        // An address whose last failure is long ago starts anew.
        failures.retain(|_, failure| failure.until + AVOIDED * 2_u32.pow(DOUBLINGS) > now);
        avoided.sort_unstable();
        let longer = six.len().max(four.len());
        let mut order = Vec::with_capacity(addresses.len());
        for index in 0..longer {
            order.extend(six.get(index));
            order.extend(four.get(index));
        }
        order.extend(avoided.into_iter().map(|(_, address)| address));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn ordered(book: &AddressBook, list: &[&str]) -> Vec<String> {
        book.order(&ips(list), 443)
            .iter()
            .map(|address| address.ip().to_string())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn families_take_turns_and_repeats_count_once() {
        let book = AddressBook::default();
        let all = [
            "198.18.0.1",
            "198.18.0.2",
            "198.18.0.1",
            "2001:2::1",
            "198.18.0.3",
            "2001:2::2",
        ];
        let expected = [
            "2001:2::1",
            "198.18.0.1",
            "2001:2::2",
            "198.18.0.2",
            "198.18.0.3",
        ];
        assert_eq!(ordered(&book, &all), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_addresses_are_tried_last_for_a_while() {
        let book = AddressBook::default();
        let both = ["2001:2::1", "198.18.0.1"];
        book.failed("[2001:2::1]:443".parse().unwrap());
        assert_eq!(ordered(&book, &both), ["198.18.0.1", "2001:2::1"]);
        tokio::time::advance(AVOIDED).await;
        assert_eq!(ordered(&book, &both), both);
        book.failed("[2001:2::1]:443".parse().unwrap());
        tokio::time::advance(AVOIDED).await;
        assert_eq!(
            ordered(&book, &both),
            ["198.18.0.1", "2001:2::1"],
            "avoided for longer the second time"
        );
        book.answered("[2001:2::1]:443".parse().unwrap());
        assert_eq!(ordered(&book, &both), both);
    }

    #[tokio::test(start_paused = true)]
    async fn another_port_is_another_address() {
        let book = AddressBook::default();
        book.failed("[2001:2::1]:80".parse().unwrap());
        assert_eq!(
            ordered(&book, &["198.18.0.1", "2001:2::1"]),
            ["2001:2::1", "198.18.0.1"]
        );
    }
}
