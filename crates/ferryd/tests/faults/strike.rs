//! The faults: how each is struck, how long it lasts, how it is healed.

use std::time::Duration;

use api::task::{Task, TaskState};
use lab::{Daemon, GuestSpec, Host};
use rustix::process::Signal;

use super::moment::{AtMoment, Moment};
use super::sides::{self, signal};
use super::subject::BALLAST;
use super::{DESTINATION, GUEST, SOURCE};
use crate::support::images::{IMAGES, listed, sh};
use crate::support::{SOON, World, until_seen};

/// A daemon that died is started again by its host after this time.
const SERVICE_RESTARTS_AFTER: Duration = Duration::from_secs(2);
/// A host without power comes back after this time.
const POWER_RETURNS_AFTER: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(50);
/// Room for the images where it is to become scarce, and what takes it.
const ROOM_MIB: u32 = 160;
const FILLER: &str = "others";
/// What was in the place of a byte that was written over.
const OVERWRITTEN: &str = "/run/overwritten";
/// While this file is there, the destination's image is garbled.
const GARBLES: &str = "/run/garbles";
/// Which byte of it: one that has not been carried yet when the fault is struck.
const GARBLED_AT: u64 = 40 << 20;

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
    /// Somebody fills the file system of the destination's images.
    DestinationFull,
    /// Somebody stops the destination's storage pool.
    DestinationPoolStopped,
    /// A byte of the image on the destination becomes another one again and again, as on a bad disk.
    DestinationGarbles,
    /// Somebody writes to an image on the source, of a domain that does not run.
    SourceWritten,
    /// Somebody starts the domain, which does not run.
    SourceStarted,
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
            Self::DestinationFull => "disk of the destination full",
            Self::DestinationPoolStopped => "storage pool of the destination stopped",
            Self::DestinationGarbles => "image on the destination garbled",
            Self::SourceWritten => "image on the source written to",
            Self::SourceStarted => "started on the source",
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
        matches!(
            self,
            Self::CableOutForGood
                | Self::DestinationPowerOffForGood
                | Self::DestinationFull
                | Self::DestinationPoolStopped
                | Self::DestinationGarbles
                | Self::SourceWritten
                | Self::SourceStarted
        )
    }

    /// Whether the domain's own disk has changed by it on the source.
    pub(super) fn changes_its_disk(self) -> bool {
        self == Self::SourceStarted
    }

    /// Whether it moves all the same.
    fn moves(self, moment: Moment) -> bool {
        // QEMU has its image open, and writes on.
        self == Self::None || (self == Self::DestinationPoolStopped && moment == Moment::D)
    }

    /// How the disks are cached: what is in memory alone could not be opened past the cache before Linux 6.6.
    pub(super) fn cache(self) -> &'static str {
        if self == Self::DestinationFull { "writeback" } else { "none" }
    }

    /// What the task has to say when nothing could be moved because of this; `None` where it may move all the same.
    fn words(self, moment: Moment) -> Option<&'static str> {
        match (self, moment) {
            (Self::DestinationFull, _) => Some("No space left"),
            (Self::DestinationPoolStopped, Moment::S) => Some("the storage pool default"),
            (Self::DestinationGarbles, _) => Some("is not what was sent"),
            (Self::SourceWritten, _) => Some("was written to while it was carried"),
            (Self::SourceStarted, _) => Some("was started"),
            (Self::CableOutForGood | Self::DestinationPowerOffForGood, Moment::S) => {
                Some("kvm2 cannot be asked")
            }
            _ => None,
        }
    }

    /// The task ended as this makes it end, and says why.
    #[track_caller]
    pub(super) fn assert_told(self, moment: Moment, task: &Task, owner: &str) {
        let cancelled = task.state == TaskState::Cancelled;
        assert_eq!(cancelled, self == Self::Cancel && owner == SOURCE, "{task:#?}");
        assert!(!self.moves(moment) || owner == DESTINATION, "it moves: {task:#?}");
        if let Some(words) = self.words(moment) {
            assert_eq!((task.state, owner), (TaskState::Failed, SOURCE), "{task:#?}");
            let told = format!("{} {:?}", task.message, task.cause);
            assert!(told.contains(words), "it says why: {task:#?}");
        }
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

    /// What has to be there before there is a guest.
    pub(super) fn prepare(self, world: &World) {
        if self == Self::DestinationFull {
            let mount = format!("mount -t tmpfs -o size={ROOM_MIB}M none {IMAGES}");
            sh(&world.host(DESTINATION), &mount);
        }
    }

    /// Strikes, then stops keeping the migration at its moment.
    pub(crate) fn strike(self, world: &World, at: &AtMoment, guest: &GuestSpec) {
        let (source, destination) = (world.host(SOURCE), world.host(DESTINATION));
        let qemu = |host: &Host| host.pid_of_qemu(&guest.uuid).expect("its QEMU runs");
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
            Self::DestinationFull => {
                sh(
                    &destination,
                    &format!("head -c {ROOM_MIB}M /dev/zero >{IMAGES}/{FILLER} 2>/dev/null || true"),
                );
            }
            Self::DestinationPoolStopped => {
                destination.virsh(&["pool-destroy", "default"]).expect("stopped");
                // A copy of a guest that runs is not to wait for the end of the fault, which waits for its.
                lift_limit(&source);
            }
            Self::DestinationGarbles => garble(&source, &destination),
            Self::SourceWritten => write_into(&source, "dd if=/dev/zero bs=1 count=1"),
            Self::SourceStarted => drop(source.virsh(&["start", GUEST]).expect("started")),
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
            Self::DestinationFull => {
                // What was carried is gone, and nothing else.
                until_seen(SOON, "something is left", || match listed(&destination, IMAGES) {
                    left if left == [FILLER] => Ok(()),
                    left => Err(left.join(" ")),
                });
                sh(&destination, &format!("umount {IMAGES}"));
            }
            Self::DestinationPoolStopped => {
                drop(destination.virsh(&["pool-start", "default"]).expect("started"))
            }
            Self::DestinationGarbles => drop(sh(&destination, &format!("rm {GARBLES}"))),
            // What was there is there again: all of the rest is as it was.
            Self::SourceWritten => write_into(&source, &format!("cat {OVERWRITTEN}")),
            Self::SourceStarted => drop(source.virsh(&["destroy", GUEST]).expect("it runs on")),
            _ => {}
        }
        source.let_go().expect("nothing is held");
        destination.rate(None).expect("a fast link");
        lift_limit(&source);
    }
}

/// A copy that outlived the fault may come to its end now. Where there is none, libvirt says so, and that is fine.
fn lift_limit(source: &Host) {
    let _ = source.virsh(&["migrate-setspeed", GUEST, "100000"]);
}

/// Writes what a command prints over the first byte of the source's image, which is kept.
fn write_into(source: &Host, what: &str) {
    let keep = format!("[ -e {OVERWRITTEN} ] || head -c 1 {BALLAST} >{OVERWRITTEN}");
    sh(source, &format!("{keep}; {what} 2>/dev/null | dd of={BALLAST} conv=notrunc status=none"));
}

/// Makes a byte of the destination's image another one than it is on the source, again and again, until [`GARBLES`] is removed.
fn garble(source: &Host, destination: &Host) {
    let byte = sh(source, &format!("od -An -tu1 -j {GARBLED_AT} -N 1 {BALLAST}"));
    let other = !byte.trim().parse::<u8>().expect("a byte");
    let write = format!(
        "printf '\\{other:03o}' | dd of={BALLAST} bs=1 seek={GARBLED_AT} conv=notrunc,nocreat status=none"
    );
    let garbling = format!("while [ -e {GARBLES} ]; do [ ! -s {BALLAST} ] || {write}; sleep 0.01; done");
    sh(destination, &format!(": >{GARBLES}; ({garbling}) >/dev/null 2>&1 </dev/null &"));
}
