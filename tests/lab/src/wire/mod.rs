// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes on the link: frames, segments and TLS `ClientHellos`. Pure functions.

pub(crate) mod client_hello;
pub(crate) mod forge;
pub(crate) mod frame;
