//! Why a machine is not seen or spoken to.

use crate::libvirt::error::HostError;

/// Why a machine is not seen or spoken to.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No host that answers has a machine of that name.
    #[error("no host that answers has a virtual machine of this name")]
    Unknown,
    /// It does not run.
    #[error("it does not run")]
    Stopped,
    /// What libvirt gave is no picture.
    #[error("what libvirt gave is no picture")]
    NoPicture,
    /// It has no serial console that can be given to a person.
    #[error("none of its serial lines is a pty")]
    NoSerial,
    /// It has no screen that is reached by VNC or SPICE.
    #[error("it has no screen that is reached by VNC or SPICE")]
    NoScreen,
    /// Its screen listens where Ferry does not come.
    #[error("its screen on {host} listens where it is not reached from here: {how}")]
    OutOfReach {
        /// The registered host.
        host: String,
        /// On what it listens, and what to do.
        how: String,
    },
    /// There is no such ticket for this machine.
    #[error(
        "there is no such ticket for this virtual machine: it was used, or is too old; ask for a new one"
    )]
    NoTicket,
    /// As much is open at its host as may be.
    #[error("as many consoles are open on its host as may be at once; close one")]
    TooMany,
    /// The host did not do it, or did not answer.
    #[error(transparent)]
    Host(#[from] HostError),
}
