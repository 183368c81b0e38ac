// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is tried after what: cheap arms first, and none whose answer is already known.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    ProbeError,
    arm::{Arm, Hello, Side},
    conductor::{ANSWER_LIMIT, Conductor},
    inference::{Experiment, control_beside},
    task::{Ending, Failure},
    work::Work,
};
use crate::nameserver::DnsServer;

/// A whole handshake or a request takes several round trips, and work of the server.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(5);

impl Conductor<'_> {
    /// Every nameserver, by UDP and TCP, for the host and the control.
    pub(super) async fn resolve(
        &mut self,
        work: &mut Work<'_>,
        nameservers: &[IpAddr],
        target: bool,
    ) -> Result<(), ProbeError> {
        let mut arms = Vec::new();
        for server in nameservers {
            let mut add = |of, tcp, v6| {
                arms.push(Arm::Dns {
                    of,
                    tcp,
                    v6,
                    server: *server,
                });
            };
            for v6 in [false, true] {
                add(Side::Control, false, v6);
                if target {
                    add(Side::Target, false, v6);
                }
            }
            if target {
                add(Side::Target, true, false);
            }
        }
        self.run(work, "names", &arms).await?;
        let unreachable = work.done.iter().all(|(_, done, _)| {
            matches!(
                done.ending,
                Ending::Failed(Failure::DnsUnreachable {
                    errno: libc::ENETUNREACH
                })
            )
        });
        if unreachable && !work.done.is_empty() {
            return Err(ProbeError::NoNetwork {
                why: std::io::Error::from_raw_os_error(libc::ENETUNREACH).to_string(),
            });
        }
        Ok(())
    }

    /// Every resolver that is asked encrypted, for the host and the control: last, as one that is dead takes its time.
    pub(super) async fn ask_encrypted(
        &mut self,
        work: &mut Work<'_>,
        resolvers: &[DnsServer],
    ) -> Result<(), ProbeError> {
        let mut arms = Vec::new();
        for (resolver, server) in resolvers.iter().enumerate() {
            let https = matches!(server, DnsServer::Https { .. });
            for v6 in [false, true] {
                arms.extend([Side::Control, Side::Target].map(|of| Arm::Encrypted {
                    of,
                    https,
                    v6,
                    resolver,
                }));
            }
        }
        self.run(work, "encrypted names", &arms).await
    }

    /// Connections that carry nothing, to every address.
    pub(super) async fn connect(
        &mut self,
        work: &mut Work<'_>,
        experiment: &Experiment,
    ) -> Result<(), ProbeError> {
        let mut arms: Vec<Arm> = experiment
            .targets
            .iter()
            .map(|address| Arm::Tcp {
                at: Side::Target,
                address: *address,
            })
            .collect();
        for target in &experiment.targets {
            if let Some(address) = experiment.control_beside(*target) {
                let arm = Arm::Tcp {
                    at: Side::Control,
                    address,
                };
                if !arms.contains(&arm) {
                    arms.push(arm);
                }
            }
        }
        self.run(work, "connections", &arms).await?;
        let slowest = work
            .done
            .iter()
            .filter_map(|(_, done, _)| done.connect_us)
            .max()
            .map_or(Duration::ZERO, Duration::from_micros);
        // A lost SYN counts a second and more: that is no round trip.
        work.limit = ANSWER_LIMIT + 5 * slowest.min(Duration::from_millis(600));
        Ok(())
    }

    /// Hellos: as `go` sends them, everywhere; then the matrix where that fails, or at the first address.
    pub(super) async fn greet(
        &mut self,
        work: &mut Work<'_>,
        experiment: &mut Experiment,
    ) -> Result<(), ProbeError> {
        let open: Vec<SocketAddr> = experiment
            .targets
            .iter()
            .copied()
            .filter(|address| {
                !work
                    .fate(Arm::Tcp {
                        at: Side::Target,
                        address: *address,
                    })
                    .fails()
            })
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let hello = |kind, address| Arm::Hello { kind, address };
        // All that does not hold the target's name comes before what does: some filters block an address for a while
        // after it.
        let mut clean = Vec::new();
        for target in &open {
            clean.extend([Hello::ControlName, Hello::NoName].map(|kind| hello(kind, *target)));
            clean.push(Arm::NonTls { address: *target });
            for kind in [Hello::Control, Hello::ControlSmall, Hello::NoNameAtControl] {
                if let Some(address) = control_beside(&experiment.controls, *target) {
                    let arm = hello(kind, address);
                    if !clean.contains(&arm) {
                        clean.push(arm);
                    }
                }
            }
        }
        self.run(work, "control", &clean).await?;
        let base: Vec<Arm> = open
            .iter()
            .map(|address| hello(Hello::Go, *address))
            .collect();
        self.run(work, "hello", &base).await?;
        let fails = |address: &SocketAddr| !work.fate(hello(Hello::Go, *address)).passes();
        let matrix = open.iter().copied().find(fails).unwrap_or(open[0]);
        experiment.matrix = Some(matrix);
        let arms: Vec<Arm> = Hello::MATRIX
            .into_iter()
            .filter(|kind| kind.name() == Some(Side::Target))
            .filter_map(|kind| match kind.at() {
                Side::Target => Some(hello(kind, matrix)),
                Side::Control => {
                    control_beside(&experiment.controls, matrix).map(|address| hello(kind, address))
                }
            })
            .collect();
        self.run(work, "matrix", &arms).await
    }

    /// Whole handshakes and a file, where hellos are answered.
    pub(super) async fn transfer(
        &mut self,
        work: &mut Work<'_>,
        experiment: &Experiment,
    ) -> Result<(), ProbeError> {
        let answers = |address: &SocketAddr| {
            [Hello::Go, Hello::Small].into_iter().any(|kind| {
                work.fate(Arm::Hello {
                    kind,
                    address: *address,
                })
                .passes()
            })
        };
        let Some(address) = experiment
            .matrix
            .filter(answers)
            .or_else(|| experiment.targets.iter().copied().find(answers))
        else {
            return Ok(());
        };
        let limit = work.limit;
        work.limit = limit.max(EXCHANGE_LIMIT);
        self.run(work, "handshake", &[Arm::Handshake { address }])
            .await?;
        if work.fate(Arm::Handshake { address }).passes() {
            self.run(work, "transfer", &[Arm::Download { address }])
                .await?;
        }
        work.limit = limit;
        Ok(())
    }
}
