// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults as text, both ways.

use std::fmt;
use std::str::FromStr;

use super::{Amount, CATALOGUE, Fault, FaultKind, Pattern, RefusedWith};
use crate::LabError;
use crate::addresses::Family;
use crate::units::{parse_bytes, parse_duration};

impl FromStr for Fault {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let refuse = |why: String| LabError::Fault {
            text: text.to_owned(),
            why,
        };
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, argument) = first
            .split_once('=')
            .map_or((first, None), |(name, argument)| (name, Some(argument)));
        let entry = CATALOGUE
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| refuse(format!("there is no fault named {name:?}")))?;
        let mut fault = Self::from(match argument {
            None => entry.usual,
            Some(argument) => with_argument(entry.usual, argument).map_err(refuse)?,
        });
        for part in parts {
            match part.split_once('=') {
                Some(("host", host)) => fault.host = Pattern::new(host),
                Some(("path", path)) => fault.path = Pattern::new(path),
                Some(("family", "v4")) => fault.family = Some(Family::V4),
                Some(("family", "v6")) => fault.family = Some(Family::V6),
                Some(("server", number)) => {
                    fault.server =
                        Some(number.parse().map_err(|_| {
                            refuse(format!("server={number} is not a small number"))
                        })?);
                }
                Some(("times", number)) => {
                    let times = number
                        .parse()
                        .map_err(|_| refuse(format!("times={number} is not a number")))?;
                    if !fault.kind.is_of_servers() {
                        return Err(refuse(format!(
                            "{name} is not of servers: it can't be counted"
                        )));
                    }
                    fault = fault.times(times);
                }
                _ => {
                    return Err(refuse(format!(
                        "{part:?} is none of host=…, path=…, family=v4, family=v6, server=N, times=N"
                    )));
                }
            }
        }
        Ok(fault)
    }
}

fn with_argument(usual: FaultKind, argument: &str) -> Result<FaultKind, String> {
    Ok(match usual {
        FaultKind::DnsDelay(_) => FaultKind::DnsDelay(parse_duration(argument)?),
        FaultKind::DnsLoss(_) => FaultKind::DnsLoss(
            argument
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)
                .ok_or_else(|| format!("{argument:?} is not from 0 to 100"))?,
        ),
        FaultKind::TlsAlert(_) => FaultKind::TlsAlert(
            argument
                .parse()
                .map_err(|_| format!("{argument:?} is not the number of a TLS alert"))?,
        ),
        FaultKind::Status(_) => FaultKind::Status(parse_refusal(argument)?),
        FaultKind::BodyCut(_) => FaultKind::BodyCut(parse_amount(argument)?),
        FaultKind::BodyReset(_) => FaultKind::BodyReset(parse_amount(argument)?),
        FaultKind::BodyStop(_) => FaultKind::BodyStop(parse_amount(argument)?),
        FaultKind::BodySlow(_) => {
            let rate = u32::try_from(parse_bytes(argument)?)
                .ok()
                .filter(|rate| *rate > 0);
            FaultKind::BodySlow(
                rate.ok_or_else(|| format!("{argument:?} is not a number of bytes a second"))?,
            )
        }
        other => return Err(format!("{} takes no argument", other.name())),
    })
}

fn parse_refusal(text: &str) -> Result<RefusedWith, String> {
    let (status, retry_after) = text
        .split_once('/')
        .map_or((text, None), |(status, seconds)| (status, Some(seconds)));
    Ok(RefusedWith {
        status: status
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status))
            .ok_or_else(|| format!("{status:?} is not a status from 400 to 599"))?,
        retry_after: retry_after
            .map(|seconds| {
                seconds
                    .parse()
                    .map_err(|_| format!("{seconds:?} is not a number of seconds"))
            })
            .transpose()?,
    })
}

fn parse_amount(text: &str) -> Result<Amount, String> {
    if let Some(seed) = text.strip_prefix("random:") {
        return seed
            .parse()
            .map(Amount::Random)
            .map_err(|_| format!("{seed:?} is not a number"));
    }
    match text.strip_suffix('%') {
        Some(percent) => percent
            .parse()
            .ok()
            .filter(|percent| *percent <= 100)
            .map(Amount::Percent)
            .ok_or_else(|| format!("{text:?} is not from 0% to 100%")),
        None => parse_bytes(text).map(Amount::Bytes),
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        match self {
            Self::DnsDelay(delay) => write!(formatter, "={}us", delay.as_micros()),
            Self::DnsLoss(percent) => write!(formatter, "={percent}"),
            Self::TlsAlert(number) => write!(formatter, "={number}"),
            Self::BodyCut(amount) | Self::BodyReset(amount) | Self::BodyStop(amount) => {
                match amount {
                    Amount::Bytes(bytes) => write!(formatter, "={bytes}"),
                    Amount::Percent(percent) => write!(formatter, "={percent}%"),
                    Amount::Random(seed) => write!(formatter, "=random:{seed}"),
                }
            }
            Self::BodySlow(rate) => write!(formatter, "={rate}"),
            Self::Status(refused) => {
                write!(formatter, "={}", refused.status)?;
                match refused.retry_after {
                    Some(seconds) => write!(formatter, "/{seconds}"),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::from(self.kind);
        write!(formatter, "{}", self.kind)?;
        if self.host != usual.host {
            write!(formatter, ",host={}", self.host)?;
        }
        if self.path != usual.path {
            write!(formatter, ",path={}", self.path)?;
        }
        match self.family {
            Some(Family::V4) => formatter.write_str(",family=v4")?,
            Some(Family::V6) => formatter.write_str(",family=v6")?,
            None => {}
        }
        if let Some(server) = self.server {
            write!(formatter, ",server={server}")?;
        }
        match self.times {
            Some(times) => write!(formatter, ",times={times}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_back_as_written() {
        for entry in CATALOGUE {
            let fault = Fault::from(entry.usual)
                .host("a.example")
                .path("*/x")
                .family(Family::V6)
                .server(2);
            assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault);
            if entry.usual.is_of_servers() {
                let counted = fault.times(3);
                assert_eq!(counted.to_string().parse::<Fault>().unwrap(), counted);
            }
            assert_eq!(
                entry.name.parse::<Fault>().unwrap(),
                Fault::from(entry.usual)
            );
        }
    }

    #[test]
    fn arguments_of_every_form_read_back_as_written() {
        for text in [
            "status=503/2",
            "status=500",
            "body-cut=random:7",
            "body-stop=4096",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn names_are_one_each() {
        let mut names = CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CATALOGUE.len());
    }

    #[test]
    fn wrong_text_is_refused_and_quoted() {
        for text in [
            "",
            "sni",
            "sni-reset=1",
            "dns-delay=soon",
            "dns-loss=101",
            "body-cut=200%",
            "syn-drop,family=v5",
            "body-slow=0",
            "status=200",
            "status=503/soon",
            "body-cut=random:",
            "sni-reset,times=1",
            "silence,times=often",
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
