//! Files that go along: made on the destination by manifest, carried in spans that are summed on their way and read again where they
//! arrived, gone on with after a break or by another controller, and removed if the domain stays where it was. How they are made and
//! removed is in `made`, what the log says of them in `manifest`.

use std::time::Duration;

use api::task::{Phase, Progress, TaskState};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::manifest::CARRIED;
use super::settle::FIRST_PAUSE;
use super::steps::Work;
use crate::hypervisor::{Digest, FileSight, NewFile, Piece, Span};
use crate::libvirt::error::{HostError, NO_POOL, OPERATION_ABORTED};
use crate::model::domain::{Answer, DomainSight};
use crate::plan::Carried;
use crate::task::Stop;

/// How many seconds a span takes where the bandwidth is limited, at the most.
const SPAN_TAKES_S: u64 = 1;
/// How often a span that arrived as something else is sent again.
const SENT_AGAIN: u32 = 2;
/// Which part of a whole span the last ones are.
const LAST_SPAN_PART: u64 = 8;
/// How much of a span may be left when the way of the next one is opened at both ends, which takes as long as some of this does.
const AHEAD_BYTES: u64 = 16 << 20;

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

/// The way of a span, open at both ends: out of the source, and into the destination. Who drops it closes both.
struct Way {
    span: Span,
    coming: mpsc::Receiver<Piece>,
    read: JoinHandle<Result<(), HostError>>,
    going: mpsc::Sender<Piece>,
    written: JoinHandle<Result<(), HostError>>,
}

/// How much of all files has passed, for the figures.
#[derive(Debug, Default)]
pub(super) struct Passed {
    total: u64,
    done: u64,
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
        if !self.can_go_on(path, seen).await {
            self.make(&file.new, Some(seen)).await?;
        }
        let mut at = self.made(path).map_or(0, |made| made.until);
        self.passed.done += at;
        let (mut pending, mut again, mut ahead) = (None::<Sent>, 0, None);
        loop {
            let span = self.next_span(at, file.new.capacity_bytes);
            let sum = match span {
                Some(span) => Some(self.send(file, span, &mut ahead).await?),
                None => None,
            };
            if let Some(sent) = pending.take() {
                let from = sent.span.offset;
                if self.arrived(&file.new, sent).await? {
                    again = 0;
                } else if again < SENT_AGAIN {
                    (at, again) = (from, again + 1);
                    continue;
                } else {
                    let what =
                        format!("what arrived of {path} is not what was sent, also when it was sent again");
                    return Err(Halt::Failed(self.of_destination(what)));
                }
            }
            let (Some(span), Some(sum)) = (span, sum) else { return Ok(()) };
            pending = Some(Sent { span, sum, there: self.read_again(path, span) });
            at = span.offset + span.length;
        }
    }

    /// Whether an earlier try has begun this file, from the source's as it is now, and what is there is still that.
    async fn can_go_on(&self, path: &str, seen: FileSight) -> bool {
        let Some(made) = self.made(path) else { return false };
        let begun = made.sure && made.going.is_none() && made.seen == Some(seen);
        // A host that does not answer now is waited for when something is written.
        begun && !matches!(made.is_there(self.destination.as_ref(), self.handle.id()).await, Ok(None))
    }

    fn next_span(&self, at: u64, length: u64) -> Option<Span> {
        // A break costs at most some seconds of work again, also where the bandwidth is limited.
        let limit = self.limit_mib_s().map_or(u64::MAX, |mib_s| mib_s.saturating_mul(SPAN_TAKES_S << 20));
        let most = self.timing.span_bytes.min(limit);
        let left = length.saturating_sub(at);
        // Nothing is on the way any more while the last one is read again: towards the end they get shorter.
        let next = (left / 2).max(most / LAST_SPAN_PART).max(1);
        let span = Span { offset: at, length: next.min(most).min(left) };
        (span.length > 0).then_some(span)
    }

    /// Opens the way of a span.
    fn open(&self, file: &Carried, span: Span) -> Way {
        let (sink, coming) = mpsc::channel(4);
        let (source, from, id) = (self.source.clone(), file.source_path().to_owned(), self.handle.id());
        let read = tokio::spawn(async move { source.read_file(id, &from, span, sink).await });
        let (going, pieces) = mpsc::channel(4);
        let (destination, into) = (self.destination.clone(), file.new.path.clone());
        let written = tokio::spawn(async move { destination.write_file(id, &into, span, pieces).await });
        Way { span, coming, read, going, written }
    }

    /// Opens the way of the span after this one, while the end of this one is still on its way: neither end waits for the other.
    fn open_ahead(&self, file: &Carried, span: Span) -> Option<Way> {
        let next = self.next_span(span.offset + span.length, file.new.capacity_bytes)?;
        // Where the bandwidth is limited, there is nothing to be gained.
        self.limit_mib_s().is_none().then(|| self.open(file, next))
    }

    fn read_again(&self, path: &str, span: Span) -> JoinHandle<Result<Digest, HostError>> {
        let (destination, path, id) = (self.destination.clone(), path.to_owned(), self.handle.id());
        tokio::spawn(async move { destination.digest(id, &path, span).await })
    }

    /// Whether a span arrived as it was sent; then that is noted.
    async fn arrived(&mut self, file: &NewFile, mut sent: Sent) -> Result<bool, Halt> {
        let (path, since) = (file.path.as_str(), Instant::now());
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
            return Ok(false);
        }
        let until = sent.span.offset + sent.span.length;
        // What it looks like is asked only of the whole: by that it is known again.
        let there =
            if until == file.capacity_bytes { self.see(&self.destination, path).await? } else { None };
        self.note_arrived(path, until, there).await?;
        Ok(true)
    }

    /// Sends a span, as often as connections break on the way; what was sent, summed. `ahead`: its way, where that is open already, and
    /// the next one's afterwards.
    async fn send(&mut self, file: &Carried, span: Span, ahead: &mut Option<Way>) -> Result<Digest, Halt> {
        let since = Instant::now();
        loop {
            self.go_on_only_if_stopped().await?;
            let done = self.passed.done;
            let open = ahead.take().filter(|open| open.span == span);
            let way = open.unwrap_or_else(|| self.open(file, span));
            match self.pass(file, way, ahead).await? {
                Ok(sum) => return Ok(sum),
                Err(error) => {
                    self.passed.done = done;
                    self.wait_for_hosts(error, since).await?;
                }
            }
        }
    }

    /// One try: out of the source, through here, into the destination.
    async fn pass(
        &mut self,
        file: &Carried,
        way: Way,
        ahead: &mut Option<Way>,
    ) -> Result<Result<Digest, HostError>, Halt> {
        let Way { span, mut coming, read, going, written } = way;
        let mut sum = Sha256::new();
        let began = Instant::now();
        let (mut passed, mut left) = (0, span.length);
        // Nothing for so long: a connection that hangs.
        let still = self.timing.silence;
        while let Ok(Some(piece)) = timeout(still, coming.recv()).await {
            piece.count_into(&mut sum);
            self.passed.done += piece.length();
            left = left.saturating_sub(piece.length());
            if let Piece::Data(bytes) = &piece {
                passed += bytes.len() as u64;
                self.passed.sent += bytes.len() as u64;
            }
            if !matches!(timeout(still, going.send(piece)).await, Ok(Ok(()))) || self.is_called_off() {
                break;
            }
            if ahead.is_none() && left <= AHEAD_BYTES {
                *ahead = self.open_ahead(file, span);
            }
            self.keep_to_the_limit(began, passed).await;
            self.tell_carrying().await?;
        }
        drop((coming, going));
        if self.is_called_off() {
            return Err(Halt::CalledOff);
        }
        let ended = |host: &str, joined| match joined {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => {
                Err(HostError::Unreachable { host: host.to_owned(), reason: format!("{error}") })
            }
            Err(_) => Err(HostError::timed_out(host, "carry a file", still)),
        };
        let (read, written) = tokio::join!(timeout(still, read), timeout(still, written));
        let (read, written) = (ended(&self.plan.source, read), ended(&self.plan.destination, written));
        // Where one breaks, the other does as well, and says less.
        Ok(match (read, written) {
            (Ok(()), Ok(())) => Ok(sum.finalize().into()),
            (Ok(()), Err(error)) | (Err(error), Ok(())) => Err(error),
            (Err(read), Err(written)) => {
                Err(if read.libvirt_code() == Some(OPERATION_ABORTED) { written } else { read })
            }
        })
    }

    /// No more than the limit of the bandwidth lets through.
    async fn keep_to_the_limit(&self, began: Instant, passed: u64) {
        let Some(mib_s) = self.limit_mib_s() else { return };
        let due = Duration::from_secs_f64(passed as f64 / (mib_s as f64 * 1_048_576.0));
        tokio::time::sleep_until(began + due).await;
    }

    async fn tell_carrying(&mut self) -> Result<(), Stop> {
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
                Err(_) => Err(Halt::Failed(error)),
            },
        }
    }
}
