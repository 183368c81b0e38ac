// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace cache`: the store of verified module files, as its owner sees it.

use std::fmt;
use std::io::{self, Write as _};

use anyhow::{Result, anyhow};
use bytesize::ByteSize;
use clap::{Args, Subcommand};

use super::say;
use crate::accelerator::store::{Shelf, Store, StoreError, location};
use crate::launch::{Ending, Invoker};

/// Options of `cache`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Print its directory. GOPROXY=file://DIRECTORY/download serves from it.
    Path,
    /// Print how much is in it, and how much may be.
    Size,
    /// Compute all hashes anew and remove files that do not have theirs; exit code 1 if there were any.
    Verify,
    /// Remove the least recently used modules until it is no larger than it may be.
    Prune {
        /// No larger than this, such as 500MiB, instead of the limit.
        #[arg(long, value_name = "SIZE")]
        size: Option<ByteSize>,
    },
    /// Remove all modules.
    Clear,
}

/// The exit code if files were wrong.
const WRONG: i32 = 1;

/// The store for a run; says why if there is none.
pub(super) fn of_run(invoker: &Invoker, size: Option<ByteSize>) -> Option<Store> {
    let opened = match location::limit(size, invoker) {
        Ok(0) => return None,
        Ok(limit) => Store::open(invoker, limit).map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    opened
        .inspect_err(|error| say(format_args!("module files are not kept: {error}")))
        .ok()
}

/// Does what was asked.
pub(super) fn run(arguments: &Arguments) -> Result<Ending> {
    let invoker = Invoker::detect()?;
    let directory = location::of(&invoker)?;
    let limit = location::limit(None, &invoker).map_err(|error| anyhow!(error))?;
    if let Action::Path = arguments.action {
        print(format_args!("{}", directory.display()));
        return Ok(Ending::Exited(0));
    }
    let code = invoker.with_file_rights(|| {
        let Some(shelf) = Shelf::open_existing(&directory, invoker.uid, limit)? else {
            print(format_args!("there is no store at {}", directory.display()));
            return Ok(0);
        };
        act(&shelf, arguments.action, limit)
    })??;
    Ok(Ending::Exited(code))
}

fn act(shelf: &Shelf, action: Action, limit: u64) -> Result<i32, StoreError> {
    match action {
        Action::Path => {}
        Action::Size => {
            let stock = shelf.stock()?;
            print(format_args!("modules {}", stock.versions));
            print(format_args!("files   {}", stock.files));
            print(format_args!("bytes   {}", bytes(stock.bytes)));
            print(format_args!("limit   {}", bytes(limit)));
        }
        Action::Verify => {
            let checked = shelf.check_all()?;
            for (name, reason) in &checked.wrong {
                print(format_args!("removed {name}: {reason}"));
            }
            print(format_args!(
                "{} files are right, {} were not",
                checked.right,
                checked.wrong.len()
            ));
            if !checked.wrong.is_empty() {
                return Ok(WRONG);
            }
        }
        Action::Prune { size } => {
            let limit = size.map_or(limit, |size| size.as_u64());
            let removed = shelf.prune(limit)?;
            print(format_args!(
                "removed {} module versions, {}",
                removed.versions,
                bytes(removed.bytes)
            ));
        }
        Action::Clear => {
            let removed = shelf.prune(0)?;
            print(format_args!(
                "removed {} module versions, {} files, {} from {}",
                removed.versions,
                removed.files,
                bytes(removed.bytes),
                shelf.directory().display()
            ));
        }
    }
    Ok(0)
}

/// `5368709120 (5.0 GiB)`.
fn bytes(count: u64) -> String {
    format!("{count} ({})", ByteSize(count).display().iec())
}

/// A line on stdout. That nobody reads it is no error.
fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
