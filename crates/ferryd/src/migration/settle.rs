//! Ask both hosts, decide, act, ask again; until it has ended.

use std::time::Duration;

use api::task::{Location, Outcome, Phase, Side, Task, TaskState};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::contact::Contact;
use super::copy::Copy;
use super::glance::{Glance, look};
use super::outcome::{Action, Ending, Next, Question, Why, decide};
use super::steps::Work;
use super::story;
use super::waiting::Waiting;
use crate::model::domain::{DomainEvent, HostSight, Reason};
use crate::store::{Debt, Started};
use crate::task::Stop;

/// First pause between two looks; it doubles up to [`super::timing::Timing::look`].
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It has ended.
    Ended,
    /// The copy was given up, to begin anew by post-copy.
    GaveWay,
}

/// What came of an end that was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concluded {
    /// It is one.
    Settled(Settled),
    /// Both hosts are to be asked again, at once.
    LookAgain,
    /// Both hosts are to be asked again, later.
    Later,
}

impl Work {
    /// Brings the migration to its end from wherever it stands.
    pub(super) async fn settle(&mut self) -> Result<Settled, Stop> {
        let mut waiting = Waiting::new();
        let (mut here, mut there) = (Glance::new(&self.source), Glance::new(&self.destination));
        loop {
            let grace = self.timing.glance;
            let (looked, source, destination) = look(&mut here, &mut there, self.plan.domain, grace).await;
            let copies = [Copy::of_source(&source, &self.run), Copy::of(&destination)];
            let missed = waiting.saw(&source, &destination, copies);
            if missed.iter().any(Option::is_some) {
                // What a host was asked before it fell silent it may do yet, right after it answers again.
                self.linger();
                self.held.leave_out(missed);
            }
            self.know.waited = waiting.silent_for() > self.timing.waited
                || waiting.unchanged_since.elapsed() > self.timing.waited;
            self.know.patience_over = waiting.silent_for() > self.timing.patience;
            self.know.source_given_up = waiting.source_silent_for() > self.timing.patience;
            self.know.wish(self.handle.wish());
            self.drop_what_no_longer_holds(&source, &destination).await?;
            self.take_in(&source, &destination, copies, looked);
            let next = decide(copies[0], copies[1], &self.know);
            tracing::debug!(migration.id = %self.handle.id(), ?copies, ?next, "looked");
            if let Some(settled) = self.follow(next, copies, looked, &mut waiting).await? {
                return Ok(settled);
            }
        }
    }

    /// What was seen of both hosts at `looked`, beside what they say of the domain now.
    fn take_in(&mut self, source: &HostSight, destination: &HostSight, copies: [Copy; 2], looked: Instant) {
        self.monitor.destination_told(&destination.domain);
        let unseen = self.contact.looked(source, &self.run, looked, self.timing.out_of_sight);
        // One that stands or runs is still the run it was, and shows what it did.
        self.know.source_unseen |= unseen && copies[0].is_lifeless();
        let alive = |sight: &HostSight| Copy::of(sight).is_silent() && sight.process.is_running();
        (self.know.source_alive, self.know.destination_alive) = (alive(source), alive(destination));
        self.know.switched |= copies.iter().any(|copy| matches!(copy, Copy::PostCopy(_)));
        self.recovery.looked(copies.iter().any(Copy::is_post_copy_failed));
        self.know.recovering = self.recovery.is_busy();
        self.know.recovery_failing = self.recovery.failing_for() > self.timing.patience;
        self.note_if_it_went_on(copies[0], looked);
        self.hear_the_source();
        self.know.may_have_switched |= self.know.post_copy && self.stood.is_some();
        // A copy that a controller left behind has nobody else to watch it.
        let (frozen, running) =
            (matches!(copies[0], Copy::PausedMigrating(_)), matches!(copies[0], Copy::Running(_)));
        self.monitor.source_seen(frozen, running);
        self.know.stuck = self.is_stuck();
    }

    /// Does what was decided; what came of it all, where that is the end.
    async fn follow(
        &mut self,
        next: Next,
        copies: [Copy; 2],
        looked: Instant,
        waiting: &mut Waiting,
    ) -> Result<Option<Settled>, Stop> {
        let [source, destination] = copies;
        if let Next::Act(action) = next {
            self.held.is_due(action);
        }
        match next {
            // It was long ago: look again.
            Next::End(_) | Next::Act(_) if looked.elapsed() > self.timing.stale => {}
            Next::End(ending) => match self.conclude(ending, source, destination, looked).await? {
                Concluded::Settled(settled) => return Ok(Some(settled)),
                Concluded::LookAgain => {}
                Concluded::Later => self.rest(waiting).await?,
            },
            Next::Act(Action::UndefineSource) if self.must_look_at_files() => {
                self.look_at_files(waiting).await?
            }
            Next::Act(Action::UndefineSource) if self.must_leave_copy() => {
                if !self.leave_copy().await? {
                    self.rest(waiting).await?;
                }
            }
            // The question stands while it is tried on.
            Next::Act(action @ Action::RecoverPostCopy) if self.know.recovery_failing => {
                // A failure is noted there, and tried again.
                let _ = self.act(action, looked).await?;
            }
            // It is where it is, and must not stay locked for that.
            Next::Act(action @ (Action::AutostartSource | Action::AutostartDestination))
                if self.held.is_left(action) =>
            {
                self.know.autostart_left = true;
            }
            Next::Act(action) => {
                let asked_to_stop = matches!(action, Action::AbortJob | Action::CloseSockets);
                if !self.act_on(action, copies, looked).await? || asked_to_stop {
                    self.rest(waiting).await?;
                }
            }
            Next::Wait(why) => {
                let message = story::waiting(why, source, destination, &self.know, &self.plan);
                self.tell_waiting(message, why, waiting).await?;
                self.follow_copy(why).await?;
                self.rest(waiting).await?;
            }
            Next::Ask(question) => {
                self.ask(question, copies).await?;
                self.rest(waiting).await?;
            }
        }
        Ok(None)
    }

    /// It looks as if it had ended: what belongs to the end is done, and it is stored, unless another look has to come first.
    async fn conclude(
        &mut self,
        ending: Ending,
        source: Copy,
        destination: Copy,
        looked: Instant,
    ) -> Result<Concluded, Stop> {
        // What was seen before is no answer to whether a call still took effect.
        if self.linger_until.is_some_and(|until| looked < until) {
            return Ok(Concluded::Later);
        }
        if self.is_to_begin_again(&ending) {
            return Ok(Concluded::Settled(Settled::GaveWay));
        }
        if !self.make_snapshots_known(ending).await? {
            return Ok(Concluded::Later);
        }
        let began = Instant::now();
        self.see_to_the_source(ending, destination).await?;
        let ending = self.clear_away(ending, source, destination).await?;
        self.note_new_limit().await?;
        if ending.location == Location::Source {
            self.forget_limit().await?;
        }
        // What was seen before something that took long may not be so any more.
        if began.elapsed() > self.timing.glance {
            return Ok(Concluded::LookAgain);
        }
        self.end(ending, source, destination).await?;
        Ok(Concluded::Settled(Settled::Ended))
    }

    /// A stopped domain's definition is about to go from the source, and its files were carried: are they still those?
    fn must_look_at_files(&self) -> bool {
        self.plan.cold
            && self.know.arrived
            && !self.files_are_those
            && !self.know.undefine_source_intended
            && !self.plan.files.carried.is_empty()
    }

    /// Files that are not those that were carried any more: what was carried goes, and the source stays.
    async fn look_at_files(&mut self, waiting: &mut Waiting) -> Result<(), Stop> {
        match self.still_as_carried().await {
            Some(true) => self.files_are_those = true,
            Some(false) => {
                self.know.arrived = false;
                let why = "the files were written to after they had been carried";
                self.cause.get_or_insert_with(|| why.to_owned());
            }
            None => self.rest(waiting).await?,
        }
        Ok(())
    }

    /// A source that is seen to run, after it was seen to stand for the switch-over or because libvirt cancelled that, has gone on:
    /// what has arrived at the destination is out of date. (That it runs without a job is not enough: a call that was begun may
    /// still be on its way.)
    fn note_if_it_went_on(&mut self, source: Copy, looked: Instant) {
        if matches!(source, Copy::PausedMigrating(_)) {
            self.stood.get_or_insert(looked);
        }
        let Copy::Running(sight) = source else { return };
        let cancelled = sight.reason == Reason::MigrationCanceled && !self.run.went_on_before;
        // An answer may be older than what was told since.
        if self.stood.is_some_and(|stood| looked > stood) || cancelled {
            (self.know.source_ran_again, self.know.source_resumed) = (true, true);
        }
    }

    /// Takes what the source has told meanwhile: a copy that went on, and ended again between two looks, shows in no look.
    pub(super) fn hear_the_source(&mut self) {
        loop {
            match self.told.try_recv() {
                Ok((domain, event)) if domain == self.plan.domain => {
                    self.monitor.source_told(event);
                    self.hear(event);
                }
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => self.missed(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Some events were missed: nobody knows what they told.
    pub(super) fn missed(&mut self) {
        self.contact = Contact::default();
        self.know.may_have_switched |= self.know.post_copy;
    }

    /// What an event of the source's says about the run that is moved. Once that has stopped, what goes on there is another one,
    /// which libvirt too tells of as resumed when it starts.
    pub(super) fn hear(&mut self, event: DomainEvent) {
        match event {
            DomainEvent::SuspendedMigrated => {
                self.stood.get_or_insert_with(Instant::now);
            }
            DomainEvent::Stopped | DomainEvent::StoppedMigrated => self.run_stopped = true,
            DomainEvent::Resumed if self.stood.is_some() && !self.run_stopped => {
                (self.know.source_ran_again, self.know.source_resumed) = (true, true);
            }
            _ => {}
        }
    }

    /// A person's decision holds for what the person saw. A copy that was not running then, and is found running now, is in use: it is
    /// not ended by that decision, and the person is asked again.
    async fn drop_what_no_longer_holds(
        &mut self,
        source: &HostSight,
        destination: &HostSight,
    ) -> Result<(), Stop> {
        let Some(decision) = self.handle.wish().resolve else { return Ok(()) };
        let loser = if decision.keep == Side::Source { destination } else { source };
        let runs = matches!(Copy::of(loser), Copy::Running(_));
        // Also by its shell alone: that a QEMU is alive there.
        let answers = !Copy::of(loser).is_silent() || loser.process.is_running();
        // Whoever vouched that a host is off did not see what it says now; and the halves of a post-copy may have been joined meanwhile.
        let apart = |sight: &HostSight| matches!(Copy::of(sight), Copy::PostCopy(_));
        let broken = [source, destination].iter().any(|sight| Copy::of(sight).is_post_copy_failed());
        let joined = apart(source) && apart(destination) && !broken;
        if (decision.fenced && answers) || joined {
            tracing::warn!(migration.id = %self.handle.id(), "both hosts answer, which was not so when it was decided: it is looked at anew");
            self.know.keep = None;
            return self.handle.decision_is_void().await;
        }
        if self.decided_on.is_none_or(|(at_ms, _)| at_ms != decision.at_ms) {
            // Of a decision that an earlier ferryd was told, only the safe side is known.
            self.decided_on = Some((decision.at_ms, runs && decision.at_ms >= self.begun_at_ms));
        }
        let ran = self.decided_on.is_some_and(|(_, ran)| ran);
        if runs && !ran {
            tracing::warn!(migration.id = %self.handle.id(), "the copy that was to go runs now: it is asked again");
            self.know.keep = None;
            self.handle.decision_is_void().await?;
        }
        Ok(())
    }

    pub(super) async fn tell_settling(&mut self, phase: Phase, message: String) -> Result<(), Stop> {
        if self.handle.task().message == message && self.handle.task().state != TaskState::NeedsAttention {
            return Ok(());
        }
        let cancelling = self.know.cancel;
        self.handle
            .update(|task| {
                task.state = if cancelling { TaskState::Cancelling } else { TaskState::Running };
                task.phase = phase;
                task.message = message;
                task.choices.clear();
                task.offers.clear();
            })
            .await
    }

    /// Only a wait that lasts is worth a word: the ordinary end of a migration takes a look or two.
    async fn tell_waiting(&mut self, message: String, why: Why, waiting: &Waiting) -> Result<(), Stop> {
        // What a person is asked stands until it is seen that it is over.
        let asked = self.handle.task().state == TaskState::NeedsAttention && self.held.said().is_some();
        if asked || waiting.unchanged_since.elapsed() < Duration::from_secs(1) {
            return Ok(());
        }
        let phase = if why == Why::AtWork { Phase::Copy } else { Phase::Recover };
        self.tell_settling(phase, message).await
    }

    /// A copy begun by a controller that died goes on by itself: its figures are shown like those of one's own.
    async fn follow_copy(&mut self, why: Why) -> Result<(), Stop> {
        if why != Why::AtWork {
            return Ok(());
        }
        let Ok(figures) = self.source.job(self.plan.domain).await else { return Ok(()) };
        if figures.active && !self.downtime_set {
            self.set_downtime().await;
        }
        self.keep_to_new_limit(&figures).await?;
        if self.monitor.job_told(figures) && self.monitor.report_due(self.timing.report) {
            let progress = self.monitor.progress();
            self.handle.update(|task| task.progress = progress).await?;
        }
        self.give_way_if_due().await?;
        self.switch_if_due().await
    }

    /// The controller that began the copy may have died before it could set the longest pause; doing it again is harmless.
    async fn set_downtime(&mut self) {
        let Some(downtime_ms) = self.longest_pause_ms() else { return };
        match self.source.set_max_downtime(self.plan.domain, downtime_ms).await {
            Ok(()) => self.downtime_set = true,
            Err(error) => {
                tracing::warn!(migration.id = %self.handle.id(), %error, "the downtime limit was not set");
            }
        }
    }

    /// Waits until something happens on either host, somebody asks for something, or it is time to look again.
    async fn rest(&mut self, waiting: &mut Waiting) -> Result<(), Stop> {
        let pause = waiting.pause;
        waiting.pause = (waiting.pause * 2).min(self.timing.look);
        let (mut from_source, mut from_destination) = (self.source.events(), self.destination.events());
        let mut wishes = self.handle.wishes();
        let domain = self.plan.domain;
        let happened = async {
            loop {
                let told = tokio::select! {
                    biased;
                    told = from_source.recv() => told,
                    told = from_destination.recv() => told,
                };
                match told {
                    Ok((about, event)) if about == domain && !matches!(event, DomainEvent::Iteration(_)) => {
                        return;
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            biased;
            () = happened => {}
            Ok(()) = wishes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
        Ok(())
    }

    pub(super) async fn ask(&mut self, question: Question, copies: [Copy; 2]) -> Result<(), Stop> {
        let (message, offers) =
            story::question(question, copies, &self.know, &self.plan, self.handle.id(), self.held.said());
        let task = self.handle.task();
        if task.state == TaskState::NeedsAttention && task.message == message && task.offers == offers {
            return Ok(());
        }
        tracing::warn!(migration.id = %self.handle.id(), domain.uuid = %self.plan.domain, message, "a person must decide");
        let cause = self.cause.clone();
        self.handle
            .update(|task| {
                task.state = TaskState::NeedsAttention;
                task.phase = Phase::Recover;
                task.message = message;
                task.cause = cause;
                task.choices = offers.iter().map(|offer| offer.command.clone()).collect();
                task.offers = offers;
            })
            .await
    }

    async fn end(&mut self, ending: Ending, source: Copy, destination: Copy) -> Result<(), Stop> {
        let owner = if ending.location == Location::Destination { destination } else { source };
        let (state, message) = story::ending(ending, owner, &self.know, self.cause.as_deref(), &self.plan);
        let message = self.leaving.added_to(message);
        let message = match self.held.said().filter(|_| self.know.autostart_left) {
            Some(said) => format!("{message} {}", story::autostart_left(&self.plan, said)),
            None => message,
        };
        let now_ms = self.handle.now_ms();
        // One that had not begun ends without an answer of its source's, too.
        let location = if owner.is_silent() { Location::Unknown } else { ending.location };
        let outcome = Outcome {
            location,
            total_ms: now_ms.saturating_sub(self.handle.task().created_at_ms),
            downtime_ms: self.monitor.downtime_ms().filter(|_| self.plan.wants_running),
            transferred_bytes: self.transferred_bytes(),
            iterations: self.monitor.iterations(),
            memory_lost: ending.memory_lost,
        };
        // Whoever called it off needs no cause.
        let cause = self.cause.clone().filter(|_| !matches!(state, TaskState::Done | TaskState::Cancelled));
        tracing::info!(migration.id = %self.handle.id(), domain.uuid = %self.plan.domain, ?state, message, "ended");
        if let Some(side) = ending.owed {
            let copy = if side == Side::Source { source } else { destination };
            self.owe(side, copy == Copy::Absent).await?;
        }
        if let Some(host) = self.plan.host_at(location) {
            self.handle.owned_by(self.plan.domain, host).await?;
        }
        let also = |task: &mut Task| {
            task.outcome = Some(outcome);
            task.choices.clear();
            task.offers.clear();
        };
        self.handle.end(state, message, cause, also).await
    }

    /// Data sent: files, and what libvirt tells of memory and disks.
    fn transferred_bytes(&self) -> Option<u64> {
        let carried = Some(self.passed.sent).filter(|sent| *sent > 0);
        match (self.monitor.transferred_bytes(), carried) {
            (Some(moved), Some(carried)) => Some(moved + carried),
            (moved, carried) => moved.or(carried),
        }
    }

    async fn owe(&mut self, side: Side, copy_gone: bool) -> Result<(), Stop> {
        let (host, owner) = match side {
            Side::Source => (&self.plan.source, &self.plan.destination),
            Side::Destination => (&self.plan.destination, &self.plan.source),
        };
        let debt = Debt {
            task: self.handle.id(),
            domain: self.plan.domain,
            side,
            host: host.clone(),
            owner: owner.clone(),
            at_ms: self.handle.now_ms(),
            started: Started::No,
            copy_gone,
        };
        self.handle.owe(&debt).await
    }
}
