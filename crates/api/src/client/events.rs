//! The stream of events, which mends itself: after a break it connects again and goes on after the last event it gave.
//!
//! ```text
//!            connected                     event: tries start anew
//!   Down ────────────────▶ Up ──────────────────────────────────────┐
//!    ▲  ▲                  │  ▲                                     │
//!    │  └── not connected  │  └─────────────────────────────────────┘
//!    │      (waits longer) │
//!    └─────────────────────┘ broken, ended or silent for too long
//! ```
//! Invariant: `after` is the id of the last event that was given to the caller, so that none is lost and none comes twice.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::error::ClientError;
use super::sse::Parser;
use super::transport::Answer;
use super::{Client, Result};
use crate::event::Event;

/// How a broken event stream is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often it is tried to connect without an event in between, before the stream gives up.
    pub tries: u32,
    /// Wait before the second try; doubles with every further one. The first comes at once.
    pub first_wait: Duration,
    /// Longest wait between two tries.
    pub longest_wait: Duration,
    /// Silence after which a connection counts as dead; `ferryd` sends a comment every 15 s at least.
    pub silence: Duration,
}

impl Default for Retry {
    /// Half a minute of tries: enough for a restart of `ferryd`.
    fn default() -> Self {
        Self {
            tries: 20,
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(2),
            silence: Duration::from_secs(60),
        }
    }
}

/// What the stream gives.
#[derive(Debug)]
pub enum Item {
    /// The next event.
    Event(Box<Event>),
    /// The connection is lost; the next call tries to mend it. Given once per loss.
    Lost(ClientError),
}

/// A stream of events; see [`Client::events`].
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    task: Option<Uuid>,
    after: i64,
    resumed: bool,
    link: Link,
}

#[derive(Debug)]
enum Link {
    Down { tries: u32, not_before: Instant, told: bool },
    Up { answer: Box<Answer>, parser: Parser, tries: u32 },
}

impl EventStream {
    pub(super) fn new(client: Client, task: Option<Uuid>, after: i64) -> Self {
        let link = Link::Down { tries: 0, not_before: Instant::now(), told: false };
        Self { client, task, after, resumed: false, link }
    }

    /// Waits for the next event. Dropping the future loses nothing: it can be called again.
    ///
    /// # Errors
    /// When the stream was refused (a problem document), does not speak as `ferryd` does, or could not be mended within the
    /// tries of [`Retry`]; then with the error of the last try. Another call after an error starts to try anew.
    pub async fn next(&mut self) -> Result<Item> {
        loop {
            let step = match &mut self.link {
                Link::Down { .. } => self.connect().await,
                Link::Up { .. } => self.read().await,
            };
            match step {
                Ok(Some(event)) => return Ok(Item::Event(event)),
                Ok(None) => {}
                Err(error) => {
                    if let Some(error) = self.lost(error)? {
                        return Ok(Item::Lost(error));
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Option<Box<Event>>> {
        let Link::Down { tries, not_before, .. } = &mut self.link else { return Ok(None) };
        sleep_until(*not_before).await;
        *tries += 1;
        let tries = *tries;
        let answer = self.client.open_events(self.task, self.after, self.resumed).await?;
        self.resumed = true;
        self.link = Link::Up { answer: Box::new(answer), parser: Parser::default(), tries };
        Ok(None)
    }

    /// Reads until there is an event.
    async fn read(&mut self) -> Result<Option<Box<Event>>> {
        let Link::Up { answer, parser, tries } = &mut self.link else { return Ok(None) };
        let address = self.client.address();
        let broken = |source| ClientError::Broken { address: address.clone(), source };
        let protocol = |what| ClientError::Protocol { address: address.clone(), what };
        loop {
            while let Some(message) = parser.next() {
                if message.event != "task" && message.event != "message" {
                    continue;
                }
                let event: Event = serde_json::from_str(&message.data)
                    .map_err(|error| protocol(format!("an event cannot be read: {error}")))?;
                // A server that does not know how to resume would send the old ones again.
                if event.id > self.after {
                    self.after = event.id;
                    *tries = 0;
                    return Ok(Some(Box::new(event)));
                }
            }
            let silence = self.client.retry.silence;
            let frame = match timeout(silence, answer.response.body_mut().frame()).await {
                Err(_) => return Err(ClientError::Timeout { address: address.clone(), limit: silence }),
                Ok(None) => return Err(broken("the stream ended".into())),
                Ok(Some(Err(error))) => return Err(broken(error.into())),
                Ok(Some(Ok(frame))) => frame,
            };
            if let Some(data) = frame.data_ref() {
                parser.push(data).map_err(|error| protocol(error.to_string()))?;
            }
        }
    }

    /// After an error: gives it up, or sets the next try. Gives the error back when the caller has not been told of the loss.
    fn lost(&mut self, error: ClientError) -> Result<Option<ClientError>> {
        let retry = self.client.retry;
        let (tries, told) = match &self.link {
            Link::Down { tries, told, .. } => (*tries, *told),
            Link::Up { tries, .. } => (*tries, false),
        };
        if !error.is_transient() || tries >= retry.tries {
            self.link = Link::Down { tries: 0, not_before: Instant::now(), told: false };
            return Err(error);
        }
        let wait = match tries.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => {
                retry.first_wait.saturating_mul(1 << doublings.min(16)).min(retry.longest_wait)
            }
        };
        self.link = Link::Down { tries, not_before: Instant::now() + wait, told: true };
        Ok((!told).then_some(error))
    }
}
