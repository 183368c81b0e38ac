// SPDX-License-Identifier: MIT OR Apache-2.0
//! A runtime beside the one that a run itself is on.

use std::ops::Deref;

use tokio::runtime::{Handle, Runtime};

/// Threads that answer, whatever the run's own thread does. It may be dropped anywhere, also on that thread: what is under
/// way is let go and nothing is waited for, where a [`Runtime`] would panic.
pub(super) struct Background {
    handle: Handle,
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
}

impl From<Runtime> for Background {
    fn from(runtime: Runtime) -> Self {
        Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        }
    }
}

impl Deref for Background {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_may_be_dropped_within_another_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let background = Background::from(runtime);
        background.spawn(std::future::pending::<()>());
        drop(background);
    }
}
