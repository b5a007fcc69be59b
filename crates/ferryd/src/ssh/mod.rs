//! Logins: keys, known hosts, the wrapper that libvirt connects through, commands on a host.
//!
//! * [`uri`] – libvirt's connection URIs and registered names, checked before anything uses them.
//! * [`keys`] – Ferry's key pair and the files kept for each host ([`SshDir`]).
//! * [`wrapper`] – the options OpenSSH is started with, for us and (through a wrapper) for libvirt.
//! * [`shell`], [`session`], [`lines`] – running scripts on a host.
//! * [`classify`] – what the words of ssh and libvirt mean.

mod child;
pub mod classify;
pub mod keys;
pub mod lines;
mod live;
pub mod scripts;
pub mod session;
pub mod shell;
pub mod uri;
pub mod wrapper;

pub use classify::{ConnectFailure, classify};
pub use keys::{KeyError, PublicLine, SshDir};
pub use lines::LineStream;
pub use session::Session;
pub use shell::{Output, Shell, ShellError};
pub use uri::{HostName, LibvirtUri, SshTarget, Transport, UriError};
