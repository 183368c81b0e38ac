// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Go's own files and names say: module paths, versions, go.mod, build info; pure.

pub mod base_url;
pub mod build_info;
pub mod cache_file;
pub mod cache_place;
pub mod directives;
pub mod dirhash;
pub mod go_mod;
pub mod go_sum;
pub mod go_version;
pub mod go_work;
pub mod http_proxy;
pub mod linking;
pub mod module_path;
pub mod needs;
pub mod patterns;
pub mod proxy_file;
pub mod proxy_list;
pub mod replace;
pub mod settings;
pub mod sumdb;

pub use base_url::BaseUrl;
pub use build_info::BuildInfo;
pub use cache_file::{CacheEntry, CacheFile, CacheFileKind, build_cache_of, final_name};
pub use cache_place::{CachePlace, Sharing};
pub use dirhash::H1;
pub use go_mod::GoMod;
pub use go_sum::GoSum;
pub use go_version::GoVersion;
pub use go_work::GoWork;
pub use http_proxy::{HttpProxy, HttpProxySettings};
pub use linking::Linking;
pub use module_path::ModuleVersion;
pub use patterns::Patterns;
pub use proxy_file::{ProxyFile, ProxyFileKind};
pub use proxy_list::ProxyList;
pub use replace::{Replace, Replacement};
pub use settings::Settings;
