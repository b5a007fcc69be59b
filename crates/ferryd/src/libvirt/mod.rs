//! The only place that knows libvirt.
//!
//! * [`ffi`] – the calls that need `unsafe`.
//! * [`link`] – the connections to one host: opened, kept alive, opened again; every call off the async threads and limited.
//! * [`host`] – one real host behind the seam [`crate::hypervisor::Hypervisor`].
//! * [`act`] – what is done to a domain where it is.
//! * [`console`] – its screen and its serial console.
//! * [`survey`] – what is read of a whole host at once.
//! * `redefine` – what a migration is handed so that the domain arrives with another definition.
//! * [`translate`] – libvirt's numbers and figures in Ferry's words.
//! * [`xml`] – what is read out of libvirt's XML.
//! * [`error`] – errors, with libvirt's code and text.

pub mod act;
pub mod console;
pub mod error;
pub mod ffi;
mod files;
mod flatten;
pub mod host;
pub mod link;
mod redefine;
pub mod survey;
pub mod translate;
mod usage;
pub mod xml;
