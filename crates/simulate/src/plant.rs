//! Mistakes planted on purpose, to see that the histories would find them. All are made at the seams, outside the engine.

use clap::ValueEnum;

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Plant {
    /// The destination runs on arrival, whatever the call says.
    PausedFlag,
    /// The source counts as dead as soon as the destination is complete.
    Proof,
    /// The store lets a lease that was lost write.
    Generation,
    /// Look, destroy and undefine act on whatever bears the domain's name.
    UndoByName,
    /// No answer is reported as "absent".
    Absent,
    /// Of a copy in post-copy it is not said that it is.
    Halves,
    /// A migration is accepted although something is owed where it goes.
    NotCleared,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PausedFlag,
        Self::Proof,
        Self::Generation,
        Self::UndoByName,
        Self::Absent,
        Self::Halves,
        Self::NotCleared,
    ];
}
