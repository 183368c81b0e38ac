// SPDX-License-Identifier: MIT OR Apache-2.0
//! A runtime beside the one that a run itself is on.

use std::{
    ops::Deref,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::runtime::{Handle, Runtime};

/// How long an end that is waited for takes at most: nothing of what is let go takes time, but for what the system does.
const END: Duration = Duration::from_millis(200);

/// Threads that answer, whatever the run's own thread does. It may be dropped anywhere, also on that thread: what is under
/// way is let go and nothing is waited for, where a [`Runtime`] would panic.
pub(super) struct Background {
    handle: Handle,
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
}

impl Background {
    /// Ends it: what is under way has been let go when this returns.
    pub(super) fn end(mut self) {
        // On a thread of its own, as the run's own is on a runtime, which must not be waited on. Where no thread is to be had,
        // it is dropped.
        let ending = thread::Builder::new().spawn(move || {
            if let Some(runtime) = self.runtime.take() {
                runtime.shutdown_timeout(END);
            }
        });
        let _ = ending.map(JoinHandle::join);
    }
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

    #[tokio::test]
    async fn what_was_under_way_is_gone_when_it_has_ended() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let background = Background::from(runtime);
        let (held, released) = std::sync::mpsc::channel::<()>();
        background.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        background.end();
        assert_eq!(
            released.try_recv(),
            Err(std::sync::mpsc::TryRecvError::Disconnected)
        );
    }
}
