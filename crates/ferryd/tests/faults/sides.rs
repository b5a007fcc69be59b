//! What both hosts say of the domain, asked with `virsh` and `ss`: no code of the product's.

use std::fmt;
use std::path::Path;

use lab::Host;
use rustix::process::{Pid, Signal, kill_process};

use super::{DESTINATION, GUEST, SOURCE};
use crate::support::World;

const NO_ANSWER_AFTER_S: &str = "2";

/// Both hosts' answers, in libvirt's words ("paused (migrating)"), or "absent", "no answer", "powered off".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) source: String,
    pub(crate) destination: String,
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source {}, destination {}", self.source, self.destination)
    }
}

impl Sides {
    /// Asks both at once.
    pub(crate) fn of(world: &World) -> Self {
        let (source, destination) = (world.host(SOURCE), world.host(DESTINATION));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| state(&destination));
            Self { source: state(&source), destination: other.join().expect("an answer") }
        })
    }
}

/// What the host's libvirt says of the domain.
pub(crate) fn state(host: &Host) -> String {
    if !host.is_running() {
        return "powered off".to_owned();
    }
    let virsh = ["virsh", "-q", "-c", "qemu:///system", "domstate", "--reason", GUEST];
    let asked = host.output(&[&["timeout", NO_ANSWER_AFTER_S], &virsh[..]].concat()).expect("virsh starts");
    let (said, error) = (String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
    match asked.status.code() {
        Some(0) => said.trim().to_owned(),
        _ if error.contains("failed to get domain") => "absent".to_owned(),
        _ => "no answer".to_owned(),
    }
}

/// The pass over the memory that the source's QEMU is at; 0 while none is known.
pub(crate) fn pass(source: &Host) -> u64 {
    let info = source.virsh(&["domjobinfo", GUEST]).unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("Iteration:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Whether libvirt's job says that a disk is being copied, and has not begun with the memory.
pub(crate) fn disk_is_on_its_way(source: &Host) -> bool {
    let info = source.virsh(&["domjobinfo", GUEST]).unwrap_or_default();
    let figure = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    figure("File processed:").is_some_and(|sent| sent > 0.0)
        && figure("Memory processed:").is_none_or(|sent| sent == 0.0)
}

/// Whether a connection between the two QEMUs is open, through which memory is sent.
pub(crate) fn data_flows(source: &Host) -> bool {
    let open = source.run(&["ss", "-Htnp", "state", "established"]).expect("ss");
    open.lines().any(|line| line.contains("qemu-system"))
}

/// Whether the host has the domain's definition on its disk; also of a host without power.
pub(crate) fn has_definition(host: &Host) -> bool {
    host.disk_path(Path::new("/etc/libvirt/qemu").join(format!("{GUEST}.xml"))).exists()
}

/// Whether it starts with its host.
pub(crate) fn autostarts(host: &Host) -> bool {
    host.disk_path(Path::new("/etc/libvirt/qemu/autostart").join(format!("{GUEST}.xml"))).is_symlink()
}

/// Whether libvirt there still keeps the state of a running domain, which it clears away by itself when its QEMU has died; or, having
/// forgotten the domain, when it is started next.
pub(crate) fn has_live_state(host: &Host) -> bool {
    let file = host.path(Path::new("/run/libvirt/qemu").join(format!("{GUEST}.xml")));
    file.is_ok_and(|file| file.exists()) && state(host) != "absent"
}

/// Sends a signal to a process of the real machine.
pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("the process takes the signal");
}

/// Kills every ssh on `from` that has `to` among its arguments; how many there were.
pub(crate) fn drop_connections(from: &Host, to: &str) -> usize {
    let is_one = |argument: &String| argument == to || argument.ends_with(&format!("@{to}"));
    let found = from.processes().into_iter().filter(|process| process.name == "ssh");
    let found: Vec<i32> =
        found.filter(|process| process.arguments.iter().any(is_one)).map(|process| process.pid).collect();
    found.iter().for_each(|pid| signal(*pid, Signal::KILL));
    found.len()
}
