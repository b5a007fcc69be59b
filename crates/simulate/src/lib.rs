//! Simulated hosts behind the engine's seam, and histories of seeded faults that the real engine must survive.
//!
//! One number, the seed, decides everything: a history that fails is played again by it, event by event.
//!
//! * [`dice`] – chance; [`scenario`] – what a seed's history is about.
//! * [`world`] – hosts, cables, libvirt, QEMU, the guest's memory, what happens to them, and what people do to the
//!   guest by hand.
//! * [`sim_host`], [`gated_store`], [`mem_store`] – the engine's seams on that world, through each controller's [`gate`].
//! * [`history`] – plays one history, and perhaps one after it that begins while something is still owed (its `haste`);
//!   [`verdict`] – what must hold; [`trace`] – what is told of it.
//! * [`plant`] – mistakes made on purpose, to see that the histories find them.
//! * [`run`] – many histories at once.
//! * [`twin`] – the cells of the matrix of faults that real hosts are put through, on simulated ones: what the real ones did
//!   must be among what these can do.

pub mod dice;
pub mod gate;
pub mod gated_store;
pub mod history;
pub mod mem_store;
pub mod plant;
pub mod run;
pub mod scenario;
pub mod sim_host;
mod trace;
pub mod twin;
pub mod verdict;
pub mod world;
