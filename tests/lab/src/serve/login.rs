// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and passwords of the lab.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Who may ask a host that is not for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
}

/// The login of [`crate::PRIVATE`].
pub const PRIVATE_LOGIN: Login = Login {
    name: "gopher",
    password: "burrow-of-the-lab",
};

/// The login of [`crate::WEB_PROXY`].
pub const WEB_PROXY_LOGIN: Login = Login {
    name: "clerk",
    password: "stapler-of-the-lab",
};

impl Login {
    /// The value of the header that says so (RFC 7617).
    pub fn basic(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{}", self.name, self.password))
        )
    }
}
