//! Logins: keys, known hosts, the wrapper that libvirt connects through, commands on a host.
//!
//! * [`uri`] – libvirt's connection URIs and registered names, checked before anything uses them.
//! * [`keys`] – Ferry's key pair and the files kept for each host ([`SshDir`]).
//! * [`wrapper`] – the options OpenSSH is started with, for us and (through a wrapper) for libvirt.
//! * [`endpoint`], [`hostkey`], [`login`] – before the first login: where a host really is, its key, the password.
//! * [`shell`], [`session`], [`lines`] – running scripts on a host.
//! * [`forward`] – a connection to a port on a host.
//! * [`scripts`] – the scripts themselves.
//! * [`mod@classify`] – what the words of ssh and libvirt mean.
//!
//! A host becomes usable in this order: [`LibvirtUri`] is parsed, [`Endpoint::resolve`] asks the person's ssh
//! configuration, [`SshDir::examine`] shows the host's key, [`SshDir::trust`] keeps it once a person has agreed,
//! [`login::install_key`] puts Ferry's key there if no key of the person's is, and from then on
//! [`SshDir::connect_uris`] and [`Shell::for_host`] get in.

mod child;
pub mod classify;
pub mod endpoint;
pub mod forward;
pub mod hostkey;
pub mod keys;
pub mod lines;
mod live;
pub mod login;
pub mod scripts;
pub mod session;
pub mod shell;
pub mod uri;
pub mod wrapper;

pub use classify::{ConnectFailure, classify};
pub use endpoint::{Endpoint, ReachError};
pub use hostkey::{HostKey, Trust, scan};
pub use keys::{KeyError, PublicLine, SshDir};
pub use lines::LineStream;
pub use login::{LoginError, Secret, install_key};
pub use session::Session;
pub use shell::{Output, Shell, ShellError};
pub use uri::{LibvirtUri, SshTarget, Transport, UriError};
pub use wrapper::ConnectUris;
