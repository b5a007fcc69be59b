//! The same cell on simulated hosts: what the real ones did must be among what those can do.

use api::task::Task;
use simulate::scenario::What;
use simulate::twin::{self, Outcome};
use simulate::world::{DESTINATION, SOURCE};

use super::cell::{Cell, Mode};
use super::moment::Moment;
use super::sides::Sides;
use super::strike::Fault;

/// Enough for everything that chance may make of a cell.
const SEEDS: u64 = 300;
/// A controller that was killed is back at once.
const CONTROLLER_BACK_MS: u64 = 500;

/// Fails if the simulation knows of no history of this cell in which both sides said this and it ended so.
#[track_caller]
pub(crate) fn agrees(cell: Cell, sides: &Sides, task: &Task) {
    // What goes through libvirt's own connection is not simulated, nor are post-copy and disks that go along.
    let simulated = (cell.mode, cell.moment.simulated(), cell.fault.simulated());
    let (Mode::Live, Some(moment), Some(faults)) = simulated else { return };
    let outcome = task.outcome.as_ref().expect("an ended task tells its outcome");
    let said = [sides.source.clone(), sides.destination.clone()];
    let real = Outcome::new(said, task.state, outcome.location, outcome.memory_lost);
    let simulated =
        twin::outcomes(moment, &faults, cell.fault.keeps_autostart(), SEEDS).expect("the histories hold");
    assert!(
        simulated.contains(&real),
        "the simulation knows no such history: {real:#?}\nit knows {simulated:#?}"
    );
}

impl Moment {
    fn simulated(self) -> Option<twin::Moment> {
        Some(match self {
            Self::S | Self::P | Self::D => return None,
            Self::T0 => twin::Moment::T0,
            Self::T1 => twin::Moment::T1,
            Self::T2 => twin::Moment::T2,
            Self::T3 => twin::Moment::T3,
            Self::T4 => twin::Moment::T4,
            Self::T5 => twin::Moment::T5,
            Self::T6 => twin::Moment::T6,
            Self::T7 => twin::Moment::T7,
        })
    }
}

impl Fault {
    /// `None` where it strikes only what is not simulated.
    fn simulated(self) -> Option<Vec<What>> {
        let millis = u64::try_from(self.lasts().as_millis()).expect("a short time");
        let cut = |lasts| vec![What::PeerCut(lasts), What::ControlCut(DESTINATION, lasts)];
        Some(match self {
            Self::None => vec![],
            Self::ControllerKilled => vec![What::ControllerKill(0, CONTROLLER_BACK_MS)],
            Self::LinkToSourceDropped => vec![What::LinkDrop(SOURCE)],
            Self::LinkToDestinationDropped => vec![What::LinkDrop(DESTINATION)],
            Self::LinkBetweenDropped => vec![What::ConnectionDrop],
            Self::SourceDaemonKilled => vec![What::DaemonKill(SOURCE, millis)],
            Self::SourceDaemonFrozen => vec![What::DaemonFreeze(SOURCE, millis)],
            Self::DestinationDaemonKilled => vec![What::DaemonKill(DESTINATION, millis)],
            Self::DestinationDaemonFrozen => vec![What::DaemonFreeze(DESTINATION, millis)],
            Self::SourceQemuKilled => vec![What::QemuKill(SOURCE)],
            Self::DestinationQemuKilled => vec![What::QemuKill(DESTINATION)],
            Self::SourceDaemonAndDestinationQemuKilled => {
                vec![What::QemuKill(DESTINATION), What::DaemonKill(SOURCE, millis)]
            }
            Self::CableOut5s | Self::CableOut50s => cut(Some(millis)),
            Self::CableOutForGood => cut(None),
            Self::DestinationPowerOff => vec![What::PowerOff(DESTINATION, Some(millis))],
            Self::DestinationPowerOffForGood => vec![What::PowerOff(DESTINATION, None)],
            Self::SourcePowerOffAutostart | Self::SourcePowerOff => {
                vec![What::PowerOff(SOURCE, Some(millis))]
            }
            Self::Cancel => vec![What::Cancel],
            Self::SourceDefinedAgain => vec![What::DefineAgain(SOURCE)],
            Self::RemovedFromDestination => vec![What::Remove(DESTINATION)],
            Self::DestinationFull
            | Self::DestinationPoolStopped
            | Self::DestinationGarbles
            | Self::SourceWritten
            | Self::SourceStarted => return None,
        })
    }
}
