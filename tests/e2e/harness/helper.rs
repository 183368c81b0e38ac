// SPDX-License-Identifier: MIT OR Apache-2.0
//! The test executable as a program to be traced: it opens TCP connections, which no shell can be relied on to do.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

const TO: &str = "--connect-to";
const TO_OURSELVES: &str = "--connect-to-ourselves";

/// Words of a command that opens one connection to `address` and reads it to its end.
pub(crate) fn to(address: std::net::SocketAddr) -> [String; 3] {
    [own_path(), TO.to_owned(), address.to_string()]
}

/// Words of a command that opens `count` connections to a listener of its own, one after the other.
pub(crate) fn to_ourselves(count: usize) -> [String; 3] {
    [own_path(), TO_OURSELVES.to_owned(), count.to_string()]
}

fn own_path() -> String {
    let path = std::env::current_exe().unwrap();
    path.to_str().unwrap().to_owned()
}

/// True if this process is the helper, not the test run.
pub(crate) fn is_asked_for() -> bool {
    std::env::args()
        .nth(1)
        .is_some_and(|word| word == TO || word == TO_OURSELVES)
}

/// Does what the words say.
pub(crate) fn run() -> ExitCode {
    let words = std::env::args().skip(1).collect::<Vec<_>>();
    if words[0] == TO {
        TcpStream::connect(words[1].as_str())
            .unwrap()
            .read_to_end(&mut Vec::new())
            .unwrap();
        return ExitCode::SUCCESS;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..words[1].parse::<usize>().unwrap() {
        // The backlog takes it: no second thread is needed.
        let stream = TcpStream::connect(address).unwrap();
        drop(listener.accept().unwrap());
        drop(stream);
    }
    ExitCode::SUCCESS
}
