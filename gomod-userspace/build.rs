// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hands the shipped kernel object to the library, and fails when it does not belong to the sources.
//!
//! The library reads it by `aya::include_bytes_aligned!(env!("GOMOD_EBPF_OBJECT"))`.

use std::{env, fs, path::PathBuf};

#[path = "../xtask/src/source_hash.rs"]
mod source_hash;

fn main() {
    match provide_object() {
        Ok(object) => println!("cargo::rustc-env=GOMOD_EBPF_OBJECT={}", object.display()),
        // Fails the build. An exit code besides would only make cargo repeat everything that was printed here.
        Err(problem) => println!("cargo::error={problem}; run `cargo xtask build-ebpf`"),
    }
}

fn provide_object() -> Result<PathBuf, String> {
    let directory = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .ok_or_else(|| format!("{name} is not set"))
    };
    let workspace = directory("CARGO_MANIFEST_DIR")?.join("..");
    // Cargo looks into folders by itself, so a new file below src/ counts too.
    for input in source_hash::INPUTS
        .into_iter()
        .chain([source_hash::OBJECT, source_hash::MANIFEST])
    {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    println!(
        "cargo::rerun-if-changed={}",
        workspace.join("xtask/src/source_hash.rs").display()
    );
    let object = source_hash::fresh_object(&workspace)?;
    // A copy, so that what is compiled in is exactly what was checked.
    let copy = directory("OUT_DIR")?.join("gomod-ebpf.o");
    fs::write(&copy, object).map_err(|error| format!("{}: {error}", copy.display()))?;
    Ok(copy)
}
