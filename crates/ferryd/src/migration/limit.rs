//! A limit of the bandwidth that is asked for while a migration is under way.
//!
//! ```text
//!   asked for ──memory is being copied──▶ read what libvirt remembers ──▶ intent ──▶ set ──▶ told
//!       └──────disks are, before that───▶ QEMU's copies of them are limited ──▶ told
//! ```
//! libvirt remembers the limit for the domain, also the one that a migration begins with (seen with 9.0), and would hold the next migration
//! to it as well: where the domain stays at the source, what it remembered before is written back. All calls go out beside the loop that watches: they may wait for libvirt's job, and the
//! hand-over must not wait for them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::knowledge::Came;
use super::steps::Work;
use crate::libvirt::error::HostError;
use crate::model::domain::JobFigures;
use crate::store::{BandwidthWish, LogEntry};
use crate::task::Stop;

/// Name of the log entry for a limit that is set.
const LIMIT: &str = "limit-bandwidth";

/// How long after a new limit copies of disks may begin that keep to it, too.
const DISKS_BEGIN_WITHIN: Duration = Duration::from_secs(30);

/// The intent to set it.
#[derive(Debug, Serialize, Deserialize)]
struct Limiting {
    mib_s: u64,
    /// What libvirt remembered before.
    before_mib_s: u64,
}

/// Where a new limit stands.
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// The wish that was last taken up.
    taken_up: Option<BandwidthWish>,
    /// The one for the copies of disks, since when it was taken up, and whether all keep to it.
    of_disks: Option<(BandwidthWish, Instant, bool)>,
    /// What libvirt remembered of the domain before this task set anything.
    before_mib_s: Option<u64>,
    under_way: Option<Call>,
}

/// A call that is under way.
#[derive(Debug)]
enum Call {
    Read(u64, JoinHandle<Result<u64, HostError>>),
    Set(u64, i64, JoinHandle<Result<(), HostError>>),
    Disks(u64, JoinHandle<Result<u32, HostError>>),
}

impl Call {
    fn is_finished(&self) -> bool {
        match self {
            Self::Read(_, call) => call.is_finished(),
            Self::Set(_, _, call) => call.is_finished(),
            Self::Disks(_, call) => call.is_finished(),
        }
    }
}

impl Limit {
    /// As the log of a task leaves it.
    pub(super) fn of(log: &[LogEntry]) -> Self {
        let first = log.iter().find(|entry| entry.step == LIMIT);
        let first = first.and_then(|entry| serde_json::from_value::<Limiting>(entry.intent.clone()).ok());
        Self { before_mib_s: first.map(|first| first.before_mib_s), ..Self::default() }
    }

    /// A migration begins with this wish: what is asked for later is another one.
    pub(super) fn begun_with(&mut self, wish: Option<BandwidthWish>) {
        self.taken_up = wish;
        self.of_disks = wish.map(|wish| (wish, Instant::now(), true));
    }
}

impl Work {
    /// The limit that holds: what was last asked for, or else what was planned.
    pub(super) fn limit_mib_s(&self) -> Option<u64> {
        let wish = self.handle.wishes().borrow().bandwidth;
        wish.map(|wish| wish.mib_s).or(self.plan.bandwidth_mib_s)
    }

    /// libvirt remembers the limit that a migration begins with as well: what it remembered before is noted first.
    pub(super) async fn note_limit_before(&mut self) -> Result<(), Stop> {
        let Some(mib_s) = self.limit_mib_s().filter(|_| self.limit.before_mib_s.is_none()) else {
            return Ok(());
        };
        match self.source.max_bandwidth(self.plan.domain).await {
            Ok(before_mib_s) => {
                let seq = self.handle.intend(LIMIT, &Limiting { mib_s, before_mib_s }).await?;
                self.limit.before_mib_s = Some(before_mib_s);
                self.handle.came_to(LIMIT, seq, &Came::Done).await
            }
            Err(error) => {
                self.limit_failed(&error.cause());
                Ok(())
            }
        }
    }

    /// Takes a step towards the limit that was asked for last, where something is being copied. Never waits for a host.
    pub(super) async fn keep_to_new_limit(&mut self, figures: &JobFigures) -> Result<(), Stop> {
        if !figures.active || self.monitor.frozen() {
            return Ok(());
        }
        self.note_new_limit().await?;
        let wish = self.handle.wishes().borrow().bandwidth;
        let Some(wish) = wish.filter(|_| self.limit.under_way.is_none()) else { return Ok(()) };
        // The memory first: that is what still loads the network then.
        if figures.memory_processed_bytes == 0 || self.limit.taken_up == Some(wish) {
            self.limit_disks(figures, wish);
            return Ok(());
        }
        self.limit.taken_up = Some(wish);
        if let Some(before_mib_s) = self.limit.before_mib_s {
            return self.set_limit(wish.mib_s, before_mib_s).await;
        }
        let (source, domain) = (self.source.clone(), self.plan.domain);
        let read = tokio::spawn(async move { source.max_bandwidth(domain).await });
        self.limit.under_way = Some(Call::Read(wish.mib_s, read));
        Ok(())
    }

    /// Has the disks that are being copied keep to it; again for a while where not all of them did: libvirt begins one copy after the other.
    fn limit_disks(&mut self, figures: &JobFigures, wish: BandwidthWish) {
        let since = match self.limit.of_disks {
            Some((taken_up, since, all)) if taken_up == wish => {
                if all || since.elapsed() > DISKS_BEGIN_WITHIN {
                    return;
                }
                since
            }
            _ => Instant::now(),
        };
        if figures.disk_total_bytes.is_none_or(|total| total == 0) {
            return;
        }
        self.limit.of_disks = Some((wish, since, false));
        let (source, domain, mib_s) = (self.source.clone(), self.plan.domain, wish.mib_s);
        let limit = tokio::spawn(async move { source.limit_disk_copies(domain, mib_s).await });
        self.limit.under_way = Some(Call::Disks(mib_s, limit));
    }

    /// Tells what came of a limit that was set, where the source has answered.
    pub(super) async fn note_new_limit(&mut self) -> Result<(), Stop> {
        if self.limit.under_way.as_ref().is_some_and(Call::is_finished) {
            self.limit_came_to().await?;
        }
        Ok(())
    }

    async fn set_limit(&mut self, mib_s: u64, before_mib_s: u64) -> Result<(), Stop> {
        let seq = self.handle.intend(LIMIT, &Limiting { mib_s, before_mib_s }).await?;
        let (source, domain) = (self.source.clone(), self.plan.domain);
        let set = tokio::spawn(async move { source.set_max_bandwidth(domain, mib_s).await });
        self.limit.under_way = Some(Call::Set(mib_s, seq, set));
        Ok(())
    }

    async fn limit_came_to(&mut self) -> Result<(), Stop> {
        match self.limit.under_way.take() {
            Some(Call::Read(mib_s, read)) => match read.await {
                Ok(Ok(remembered)) => {
                    let before_mib_s = *self.limit.before_mib_s.get_or_insert(remembered);
                    self.set_limit(mib_s, before_mib_s).await?;
                }
                Ok(Err(error)) => self.limit_failed(&error.cause()),
                Err(error) => self.limit_failed(&error.to_string()),
            },
            Some(Call::Set(mib_s, seq, set)) => match set.await {
                Ok(result) => {
                    self.handle.came_to(LIMIT, seq, &Came::to(&result)).await?;
                    match result {
                        Ok(()) => self.handle.update(|task| task.bandwidth_mib_s = Some(mib_s)).await?,
                        Err(error) => self.limit_failed(&error.cause()),
                    }
                }
                Err(error) => self.limit_failed(&error.to_string()),
            },
            Some(Call::Disks(mib_s, limit)) => match limit.await {
                Ok(Ok(limited)) => self.disks_limited(mib_s, limited as usize).await?,
                Ok(Err(error)) => self.limit_failed(&error.cause()),
                Err(error) => self.limit_failed(&error.to_string()),
            },
            None => {}
        }
        Ok(())
    }

    async fn disks_limited(&mut self, mib_s: u64, limited: usize) -> Result<(), Stop> {
        if limited < self.plan.files.copied.len().max(1) {
            return Ok(());
        }
        if let Some((_, _, all)) = self.limit.of_disks.as_mut().filter(|(wish, ..)| wish.mib_s == mib_s) {
            *all = true;
        }
        self.handle.update(|task| task.bandwidth_mib_s = Some(mib_s)).await
    }

    fn limit_failed(&self, error: &str) {
        tracing::warn!(migration.id = %self.handle.id(), domain.uuid = %self.plan.domain, error, "the limit of the bandwidth was not read or set");
    }

    /// The domain stays at the source: what libvirt there remembered of it before is written back.
    pub(super) async fn forget_limit(&mut self) -> Result<(), Stop> {
        let Some(before_mib_s) = self.limit.before_mib_s.take() else { return Ok(()) };
        let seq = self.handle.intend(LIMIT, &Limiting { mib_s: before_mib_s, before_mib_s }).await?;
        let result = self.source.set_max_bandwidth(self.plan.domain, before_mib_s).await;
        self.handle.came_to(LIMIT, seq, &Came::to(&result)).await?;
        if let Err(error) = result {
            self.limit_failed(&error.cause());
        }
        Ok(())
    }
}
