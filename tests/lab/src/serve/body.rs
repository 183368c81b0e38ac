// SPDX-License-Identifier: MIT OR Apache-2.0
//! Response bodies: shared pieces, sent whole, slowly, or not to their end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::wiretap::{Ending, Scissors};
use crate::fault::FaultKind;

/// Slow bodies are sent in so many steps a second.
const STEPS: u32 = 10;

/// What becomes of a body after its first bytes.
#[derive(Debug)]
enum Fate {
    Whole,
    /// After so many bytes: nothing more, and the connection ended if there is an order for that.
    Stops {
        after: u64,
        order: Option<(Scissors, Ending)>,
    },
    Slow {
        step: usize,
        pause: Pin<Box<Sleep>>,
    },
}

/// The body.
#[derive(Debug)]
pub(crate) struct PieceBody {
    pieces: VecDeque<Bytes>,
    left: u64,
    sent: u64,
    fate: Fate,
}

impl PieceBody {
    pub(crate) fn new(
        pieces: Vec<Bytes>,
        fault: Option<FaultKind>,
        path: &str,
        scissors: &Scissors,
    ) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        let fate = match fault {
            Some(FaultKind::BodyCut(amount)) => Fate::Stops {
                after: amount.of(left, path),
                order: Some((scissors.clone(), Ending::Close)),
            },
            Some(FaultKind::BodyReset(amount)) => Fate::Stops {
                after: amount.of(left, path),
                order: Some((scissors.clone(), Ending::Reset)),
            },
            Some(FaultKind::BodyStop(amount)) => Fate::Stops {
                after: amount.of(left, path),
                order: None,
            },
            Some(FaultKind::BodySlow(rate)) => Fate::Slow {
                step: (rate / STEPS).max(1) as usize,
                pause: Box::pin(sleep(Duration::ZERO)),
            },
            _ => Fate::Whole,
        };
        Self {
            pieces: pieces
                .into_iter()
                .filter(|piece| !piece.is_empty())
                .collect(),
            left,
            sent: 0,
            fate,
        }
    }

    fn next(&mut self, limit: u64) -> Option<Bytes> {
        let mut piece = self.pieces.pop_front()?;
        if piece.len() as u64 > limit {
            self.pieces.push_front(piece.split_off(limit as usize));
        }
        self.left -= piece.len() as u64;
        self.sent += piece.len() as u64;
        Some(piece)
    }
}

impl Body for PieceBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let limit = match &mut this.fate {
            Fate::Whole => u64::MAX,
            Fate::Stops { after, order } => {
                let limit = *after - this.sent;
                if limit == 0 {
                    if let Some((scissors, ending)) = order.take() {
                        scissors.cut(ending);
                    }
                    return Poll::Pending;
                }
                limit
            }
            Fate::Slow { step, pause } => {
                if pause.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                pause.set(sleep(Duration::from_secs(1) / STEPS));
                *step as u64
            }
        };
        Poll::Ready(this.next(limit).map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
