// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sends a hello, or something else, or nothing, and says what came back.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    super::task::{Ending, Failure, Piece, Route},
    Trace, broken,
    dial::dial,
};
use crate::wire::{
    Parsed,
    tls::{Alert, ServerHello},
};

/// Between two pieces: long enough that they leave as two segments, short enough that no server loses patience.
const BETWEEN_PIECES: Duration = Duration::from_millis(25);
/// What is read of an answer: more than any `ServerHello`.
const ANSWER: usize = 8 * 1024;

/// Connects and sends nothing.
pub(super) async fn idle(
    route: &Route,
    hold: Duration,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Ending, Failure> {
    let mut stream = dial(route, limit, trace).await?;
    let began = Instant::now();
    let mut byte = [0];
    let Ok(read) = timeout(hold, stream.read(&mut byte)).await else {
        // What it took is what the connection took.
        return Ok(Ending::Quiet);
    };
    trace.took = began.elapsed();
    match read {
        Ok(0) => Err(Failure::Closed),
        Ok(_) => Ok(Ending::NotTls {
            beginning: printable(&byte),
        }),
        Err(error) => Err(broken(&error)),
    }
}

/// Sends the pieces and waits for what comes back.
pub(super) async fn send(
    route: &Route,
    pieces: &[Piece],
    expects_hello: bool,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Ending, Failure> {
    let mut stream = dial(route, limit, trace).await?;
    let mut began = Instant::now();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            sleep(BETWEEN_PIECES).await;
        }
        began = Instant::now();
        if let Err(error) = stream.write_all(&piece.0).await {
            trace.took = began.elapsed();
            return Err(broken(&error));
        }
    }
    let answered = timeout(limit, answer(&mut stream, expects_hello)).await;
    trace.took = began.elapsed();
    let ending = answered.unwrap_or(Err(Failure::Timeout));
    match ending {
        // Whatever a server makes of it, it was reached.
        Ok(_) | Err(Failure::Closed) if !expects_hello => Ok(Ending::Quiet),
        ending => ending,
    }
}

async fn answer(stream: &mut TcpStream, expects_hello: bool) -> Result<Ending, Failure> {
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let read = stream
            .read_buf(&mut bytes)
            .await
            .map_err(|error| broken(&error))?;
        let ended = read == 0;
        if let Some(ending) = classify(&bytes, ended || bytes.len() >= ANSWER || !expects_hello) {
            return Ok(ending);
        }
        if ended {
            return Err(Failure::Closed);
        }
    }
}

/// What the beginning of an answer is; `None` if more has to come, or nothing came at all.
fn classify(bytes: &[u8], last: bool) -> Option<Ending> {
    if bytes.is_empty() {
        return None;
    }
    match ServerHello::parse(bytes) {
        Ok(Parsed::Complete { value, .. }) if value.whole || last => {
            return Some(Ending::ServerHello {
                version: value.version,
            });
        }
        Ok(_) if !last => return None,
        _ => {}
    }
    match Alert::parse(bytes) {
        Ok(Parsed::Complete { value, .. }) => Some(Ending::Alert {
            code: value.code,
            description: value.description,
        }),
        Ok(Parsed::Incomplete { .. }) if !last => None,
        _ => Some(Ending::NotTls {
            beginning: printable(bytes),
        }),
    }
}

fn printable(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_however_they_are_cut() {
        let alert = [21, 3, 3, 0, 2, 2, 40];
        for end in 1..alert.len() {
            assert_eq!(classify(&alert[..end], false), None, "{end} bytes");
        }
        assert!(matches!(
            classify(&alert, false),
            Some(Ending::Alert { code: 40, .. })
        ));
        let page = b"HTTP/1.1 403 Forbidden\r\n";
        assert!(matches!(
            classify(page, false),
            Some(Ending::NotTls { beginning }) if beginning.starts_with("HTTP/1.1 403")
        ));
        assert_eq!(classify(b"", true), None);
        let whole = include_bytes!("../../wire/testdata/server_hello_openssl_tls13.bin");
        assert!(matches!(
            classify(whole, false),
            Some(Ending::ServerHello { version: Some(version) }) if version == "1.3"
        ));
        assert_eq!(classify(&whole[..20], false), None);
    }
}
