// SPDX-License-Identifier: MIT OR Apache-2.0
//! The closed list of causes: what made a thing stall, where the run itself separates it from what else it could be.

use serde::Serialize;

use super::Evidence;

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $token:literal,)*) => {
        /// Why a thing stalled. Named only where something else in the same run, which differs in that one point, did not
        /// stall; never who did it, or on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $($(#[$doc])* $variant,)*
        }

        impl Cause {
            /// All of them, in the order of a download's life.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable token.
            pub const fn token(self) -> &'static str {
                match self {
                    $(Self::$variant => $token,)*
                }
            }
        }
    };
}

causes! {
    /// The nameserver answered, late.
    SlowResolver = "slow_resolver",
    /// A question or its answer got lost: the same nameserver answers the same.
    LostAnswers = "lost_answers",
    /// A nameserver answers nothing, another one does.
    SilentNameserver = "silent_nameserver",
    /// A nameserver answers questions for A, and none for AAAA.
    UnansweredAaaa = "unanswered_aaaa",
    /// One address of the host does not answer, another does.
    DeadAddress = "dead_address",
    /// The host does not answer over IPv6, and does over IPv4.
    Ipv6BlackHole = "ipv6_black_hole",
    /// A `ClientHello` of several segments fails, a small one passes.
    ClientHelloSize = "clienthello_size",
    /// A `ClientHello` that offers h2 fails, one without passes.
    AlpnH2 = "alpn_h2",
    /// A large `ClientHello` that offers h2 fails, a small one without passes: one of the two, not the name.
    ClientHelloForm = "clienthello_form",
    /// Every form of `ClientHello` with this name fails on the path; other names pass.
    ServerName = "server_name",
    /// The certificate is of an authority that this machine does not know.
    Interception = "interception",
    /// Another `go` holds the lock.
    LockOfAnotherGo = "lock_of_another_go",
    /// Another program holds the lock.
    LockOfAnotherProgram = "lock_of_another_program",
}

impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.token())
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.token())
    }
}

/// A cause, and why it must be that one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Explanation {
    pub(super) cause: Cause,
    /// What separates it, one sentence without its full stop: it is appended to the stall's story.
    pub(super) because: String,
    /// What to do now, in place of what was said before the cause was known.
    pub(super) action: String,
    /// The numbers that separate it, added to the stall's.
    pub(super) evidence: Evidence,
}
