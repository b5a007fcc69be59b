//! Acts that come to nothing: what holds them is broken off, they are tried again, and after a while a person is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::task::{Phase, Side};
use tokio::time::Instant;

use super::copy::Copy;
use super::outcome::{Action, Question};
use super::perform::BREAK_OFF_AGAIN;
use super::steps::{Acted, Work};
use super::story;
use crate::libvirt::error::{HostError, OPERATION_TIMEOUT};
use crate::task::Stop;

/// How long libvirt lets an act wait for a job of the domain's (`QEMU_JOB_WAIT_TIME`).
const JOB_WAIT: Duration = Duration::from_secs(30);

/// How long autostart may come to nothing until the task ends without it: longer than libvirt lets it wait for a job.
const AUTOSTART_LEFT_AFTER: Duration = Duration::from_secs(45);

/// The act that has come to nothing, again and again.
#[derive(Debug, Default)]
pub(super) struct Held {
    failing: Option<Failing>,
    /// The source is being woken.
    waking: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Failing {
    action: Action,
    since: Instant,
    said: String,
    /// It was not refused: the host did not come to it.
    unanswered: bool,
}

impl Held {
    /// Notes what came of an act.
    fn came(&mut self, action: Action, acted: &Acted) {
        let before = self.failing.take();
        let same = before.as_ref().is_some_and(|before| before.action == action);
        self.failing = match acted {
            Acted::Done if same => None,
            Acted::Done | Acted::NotSent => before,
            Acted::Failed(error) => {
                let since = before.filter(|_| same).map_or_else(Instant::now, |before| before.since);
                Some(Failing { action, since, said: error.cause(), unanswered: is_held(error) })
            }
        };
    }

    /// The source, the destination answers again that had not for so long: where an act of that host's has come to nothing, this time is
    /// left out. But for one that the host lets wait: it can seem silent again and again because of just that, for as long as libvirt
    /// lets an act wait, and so long counts on.
    pub(super) fn leave_out(&mut self, [source, destination]: [Option<Duration>; 2]) {
        let Some(failing) = &mut self.failing else { return };
        let silent = match side_of(failing.action) {
            Some(Side::Source) => source,
            Some(Side::Destination) => destination,
            None => source.max(destination),
        };
        // (Autostart is not waited for so long that this would matter, and is told where it is left.)
        let autostart = matches!(failing.action, Action::AutostartSource | Action::AutostartDestination);
        let of_itself = if failing.unanswered && !autostart { JOB_WAIT } else { Duration::ZERO };
        let left_out = silent.unwrap_or_default().saturating_sub(of_itself);
        failing.since = (failing.since + left_out).min(Instant::now());
    }

    /// Notes which act is due: of another one it was seen that it is done.
    pub(super) fn is_due(&mut self, action: Action) {
        self.failing.take_if(|failing| failing.action != action);
    }

    /// Whether this act was tried, and the host only let it wait.
    fn waits(&self, action: Action) -> bool {
        self.failing.as_ref().is_some_and(|failing| failing.action == action && failing.unanswered)
    }

    /// For how long it has.
    fn lasts(&self, action: Action) -> Duration {
        let failing = self.failing.as_ref().filter(|failing| failing.action == action);
        failing.map(|failing| failing.since.elapsed()).unwrap_or_default()
    }

    /// Whether autostart has come to nothing for so long that it is left as it is.
    pub(super) fn is_left(&self, action: Action) -> bool {
        self.lasts(action) > AUTOSTART_LEFT_AFTER
    }

    /// What was said to it last.
    pub(super) fn said(&self) -> Option<&str> {
        self.failing.as_ref().map(|failing| &*failing.said)
    }
}

/// Whose host does an act; none where both do.
fn side_of(action: Action) -> Option<Side> {
    match action {
        Action::SuspendBoth | Action::RecoverPostCopy => None,
        Action::ResumeDestination
        | Action::DestroyDestination
        | Action::UndefineDestination
        | Action::DefineDestination
        | Action::AutostartDestination => Some(Side::Destination),
        Action::AbortJob
        | Action::CloseSockets
        | Action::ResumeSource
        | Action::DestroySource
        | Action::UndefineSource
        | Action::DefineSource
        | Action::StartPostCopy
        | Action::AutostartSource => Some(Side::Source),
    }
}

/// Whether an error says that the host let an act wait for something else that it does to the domain.
fn is_held(error: &HostError) -> bool {
    matches!(error, HostError::TimedOut { .. }) || error.libvirt_code() == Some(OPERATION_TIMEOUT)
}

impl Work {
    /// Does what was decided upon by what was seen at `looked`; false where it was not done, and is to be decided upon anew later.
    pub(super) async fn act_on(
        &mut self,
        action: Action,
        copies: [Copy; 2],
        looked: Instant,
    ) -> Result<bool, Stop> {
        if self.is_held(action) {
            // The question stands while it is tried on.
            self.ask(Question::Held(action), copies).await?;
        } else {
            self.tell_settling(Phase::Confirm, story::acting(action, &self.plan)).await?;
        }
        if self.is_held_by_a_call(action, copies[0]) && self.monitor.break_off_due(BREAK_OFF_AGAIN) {
            // Then both hosts are asked again. A failure is noted there.
            let _ = self.act(Action::CloseSockets, looked).await?;
            return Ok(false);
        }
        let acted = self.act(action, looked).await?;
        self.held.came(action, &acted);
        if matches!(acted, Acted::Failed(_)) && self.is_held_by_a_call(action, copies[0]) {
            // At once: while the act waits on, nothing more may be seen of the host.
            self.wake_beside();
        }
        Ok(matches!(acted, Acted::Done))
    }

    /// Breaks off a migration that hangs; where that did not help before, its source may sleep.
    pub(super) async fn break_off_for_good(&mut self) -> Result<(), HostError> {
        let in_vain = self.monitor.broke_off();
        let broken_off = self.break_off().await;
        if in_vain {
            self.wake_beside();
        }
        broken_off
    }

    /// Wakes a source whose guest stands since its migration was called off in the switch-over. Not waited for: the hand-over must not wait
    /// for a QEMU that does not answer. One that is under way is enough.
    fn wake_beside(&self) {
        if self.know.post_copy || !self.monitor.frozen() || self.held.waking.swap(true, Ordering::Relaxed) {
            return;
        }
        let waking = self.held.waking.clone();
        let (source, domain, id) = (self.source.clone(), self.plan.domain, self.handle.id());
        tokio::spawn(async move {
            match source.release_cancelled(domain).await {
                Ok(true) => {
                    tracing::warn!(migration.id = %id, "woke the source's QEMU, which slept in a migration that was called off")
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(migration.id = %id, %error, "the source's QEMU could not be asked for its migration")
                }
            }
            waking.store(false, Ordering::Relaxed);
        });
    }

    /// Whether an act has come to nothing for so long that a person should look.
    fn is_held(&self, action: Action) -> bool {
        self.held.lasts(action) > self.timing.patience
    }

    /// Whether it is libvirt's call for this migration that the source lets an act wait for, for 30 s at a time (`QEMU_JOB_WAIT_TIME`): it
    /// was seen to last for minutes when the destination's libvirtd was killed while disks were copied, though its job had ended and the
    /// guest went on. So was one whose QEMU hung when libvirt called the migration off in the switch-over, with the guest still paused.
    /// (Around the hand-over nothing is broken off, but for a source that is to go on: libvirt could let its copy go on by that.)
    fn is_held_by_a_call(&self, action: Action, source: Copy) -> bool {
        let begun = !self.know.not_begun && !self.know.cold;
        begun && !self.know.post_copy && may_be_held_by_a_call(action, source) && self.held.waits(action)
    }
}

/// Whether an act on the source, where this is seen, may be waiting for libvirt's call for the migration, and that can be broken off.
fn may_be_held_by_a_call(action: Action, source: Copy) -> bool {
    match (action, source) {
        (Action::AutostartSource | Action::UndefineSource | Action::DefineSource, Copy::Running(sight))
        | (Action::ResumeSource, Copy::PausedMigrating(sight)) => !sight.job,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use api::vm::VmState;

    use super::*;
    use crate::libvirt::error::LibvirtError;
    use crate::migration::outcome_tests::sight as seen;
    use crate::model::domain::Reason;

    #[tokio::test(start_paused = true)]
    async fn an_act_is_held_from_its_first_failure_to_its_success() {
        let (mut held, second) = (Held::default(), Duration::from_secs(1));
        let failed = || Acted::Failed(HostError::timed_out("kvm1", "autostart", second));
        held.came(Action::AutostartSource, &failed());
        tokio::time::advance(second).await;
        held.came(Action::AutostartSource, &failed());
        held.came(Action::AutostartSource, &Acted::NotSent);
        held.came(Action::CloseSockets, &Acted::Done);
        tokio::time::advance(second).await;
        assert_eq!(held.lasts(Action::AutostartSource), second * 2);
        assert_eq!(held.lasts(Action::DestroySource), Duration::ZERO);
        assert!(held.waits(Action::AutostartSource) && !held.waits(Action::DestroySource));
        held.is_due(Action::AutostartSource);
        assert!(held.waits(Action::AutostartSource));
        held.came(Action::AutostartSource, &Acted::Done);
        assert_eq!(held.lasts(Action::AutostartSource), Duration::ZERO);
        held.came(Action::AutostartSource, &failed());
        held.is_due(Action::DestroySource);
        assert!(held.said().is_none(), "it was done after all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_of_its_host_is_left_out() {
        let (mut held, second) = (Held::default(), Duration::from_secs(1));
        held.leave_out([Some(second), None]);
        assert!(held.said().is_none());
        let refusal = HostError::Libvirt {
            host: "kvm1".to_owned(),
            call: "undefine",
            source: LibvirtError::of(55, "Requested operation is not valid"),
        };
        held.came(Action::UndefineSource, &Acted::Failed(refusal));
        tokio::time::advance(second * 4).await;
        held.leave_out([None, Some(second * 3)]);
        assert_eq!(held.lasts(Action::UndefineSource), second * 4, "the other host's is no matter");
        held.leave_out([Some(second * 3), Some(second * 4)]);
        assert_eq!(held.lasts(Action::UndefineSource), second);
        // One that began before the act was first tried takes no more than there is.
        held.leave_out([Some(second * 60), None]);
        assert_eq!(held.lasts(Action::UndefineSource), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn silences_that_come_of_the_act_do_not_put_off_that_a_person_is_told() {
        let (mut held, second) = (Held::default(), Duration::from_secs(1));
        held.came(Action::ResumeSource, &Acted::Failed(HostError::timed_out("kvm1", "resume", second * 5)));
        for tried in 1..=4 {
            tokio::time::advance(JOB_WAIT).await;
            held.leave_out([Some(JOB_WAIT), None]);
            assert_eq!(held.lasts(Action::ResumeSource), JOB_WAIT * tried);
        }
        assert!(held.waits(Action::ResumeSource));
        // A host that was away for longer was so for another reason.
        tokio::time::advance(second * 100).await;
        held.leave_out([Some(second * 100), None]);
        assert_eq!(held.lasts(Action::ResumeSource), JOB_WAIT * 5);
    }

    #[test]
    fn only_a_source_that_is_to_go_on_can_be_held_by_the_call() {
        let running = Copy::Running(seen(VmState::Running, Reason::Other, false, false));
        let stands = |job| Copy::PausedMigrating(seen(VmState::Paused, Reason::Migrating, job, false));
        let frozen = stands(false);
        assert!(may_be_held_by_a_call(Action::AutostartSource, running));
        assert!(may_be_held_by_a_call(Action::ResumeSource, frozen));
        assert!(!may_be_held_by_a_call(Action::ResumeSource, stands(true)));
        assert!(!may_be_held_by_a_call(Action::UndefineSource, frozen));
        assert!(!may_be_held_by_a_call(Action::ResumeSource, running));
        assert!(!may_be_held_by_a_call(Action::ResumeDestination, frozen));
    }
}
