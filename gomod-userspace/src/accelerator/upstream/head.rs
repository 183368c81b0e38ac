// SPDX-License-Identifier: MIT OR Apache-2.0
//! The head of a response from one host: attempts, one after another or raced, until one answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::account::Account;
use super::attempt::{Ask, Head, Manner, attempt};
use super::error::{FailureKind, UpstreamError};
use super::pool::Place;

/// How often things are tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// Requests for one response head, raced ones included; kept connections that turn out to be closed don't count.
    pub attempts: u32,
    /// Requests after one that was answered with 429 or a 5xx that may pass.
    pub refusals: u32,
    /// The longest `Retry-After` that is waited for; a response that asks for more passes as it came.
    pub retry_after: Duration,
    /// The pause before the first retry; doubled with each, and spread by half to both sides.
    pub pause: Duration,
    /// Requests in a row for the rest of a body that brought no new byte.
    pub fruitless: u32,
    /// Requests for the rest of one body.
    pub resumes: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 4,
            refusals: 2,
            retry_after: Duration::from_secs(5),
            pause: Duration::from_millis(200),
            fruitless: 4,
            resumes: 32,
        }
    }
}

impl Retries {
    /// The pause before retry number `earlier`, counted from 0.
    pub(super) fn pause(&self, earlier: u32) -> Duration {
        self.pause
            .saturating_mul(2_u32.pow(earlier.min(5)))
            .mul_f64(0.5 + fastrand::f64())
    }
}

/// Asks until a head arrives, at most `allowed` times.
pub(super) async fn head(
    shared: &Arc<Shared>,
    ask: Arc<Ask>,
    allowed: u32,
    account: &Account,
) -> Result<Head, UpstreamError> {
    let mut race = Race {
        shared: Arc::clone(shared),
        ask: Arc::clone(&ask),
        attempts: JoinSet::new(),
        nudges: mpsc::channel(1),
        made: 0,
    };
    let (mut failures, mut refusals, mut again_at) = (Vec::new(), 0, None);
    race.start(ask.host.place(ask.urgency).await, false, account);
    loop {
        let again = async {
            match again_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = race.attempts.join_next() => match ended {
                Ok(Ok(head)) => {
                    let wait = if refusals < shared.retries.refusals && race.made < allowed {
                        worth_repeating(&head, &shared.retries, refusals)
                    } else {
                        None
                    };
                    let Some(wait) = wait else { return Ok(head) };
                    refusals += 1;
                    failures.push(UpstreamError::passing(
                        FailureKind::Cut,
                        format!("{} answered {}", ask.host.route.host, head.status),
                    ));
                    head.discard();
                    again_at = Some(Instant::now() + wait);
                }
                Ok(Err(error)) => {
                    if !error.again {
                        return Err(error);
                    }
                    if race.made < allowed && race.attempts.is_empty() && again_at.is_none() {
                        again_at = Some(Instant::now() + shared.retries.pause(failures.len() as u32));
                    }
                    failures.push(error);
                }
                Err(gone) => failures.push(UpstreamError::passing(FailureKind::Cut, gone.to_string())),
            },
            Some(()) = race.nudges.1.recv() => {
                if race.made < allowed && let Some(place) = ask.host.free_place(ask.urgency) {
                    race.start(place, true, account);
                }
            }
            () = again => {
                again_at = None;
                let fresh = failures.last().is_some_and(|last: &UpstreamError| last.kind == FailureKind::Timeout);
                race.start(ask.host.place(ask.urgency).await, fresh, account);
            }
        }
        if race.attempts.is_empty() && again_at.is_none() {
            return Err(UpstreamError::exhausted(
                &ask.host.route.host,
                race.made,
                failures,
            ));
        }
    }
}

/// The attempts under way. Dropped, all of them end.
struct Race {
    shared: Arc<Shared>,
    ask: Arc<Ask>,
    attempts: JoinSet<Result<Head, UpstreamError>>,
    nudges: (mpsc::Sender<()>, mpsc::Receiver<()>),
    made: u32,
}

impl Race {
    fn start(&mut self, place: Place, fresh: bool, account: &Account) {
        let manner = Manner {
            fresh,
            early: self.made == 0,
            idle: self.shared.pool.idle(),
        };
        self.made += 1;
        account.attempted();
        let connector = Arc::clone(&self.shared.connector);
        self.attempts.spawn(attempt(
            connector,
            Arc::clone(&self.ask),
            place,
            manner,
            self.nudges.0.clone(),
        ));
    }
}

/// How long to wait before asking again; `None` for an answer that passes as it came.
fn worth_repeating(head: &Head, retries: &Retries, earlier: u32) -> Option<Duration> {
    let passing = matches!(
        head.status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if !passing {
        return None;
    }
    match retry_after(&head.headers) {
        Some(asked) if asked > retries.retry_after => None,
        Some(asked) => Some(asked + retries.pause(0)),
        None => Some(retries.pause(earlier)),
    }
}

/// `Retry-After` as a duration: seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}
