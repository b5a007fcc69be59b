//! The matrix of faults: a cell is a fault, struck at one moment of a real migration, and what must hold afterwards.
//!
//! * [`cell`] – one cell from beginning to end, and the criterion that all share;
//! * [`moment`] – bringing a migration to a moment and keeping it there;
//! * [`subject`] – the guest of a cell;
//! * [`stopped`] – the criterion for one that does not run;
//! * [`strike`] – the faults: struck, and healed;
//! * [`sides`] – what both hosts say, asked by their own means;
//! * [`again`] – the same domain migrates again;
//! * [`kill`] – ferryd killed at the boundaries of its steps;
//! * [`table`] – the row that a cell leaves;
//! * [`twin`] – the same cell on simulated hosts;
//! * [`two`] – two copies that somebody else made run.
//!
//! ```text
//! T0 prepare ▸ T1 first pass ▸ T2 later passes ▸ T3 stop-and-copy ▸ T4 source done, Finish pending
//!            ▸ T5 Finish done, its reply held ▸ T6 reply arrived, Confirm pending ▸ T7 source gone, destination paused
//! ```

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod again;
pub(crate) mod cell;
pub(crate) mod gone;
pub(crate) mod kill;
pub(crate) mod moment;
pub(crate) mod sides;
pub(crate) mod stopped;
pub(crate) mod strike;
pub(crate) mod subject;
pub(crate) mod table;
pub(crate) mod twin;
pub(crate) mod two;

pub(crate) use moment::Moment;

/// The host that a domain is moved from.
pub(crate) const SOURCE: &str = "kvm1";
/// The host that it is moved to.
pub(crate) const DESTINATION: &str = "kvm2";
/// The domain.
pub(crate) const GUEST: &str = "g1";
