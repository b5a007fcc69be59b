//! The only place that knows libvirt.
//!
//! * [`ffi`] – the calls that need `unsafe`.
//! * [`link`] – the connections to one host: opened, kept alive, opened again; every call off the async threads and limited.
//! * [`host`] – one real host behind the seam [`crate::hypervisor::Hypervisor`].
//! * `call` – a migration's flags and parameters.
//! * [`host_devices`] – the host's devices that a domain is given.
//! * [`act`] – what is done to a domain where it is.
//! * [`snapshots`] – those of a domain: listed, made, deleted, gone back to.
//! * [`clone`] – a clone of a stopped domain: its volumes copied, its definition written; [`creation`] – a domain that is made anew.
//! * [`console`] – its screen and its serial console.
//! * `files`, `room` – files through storage pools, and whether what comes still fits.
//! * [`survey`] – what is read of a whole host at once.
//! * `redefine` – what a migration is handed so that the domain arrives with another definition.
//! * `snapshot_metadata` – what libvirt knows of a domain's snapshots, which goes with it.
//! * [`translate`] – libvirt's numbers and figures in Ferry's words.
//! * [`xml`] – what is read out of libvirt's XML.
//! * [`error`] – errors, with libvirt's code and text.

pub mod act;
mod call;
pub mod clone;
pub mod console;
pub mod creation;
pub mod error;
pub mod ffi;
mod files;
mod flatten;
mod hang;
pub mod host;
pub mod host_devices;
pub mod link;
mod qemu_monitor;
mod redefine;
mod room;
mod snapshot_metadata;
pub mod snapshots;
pub mod survey;
pub mod translate;
mod usage;
pub mod xml;
