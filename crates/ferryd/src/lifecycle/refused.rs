//! Why nothing was done to a domain.

use api::vm::VmState;

use crate::libvirt::error::{HostError, LibvirtError};
use crate::messages::{Message, Text};
use crate::model::TaskId;
use crate::model::action::Objection;
use crate::model::change::{Change, TooMuch};
use crate::store::StoreError;

/// Why something was not done to a domain, or not wholly.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub enum Refused {
    /// No host that answers has a machine of that name, and these do not answer.
    Unknown(Vec<String>),
    /// It does not list whoever asks.
    NotAllowed,
    /// A task of Ferry's makes it, moves it, clones it, makes a snapshot of it, or gives or takes a device.
    Moves(TaskId),
    /// Something else is being done to it.
    Busy,
    /// A job of libvirt's is at work on it.
    Job,
    /// It is in a state in which that means nothing.
    State(VmState),
    /// It runs on another host: a second copy would destroy its disks.
    RunsElsewhere(String),
    /// What is on this host is what a migration left there, and not the machine.
    Leftover(String),
    /// There is something about it that Ferry does not clone.
    NoClone(Text),
    /// What was to be removed with it cannot be.
    Keeps(Text),
    /// It is removed, but not all that was to go with it.
    Left(Text),
    /// The host has no more memory than this, in MiB.
    TooMuchMemory(u64),
    /// It would have more than it may have.
    TooMuch(TooMuch),
    /// It has no definition.
    Transient,
    /// Another machine, on any host, has this name or is about to be made by it.
    NameTaken(String),
    /// Ferry has brought it where it is.
    Brought {
        /// Where it is.
        host: String,
        /// Where it was.
        from: String,
    },
    /// These are changed only while it is stopped.
    OnlyWhenStopped(Vec<Change>),
    /// libvirt did not take one change; those before it are made.
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
    Store(StoreError),
}

impl Refused {
    /// The same as it is told.
    #[must_use]
    pub fn text(&self) -> Text {
        let said = |text: &str| Text::from(text);
        let message = match self {
            Self::Unknown(silent) if silent.is_empty() => Message::FERRYWHY0001I,
            Self::Unknown(silent) => Message::FERRYWHY0099I { hosts: silent.join(", ").into() },
            Self::NotAllowed => Message::WOKAPI0009E,
            Self::Moves(task) => Message::FERRYWHY0002I { task: task.to_string().into() },
            Self::Busy => Message::FERRYWHY0003I,
            Self::Job => Message::FERRYWHY0004I,
            Self::State(state) => Message::FERRYWHY0005I { state: state.as_str().into() },
            Self::RunsElsewhere(host) => Message::FERRYWHY0006I { host: said(host) },
            Self::Leftover(host) => Message::FERRYWHY0007I { host: said(host) },
            Self::NoClone(why) | Self::Keeps(why) => Message::FERRYWHY0008I { why: why.clone() },
            Self::Left(what) => Message::FERRYWHY0009I { what: what.clone() },
            Self::TooMuchMemory(most_mib) => Message::KCHVM0041E { maxmem: (*most_mib).into() },
            Self::TooMuch(TooMuch::Memory { memory_mib, most_mib }) => {
                Message::KCHTMPL0031E { memory: (*memory_mib).into(), most: (*most_mib).into() }
            }
            Self::TooMuch(TooMuch::Vcpus) => Message::KCHCPUINF0001E,
            Self::Transient => Message::FERRYWHY0010I,
            Self::NameTaken(_) => Message::FERRYWHY0070I,
            Self::Brought { host, from } => Message::FERRYWHY0011I { host: said(host), from: said(from) },
            Self::OnlyWhenStopped(changes) => Message::FERRYWHY0012I { changes: names(changes).into() },
            Self::Halfway { made, failed, error } => {
                let (change, said) = (failed.as_str().into(), said(&error.message));
                match made.as_slice() {
                    [] => Message::FERRYWHY0013I { change, said },
                    made => Message::FERRYWHY0014I { change, said, made: names(made).into() },
                }
            }
            Self::Host(error) => return error.to_string().into(),
            Self::Store(error) => return error.to_string().into(),
        };
        message.into()
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DomainBusy(task) => Self::Moves(task),
            other => Self::Store(other),
        }
    }
}

impl From<TooMuch> for Refused {
    fn from(too_much: TooMuch) -> Self {
        Self::TooMuch(too_much)
    }
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
