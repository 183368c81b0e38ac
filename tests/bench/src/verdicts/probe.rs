// SPDX-License-Identifier: MIT OR Apache-2.0
//! One probe of the module proxy in a lab with a fault.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use gomod_lab::{Lab, PROXY};
use serde_json::Value;

use super::{
    Network,
    confusion::{Answer, Grade},
    truth::Truth,
};

/// A lab with the fault, and the verdicts of a probe in it.
pub(super) fn run(agent: &Path, truth: &Truth, network: Network) -> Result<Answer> {
    let lab = network.lab(truth.faults, truth.nameservers)?;
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let json = directory.path().join("probe.json");
    let mut command: Command = lab.command(agent);
    command
        .args(["probe", PROXY, "--quiet", "--json"])
        .arg(&json)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if truth.transfers {
        command.args(["--path", &zip_of(&lab)]);
    }
    let output = command.output().context("cannot start gomod-trace")?;
    let text = fs::read(&json).with_context(|| {
        format!(
            "{}: no report: {}",
            truth.name(),
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let report: Value = serde_json::from_slice(&text).context("the report is no JSON")?;
    let told = report["hosts"][0]["verdicts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let said: BTreeSet<String> = told
        .iter()
        .filter_map(|verdict| verdict["verdict"].as_str())
        .map(str::to_owned)
        .collect();
    let expected: BTreeSet<String> = truth.verdicts.iter().map(|token| (*token).into()).collect();
    Ok(Answer {
        fault: truth.name(),
        rtt: network.rtt,
        loss: network.loss,
        grade: grade(&said, &expected),
        expected,
        said,
        told,
    })
}

/// `inconclusive…` is never a wrong cause.
fn grade(said: &BTreeSet<String>, expected: &BTreeSet<String>) -> Grade {
    if said == expected {
        Grade::Right
    } else if said
        .iter()
        .all(|token| expected.contains(token) || token.starts_with("inconclusive."))
    {
        Grade::Short
    } else {
        Grade::Wrong
    }
}

/// Path of a zip at the module proxy, upper case escaped as its protocol asks.
fn zip_of(lab: &Lab) -> String {
    let module = &lab.modules()[0];
    let mut path = String::from("/");
    for letter in module.path.chars() {
        if letter.is_ascii_uppercase() {
            path.push('!');
        }
        path.push(letter.to_ascii_lowercase());
    }
    format!("{path}/@v/{}.zip", module.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_cause_is_worse_than_none() {
        let set = |tokens: &[&str]| {
            tokens
                .iter()
                .map(|token| (*token).to_owned())
                .collect::<BTreeSet<_>>()
        };
        let expected = set(&["a.x", "b.y"]);
        for (said, wanted) in [
            (&["a.x", "b.y"][..], Grade::Right),
            (&["a.x"], Grade::Short),
            (&["inconclusive.control_failed"], Grade::Short),
            (&["a.x", "c.z"], Grade::Wrong),
            (&["ok"], Grade::Wrong),
        ] {
            assert_eq!(grade(&set(said), &expected), wanted, "{said:?}");
        }
    }
}
