// SPDX-License-Identifier: MIT OR Apache-2.0
//! A body on its way to `go`, copied as it passes; once it is whole, the copy is handed on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::accelerator::spool::{Spool, SpoolWriter, spool};
use crate::accelerator::{BodyError, ResponseBody};

/// What is done with a whole copy.
type Whole = Box<dyn FnOnce(Spool) + Send>;

/// A body that is copied. One that breaks off, or that `go` does not read to its end, leaves no copy; neither does one
/// for whose copy there is no space.
pub(super) struct Copied {
    body: ResponseBody,
    copy: Option<(SpoolWriter, Spool, Whole)>,
}

impl Copied {
    pub(super) fn new(body: ResponseBody, whole: impl FnOnce(Spool) + Send + 'static) -> Self {
        let (writer, copy) = spool();
        Self {
            body,
            copy: Some((writer, copy, Box::new(whole))),
        }
    }

    fn finish(&mut self) {
        if let Some((writer, copy, whole)) = self.copy.take() {
            writer.finish();
            whole(copy);
        }
    }
}

impl Body for Copied {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let written = match (&mut self.copy, frame.data_ref()) {
                    (Some((writer, ..)), Some(data)) => writer.write(data.clone()).is_ok(),
                    _ => true,
                };
                if !written {
                    self.copy = None;
                } else if self.body.is_end_stream() {
                    // hyper does not ask again where the length is known.
                    self.finish();
                }
            }
            Some(Err(_)) => self.copy = None,
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    fn copied(body: ResponseBody) -> (Copied, mpsc::Receiver<u64>) {
        let (sender, receiver) = mpsc::channel();
        let whole = move |spool: Spool| sender.send(spool.length().unwrap()).unwrap();
        (Copied::new(body, whole), receiver)
    }

    fn frames(frames: Vec<Result<&'static str, &'static str>>) -> ResponseBody {
        let frames = frames.into_iter().map(|frame| {
            frame
                .map(|data| Frame::data(Bytes::from(data)))
                .map_err(BodyError::from)
        });
        StreamBody::new(stream::iter(frames.collect::<Vec<_>>())).boxed_unsync()
    }

    #[tokio::test]
    async fn a_whole_body_is_handed_on_once() {
        for body in [
            frames(vec![Ok("one "), Ok("two")]),
            Full::new(Bytes::from("one two"))
                .map_err(|never| match never {})
                .boxed_unsync(),
        ] {
            let (copied, whole) = copied(body);
            let all = copied.collect().await.unwrap().to_bytes();
            assert_eq!(all, "one two");
            assert_eq!(whole.iter().collect::<Vec<_>>(), [7]);
        }
    }

    #[tokio::test]
    async fn a_broken_or_abandoned_body_is_not() {
        let (broken, whole) = copied(frames(vec![Ok("one"), Err("it broke")]));
        assert!(broken.collect().await.is_err());
        assert_eq!(whole.iter().count(), 0);

        let (mut abandoned, whole) = copied(frames(vec![Ok("one"), Ok("two")]));
        abandoned.frame().await.unwrap().unwrap();
        drop(abandoned);
        assert_eq!(whole.iter().count(), 0);
    }
}
