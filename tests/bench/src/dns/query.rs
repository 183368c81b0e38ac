// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of queries and answers, as few as the measurement needs.

/// Bytes of a header.
const HEADER_LEN: usize = 12;

/// A query for the address of `name`.
pub(super) fn address_of(name: &str, id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    // Recursion desired, one question.
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// The answer to a query: one address for A, else nothing; for an hour. `None` if it asks nothing.
pub(super) fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut at = HEADER_LEN;
    loop {
        let len = usize::from(*query.get(at)?);
        at += 1 + len;
        if len == 0 {
            break;
        }
    }
    let end = at + 4;
    let wants_address = query.get(at..end)? == [0, 1, 0, 1];
    let mut answer = query[..end].to_vec();
    // An answer, recursion available; the OPT record is left out.
    answer[2] |= 0x80;
    answer[3] = 0x80;
    answer[6..HEADER_LEN].fill(0);
    if wants_address {
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 127, 0, 0, 9]);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_answered_under_its_number_with_its_question() {
        let query = address_of("known.example", 0x1234);
        let answer = answer(&query).unwrap();
        assert_eq!(answer[..2], query[..2]);
        assert_eq!(answer[12..query.len()], query[12..]);
        assert_eq!(answer[query.len() + 12..], [127, 0, 0, 9]);
    }

    #[test]
    fn what_asks_nothing_is_not_answered() {
        let query = address_of("known.example", 1);
        for len in 0..query.len() {
            assert_eq!(answer(&query[..len]), None);
        }
    }
}
