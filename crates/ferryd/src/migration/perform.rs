//! The step that moves the memory, and the hand-over.

use std::pin::pin;
use std::time::Duration;

use api::task::{Phase, TaskState};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::copy::Copy;
use super::knowledge::Came;
use super::outcome::{Action, Next, decide};
use super::steps::{PERFORM, Work};
use crate::hypervisor::MigrateCall;
use crate::libvirt::error::HostError;
use crate::model::DomainUuid;
use crate::model::domain::{Answer, DomainEvent, HostSight, JobFigures, ProcessAnswer};
use crate::task::Stop;

/// How long after breaking off a migration that still does not end it is broken off again.
pub(super) const BREAK_OFF_AGAIN: Duration = Duration::from_secs(3);

/// How long the source may take to say whether it runs the domain anew; where it says nothing, `settle` finds out.
const ASKED_AGAIN: Duration = Duration::from_secs(1);
/// When nothing was noticed for so long, ferryd itself stood still or was kept, and somebody may have started the domain on the source
/// again since it was proven dead there: the source is asked. (In the ordinary case asking for it would lengthen the guest's pause: right then libvirt ends
/// the migration there, and lets questions wait.)
const STOOD_STILL: Duration = Duration::from_secs(1);

/// What the eyes on a migration report.
enum Seen {
    Job(JobFigures),
    Destination(Answer),
}

/// A task that ends with its owner.
struct Eyes(JoinHandle<()>);

impl Drop for Eyes {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Work {
    /// Has libvirt send the domain, watches, and hands over. Ends when libvirt's call ends; where the domain is then, `settle`
    /// finds out.
    pub(super) async fn perform(&mut self) -> Result<(), Stop> {
        let looked = Instant::now();
        if !self.can_begin().await {
            return Ok(());
        }
        self.note_limit_before().await?;
        let (eyes, mut seen) = self.open_eyes();
        let mut proof = pin!(proof_of_death(self.source.clone(), self.plan.domain));
        let mut wishes = self.handle.wishes();
        let seq = self.intend_perform().await?;
        // Whoever stood still since then does not know any more what is there.
        if looked.elapsed() > self.timing.stale {
            self.cause.get_or_insert_with(|| "ferryd stood still right before it was begun".to_owned());
            return self.not_sent(seq).await;
        }
        self.monitor.begin();
        self.contact.made();
        self.limit.begun_with(self.handle.wish().bandwidth);
        let mut call = self.begin_call();
        self.tell_copying().await?;
        let (mut proven, mut stood_still, mut turned) = (false, false, Instant::now());
        let result = loop {
            // With what was done in the turn before: all the time in which nothing was noticed.
            let mut noticed = || {
                stood_still |= turned.elapsed() > STOOD_STILL;
                turned = Instant::now();
                stood_still
            };
            tokio::select! {
                biased;
                () = &mut proof, if !proven => {
                    proven = true;
                    let stood_still = noticed();
                    self.hand_over(stood_still).await?;
                }
                event = self.told.recv() => {
                    let stood_still = noticed();
                    if self.source_told(event).await? && !proven {
                        proven = true;
                        self.hand_over(stood_still).await?;
                    }
                }
                joined = &mut call => break joined,
                Ok(()) = wishes.changed() => self.heed().await?,
                Some(seen) = seen.recv() => {
                    noticed();
                    self.look_after(seen).await?;
                    if self.monitor.idle_for() > self.timing.silence {
                        // The answer will not come: the connection that it would come by is dead, and nobody has noticed.
                        break Ok(Err(HostError::timed_out(&self.plan.source, "migrate", self.timing.silence)));
                    }
                }
            }
        };
        drop(eyes);
        let result = result.unwrap_or_else(|error| {
            let reason = format!("the call was broken off: {error}");
            Err(HostError::Unreachable { host: self.plan.source.clone(), reason })
        });
        self.handle.came_to(PERFORM, seq, &Came::to(&result)).await?;
        if let Err(error) = &result {
            self.note_failure(PERFORM, error);
        }
        Ok(())
    }

    fn begin_call(&self) -> JoinHandle<Result<(), HostError>> {
        let (source, destination, domain) = (self.source.clone(), self.destination.clone(), self.plan.domain);
        let planned = if self.know.post_copy { self.plan.post_copy_call() } else { self.plan.call() };
        // Its end is waited for longer than this: what begins later would begin when the task may have ended.
        let not_after = Some(Instant::now() + self.timing.silence);
        let call = MigrateCall { bandwidth_mib_s: self.limit_mib_s(), not_after, ..planned };
        tokio::spawn(async move {
            if call.transport.direct {
                source.migrate_direct(domain, &call, &*destination).await
            } else {
                source.migrate(domain, &call).await
            }
        })
    }

    /// A copy that a ferryd which is gone had begun with itself between the two libvirts has ended with that: both of them give it up
    /// when their connections break.
    pub(super) fn note_if_it_was_carried(&mut self, begun: bool) {
        if begun && self.plan.transport.direct {
            let why = "ferryd, which was between the two libvirts (--direct), was stopped meanwhile";
            self.cause.get_or_insert_with(|| why.to_owned());
        }
    }

    async fn tell_copying(&mut self) -> Result<(), Stop> {
        let (to, limit_mib_s) = (self.plan.destination.clone(), self.limit_mib_s());
        let then = if self.know.post_copy { "; after one pass it goes on there" } else { "" };
        self.handle
            .update(|task| {
                task.bandwidth_mib_s = limit_mib_s;
                if task.state == TaskState::Queued {
                    task.state = TaskState::Running;
                }
                task.phase = Phase::Copy;
                task.message = format!("copying memory to {to} while the guest runs{then}");
            })
            .await
    }

    /// Polls the job and the destination beside the main loop: a poll was seen to block for 0.2 s at the switch-over, and an
    /// unanswering destination blocks longer.
    fn open_eyes(&self) -> ([Eyes; 2], mpsc::Receiver<Seen>) {
        let (tell, seen) = mpsc::channel(4);
        let (source, destination, domain) = (self.source.clone(), self.destination.clone(), self.plan.domain);
        let (poll, probe) = (self.timing.poll, self.timing.freeze / 6);
        let tell_job = tell.clone();
        let max_downtime_ms = self.longest_pause_ms();
        let job = tokio::spawn(async move {
            let mut downtime_to_set = max_downtime_ms;
            loop {
                tokio::time::sleep(poll).await;
                let figures = match source.job(domain).await {
                    Ok(figures) => figures,
                    // A live libvirt says that it has no such domain: no job is at work on it.
                    Err(error) if error.is_no_domain() => JobFigures::default(),
                    Err(_) => continue,
                };
                if let Some(downtime_ms) = downtime_to_set.filter(|_| figures.active) {
                    // Only now: libvirt resets migration parameters when a migration begins.
                    match source.set_max_downtime(domain, downtime_ms).await {
                        Ok(()) => downtime_to_set = None,
                        Err(error) => {
                            tracing::warn!(domain.uuid = %domain, %error, "the downtime limit was not set")
                        }
                    }
                }
                if tell_job.send(Seen::Job(figures)).await.is_err() {
                    return;
                }
            }
        });
        let there = tokio::spawn(async move {
            loop {
                tokio::time::sleep(probe).await;
                if tell.send(Seen::Destination(destination.domain(domain).await)).await.is_err() {
                    return;
                }
            }
        });
        ([Eyes(job), Eyes(there)], seen)
    }

    /// Takes an event of the source's; true when it proves that the source let go.
    async fn source_told(
        &mut self,
        event: Result<(DomainUuid, DomainEvent), broadcast::error::RecvError>,
    ) -> Result<bool, Stop> {
        let Ok((domain, event)) = event else {
            self.missed();
            return Ok(false);
        };
        if domain != self.plan.domain {
            return Ok(false);
        }
        self.monitor.source_told(event);
        self.contact.made();
        self.hear(event);
        if event == DomainEvent::SuspendedMigrated {
            let (to, progress) = (self.plan.destination.clone(), self.monitor.progress());
            self.handle
                .update(|task| {
                    task.phase = Phase::SwitchOver;
                    task.progress = progress.or(task.progress.take());
                    task.message = format!("switching over to {to}");
                })
                .await?;
        }
        if matches!(event, DomainEvent::Iteration(_)) {
            self.switch_if_due().await?;
        }
        Ok(event == DomainEvent::StoppedMigrated)
    }

    /// The source's QEMU is dead. If the destination has complete memory and waits, it runs now: both proofs are needed. In any
    /// other case `settle` looks when libvirt's call has ended.
    async fn hand_over(&mut self, stood_still: bool) -> Result<(), Stop> {
        let uuid = self.plan.domain;
        let looked = Instant::now();
        // What the source told before it died: that it went on, perhaps.
        self.hear_the_source();
        let source = if stood_still || self.contact.is_older_than(STOOD_STILL * 2) {
            match tokio::time::timeout(ASKED_AGAIN, self.source.domain(uuid)).await {
                // Absent, or off; or somebody has started it there again since, and both must not run.
                Ok(answer) => Copy::of_source(&seen(answer), &self.run),
                Err(_) => Copy::Unknown,
            }
        } else {
            Copy::Dead
        };
        let destination = self.destination.domain(uuid).await;
        if decide(source, Copy::of(&seen(destination)), &self.know) == Next::Act(Action::ResumeDestination) {
            // A failure is noted there, and `settle` tries again.
            let _ = self.act(Action::ResumeDestination, looked).await?;
        }
        Ok(())
    }

    /// Somebody asked for something.
    async fn heed(&mut self) -> Result<(), Stop> {
        let cancelled_before = self.know.cancel;
        self.know.wish(self.handle.wish());
        if !self.know.cancel || cancelled_before {
            return Ok(());
        }
        if self.know.switch_intended {
            let to = self.plan.destination.clone();
            let message =
                format!("too late to cancel: the guest was switched to {to}, and its memory follows");
            return self.handle.update(|task| task.message = message).await;
        }
        self.handle
            .update(|task| {
                task.state = TaskState::Cancelling;
                task.message = "cancelling: libvirt is asked to stop the copy".to_owned();
            })
            .await?;
        // Beside the loop: an abort was seen to block for seconds.
        let seq = self.handle.intend(&Action::AbortJob.name(), &serde_json::json!({})).await?;
        self.abort_beside();
        self.handle.came_to(&Action::AbortJob.name(), seq, &Came::Done).await
    }

    async fn look_after(&mut self, seen: Seen) -> Result<(), Stop> {
        match seen {
            Seen::Destination(answer) => self.monitor.destination_told(&answer),
            Seen::Job(figures) => {
                self.contact.made();
                self.monitor.job_is(figures.active);
                // An abort that came before libvirt had begun its job was refused. (One that is under way is enough.)
                let given_up = (self.know.cancel || self.know.giving_way) && !self.know.switch_intended;
                if figures.active && given_up && !self.monitor.frozen() {
                    self.abort_beside();
                }
                self.keep_to_new_limit(&figures).await?;
                let moved = self.monitor.job_told(figures);
                if moved && self.monitor.report_due(self.timing.report) {
                    let progress = self.monitor.progress();
                    self.handle.update(|task| task.progress = progress).await?;
                }
                self.give_way_if_due().await?;
                self.switch_if_due().await?;
            }
        }
        self.know.stuck = self.is_stuck();
        if self.know.stuck && self.monitor.break_off_due(BREAK_OFF_AGAIN) {
            self.give_up().await
        } else {
            Ok(())
        }
    }

    /// Whether the migration waits for something that does not come.
    pub(super) fn is_stuck(&self) -> bool {
        let switch_over = Duration::from_millis(self.plan.max_downtime_ms.unwrap_or(300));
        // Two libvirts that speak to each other notice that their connection is dead while memory is copied. ferryd in between does not;
        // nor was the source's seen to while it waited for QEMU to copy disks and the destination's was killed.
        let unwatched = self.plan.transport.direct || !self.plan.files.copied.is_empty();
        let still = unwatched && self.monitor.stands_still(self.timing.silence * 2);
        let stuck = still || self.monitor.stuck(self.timing.freeze, self.timing.silence, switch_over);
        // A post-copy that was switched is not broken off: libvirt notices a dead link, and both are joined again. Nor is one that stands
        // for the switch-over by itself: it may run on the destination already, and libvirt would let the source's copy go on.
        let may_run_there = self.know.post_copy && self.monitor.frozen();
        stuck && !self.know.switch_intended && !may_run_there
    }

    /// Breaks off a migration that waits for something that does not come.
    async fn give_up(&mut self) -> Result<(), Stop> {
        let message = if self.monitor.frozen() {
            "the switch-over does not move: it is broken off so that the guest goes on at the source"
        } else {
            "the destination does not answer: the copy is broken off"
        };
        let reason = format!("{} did not answer during the migration", self.plan.destination);
        self.cause.get_or_insert(reason);
        self.handle.update(|task| task.message = message.to_owned()).await?;
        // A failure is noted there; it is tried again, and the call ends by itself in the end.
        let _ = self.act(Action::CloseSockets, Instant::now()).await?;
        Ok(())
    }
}

/// What libvirt alone says of a host.
fn seen(domain: Answer) -> HostSight {
    HostSight { domain, process: ProcessAnswer::Unknown, boot: None }
}

/// Ends when the domain's QEMU on the source is proven dead; never, where no such proof is to be had (then libvirt's event is the
/// proof).
async fn proof_of_death(source: std::sync::Arc<dyn crate::hypervisor::Hypervisor>, domain: DomainUuid) {
    match source.watch_death(domain).await {
        Ok(Some(watch)) => match watch.await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(domain.uuid = %domain, %error, "the watch on the source's QEMU was lost")
            }
        },
        Ok(None) => {}
        Err(error) => tracing::warn!(domain.uuid = %domain, %error, "no watch on the source's QEMU"),
    }
    std::future::pending().await
}
