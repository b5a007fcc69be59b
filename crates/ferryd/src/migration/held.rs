//! Acts that come to nothing: what may hold them is broken off, they are tried again, and after a while a person is told.

use std::time::Duration;

use api::task::Phase;
use tokio::time::Instant;

use super::copy::Copy;
use super::outcome::{Action, Question};
use super::perform::BREAK_OFF_AGAIN;
use super::steps::Work;
use super::story;
use crate::libvirt::error::HostError;
use crate::task::Stop;

/// The act that has come to nothing, again and again.
#[derive(Debug, Default)]
pub(super) struct Held(Option<Failing>);

#[derive(Debug)]
struct Failing {
    action: Action,
    since: Instant,
    said: String,
}

impl Held {
    /// Notes what came of an act.
    fn came(&mut self, action: Action, result: &Result<(), HostError>) {
        let same = self.0.take_if(|failing| failing.action == action || result.is_err());
        if let Err(error) = result {
            let since = same.filter(|before| before.action == action).map(|before| before.since);
            self.0 = Some(Failing { action, since: since.unwrap_or_else(Instant::now), said: error.cause() });
        }
    }

    /// For how long it has.
    fn lasts(&self, action: Action) -> Duration {
        let failing = self.0.as_ref().filter(|failing| failing.action == action);
        failing.map(|failing| failing.since.elapsed()).unwrap_or_default()
    }

    /// What was said to it last.
    pub(super) fn said(&self) -> Option<&str> {
        self.0.as_ref().map(|failing| &*failing.said)
    }
}

impl Work {
    /// Does what was decided upon by what was seen at `looked`; false where it came to nothing.
    pub(super) async fn act_on(
        &mut self,
        action: Action,
        copies: [Copy; 2],
        looked: Instant,
    ) -> Result<bool, Stop> {
        if self.held.lasts(action) > self.timing.patience {
            // The question stands while it is tried on.
            self.ask(Question::Held(action), copies).await?;
        } else {
            self.tell_settling(Phase::Confirm, story::acting(action, &self.plan)).await?;
        }
        if self.is_held_by_the_call(copies[0]) && self.monitor.break_off_due(BREAK_OFF_AGAIN) {
            // A failure is noted there.
            let _ = self.act(Action::CloseSockets, looked).await?;
        }
        let result = self.act(action, looked).await?;
        self.held.came(action, &result);
        Ok(result.is_ok())
    }

    /// Whether libvirt's call, whose end nobody waits for any more, is still under way while the guest goes on at the source: what is
    /// asked of the domain there would wait for its job, for 30 s at a time (`QEMU_JOB_WAIT_TIME`). It was seen to last for minutes
    /// when the destination's libvirtd was killed while disks were copied. (Around the hand-over nothing is broken off: libvirt could
    /// let the source's copy go on by that.)
    fn is_held_by_the_call(&self, source: Copy) -> bool {
        let under_way = self.left_call.as_ref().is_some_and(|call| !call.is_finished());
        under_way && matches!(source, Copy::Running(_)) && !self.know.switch_intended && !self.know.switched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_act_is_held_from_its_first_failure_to_its_success() {
        let (mut held, second) = (Held::default(), Duration::from_secs(1));
        let failed = || Err(HostError::timed_out("kvm1", "autostart", second));
        held.came(Action::AutostartSource, &failed());
        tokio::time::advance(second).await;
        held.came(Action::AutostartSource, &failed());
        held.came(Action::CloseSockets, &Ok(()));
        tokio::time::advance(second).await;
        assert_eq!(held.lasts(Action::AutostartSource), second * 2);
        assert_eq!(held.lasts(Action::DestroySource), Duration::ZERO);
        held.came(Action::AutostartSource, &Ok(()));
        assert_eq!(held.lasts(Action::AutostartSource), Duration::ZERO);
    }
}
