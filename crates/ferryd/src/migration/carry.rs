//! Files that go along: made on the destination by manifest, carried in spans that are summed on their way and read again where they
//! arrived, gone on with after a break or by another controller, and removed if the domain stays where it was. How they are made and
//! removed is in `made`, how a span gets over in `way`, what the log says of it all in `manifest`.
//!
//! What was sent on a connection that broke may still arrive when the network is back, after it was sent again; and where there was a
//! hole, libvirt cuts the file off behind it. So after a break a file is only whole once that has had its time, and what is at both ends
//! came to the same.

use std::sync::Arc;
use std::time::Duration;

use api::task::{Phase, Progress, TaskState};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::manifest::CARRIED;
use super::settle::FIRST_PAUSE;
use super::steps::Work;
use super::way::Ways;
use crate::hypervisor::{Digest, FileSight, Hypervisor, Span};
use crate::libvirt::error::{HostError, NO_POOL};
use crate::model::domain::{Answer, DomainSight, HostSight};
use crate::plan::Carried;
use crate::task::Stop;

/// How many seconds a span takes where the bandwidth is limited, at the most.
const SPAN_TAKES_S: u64 = 1;
/// How often a span that arrived as something else is sent again.
const SENT_AGAIN: u32 = 2;
/// Which part of a whole span the last ones are.
const LAST_SPAN_PART: u64 = 32;
/// How long what is sent again by TCP takes when the network is back, beside the time for which it was away: the pauses between its tries
/// double, so that the next one comes at the latest when that has passed once more.
const LATE: Duration = Duration::from_secs(2);
/// The longest of these pauses (Linux: `TCP_RTO_MAX`).
const LATEST: Duration = Duration::from_secs(120);
/// How long what an earlier ferryd had sent may be on its way: for how long the network was away nobody knows, but libvirt closes what it
/// hears nothing from for 30 s (`keepalive_interval`, `keepalive_count`).
const LATE_OF_ANOTHER: Duration = Duration::from_secs(35);

/// Why carrying ends before everything is there.
pub(super) enum Halt {
    /// It was called off.
    CalledOff,
    /// It cannot be done.
    Failed(HostError),
    /// The task is another's, or the store failed.
    Stop(Stop),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// A span that was sent, and is read again where it arrived.
struct Sent {
    span: Span,
    sum: Digest,
    there: JoinHandle<Result<Digest, HostError>>,
}

/// How it goes with a file.
struct Course {
    ways: Ways,
    /// How often in a row what arrived was something else.
    again: u32,
    /// How often what is at both ends differed.
    differed: u32,
    /// Something was on its way when a connection broke, and may arrive until then.
    late_until: Option<Instant>,
}

/// How much of all files has passed, for the figures.
#[derive(Debug, Default)]
pub(super) struct Passed {
    total: u64,
    pub(super) done: u64,
    /// Bytes that went over the wire.
    pub(super) sent: u64,
    began: Option<Instant>,
}

impl Work {
    /// Brings everything to the destination that goes along besides definition and memory, and makes the images that QEMU will
    /// fill. False where that did not come about: `settle` finds out what follows.
    pub(super) async fn carry_files(&mut self) -> Result<bool, Stop> {
        if self.plan.files.is_empty() {
            return Ok(true);
        }
        let to = self.plan.destination.clone();
        self.handle
            .update(|task| {
                task.state = TaskState::Running;
                task.phase = Phase::Copy;
                task.message = format!("carrying files to {to}");
            })
            .await?;
        match self.carry_all().await {
            Ok(()) => Ok(true),
            Err(Halt::CalledOff) => Ok(false),
            Err(Halt::Failed(error)) => {
                self.note_failure(CARRIED, &error);
                Ok(false)
            }
            Err(Halt::Stop(stop)) => Err(stop),
        }
    }

    async fn carry_all(&mut self) -> Result<(), Halt> {
        let (mut carried, copied) = (self.plan.files.carried.clone(), self.plan.files.copied.clone());
        if self.is_flattened() {
            // What was only needed for that may be gone by now.
            carried.retain(|file| !self.plan.files.temporary.contains(&file.new.path));
        }
        self.passed.total = carried.iter().map(|file| file.new.capacity_bytes).sum();
        self.passed.began = Some(Instant::now());
        for file in &carried {
            self.carry(file).await?;
        }
        // All of them are as they were when the first began: they belong together.
        for file in &carried {
            self.unchanged(file).await?;
            self.still_there(&file.new.path).await?;
        }
        for disk in &copied {
            self.make(&disk.new, None).await?;
        }
        self.flatten().await?;
        self.release_pools().await;
        Ok(())
    }

    /// Carries one file, from where it was carried to before.
    async fn carry(&mut self, file: &Carried) -> Result<(), Halt> {
        let path = &file.new.path;
        let seen = self.see_source(file.source_path()).await?;
        if seen.length_bytes != file.new.capacity_bytes {
            return Err(Halt::Failed(self.changed(file)));
        }
        // One that has changed since an earlier try began is carried anew, and what is not that try's is not written into.
        let mut course = Course { ways: Ways::default(), again: 0, differed: 0, late_until: None };
        if self.can_go_on(path, seen).await {
            course.late_until = Some(Instant::now() + LATE_OF_ANOTHER);
        } else {
            self.make(&file.new, Some(seen)).await?;
        }
        let mut at = self.made(path).map_or(0, |made| made.until);
        self.passed.done += at;
        let mut pending = None::<Sent>;
        self.go_on_only_if_stopped().await?;
        loop {
            let span = self.next_span(at, file.new.capacity_bytes);
            let sum = match span {
                Some(span) => Some(self.send(file, span, &mut course).await?),
                None => None,
            };
            let sent_until = span.map_or(at, |span| span.until());
            if let Some(sent) = pending.take()
                && let Some(from) = self.wrong_from(file, sent, &mut course).await?
            {
                if course.again >= SENT_AGAIN || course.differed > SENT_AGAIN {
                    let what =
                        format!("what arrived of {path} is not what was sent, also when it was sent again");
                    return Err(Halt::Failed(self.of_destination(what)));
                }
                course.again += 1;
                self.passed.done = self.passed.done.saturating_sub(sent_until - from);
                at = from;
                continue;
            }
            let (Some(span), Some(sum)) = (span, sum) else { return Ok(()) };
            pending = Some(Sent { span, sum, there: self.read_again(path, span) });
            at = sent_until;
        }
    }

    /// Whether an earlier try has carried some of this file, from the source's as it is now, and what is there is still that. One that
    /// had only begun costs nothing to begin anew, and what is late then does not find it.
    async fn can_go_on(&self, path: &str, seen: FileSight) -> bool {
        let Some(made) = self.made(path) else { return false };
        let begun = made.until > 0 && made.sure && made.going.is_none() && made.seen == Some(seen);
        // A host that does not answer now is waited for when something is written.
        begun && !matches!(made.is_there(self.destination.as_ref(), self.handle.id()).await, Ok(None))
    }

    pub(super) fn next_span(&self, at: u64, length: u64) -> Option<Span> {
        // A break costs at most some seconds of work again, also where the bandwidth is limited.
        let limit = self.limit_mib_s().map_or(u64::MAX, |mib_s| mib_s.saturating_mul(SPAN_TAKES_S << 20));
        let most = self.timing.span_bytes.min(limit);
        let left = length.saturating_sub(at);
        // Nothing is on the way any more while the last one is read again: towards the end they get shorter.
        let last = most / LAST_SPAN_PART;
        let next = if left < 4 * last { left } else { left / 3 * 2 };
        let span = Span { offset: at, length: next.min(most).max(1).min(left) };
        (span.length > 0).then_some(span)
    }

    /// Reads a span where it arrived.
    fn read_again(&self, path: &str, span: Span) -> JoinHandle<Result<Digest, HostError>> {
        let (destination, path, id) = (self.destination.clone(), path.to_owned(), self.handle.id());
        tokio::spawn(async move { destination.digest(id, &path, span).await })
    }

    /// From where on a file has to be sent again, once a span has arrived; where that is as it was sent, it is noted.
    async fn wrong_from(
        &mut self,
        file: &Carried,
        mut sent: Sent,
        course: &mut Course,
    ) -> Result<Option<u64>, Halt> {
        let (path, since) = (file.new.path.as_str(), Instant::now());
        let sum = loop {
            match sent.there.await {
                Ok(Ok(sum)) => break sum,
                Ok(Err(error)) => self.wait_for_hosts(error, since).await?,
                Err(error) => return Err(Halt::Failed(self.of_destination(error.to_string()))),
            }
            sent.there = self.read_again(path, sent.span);
        };
        if sum != sent.sum {
            tracing::warn!(migration.id = %self.handle.id(), path, offset = sent.span.offset, "what arrived is not what was sent");
            return Ok(Some(sent.span.offset));
        }
        let (until, mut there) = (sent.span.until(), None);
        if until == file.new.capacity_bytes {
            if let Some(late_until) = course.late_until
                && let Some(from) = self.differs_from(file, late_until).await?
            {
                // Somebody who writes to the source's makes them differ as well.
                self.unchanged(file).await?;
                course.differed += 1;
                return Ok(Some(from));
            }
            // What it looks like is asked only of the whole: by that it is known again.
            there = self.see(&self.destination, path).await?;
        }
        course.again = 0;
        self.note_arrived(path, until, there).await?;
        Ok(None)
    }

    /// Reads all of a file at both ends, once nothing can arrive late any more; where what is there differs first.
    async fn differs_from(&mut self, file: &Carried, late_until: Instant) -> Result<Option<u64>, Halt> {
        let (into, to) = (file.new.path.clone(), self.plan.destination.clone());
        let message =
            format!("carrying {into} to {to} was broken off: all of it is read once more on both hosts");
        self.handle.update(|task| task.message = message).await?;
        let mut wishes = self.handle.wishes();
        let found = tokio::select! {
            biased;
            Ok(_) = wishes.wait_for(|wish| wish.cancel) => return Err(Halt::CalledOff),
            found = self.first_difference(file, late_until) => found?,
        };
        self.handle.update(|task| task.message = format!("carrying files to {to}")).await?;
        if let Some(offset) = found {
            tracing::warn!(migration.id = %self.handle.id(), path = into, offset, "what arrived was cut off or written over by what was sent before");
        }
        Ok(found)
    }

    async fn first_difference(&self, file: &Carried, late_until: Instant) -> Result<Option<u64>, Halt> {
        let (from, into, length) = (file.source_path(), file.new.path.as_str(), file.new.capacity_bytes);
        tokio::time::sleep_until(late_until).await;
        for _ in 0..=SENT_AGAIN {
            let before = self.see(&self.destination, into).await?;
            let mut at = 0;
            while at < length {
                self.go_on_only_if_stopped().await?;
                let span = Span { offset: at, length: self.timing.span_bytes.min(length - at) };
                let (here, there) =
                    tokio::join!(self.sum(&self.source, from, span), self.sum(&self.destination, into, span));
                if here? != there? {
                    return Ok(Some(at));
                }
                at = span.until();
            }
            if self.see(&self.destination, into).await? == before {
                return Ok(None);
            }
            // Something was late all the same: what was read before that tells nothing.
        }
        Ok(Some(0))
    }

    /// What a part of a file on a host comes to, asked again over broken connections.
    async fn sum(&self, host: &Arc<dyn Hypervisor>, path: &str, span: Span) -> Result<Digest, Halt> {
        let mut since = None;
        loop {
            match host.digest(self.handle.id(), path, span).await {
                Ok(sum) => return Ok(sum),
                Err(error) => self.wait_for_hosts(error, *since.get_or_insert_with(Instant::now)).await?,
            }
        }
    }

    /// Sends a span, as often as connections break on the way; what was sent, summed.
    async fn send(&mut self, file: &Carried, span: Span, course: &mut Course) -> Result<Digest, Halt> {
        let mut since = None;
        loop {
            let done = self.passed.done;
            match self.pass(file, span, &mut course.ways).await? {
                Ok(sum) => return Ok(sum),
                Err(error) => {
                    self.passed.done = done;
                    let since = *since.get_or_insert_with(Instant::now);
                    self.wait_for_hosts(error, since).await?;
                    self.wait_for_given_up(&mut course.ways, since).await?;
                    let late = (LATE + course.ways.stood_for()).min(LATEST);
                    course.late_until = Some(Instant::now() + late);
                    self.go_on_only_if_stopped().await?;
                }
            }
        }
    }

    /// No more than the limit of the bandwidth lets through.
    pub(super) async fn keep_to_the_limit(&self, began: Instant, passed: u64) {
        let Some(mib_s) = self.limit_mib_s() else { return };
        let due = Duration::from_secs_f64(passed as f64 / (mib_s as f64 * 1_048_576.0));
        tokio::time::sleep_until(began + due).await;
    }

    pub(super) async fn tell_carrying(&mut self) -> Result<(), Stop> {
        if !self.monitor.report_due(self.timing.report) {
            return Ok(());
        }
        let elapsed = self.passed.began.map(|began| began.elapsed()).unwrap_or_default();
        let progress = Progress {
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            storage_processed_bytes: Some(self.passed.done),
            storage_total_bytes: Some(self.passed.total),
            ..Progress::default()
        };
        let limit_mib_s = self.limit_mib_s();
        self.handle.update(|task| (task.progress, task.bandwidth_mib_s) = (Some(progress), limit_mib_s)).await
    }

    /// A stopped domain that somebody starts meanwhile writes to what is carried.
    pub(super) async fn go_on_only_if_stopped(&self) -> Result<(), Halt> {
        if self.is_called_off() {
            return Err(Halt::CalledOff);
        }
        if !self.plan.cold {
            return Ok(());
        }
        match self.source.domain(self.plan.domain).await {
            Answer::Present(DomainSight { state, .. }) if state != api::vm::VmState::Shutoff => {
                let what = format!("{} was started while its files were carried", self.plan.name);
                Err(Halt::Failed(HostError::Shell { host: self.plan.source.clone(), what }))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_called_off(&self) -> bool {
        self.handle.wishes().borrow().cancel
    }

    /// After a failure that may be a broken connection: waits until both hosts answer, as long as there is patience for, counted
    /// from `since`.
    pub(super) async fn wait_for_hosts(&self, error: HostError, since: Instant) -> Result<(), Halt> {
        // Another task's pool over the same directory may have ended.
        let passes = error.is_broken_connection() || error.libvirt_code() == Some(NO_POOL);
        let left = self.timing.patience.saturating_sub(since.elapsed());
        if !passes || left.is_zero() {
            return Err(Halt::Failed(error));
        }
        tracing::warn!(migration.id = %self.handle.id(), error = %error.cause(), "carrying files broke off; it is gone on with when both hosts answer");
        let mut wishes = self.handle.wishes();
        let called_off = async { wishes.wait_for(|wish| wish.cancel).await.is_ok() };
        tokio::select! {
            biased;
            true = called_off => Err(Halt::CalledOff),
            answered = timeout(left, self.both_answer()) => match answered {
                // What failed may fail again at once.
                Ok(_) => {
                    tokio::time::sleep(FIRST_PAUSE).await;
                    Ok(())
                }
                Err(_) => Err(Halt::Failed(self.out_of_patience(error).await)),
            },
        }
    }

    /// The host that does not answer when there is no more patience, with what was seen of that first.
    async fn out_of_patience(&self, error: HostError) -> HostError {
        let domain = self.plan.domain;
        let (here, there) = tokio::join!(self.source.look(domain), self.destination.look(domain));
        let is_silent = |sight: &HostSight| matches!(sight.domain, Answer::Unknown(_));
        let host = match (is_silent(&here), is_silent(&there)) {
            (true, false) => self.plan.source.clone(),
            (false, true) => self.plan.destination.clone(),
            (true, true) => format!("{}, and {} as well,", self.plan.source, self.plan.destination),
            (false, false) => return error,
        };
        let reason = format!("it does not answer any more ({})", error.cause());
        HostError::Unreachable { host, reason }
    }
}
