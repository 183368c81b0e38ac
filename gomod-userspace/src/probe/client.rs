// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parent's end of the pipe to the worker.

use std::{ffi::OsString, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{
    ProbeError,
    task::{Observation, Task},
    worker::Setup,
};

/// A running worker; it ends with this value.
#[derive(Debug)]
pub struct Client {
    child: Child,
    tasks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts our own binary with these words and tells it what all tasks share. It has our environment, not that of the
    /// user who called sudo: it begins as root.
    pub async fn start(words: &[OsString], setup: &Setup) -> Result<Self, ProbeError> {
        // The link, not the file it names: that may have been replaced since.
        let program = "/proc/self/exe";
        let failed = |source| ProbeError::Start {
            program: program.to_owned(),
            source,
        };
        let mut child = Command::new(program)
            .args(words)
            .arg0("gomod-trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let gone = || ProbeError::Worker {
            said: String::new(),
        };
        let tasks = child.stdin.take().ok_or_else(gone)?;
        let answers = child.stdout.take().ok_or_else(gone)?;
        let mut client = Self {
            child,
            tasks,
            answers: BufReader::new(answers).lines(),
        };
        client.write(setup).await?;
        Ok(client)
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Lets it end, and waits for that.
    pub async fn finish(self) {
        let Self {
            mut child,
            tasks,
            answers: _,
        } = self;
        drop(tasks);
        // An error would mean that it is gone already.
        let _ = child.wait().await;
    }

    /// Hands it a task.
    pub async fn submit(&mut self, task: &Task) -> Result<(), ProbeError> {
        self.write(task).await
    }

    /// The next answer. May be cancelled.
    pub async fn answer(&mut self) -> Result<Observation, ProbeError> {
        match self.answers.next_line().await {
            Ok(Some(line)) => serde_json::from_str(&line).map_err(|error| ProbeError::Worker {
                said: format!(": {error}"),
            }),
            Ok(None) => {
                // Its own error is on stderr already; how it ended is known once it is reaped.
                let status = self.child.wait().await;
                Err(ProbeError::Worker {
                    said: status.map_or_else(|_| String::new(), |status| format!(" ({status})")),
                })
            }
            Err(error) => Err(ProbeError::Worker {
                said: format!(": {error}"),
            }),
        }
    }

    async fn write(&mut self, value: &impl serde::Serialize) -> Result<(), ProbeError> {
        let gone = |error: String| ProbeError::Worker {
            said: format!(": {error}"),
        };
        let mut line = serde_json::to_vec(value).map_err(|error| gone(error.to_string()))?;
        line.push(b'\n');
        self.tasks
            .write_all(&line)
            .await
            .map_err(|error| gone(error.to_string()))
    }
}
