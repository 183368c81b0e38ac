// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long each phase of a fetch may take. There is no deadline for the whole: a large file over a slow link completes.

use std::time::Duration;

/// The factor that a network twice as slow as it normally is stretches a deadline by.
const RTT_WEIGHT: f64 = 0.8;
/// However unsteady the network is, a deadline is not stretched beyond this ratio.
const MOST_UNSTEADY: f64 = 8.0;
/// The part of a deadline, added at random, that keeps many fetches from giving up at the same instant.
const JITTER: f64 = 0.1;

/// What a fetch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The addresses of a name.
    Resolve,
    /// A TCP connection to one address.
    Connect,
    /// The HTTP proxy's answer to CONNECT.
    Tunnel,
    /// The TLS handshake.
    Hello,
    /// The head of the response.
    FirstByte,
    /// The next bytes of the body.
    BetweenBytes,
}

impl Phase {
    /// What is missing when the deadline passes.
    pub(super) fn missing(self) -> &'static str {
        match self {
            Self::Resolve => "no answer to the name lookup",
            Self::Connect => "no TCP connection",
            Self::Tunnel => "no answer of the HTTP proxy to CONNECT",
            Self::Hello => "no TLS handshake",
            Self::FirstByte => "no response to the request",
            Self::BetweenBytes => "no further bytes of the body",
        }
    }
}

/// The base of each phase's deadline. What is waited is base × (1 + 0.8 × p90 RTT / normal RTT) and up to 10 % at random.
#[derive(Clone, Debug)]
pub struct Deadlines {
    /// The addresses of a name.
    pub resolve: Duration,
    /// A TCP connection to one address.
    pub connect: Duration,
    /// The HTTP proxy's answer to CONNECT: the proxy connects in that time.
    pub tunnel: Duration,
    /// The TLS handshake.
    pub hello: Duration,
    /// The head of the response. Module proxies may think long about a module that they do not have yet.
    pub first_byte: Duration,
    /// The next bytes of the body.
    pub between_bytes: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(6),
            connect: Duration::from_secs(3),
            tunnel: Duration::from_secs(8),
            hello: Duration::from_secs(3),
            first_byte: Duration::from_secs(8),
            between_bytes: Duration::from_secs(5),
        }
    }
}

impl Deadlines {
    /// How long `phase` may take where the round trip's 90th percentile is `unsteadiness` times the normal one.
    pub fn of(&self, phase: Phase, unsteadiness: f64) -> Duration {
        let base = match phase {
            Phase::Resolve => self.resolve,
            Phase::Connect => self.connect,
            Phase::Tunnel => self.tunnel,
            Phase::Hello => self.hello,
            Phase::FirstByte => self.first_byte,
            Phase::BetweenBytes => self.between_bytes,
        };
        let ratio = if unsteadiness.is_finite() {
            unsteadiness.clamp(1.0, MOST_UNSTEADY)
        } else {
            1.0
        };
        base.mul_f64(1.0 + RTT_WEIGHT * ratio)
            .mul_f64(1.0 + JITTER * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsteady_network_is_given_more_time() {
        let deadlines = Deadlines {
            hello: Duration::from_secs(10),
            ..Deadlines::default()
        };
        for _ in 0..100 {
            let steady = deadlines.of(Phase::Hello, 1.0);
            assert!(
                steady >= Duration::from_secs(18) && steady <= Duration::from_millis(19_800),
                "{steady:?}"
            );
            let twice = deadlines.of(Phase::Hello, 2.0);
            assert!(
                twice >= Duration::from_secs(26) && twice <= Duration::from_millis(28_600),
                "{twice:?}"
            );
        }
    }

    #[test]
    fn nonsense_ratios_leave_the_deadline_sane() {
        let deadlines = Deadlines {
            connect: Duration::from_secs(1),
            ..Deadlines::default()
        };
        for ratio in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            let given = deadlines.of(Phase::Connect, ratio);
            assert!(
                given >= Duration::from_millis(1800) && given <= Duration::from_millis(8_140),
                "{given:?}"
            );
        }
    }
}
