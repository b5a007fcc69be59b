//! Why a machine is not seen or spoken to.

use crate::libvirt::error::HostError;
use crate::messages::{Message, Text};

/// Why a machine is not seen or spoken to.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub enum Refused {
    /// No host that answers has a machine of that name, and these do not answer.
    Unknown(Vec<String>),
    /// It does not list whoever asks.
    NotAllowed,
    /// It does not run.
    Stopped,
    /// What libvirt gave is no picture.
    NoPicture,
    /// It has no serial console that can be given to a person.
    NoSerial,
    /// It has no screen that is reached by VNC or SPICE.
    NoScreen,
    /// Its screen listens where Ferry does not come.
    OutOfReach {
        /// The registered host.
        host: String,
        /// On what it listens, and what to do.
        how: Text,
    },
    /// There is no such ticket for this machine.
    NoTicket,
    /// As much is open at its host as may be.
    TooMany,
    /// The host did not do it, or did not answer.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Refused {
    /// The same as it is told.
    #[must_use]
    pub fn text(&self) -> Text {
        let message = match self {
            Self::Unknown(silent) if silent.is_empty() => Message::FERRYWHY0001I,
            Self::Unknown(silent) => Message::FERRYWHY0099I { hosts: silent.join(", ").into() },
            Self::NotAllowed => Message::WOKAPI0009E,
            Self::Stopped => Message::FERRYWHY0060I,
            Self::NoPicture => Message::FERRYWHY0061I,
            Self::NoSerial => Message::FERRYWHY0062I,
            Self::NoScreen => Message::FERRYWHY0063I,
            Self::OutOfReach { host, how } => {
                Message::FERRYWHY0064I { host: host.as_str().into(), how: how.clone() }
            }
            Self::NoTicket => Message::FERRYWHY0068I,
            Self::TooMany => Message::FERRYWHY0069I,
            Self::Host(error) => return error.to_string().into(),
        };
        message.into()
    }
}
