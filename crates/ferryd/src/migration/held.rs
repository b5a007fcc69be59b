//! Acts that come to nothing: what holds them is broken off, they are tried again, and after a while a person is told.

use std::time::Duration;

use api::task::Phase;
use tokio::time::Instant;

use super::copy::Copy;
use super::outcome::{Action, Question};
use super::perform::BREAK_OFF_AGAIN;
use super::steps::{Acted, Work};
use super::story;
use crate::libvirt::error::{HostError, OPERATION_TIMEOUT};
use crate::task::Stop;

/// How long autostart may come to nothing until the task ends without it: longer than libvirt lets it wait for a job
/// (`QEMU_JOB_WAIT_TIME`, 30 s).
const AUTOSTART_LEFT_AFTER: Duration = Duration::from_secs(45);

/// The act that has come to nothing, again and again.
#[derive(Debug, Default)]
pub(super) struct Held(Option<Failing>);

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
        let before = self.0.take();
        let same = before.as_ref().is_some_and(|before| before.action == action);
        self.0 = match acted {
            Acted::Done if same => None,
            Acted::Done | Acted::NotSent => before,
            Acted::Failed(error) => {
                let since = before.filter(|_| same).map_or_else(Instant::now, |before| before.since);
                Some(Failing { action, since, said: error.cause(), unanswered: is_held(error) })
            }
        };
    }

    /// A host that had not answered answers again: how long an act has come to nothing counts from now. That it was left waiting stays
    /// known: the host may have seemed silent because of just that.
    pub(super) fn begin_anew(&mut self) {
        if let Some(failing) = &mut self.0 {
            failing.since = Instant::now();
        }
    }

    /// Notes which act is due: of another one it was seen that it is done.
    pub(super) fn is_due(&mut self, action: Action) {
        self.0.take_if(|failing| failing.action != action);
    }

    /// Whether this act was tried, and the host only let it wait.
    fn waits(&self, action: Action) -> bool {
        self.0.as_ref().is_some_and(|failing| failing.action == action && failing.unanswered)
    }

    /// For how long it has.
    fn lasts(&self, action: Action) -> Duration {
        let failing = self.0.as_ref().filter(|failing| failing.action == action);
        failing.map(|failing| failing.since.elapsed()).unwrap_or_default()
    }

    /// Whether autostart has come to nothing for so long that it is left as it is.
    pub(super) fn is_left(&self, action: Action) -> bool {
        self.lasts(action) > AUTOSTART_LEFT_AFTER
    }

    /// What was said to it last.
    pub(super) fn said(&self) -> Option<&str> {
        self.0.as_ref().map(|failing| &*failing.said)
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
        Ok(matches!(acted, Acted::Done))
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
    async fn after_a_silence_an_act_counts_anew_and_still_waits() {
        let (mut held, second) = (Held::default(), Duration::from_secs(1));
        held.begin_anew();
        assert!(held.said().is_none());
        held.came(Action::ResumeSource, &Acted::Failed(HostError::timed_out("kvm1", "resume", second)));
        tokio::time::advance(second).await;
        held.begin_anew();
        assert_eq!(held.lasts(Action::ResumeSource), Duration::ZERO);
        assert!(held.waits(Action::ResumeSource));
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
