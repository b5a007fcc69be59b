//! One host's copy of the domain: what its answers come to. Pure.

use api::vm::VmState;

use crate::model::domain::{Answer, DomainSight, HostSight, ProcessAnswer, Reason, Run};

/// One host's copy of the domain, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Copy {
    /// The host does not answer, or contradicts itself: there may be a running copy.
    Unknown,
    /// libvirt does not answer, but the process table shows that no QEMU of the domain is alive. Its definition is unknown.
    Dead,
    /// A live libvirt said that there is none.
    Absent,
    /// Defined, not running.
    Off(DomainSight),
    /// Running.
    Running(DomainSight),
    /// Paused, but not by a migration.
    Paused(DomainSight),
    /// Paused by a migration: the source during the switch-over, the destination while it receives.
    PausedMigrating(DomainSight),
    /// In one of post-copy's states: memory is spread over both hosts.
    PostCopy(DomainSight),
    /// On the source: somebody started it anew after the run that is being moved was over. Its memory is not the guest's.
    Stranger(DomainSight),
}

impl Copy {
    /// What one host's answers come to.
    #[must_use]
    pub fn of(sight: &HostSight) -> Self {
        let alive = sight.process.is_running();
        match &sight.domain {
            Answer::Unknown(_) if sight.process == ProcessAnswer::None => Self::Dead,
            Answer::Unknown(_) => Self::Unknown,
            // A QEMU that libvirt does not know of (it is just dying, or libvirt lost it): nothing is safe yet.
            Answer::Absent if alive => Self::Unknown,
            Answer::Absent => Self::Absent,
            Answer::Present(sight) => Self::present(*sight, alive),
        }
    }

    /// What the source's answers come to, `run` being the one that is moved.
    #[must_use]
    pub fn of_source(sight: &HostSight, run: &Run) -> Self {
        let had_process = run.process.is_some() && sight.process == ProcessAnswer::None;
        match Self::of(sight) {
            // A process table that never showed its QEMU (a container's, one that hides what is another user's) proves nothing by
            // not showing it.
            Self::Dead if run.process.is_none() => Self::Unknown,
            // The process table showed its QEMU before, and does not any more: libvirt has not noticed yet.
            Self::Running(_) | Self::Paused(_) | Self::PausedMigrating(_) if had_process => Self::Unknown,
            Self::Running(domain) | Self::Paused(domain) | Self::PausedMigrating(domain)
                if run.is_over(&Run::seen(sight)) =>
            {
                Self::Stranger(domain)
            }
            other => other,
        }
    }

    fn present(sight: DomainSight, alive: bool) -> Self {
        match sight.state {
            VmState::Shutoff | VmState::Crashed if alive => Self::Unknown,
            VmState::Shutoff | VmState::Crashed => Self::Off(sight),
            _ if matches!(sight.reason, Reason::PostCopy | Reason::PostCopyFailed) => Self::PostCopy(sight),
            VmState::Paused if sight.reason == Reason::Migrating => Self::PausedMigrating(sight),
            VmState::Paused | VmState::PmSuspended => Self::Paused(sight),
            // "Shutdown" is a QEMU that is just ending, as the source's does when libvirt confirms a migration: a moment later it
            // is gone. Taken for running, it would cost the destination's copy, which is then the only one.
            VmState::NoState | VmState::Shutdown => Self::Unknown,
            VmState::Running | VmState::Blocked => Self::Running(sight),
        }
    }

    pub(super) fn sight(&self) -> Option<&DomainSight> {
        match self {
            Self::Off(sight)
            | Self::Running(sight)
            | Self::Paused(sight)
            | Self::PausedMigrating(sight)
            | Self::PostCopy(sight)
            | Self::Stranger(sight) => Some(sight),
            Self::Unknown | Self::Dead | Self::Absent => None,
        }
    }

    /// The link of its post-copy broke.
    pub(super) fn is_post_copy_failed(&self) -> bool {
        self.sight().is_some_and(|sight| sight.reason == Reason::PostCopyFailed)
    }

    pub(super) fn job(&self) -> bool {
        self.sight().is_some_and(|sight| sight.job)
    }

    /// Whether libvirt there does not answer.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Unknown | Self::Dead)
    }

    /// Whether it is proven that no QEMU of the domain runs there.
    #[must_use]
    pub fn is_lifeless(&self) -> bool {
        matches!(self, Self::Dead | Self::Absent | Self::Off(_))
    }
}
