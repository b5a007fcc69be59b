//! Faults drawn by lot, none of which touches anything that alone holds a guest's memory.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use lab::{Daemon, Host, Lab, ProcessId};
use nix::sys::signal::Signal;

use crate::controller::Controller;

/// How long a daemon stands still, or a cable is out.
const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(20);

/// Numbers drawn by lot, the same for the same seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Lot(pub(crate) u64);

impl Lot {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: the control.
    None,
    FerrydKilled,
    SourceLibvirtdKilled,
    DestinationLibvirtdKilled,
    SourceLibvirtdFrozen(Duration),
    DestinationLibvirtdFrozen(Duration),
    SourceCableOut(Duration),
    DestinationCableOut(Duration),
    ControllerCableOut(Duration),
    SourceConnectionDropped,
    DestinationConnectionDropped,
    PeerConnectionDropped,
    Cancel,
}

const ALL: [Fault; 18] = [
    Fault::None,
    Fault::FerrydKilled,
    Fault::SourceLibvirtdKilled,
    Fault::DestinationLibvirtdKilled,
    Fault::SourceLibvirtdFrozen(SHORT),
    Fault::SourceLibvirtdFrozen(LONG),
    Fault::DestinationLibvirtdFrozen(SHORT),
    Fault::DestinationLibvirtdFrozen(LONG),
    Fault::SourceCableOut(SHORT),
    Fault::SourceCableOut(LONG),
    Fault::DestinationCableOut(SHORT),
    Fault::DestinationCableOut(LONG),
    Fault::ControllerCableOut(SHORT),
    Fault::ControllerCableOut(LONG),
    Fault::SourceConnectionDropped,
    Fault::DestinationConnectionDropped,
    Fault::PeerConnectionDropped,
    Fault::Cancel,
];

impl Fault {
    pub(crate) fn drawn(lot: &mut Lot) -> Self {
        let index = lot.below(ALL.len() as u64);
        usize::try_from(index).ok().and_then(|index| ALL.get(index).copied()).unwrap_or(Self::None)
    }

    /// Strikes, waits for as long as it lasts, and heals.
    pub(crate) fn strike(
        self,
        lab: &Lab,
        controller: &mut Controller,
        from: &str,
        to: &str,
        tasks: &[&str],
    ) -> Result<()> {
        let (source, destination) = (lab.host(from), lab.host(to));
        match self {
            Self::None => Ok(()),
            Self::FerrydKilled => controller.restart(),
            Self::SourceLibvirtdKilled => source.restart_daemon(Daemon::Libvirtd),
            Self::DestinationLibvirtdKilled => destination.restart_daemon(Daemon::Libvirtd),
            Self::SourceLibvirtdFrozen(time) => stand_still(&source, time),
            Self::DestinationLibvirtdFrozen(time) => stand_still(&destination, time),
            Self::SourceCableOut(time) => cable_out(&source, time),
            Self::DestinationCableOut(time) => cable_out(&destination, time),
            Self::ControllerCableOut(time) => cable_out(&lab.controller(), time),
            Self::SourceConnectionDropped => drop_connections(&lab.controller(), from),
            Self::DestinationConnectionDropped => drop_connections(&lab.controller(), to),
            Self::PeerConnectionDropped => drop_connections(&source, to),
            Self::Cancel => {
                for task in tasks {
                    // One that has ended cannot be cancelled: that is an answer, too.
                    lab.controller().output(&["ferry", "task", "cancel", task])?;
                }
                Ok(())
            }
        }
    }
}

fn stand_still(host: &Host, time: Duration) -> Result<()> {
    host.freeze(Daemon::Libvirtd)?;
    thread::sleep(time);
    host.thaw(Daemon::Libvirtd)
}

fn cable_out(host: &Host, time: Duration) -> Result<()> {
    host.cut()?;
    thread::sleep(time);
    host.join()
}

/// Kills every ssh on `from` that leads to `to`; there may be none.
fn drop_connections(from: &Host, to: &str) -> Result<()> {
    let leads_there = |argument: &String| argument == to || argument.ends_with(&format!("@{to}"));
    for process in from.processes() {
        let found = process.name == "ssh" && process.arguments.iter().any(leads_there);
        if let Some(process) = found.then(|| ProcessId::of(process.pid)).flatten() {
            process.signal(Signal::SIGKILL);
        }
    }
    Ok(())
}
