//! Processes of the machine, as `/proc` shows them.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// One process for all time: a pid alone is used again, a pid with its start time is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid in the machine's own PID namespace.
    pub pid: i32,
    /// When it started, in clock ticks since the machine booted.
    pub start_ticks: u64,
}

impl ProcessId {
    /// The process that has this pid now, unless it is a zombie.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command name may hold spaces and parentheses; what follows the last one is fields.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        Some(Self { pid, start_ticks: fields.get(19)?.parse().ok()? })
    }

    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends a signal; a process that is gone has nothing to be told.
    pub fn signal(&self, signal: Signal) {
        if self.alive() {
            // It may end between the two calls: that is the same as having been gone.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Waits until it is gone.
    pub fn wait_gone(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.alive() {
            if Instant::now() > deadline {
                bail!("process {} does not end within {} s", self.pid, limit.as_secs());
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// What is worth knowing of a running process.
#[derive(Clone, Debug)]
pub struct ProcessInfo {
    /// Pid in the machine's own namespace.
    pub pid: i32,
    /// Pid of the parent in the machine's own namespace.
    pub parent: i32,
    /// The command's short name.
    pub name: String,
    /// Its arguments, the program first.
    pub arguments: Vec<String>,
}

/// All pids of the machine.
pub(crate) fn all_pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Reads one process; `None` when it is gone or a zombie.
pub(crate) fn info(pid: i32) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let mut fields = tail.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let name = head.split_once('(')?.1.to_owned();
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let arguments = arguments.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    Some(ProcessInfo { pid, parent, name, arguments })
}

/// All processes that live in the PID namespace of `init`.
pub(crate) fn in_pid_namespace_of(init: i32) -> Vec<ProcessInfo> {
    let Some(wanted) = pid_namespace(init) else { return Vec::new() };
    let pids = all_pids().into_iter().filter(|pid| pid_namespace(*pid).as_ref() == Some(&wanted));
    pids.filter_map(info).collect()
}

fn pid_namespace(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// All processes whose environment holds `marker`, this one excepted.
pub(crate) fn marked(marker: &str) -> Vec<ProcessId> {
    let own = std::process::id() as i32;
    let carries = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        *pid != own && environment.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes())
    };
    all_pids().into_iter().filter(carries).filter_map(ProcessId::of).collect()
}
