// SPDX-License-Identifier: MIT OR Apache-2.0
//! Downloads that are continued (RFC 9110 section 14): a range from some byte to the end. Others are ignored, as a server may.

use bytes::Bytes;
use http::{HeaderMap, header};

/// The first byte wanted of a file of `total` bytes that is known by `tag`; `None` for the whole.
pub(super) fn first_byte(headers: &HeaderMap, tag: &str, total: u64) -> Option<u64> {
    let text = |name| headers.get(name)?.to_str().ok();
    let same = text(header::IF_RANGE).is_none_or(|wanted| wanted == tag);
    let first = text(header::RANGE)?
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()?;
    (same && (1..total).contains(&first)).then_some(first)
}

/// What follows the first `bytes`.
pub(super) fn skip(pieces: Vec<Bytes>, bytes: u64) -> Vec<Bytes> {
    let mut left = bytes as usize;
    pieces
        .into_iter()
        .map(|mut piece| {
            let skipped = left.min(piece.len());
            left -= skipped;
            piece.split_off(skipped)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &str, condition: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(condition) = condition {
            headers.insert(header::IF_RANGE, condition.parse().unwrap());
        }
        first_byte(&headers, "\"a\"", 100)
    }

    #[test]
    fn the_rest_is_given_of_the_same_file_only() {
        assert_eq!(asked("bytes=40-", None), Some(40));
        assert_eq!(asked("bytes=40-", Some("\"a\"")), Some(40));
        assert_eq!(asked("bytes=40-", Some("\"b\"")), None);
        for ignored in ["bytes=40-50", "bytes=-5", "bytes=100-", "lines=1-"] {
            assert_eq!(asked(ignored, None), None, "{ignored}");
        }
    }

    #[test]
    fn what_is_skipped_is_gone_across_pieces() {
        let pieces = [&b"abc"[..], b"def", b"ghi"]
            .map(Bytes::from_static)
            .to_vec();
        assert_eq!(skip(pieces, 4).concat(), b"efghi");
    }
}
