// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file is known by while it is fetched in pieces: its length, validator and encoding.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};

/// A date vouches for a file only if the response was made this much later (RFC 9110 section 8.8.2.2 asks for a second,
/// its predecessor for a minute).
const DATE_MARGIN: Duration = Duration::from_secs(60);

/// What the first response said about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    length: Option<u64>,
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
    modified_long_ago: bool,
    encoding: Option<HeaderValue>,
}

/// How a further response continues the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continuation {
    /// From where it broke off. The length of the whole file, if either response says it.
    Here(Option<u64>),
    /// From the start, if what was received already turns out to be the same.
    FromStart,
    /// It's another file by now.
    Changed,
    /// It promises a part that was not asked for.
    WrongPart,
    /// It has no part of the file: an error of the host.
    Nothing,
}

impl Entity {
    /// What the headers of a response say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
        let modified_long_ago = match (date(header::LAST_MODIFIED), date(header::DATE)) {
            (Some(modified), Some(made)) => made
                .duration_since(modified)
                .is_ok_and(|age| age >= DATE_MARGIN),
            _ => false,
        };
        Self {
            length: number(headers.get(header::CONTENT_LENGTH)),
            etag: headers.get(header::ETAG).cloned(),
            modified: headers.get(header::LAST_MODIFIED).cloned(),
            modified_long_ago,
            encoding: headers.get(header::CONTENT_ENCODING).cloned(),
        }
    }

    /// What proves that the file is the same one (RFC 9110 section 13.1.5): a strong `ETag`, or an old enough date.
    pub(super) fn validator(&self) -> Option<&HeaderValue> {
        match &self.etag {
            Some(etag) if etag.as_bytes().starts_with(b"\"") => Some(etag),
            _ => self.modified.as_ref().filter(|_| self.modified_long_ago),
        }
    }

    /// How a response to "from `offset` on, if it's still the same" continues this file.
    pub(super) fn continued_by(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        offset: u64,
    ) -> Continuation {
        let other = Self::of(headers);
        match status {
            StatusCode::PARTIAL_CONTENT => {
                let Some(part) = headers.get(header::CONTENT_RANGE).and_then(part) else {
                    return Continuation::WrongPart;
                };
                let whole = self
                    .length
                    .zip(part.whole)
                    .is_none_or(|(expected, whole)| expected == whole);
                let inside = self
                    .length
                    .or(part.whole)
                    .is_none_or(|length| part.last < length);
                let promised = other
                    .length
                    .is_none_or(|promised| promised == part.last - part.first + 1);
                if differ(self.etag.as_ref(), other.etag.as_ref()) || !whole {
                    Continuation::Changed
                } else if part.first != offset
                    || !inside
                    || !promised
                    || self.encoding != other.encoding
                {
                    Continuation::WrongPart
                } else {
                    Continuation::Here(self.length.or(part.whole))
                }
            }
            StatusCode::OK => {
                let same = !differ(self.etag.as_ref(), other.etag.as_ref())
                    && self
                        .length
                        .zip(other.length)
                        .is_none_or(|(expected, length)| expected == length)
                    && self.encoding == other.encoding
                    && (self.etag.is_some()
                        || !differ(self.modified.as_ref(), other.modified.as_ref()));
                if same {
                    Continuation::FromStart
                } else {
                    Continuation::Changed
                }
            }
            _ => Continuation::Nothing,
        }
    }
}

fn differ(one: Option<&HeaderValue>, other: Option<&HeaderValue>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

fn number(value: Option<&HeaderValue>) -> Option<u64> {
    let text = value?.to_str().ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// `Content-Range: bytes FIRST-LAST/WHOLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    last: u64,
    whole: Option<u64>,
}

fn part(value: &HeaderValue) -> Option<Part> {
    let (range, whole) = value
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let whole = if whole == "*" {
        None
    } else {
        Some(whole.parse().ok()?)
    };
    (first <= last && last < u64::MAX).then_some(Part { first, last, whole })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;
    use proptest::prelude::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::try_from(*value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn only_strong_validators_vouch_for_a_file() {
        let with = |list: &[(&'static str, &str)]| Entity::of(&headers(list)).validator().cloned();
        assert_eq!(with(&[("etag", "\"a\"")]).unwrap(), "\"a\"");
        assert_eq!(with(&[("etag", "W/\"a\"")]), None);
        let (old, new) = (
            "Tue, 01 Jan 2030 00:00:00 GMT",
            "Tue, 01 Jan 2030 00:01:00 GMT",
        );
        assert_eq!(with(&[("last-modified", old), ("date", new)]).unwrap(), old);
        assert_eq!(
            with(&[("last-modified", old), ("date", old)]),
            None,
            "changed twice in that second, perhaps"
        );
        assert_eq!(with(&[("last-modified", new), ("date", old)]), None);
        assert_eq!(with(&[("last-modified", old)]), None);
        assert_eq!(
            with(&[("etag", "W/\"a\""), ("last-modified", old), ("date", new)]).unwrap(),
            old
        );
    }

    #[test]
    fn a_part_counts_only_if_it_is_the_one_asked_for() {
        use Continuation::{Changed, WrongPart};
        const HERE: Continuation = Continuation::Here(Some(100));
        let entity = Entity::of(&headers(&[("etag", "\"a\""), ("content-length", "100")]));
        for (list, expected) in [
            (
                vec![
                    ("content-range", "bytes 40-99/100"),
                    ("content-length", "60"),
                ],
                HERE,
            ),
            (vec![("content-range", "bytes 40-99/*")], HERE),
            (
                vec![
                    ("content-range", "bytes 40-79/100"),
                    ("content-length", "40"),
                ],
                HERE,
            ),
            (
                vec![("content-range", "bytes 40-99/100"), ("etag", "\"a\"")],
                HERE,
            ),
            (
                vec![("content-range", "bytes 40-99/100"), ("etag", "\"b\"")],
                Changed,
            ),
            (vec![("content-range", "bytes 40-109/110")], Changed),
            (vec![("content-range", "bytes 41-99/100")], WrongPart),
            (vec![("content-range", "bytes 0-99/100")], WrongPart),
            (vec![("content-range", "bytes 40-100/*")], WrongPart),
            (
                vec![
                    ("content-range", "bytes 40-99/100"),
                    ("content-length", "61"),
                ],
                WrongPart,
            ),
            (
                vec![
                    ("content-range", "bytes 40-99/100"),
                    ("content-encoding", "gzip"),
                ],
                WrongPart,
            ),
            (vec![("content-range", "bytes 99-40/100")], WrongPart),
            (vec![("content-range", "lines 40-99/100")], WrongPart),
            (
                vec![("content-type", "multipart/byteranges; boundary=x")],
                WrongPart,
            ),
        ] {
            let found = entity.continued_by(StatusCode::PARTIAL_CONTENT, &headers(&list), 40);
            assert_eq!(found, expected, "{list:?}");
        }
    }

    #[test]
    fn a_whole_response_counts_only_if_nothing_contradicts() {
        use Continuation::{Changed, FromStart};
        let entity = Entity::of(&headers(&[("etag", "\"a\""), ("content-length", "100")]));
        for (list, expected) in [
            (
                vec![("content-length", "100"), ("etag", "\"a\"")],
                FromStart,
            ),
            (vec![("content-length", "100")], FromStart),
            (vec![("etag", "\"a\"")], FromStart),
            (vec![("content-length", "101"), ("etag", "\"a\"")], Changed),
            (vec![("content-length", "100"), ("etag", "\"b\"")], Changed),
            (
                vec![("content-length", "100"), ("content-encoding", "gzip")],
                Changed,
            ),
        ] {
            assert_eq!(
                entity.continued_by(StatusCode::OK, &headers(&list), 40),
                expected,
                "{list:?}"
            );
        }
        for status in [
            StatusCode::NOT_FOUND,
            StatusCode::RANGE_NOT_SATISFIABLE,
            StatusCode::SERVICE_UNAVAILABLE,
        ] {
            assert_eq!(
                entity.continued_by(status, &headers(&[]), 40),
                Continuation::Nothing
            );
        }
    }

    proptest! {
        #[test]
        fn no_content_range_panics(text in "(bytes )?[0-9]{0,21}-?[0-9]{0,21}/?[0-9*]{0,21}") {
            let value = HeaderValue::try_from(text).unwrap();
            if let Some(part) = part(&value) {
                prop_assert!(part.first <= part.last);
            }
        }
    }
}
