// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packets of a probe, each socket with the try that it was for.

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};

use crate::{
    kernel,
    probe::{conductor::Probed, witness::Witness},
    report::{
        create_stream,
        probe::{Capture, write_capture},
    },
};

/// Writes all packets that were kept to `path`. `worker` is the process whose they are.
pub(super) fn write_pcap(
    path: &Path,
    witness: &Witness,
    hosts: &[Probed],
    worker: Option<u32>,
) -> Result<()> {
    let process = worker.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    let captures: Vec<Capture<'_>> = witness
        .packets()
        .map(|(cookie, packets)| Capture {
            packets,
            comment: hosts
                .iter()
                .find_map(|host| {
                    let socket = host
                        .sockets
                        .iter()
                        .find(|socket| socket.cookie == cookie.0)?;
                    Some(format!(
                        "process gomod-trace probe-worker{process}; {}; {}; verdict of {}: {}",
                        socket.arm.named(&host.experiment.resolvers),
                        socket.ending.failure_word().unwrap_or("passed"),
                        host.host,
                        host.findings
                            .first()
                            .map_or("none", |finding| finding.verdict.token()),
                    ))
                })
                .unwrap_or_else(|| format!("process gomod-trace probe-worker{process}")),
        })
        .collect();
    let summary = "Made of what kernel programs reported: SYN, SYN-ACK, FIN, RST, DNS, and the first 8 KiB sent and 2 KiB received of each connection. Windows, options and IP identification were not recorded and are zero.";
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let epoch = since_epoch.saturating_sub(Duration::from_nanos(kernel::now().0));
    let mut output = io::BufWriter::new(create_stream(path)?);
    write_capture(&mut output, &captures, summary, epoch)
        .with_context(|| format!("cannot write {}", path.display()))
}
