//! Why nothing was done to a domain.

use api::vm::VmState;

use crate::libvirt::error::{HostError, LibvirtError};
use crate::model::TaskId;
use crate::model::action::Objection;
use crate::model::change::Change;
use crate::store::StoreError;

/// Why something was not done to a domain, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No host that answers has a machine of that name.
    #[error("no host that answers has a virtual machine of this name")]
    Unknown,
    /// A task of Ferry's makes it, moves it, clones it, makes a snapshot of it, or gives or takes a device.
    #[error(
        "it is being made, moved or cloned, a snapshot of it made, or a device given or taken; nothing was done (`ferry task watch {0}` \
         shows how far that is)"
    )]
    Moves(TaskId),
    /// Something else is being done to it.
    #[error("something else is being done to it; nothing was done, try it again")]
    Busy,
    /// A job of libvirt's is at work on it.
    #[error("a job of libvirt's is at work on it (a migration, a save, a backup); nothing was done")]
    Job,
    /// It is in a state in which that means nothing.
    #[error("it is {}; nothing was done", .0.as_str())]
    State(VmState),
    /// It runs on another host: a second copy would destroy its disks.
    #[error("it runs on {0} already; nothing was done")]
    RunsElsewhere(String),
    /// What is on this host is what a migration left there, and not the machine.
    #[error("what {0} has of it was left by a migration and is being removed; nothing was done")]
    Leftover(String),
    /// There is something about it that Ferry does not clone.
    #[error("{0}; nothing was done")]
    NoClone(String),
    /// What was to be removed with it cannot be.
    #[error("{0}; nothing was done")]
    Keeps(String),
    /// It is removed, but not all that was to go with it.
    #[error("it is removed, but not everything that was to go with it: {0}")]
    Left(String),
    /// It has no definition.
    #[error("it has no definition, only this run; nothing was done")]
    Transient,
    /// Ferry has brought it where it is.
    #[error(
        "it was moved here: it is on {host} now, nothing of it is left on {from}, and nothing was done. To remove the machine \
         itself, ask with ?host={host}"
    )]
    Brought {
        /// Where it is.
        host: String,
        /// Where it was.
        from: String,
    },
    /// These are changed only while it is stopped.
    #[error("{} can be changed only while it is stopped; nothing was changed", names(.0))]
    OnlyWhenStopped(Vec<Change>),
    /// libvirt did not take one change; those before it are made.
    #[error("{} was not changed: {}{}", .failed.as_str(), .error.message, before(.made))]
    Halfway {
        /// What was changed.
        made: Vec<Change>,
        /// What was not.
        failed: Change,
        /// What libvirt said.
        #[source]
        error: LibvirtError,
    },
    /// The host did not do it, or did not answer.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Objection> for Refused {
    fn from(objection: Objection) -> Self {
        match objection {
            Objection::State(state) => Self::State(state),
            Objection::Job => Self::Job,
        }
    }
}

/// The names of changes, for people.
pub(crate) fn names(changes: &[Change]) -> String {
    changes.iter().map(|change| change.as_str()).collect::<Vec<_>>().join(", ")
}

fn before(made: &[Change]) -> String {
    if made.is_empty() {
        "; nothing was changed".to_owned()
    } else {
        format!("; {} was changed before that", names(made))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_and_what_not_is_told() {
        let error = || LibvirtError::of(55, "no");
        let halfway = |made| Refused::Halfway { made, failed: Change::Name, error: error() }.to_string();
        assert_eq!(halfway(Vec::new()), "name was not changed: no; nothing was changed");
        let made = vec![Change::Title, Change::Memory];
        assert_eq!(halfway(made), "name was not changed: no; title, memory was changed before that");
        let brought = Refused::Brought { host: "kvm2".to_owned(), from: "kvm1".to_owned() }.to_string();
        assert!(brought.ends_with("ask with ?host=kvm2"), "{brought}");
    }
}
