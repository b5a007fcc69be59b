//! What a domain can be made to do where it is.

use api::vm::VmState;

use super::domain::{DomainSight, Reason};

/// What a domain is made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Its definition is started.
    Start,
    /// Its QEMU is ended.
    PowerOff,
    /// Its power button is pressed: the guest shuts down, or does not.
    Shutdown,
    /// Its reset button is pressed.
    Reset,
    /// Its CPUs stop.
    Suspend,
    /// They go on.
    Resume,
}

/// Why a domain cannot be made to do something now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objection {
    /// It is in a state in which that means nothing.
    State(VmState),
    /// A job of libvirt's is at work on it, or it is one end of a migration: whoever began that decides what becomes of it.
    Job,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::PowerOff, Self::Shutdown, Self::Reset, Self::Suspend, Self::Resume];

    /// Its name, as it stands in the inherited interface.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::PowerOff => "poweroff",
            Self::Shutdown => "shutdown",
            Self::Reset => "reset",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    /// What speaks against it while the domain looks like this.
    #[must_use]
    pub fn objection(self, sight: &DomainSight) -> Option<Objection> {
        let wrong = match self {
            Self::Start => is_active(sight.state),
            Self::PowerOff | Self::Shutdown | Self::Reset => !is_active(sight.state),
            Self::Suspend => !matches!(sight.state, VmState::Running | VmState::Blocked),
            Self::Resume => sight.state != VmState::Paused,
        };
        if in_a_job(sight) { Some(Objection::Job) } else { wrong.then_some(Objection::State(sight.state)) }
    }
}

/// Whether a domain has a QEMU.
#[must_use]
pub fn is_active(state: VmState) -> bool {
    !matches!(state, VmState::Shutoff | VmState::Crashed)
}

/// Whether a job of libvirt's is at work on a domain, or it is one end of a migration.
#[must_use]
pub fn in_a_job(sight: &DomainSight) -> bool {
    let moves = matches!(sight.reason, Reason::Migrating | Reason::PostCopy | Reason::PostCopyFailed);
    sight.job || (moves && is_active(sight.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(state: VmState) -> DomainSight {
        DomainSight {
            state,
            reason: Reason::Other,
            persistent: true,
            autostart: false,
            job: false,
            run: None,
        }
    }

    #[test]
    fn what_means_something_in_which_state() {
        use Action::{PowerOff, Reset, Resume, Shutdown, Start, Suspend};
        for (state, allowed) in [
            (VmState::Running, &[PowerOff, Shutdown, Reset, Suspend][..]),
            (VmState::Blocked, &[PowerOff, Shutdown, Reset, Suspend]),
            (VmState::Paused, &[PowerOff, Shutdown, Reset, Resume]),
            (VmState::Shutdown, &[PowerOff, Shutdown, Reset]),
            (VmState::PmSuspended, &[PowerOff, Shutdown, Reset]),
            (VmState::Shutoff, &[Start]),
            (VmState::Crashed, &[Start]),
        ] {
            for action in Action::ALL {
                let expected = (!allowed.contains(&action)).then_some(Objection::State(state));
                assert_eq!(action.objection(&sight(state)), expected, "{state:?} {action:?}");
            }
        }
    }

    #[test]
    fn what_moves_is_left_alone() {
        let with = |state, reason, job| DomainSight { reason, job, ..sight(state) };
        for moving in [
            with(VmState::Running, Reason::Other, true),
            with(VmState::Paused, Reason::Migrating, false),
            with(VmState::Paused, Reason::PostCopyFailed, false),
            with(VmState::Running, Reason::PostCopy, false),
        ] {
            for action in Action::ALL {
                assert_eq!(action.objection(&moving), Some(Objection::Job), "{moving:?} {action:?}");
            }
        }
        assert_eq!(Action::Start.objection(&with(VmState::Shutoff, Reason::Migrated, false)), None);
        assert_eq!(Action::Resume.objection(&with(VmState::Paused, Reason::User, false)), None);
    }
}
