//! How two machines reach each other, asked of the source itself.

use crate::model::ConnectFailure;

/// How the source reaches the destination, and what both see of the domain's storage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meeting {
    /// How a person on the source goes to the destination by ssh, where their libvirts do.
    pub ssh: Option<SshPlace>,
    /// The destination's address in its peer URI, as the source resolves it.
    pub peer: Option<Resolved>,
    /// The destination's own host name, as the source resolves it: there the memory is sent, unless another address is given.
    pub hostname: Option<Resolved>,
    /// The login from source to destination by which their libvirts speak.
    pub login: Option<Login>,
    /// A connection from source to destination on a port for migrations.
    pub port: Option<PortProbe>,
    /// What both machines see of each image, by path.
    pub sharing: Vec<(String, Sharing)>,
    /// Connections from the destination to servers of images on the network.
    pub servers: Vec<ServerProbe>,
}

impl Meeting {
    /// What both machines see of an image.
    #[must_use]
    pub fn sharing_of(&self, path: &str) -> Option<&Sharing> {
        self.sharing.iter().find(|(of, _)| of == path).map(|(_, sharing)| sharing)
    }

    /// Whether both see one and the same.
    #[must_use]
    pub fn is_shared(&self, path: &str) -> bool {
        matches!(self.sharing_of(path), Some(Sharing::Shared(_)))
    }
}

/// Where ssh goes, in the words of its commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshPlace {
    /// `root@kvm2`, `ssh://root@kvm2:2222`.
    pub word: String,
    /// What its key is known under: `kvm2`, `[kvm2]:2222`.
    pub key_name: String,
}

/// A connection from the destination to a server of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProbe {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// Whether it was reached, or why not.
    pub reached: Result<(), String>,
}

/// A name as the source resolves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The name or address.
    pub name: String,
    /// The addresses, none where it cannot be resolved.
    pub addresses: Vec<String>,
}

impl Resolved {
    /// Whether it leads to the machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let loopback = |address: &String| address.starts_with("127.") || address == "::1";
        !self.addresses.is_empty() && self.addresses.iter().all(loopback)
    }
}

/// A login from one host to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// It works, and libvirt's socket is there.
    Works,
    /// It works, but no libvirt listens there.
    NoLibvirt(String),
    /// It does not.
    Fails {
        /// The kind of failure.
        failure: ConnectFailure,
        /// What ssh said.
        said: String,
    },
}

/// A connection from the source to a port of the destination's that migrations are received on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortProbe {
    /// It was made.
    Open(u16),
    /// It was not: port, address and why not.
    Shut {
        /// The port.
        port: u16,
        /// The address that was tried.
        address: String,
        /// What the system said.
        said: String,
    },
    /// No port was free to listen on.
    NoneFree,
}

/// Whether both machines see one and the same image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// They do: how it was proven.
    Shared(String),
    /// They do not: what is there instead.
    Different(String),
    /// There is nothing on the destination.
    Missing,
    /// It could not be found out: why.
    Unknown(String),
}
