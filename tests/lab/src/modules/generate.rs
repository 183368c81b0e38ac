// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes modules from a specification.

use std::fmt::Write as _;

use bytes::Bytes;

use super::Modules;
use super::source::Source;
use super::zip::Entry;
use crate::addresses::DIRECT;

/// Random bytes that all modules' large files are cut from.
const POOL: usize = 1 << 20;
/// The oldest language version that the projects support: go.mod graphs are pruned from 1.17 on.
pub(crate) const GO: &str = "1.21";

/// The modules of `specification` under the host's name, each requiring up to three later ones.
pub(crate) fn generate(specification: Modules, host: &str) -> Vec<Source> {
    let mut random = Random(specification.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let count = usize::from(specification.count.min(5000));
    let pool = random.pool();
    let names = (0..count)
        .map(|number| name(host, number))
        .collect::<Vec<_>>();
    (0..count)
        .map(|number| {
            let requires = (1..=3)
                .filter_map(|step| names.get(number + step * step))
                .collect::<Vec<_>>();
            let average = u64::from(specification.average_bytes.max(1));
            let size = (average / 5 + random.next() % (average * 8 / 5 + 1)) as usize;
            source(number, &names[number], &requires, size, &pool, &mut random)
        })
        .collect()
}

/// A module that requires nothing, with files of `bytes` together: slices of a megabyte, whatever their number.
pub(crate) fn large(bytes: u32) -> Source {
    let mut random = Random(u64::from(bytes) | 1);
    let pool = random.pool();
    let name = (format!("{DIRECT}/lab/large"), "v1.0.0".to_owned());
    source(0, &name, &[], bytes as usize, &pool, &mut random)
}

/// Path and version. Every fifth path has an upper-case letter, which the proxy protocol escapes.
fn name(host: &str, number: usize) -> (String, String) {
    let owner = if number % 5 == 4 { "Lab" } else { "lab" };
    (
        format!("{host}/{owner}/m{number:03}"),
        format!("v1.{}.{}", number % 7, number % 3),
    )
}

fn source(
    number: usize,
    (path, version): &(String, String),
    requires: &[&(String, String)],
    size: usize,
    pool: &Bytes,
    random: &mut Random,
) -> Source {
    let mut go_mod = format!("module {path}\n\ngo {GO}\n");
    let mut source = format!("// Package m{number:03} is generated.\npackage m{number:03}\n");
    if !requires.is_empty() {
        go_mod.push_str("\nrequire (\n");
        source.push_str("\nimport (\n");
        for (index, (path, version)) in requires.iter().enumerate() {
            // Writing to a String does not fail.
            let _ = writeln!(go_mod, "\t{path} {version}");
            let _ = writeln!(source, "\tr{index} \"{path}\"");
        }
        go_mod.push_str(")\n");
        source.push_str(")\n");
    }
    let _ = write!(
        source,
        "\n// Number adds up the numbers of what this package imports.\nfunc Number() int {{ return {number}"
    );
    for index in 0..requires.len() {
        let _ = write!(source, " + r{index}.Number()");
    }
    source.push_str(" }\n");

    let prefix = format!("{path}@{version}");
    let go_mod = Bytes::from(go_mod);
    let mut entries = vec![
        Entry {
            name: format!("{prefix}/LICENSE"),
            content: Bytes::from_static(b"Free for any use.\n"),
        },
        Entry {
            name: format!("{prefix}/go.mod"),
            content: go_mod.clone(),
        },
        Entry {
            name: format!("{prefix}/number.go"),
            content: Bytes::from(source),
        },
    ];
    let mut left = size;
    let mut part = 0;
    while left > 0 {
        let length = left.min(POOL / 4);
        let start = random.next() as usize % (POOL - length);
        entries.push(Entry {
            name: format!("{prefix}/testdata/{part:02}.bin"),
            content: pool.slice(start..start + length),
        });
        left -= length;
        part += 1;
    }
    Source {
        path: path.clone(),
        version: version.clone(),
        go_mod,
        entries,
    }
}

/// xorshift64: not for secrets.
struct Random(u64);

impl Random {
    fn pool(&mut self) -> Bytes {
        let mut pool = Vec::with_capacity(POOL);
        while pool.len() < POOL {
            pool.extend_from_slice(&self.next().to_le_bytes());
        }
        Bytes::from(pool)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sums_and_another_seed_others() {
        let sums = |seed| {
            let specification = Modules {
                seed,
                ..Modules::small()
            };
            generate(specification, DIRECT)
                .into_iter()
                .map(|source| source.pack().sums)
                .collect::<Vec<_>>()
        };
        assert_eq!(sums(1), sums(1));
        assert_ne!(sums(1), sums(2));
    }

    #[test]
    fn sizes_come_near_the_average() {
        let specification = Modules {
            count: 60,
            average_bytes: 50_000,
            seed: 3,
        };
        let total = generate(specification, DIRECT)
            .into_iter()
            .map(|source| source.pack().zip_bytes())
            .sum::<u64>();
        assert!((2_000_000..4_500_000).contains(&total), "{total}");
    }

    #[test]
    fn a_large_module_has_its_size() {
        let bytes = large(5_000_000).pack().zip_bytes();
        assert!((5_000_000..5_100_000).contains(&bytes), "{bytes}");
    }
}
