// SPDX-License-Identifier: MIT OR Apache-2.0
//! GODEBUG: `NAME=VALUE` between commas; of two for one name the last counts (package internal/godebug).

/// The value of a name.
pub(super) fn value<'a>(godebug: &'a str, name: &str) -> Option<&'a str> {
    godebug
        .rsplit(',')
        .filter_map(|entry| entry.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts() {
        let text = "tlsmlkem=1,netdns=go+1,tlsmlkem=0,odd";
        assert_eq!(value(text, "tlsmlkem"), Some("0"));
        assert_eq!(value(text, "netdns"), Some("go+1"));
        assert_eq!(value(text, "odd"), None);
        assert_eq!(value("", "a"), None);
    }
}
