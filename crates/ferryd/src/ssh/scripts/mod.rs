//! The scripts that Ferry runs on hosts, as text, and what they print, as values.
//!
//! Whatever is put into a script is a number, a UUID, a checked key or a quoted word: nothing that a shell could read as
//! anything else. Each is set as a variable in front of a fixed text.

mod facts;
mod images;
mod kept;
mod offers;
mod transport;

use std::ops::RangeInclusive;

use uuid::Uuid;

pub use facts::{
    Inspection, MeetingAnswer, MeetingQuestion, inspect, listen, meet, parse_inspection, parse_listening,
    parse_meeting, parse_probes, probe,
};
pub use images::{
    Chain, Flattening, chains, find_marks, flatten, parse_chains, parse_flattening, parse_marked,
    parse_marks_found, remove_marks, write_marks,
};
pub use kept::{Kept, kept, parse_kept};

pub use offers::{WhichQemu, offers, parse_offers};
pub use transport::{TransportAnswer, parse_transport, transport};

use super::keys::PublicLine;
use super::wrapper::shell_quoted;

/// How often a watched process is looked at, in seconds.
const WATCH_PAUSE_S: f64 = 0.005;
/// The same where every look costs a process.
const SLOW_WATCH_PAUSE_S: f64 = 0.02;

/// A process that cannot be mistaken for a later one with the same number, within one boot of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// The process number.
    pub pid: u32,
    /// When it was started, in clock ticks after the boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

/// The QEMU processes of one domain that a host had at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QemuSighting {
    /// The boot of the host, by which a restart in between is noticed.
    pub boot_id: Uuid,
    /// How long ago that boot was.
    pub boot_age_ms: u64,
    /// The processes: one where the domain runs, none where it does not.
    pub processes: Vec<ProcessId>,
}

/// A script that looks for the QEMU process of a domain. Its output is read by [`parse_qemu`].
///
/// Looked at is every process's command line, and not libvirt's own files: those are removed by a daemon that merely
/// believes its guest to be gone.
pub fn find_qemu(domain: Uuid) -> String {
    format!("UUID={domain}\n{}", include_str!("find_qemu.sh"))
}

/// What [`find_qemu`] printed; none if it is not whole, which must not be taken for "no process".
pub fn parse_qemu(output: &str) -> Option<QemuSighting> {
    let mut lines = output.lines();
    let (boot_id, seconds) = lines.next()?.strip_prefix("boot ")?.split_once(' ')?;
    let boot_id = boot_id.parse().ok()?;
    // "12.34" seconds are 12340 ms.
    let boot_age_ms = (seconds.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0)? * 1000.0) as u64;
    let mut processes = Vec::new();
    for line in lines.by_ref() {
        if line == "end" {
            return Some(QemuSighting { boot_id, boot_age_ms, processes });
        }
        let (pid, start_time) = line.strip_prefix("qemu ")?.split_once(' ')?;
        processes.push(ProcessId { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? });
    }
    None
}

/// What a [`watch_death`] script prints, a line each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The process was seen and is watched from now on.
    Watching,
    /// The process that was seen can run nothing any more.
    Gone,
    /// There was no such process when the script began. It may have ended before; look for it anew.
    Absent,
}

impl Watch {
    /// Reads a line; none for one that the script does not print.
    pub fn parse(line: &str) -> Option<Self> {
        match line {
            "WATCHING" => Some(Self::Watching),
            "GONE" => Some(Self::Gone),
            "ABSENT" => Some(Self::Absent),
            _ => None,
        }
    }
}

/// A script for [`Shell::spawn_lines`](super::Shell::spawn_lines) that tells when a process has ended, within a few
/// milliseconds; see [`Watch`] for its lines. A zombie has ended. A process whose threads have all begun to exit has
/// ended too, though the kernel may still be giving back its memory. Only [`Watch::Gone`] after [`Watch::Watching`]
/// proves anything; a lost connection does not.
pub fn watch_death(process: ProcessId) -> String {
    let ProcessId { pid, start_time } = process;
    let (pearl, snake, slow) = (include_str!("watch.pl"), include_str!("watch.py"), include_str!("watch.sh"));
    debug_assert!(!pearl.contains('\'') && !snake.contains('\''));
    let slow =
        until_end_of_input(&format!("PID={pid} START={start_time} PAUSE={SLOW_WATCH_PAUSE_S}\n{slow}"));
    format!(
        "if command -v perl >/dev/null; then exec perl -e '{pearl}' {pid} {start_time} {WATCH_PAUSE_S}; fi\n\
         for python in python3 /usr/libexec/platform-python; do\n\
         if command -v $python >/dev/null; then exec $python -c '{snake}' {pid} {start_time} {WATCH_PAUSE_S}; fi\n\
         done\n{slow}"
    )
}

/// What became of the connections that [`break_off`] was to close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClosedSockets {
    /// So many were closed.
    pub closed: usize,
    /// So many were found and could not be closed: the kernel is not able to, or the user not allowed.
    pub kept: usize,
}

/// A script that closes the TCP connections that a migration to the machine `peer` hangs on, as a broken network would: those of the
/// QEMU to these ports, and those of libvirt's daemon (or its ssh) to the same machine, over which it would wait for an answer that
/// does not come. Other connections of the QEMU (its disks) are left alone by the range of ports. Needs root and `ss`. Its output
/// is read by [`parse_closed`]. `peer` is a host's name or address.
pub fn break_off(pid: u32, peer: &str, ports: RangeInclusive<u16>) -> String {
    let (low, high, peer) = (ports.start(), ports.end(), shell_quoted(peer));
    format!("PID={pid} LOW={low} HIGH={high} PEER={peer}\n{}", include_str!("break_off.sh"))
}

/// What [`break_off`] printed; none if it is not whole.
pub fn parse_closed(output: &str) -> Option<ClosedSockets> {
    let mut sockets = ClosedSockets::default();
    for line in output.lines() {
        match line.split(' ').next()? {
            "closed" => sockets.closed += 1,
            "kept" => sockets.kept += 1,
            "end" => return Some(sockets),
            _ => return None,
        }
    }
    None
}

/// A script that reads a part of a file and tells its sum, which [`parse_sum`] reads.
pub fn sum_of(path: &str, offset: u64, length: u64) -> String {
    format!("FILE={} OFFSET={offset} LENGTH={length}\n{}", shell_quoted(path), include_str!("sum.sh"))
}

/// What [`sum_of`] printed: the SHA-256.
pub fn parse_sum(line: &str) -> Option<[u8; 32]> {
    let digits = line.split(' ').next().filter(|digits| digits.len() == 64 && digits.is_ascii())?;
    let mut sum = [0; 32];
    for (at, byte) in sum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(sum)
}

/// A script that removes those of these directories that are empty, in this order; the others stay.
pub fn remove_empty(directories: &[String]) -> String {
    let words: Vec<String> = directories.iter().map(|path| shell_quoted(path)).collect();
    format!("for place in {}; do rmdir -- \"$place\" 2>/dev/null; done; :", words.join(" "))
}

/// A script that tells the inode of a file and the second it was born in (0 where its file system does not know), which [`parse_node`]
/// reads. (Its device's number is another one after some boots; a free inode is soon given again.)
pub fn node_of(path: &str) -> String {
    format!("stat -L -c '%i %W' -- {}", shell_quoted(path))
}

/// What [`node_of`] printed.
pub fn parse_node(output: &str) -> Option<(u64, u64)> {
    let (inode, born_s) = output.trim().split_once(' ')?;
    Some((inode.parse().ok()?, born_s.parse().ok()?))
}

/// A script that tells how many bytes a user's files may still take where a file lies, which [`parse_free`] reads.
pub fn free_beside(path: &str) -> String {
    format!("stat -f -c '%a %S' -- {}", shell_quoted(path))
}

/// What [`free_beside`] printed, in bytes.
pub fn parse_free(output: &str) -> Option<u64> {
    let (blocks, block_bytes) = output.trim().split_once(' ')?;
    blocks.parse::<u64>().ok()?.checked_mul(block_bytes.parse().ok()?)
}

/// A script that lets a key log in as the user. Doing it again changes nothing.
pub fn authorize(key: &PublicLine) -> String {
    let (home, rest) = (include_str!("home.sh"), include_str!("authorize.sh"));
    format!("{home}LINE='{key}' BLOB='{}'\n{rest}", key.blob())
}

/// Makes a script end when its input does, for [`Shell::spawn_lines`](super::Shell::spawn_lines). The script itself gets
/// no input; of what it has started at that moment only the shell is ended, so it should hand over with `exec` or have
/// short children.
pub fn until_end_of_input(script: &str) -> String {
    format!(
        "exec 3<&0\n( :\n{script}\n) </dev/null 3<&- &\njob=$!\n\
         {{ while read -r _; do :; done <&3; kill \"$job\"; }} >/dev/null 2>&1 &\nguard=$!\n\
         exec 3<&-\nwait \"$job\"\nstatus=$?\nkill \"$guard\" 2>/dev/null\nexit \"$status\""
    )
}

#[cfg(test)]
mod tests;
