// SPDX-License-Identifier: MIT OR Apache-2.0
//! Namespaces, the link between them, and the middlebox in it.

pub(crate) mod link;
pub(crate) mod middlebox;
pub(crate) mod namespace;
pub(crate) mod netlink;
pub(crate) mod trust;
