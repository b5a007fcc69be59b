//! The faults: how each is struck, how long it lasts, how it is healed.

use std::time::Duration;

use lab::Daemon;
use rustix::process::Signal;

use super::moment::{AtMoment, Moment};
use super::sides::{self, signal};
use super::{DESTINATION, GUEST, SOURCE};
use crate::support::World;

/// A daemon that died is started again by its host after this time.
const SERVICE_RESTARTS_AFTER: Duration = Duration::from_secs(2);
/// A host without power comes back after this time.
const POWER_RETURNS_AFTER: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(50);

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: the control of every batch.
    None,
    /// ferryd is killed with SIGKILL and started again.
    ControllerKilled,
    /// ferryd's connections to the source are dropped.
    LinkToSourceDropped,
    /// ferryd's connections to the destination are dropped.
    LinkToDestinationDropped,
    /// The connection between the two libvirtd is dropped.
    LinkBetweenDropped,
    /// The source's libvirtd is killed and started again.
    SourceDaemonKilled,
    /// The source's libvirtd stands still for 50 s.
    SourceDaemonFrozen,
    /// The destination's libvirtd is killed and started again.
    DestinationDaemonKilled,
    /// The destination's libvirtd stands still for 50 s.
    DestinationDaemonFrozen,
    /// The source's QEMU is killed.
    SourceQemuKilled,
    /// The destination's QEMU is killed.
    DestinationQemuKilled,
    /// The source's libvirtd and the destination's QEMU are killed at once: the source stays frozen, and nobody drives it.
    SourceDaemonAndDestinationQemuKilled,
    /// The destination's cable is out for 5 s.
    CableOut5s,
    /// The destination's cable is out for 50 s.
    CableOut50s,
    /// The destination's cable stays out until the task has ended without it.
    CableOutForGood,
    /// The destination loses its power and boots again.
    DestinationPowerOff,
    /// The destination loses its power and does not boot until the task has ended without it.
    DestinationPowerOffForGood,
    /// The source loses its power and boots again; the domain is set to start with its host.
    SourcePowerOffAutostart,
    /// The same, and the domain is not set to start with its host.
    SourcePowerOff,
    /// Somebody cancels.
    Cancel,
    /// Somebody defines the domain on the source again.
    SourceDefinedAgain,
    /// Somebody destroys the domain on the destination, and undefines it there.
    RemovedFromDestination,
}

/// What the fault keeps down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Down {
    /// The source's libvirtd.
    pub(crate) source: bool,
    /// The destination's libvirtd.
    pub(crate) destination: bool,
    /// ferryd.
    pub(crate) ferryd: bool,
}

impl Fault {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "control, no fault",
            Self::ControllerKilled => "controller killed",
            Self::LinkToSourceDropped => "connection to source dropped",
            Self::LinkToDestinationDropped => "connection to destination dropped",
            Self::LinkBetweenDropped => "connection between the hosts dropped",
            Self::SourceDaemonKilled => "source libvirtd killed",
            Self::SourceDaemonFrozen => "source libvirtd frozen 50 s",
            Self::DestinationDaemonKilled => "destination libvirtd killed",
            Self::DestinationDaemonFrozen => "destination libvirtd frozen 50 s",
            Self::SourceQemuKilled => "source QEMU killed",
            Self::DestinationQemuKilled => "destination QEMU killed",
            Self::SourceDaemonAndDestinationQemuKilled => "source libvirtd and destination QEMU killed",
            Self::CableOut5s => "cable out 5 s",
            Self::CableOut50s => "cable out 50 s",
            Self::CableOutForGood => "cable out for good",
            Self::DestinationPowerOff => "destination power off, back",
            Self::DestinationPowerOffForGood => "destination power off, not back",
            Self::SourcePowerOffAutostart => "source power off, autostart on",
            Self::SourcePowerOff => "source power off, autostart off",
            Self::Cancel => "cancel",
            Self::SourceDefinedAgain => "source defined again",
            Self::RemovedFromDestination => "removed from the destination",
        }
    }

    /// Whether a host or a QEMU that alone holds the memory may die of it at this moment.
    pub(crate) fn may_lose_memory(self, moment: Moment) -> bool {
        match self {
            Self::SourceQemuKilled | Self::SourcePowerOff | Self::SourcePowerOffAutostart => {
                moment < Moment::T7
            }
            // From here on the source lets go as soon as it hears that the destination has everything.
            Self::DestinationQemuKilled | Self::DestinationPowerOff | Self::RemovedFromDestination => {
                moment >= Moment::T5 || moment == Moment::P
            }
            _ => false,
        }
    }

    /// Whether the domain is set to start with its host.
    pub(crate) fn keeps_autostart(self) -> bool {
        self != Self::SourcePowerOff
    }

    /// Whether the guest must be back at the source within the bound, with the fault still there.
    pub(crate) fn is_bounded(self, moment: Moment) -> bool {
        let outage = matches!(
            self,
            Self::CableOut50s
                | Self::CableOutForGood
                | Self::DestinationPowerOff
                | Self::DestinationPowerOffForGood
        );
        outage && moment == Moment::T3
    }

    /// Whether the task has to end before the fault is healed.
    fn lasts_till_the_end(self) -> bool {
        matches!(self, Self::CableOutForGood | Self::DestinationPowerOffForGood)
    }

    fn down(self) -> Down {
        let source = matches!(
            self,
            Self::SourceDaemonKilled
                | Self::SourceDaemonAndDestinationQemuKilled
                | Self::SourceDaemonFrozen
                | Self::SourcePowerOff
                | Self::SourcePowerOffAutostart
        );
        let destination = matches!(
            self,
            Self::DestinationDaemonKilled
                | Self::DestinationDaemonFrozen
                | Self::DestinationPowerOff
                | Self::DestinationPowerOffForGood
        );
        Down { source, destination, ferryd: self == Self::ControllerKilled }
    }

    /// How long it lasts before it is healed.
    pub(super) fn lasts(self) -> Duration {
        match self {
            Self::SourceDaemonKilled
            | Self::SourceDaemonAndDestinationQemuKilled
            | Self::DestinationDaemonKilled => SERVICE_RESTARTS_AFTER,
            Self::DestinationPowerOff | Self::SourcePowerOff | Self::SourcePowerOffAutostart => {
                POWER_RETURNS_AFTER
            }
            Self::CableOut5s => SHORT,
            Self::CableOut50s | Self::SourceDaemonFrozen | Self::DestinationDaemonFrozen => LONG,
            _ => Duration::ZERO,
        }
    }

    /// Strikes, then stops keeping the migration at its moment.
    pub(crate) fn strike(self, world: &World, at: &AtMoment, guest: &lab::GuestSpec) {
        let (source, destination) = (world.host(SOURCE), world.host(DESTINATION));
        let qemu = |host: &lab::Host| host.pid_of_qemu(&guest.uuid).expect("its QEMU runs");
        match self {
            Self::None => {}
            Self::ControllerKilled => world.kill_ferryd(),
            Self::LinkToSourceDropped => assert!(sides::drop_connections(world.machine(), SOURCE) > 0),
            Self::LinkToDestinationDropped => {
                assert!(sides::drop_connections(world.machine(), DESTINATION) > 0)
            }
            Self::LinkBetweenDropped => assert!(sides::drop_connections(&source, DESTINATION) > 0),
            Self::SourceDaemonKilled => source.kill_daemon(Daemon::Libvirtd).expect("killed"),
            Self::SourceDaemonFrozen => source.freeze(Daemon::Libvirtd).expect("frozen"),
            Self::DestinationDaemonKilled => destination.kill_daemon(Daemon::Libvirtd).expect("killed"),
            Self::DestinationDaemonFrozen => destination.freeze(Daemon::Libvirtd).expect("frozen"),
            Self::SourceQemuKilled => signal(qemu(&source), Signal::KILL),
            Self::DestinationQemuKilled => signal(qemu(&destination), Signal::KILL),
            Self::SourceDaemonAndDestinationQemuKilled => {
                signal(qemu(&destination), Signal::KILL);
                source.kill_daemon(Daemon::Libvirtd).expect("killed");
            }
            Self::CableOut5s | Self::CableOut50s | Self::CableOutForGood => destination.cut().expect("cut"),
            Self::DestinationPowerOff | Self::DestinationPowerOffForGood => {
                destination.kill().expect("no power")
            }
            Self::SourcePowerOff | Self::SourcePowerOffAutostart => source.kill().expect("no power"),
            Self::Cancel => {
                let id = at.task.to_string();
                at.struck();
                // Answered while libvirt blocks. (At the last moment ferryd itself stands still.)
                if at.moment == Moment::T7 {
                    at.let_go_on(world, &self.down());
                    world.ferry(&["task", "cancel", &id]);
                } else {
                    world.ferry(&["task", "cancel", &id]);
                    at.let_go_on(world, &self.down());
                }
                return;
            }
            Self::RemovedFromDestination => {
                destination.virsh(&["destroy", GUEST]).expect("destroyed");
                destination.virsh(&["undefine", GUEST]).expect("undefined");
            }
            Self::SourceDefinedAgain => {
                let define = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
                source.run_with_input(&define, guest.to_xml().as_bytes()).expect("defined");
            }
        }
        at.struck();
        at.let_go_on(world, &self.down());
    }

    /// Waits for as long as the fault lasts, then makes everything whole. `ended` waits for the task's end.
    pub(crate) fn heal(self, world: &World, ended: impl FnOnce()) {
        if self.lasts_till_the_end() {
            ended();
        }
        // How long a fault lasts is what it is: there is nothing to wait for but time.
        std::thread::sleep(self.lasts());
        let (source, destination) = (world.host(SOURCE), world.host(DESTINATION));
        match self {
            Self::ControllerKilled => world.start_ferryd(),
            Self::SourceDaemonKilled | Self::SourceDaemonAndDestinationQemuKilled => {
                source.start_daemon(Daemon::Libvirtd).expect("started")
            }
            Self::DestinationDaemonKilled => destination.start_daemon(Daemon::Libvirtd).expect("started"),
            Self::SourceDaemonFrozen => source.thaw(Daemon::Libvirtd).expect("thawed"),
            Self::DestinationDaemonFrozen => destination.thaw(Daemon::Libvirtd).expect("thawed"),
            Self::CableOut5s | Self::CableOut50s | Self::CableOutForGood => {
                destination.join().expect("joined")
            }
            Self::DestinationPowerOff | Self::DestinationPowerOffForGood => {
                destination.boot().expect("boots")
            }
            Self::SourcePowerOff | Self::SourcePowerOffAutostart => source.boot().expect("boots"),
            _ => {}
        }
        source.let_go().expect("nothing is held");
        destination.rate(None).expect("a fast link");
        // A copy that outlived the fault may come to its end now. Where there is none, libvirt says so, and that is fine.
        let _ = source.virsh(&["migrate-setspeed", GUEST, "100000"]);
    }
}
