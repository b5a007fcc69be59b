//! Processor time and memory of a program and of what it has started, as `/proc` tells them.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::Host;

/// `/proc` counts processor time in these (`USER_HZ`, 100 on every Linux that Debian builds).
const TICKS_IN_A_SECOND: f64 = 100.0;

/// A program on a machine of a lab, with all that descends from it.
#[derive(Debug)]
pub(super) struct Tree {
    host: Host,
    root: i32,
}

impl Tree {
    /// The program of this name; none where it does not run.
    pub(super) fn of(host: Host, name: &str) -> Option<Self> {
        let root = host.processes().into_iter().find(|process| process.name == name)?.pid;
        Some(Self { host, root })
    }

    /// Resident memory of the program alone, in bytes.
    pub(super) fn resident_bytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.root))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS is told")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024.0)
    }

    /// The processor time of all of them during this time from now on, in percent of one core.
    pub(super) fn cpu_percent_during(&self, time: Duration) -> f64 {
        let (before, begin) = (self.cpu_ticks(), Instant::now());
        thread::sleep(time);
        let ticks = self.cpu_ticks().saturating_sub(before);
        ticks as f64 / TICKS_IN_A_SECOND / begin.elapsed().as_secs_f64() * 100.0
    }

    /// Of those that live; of those that have ended as far as their parents have waited for them.
    fn cpu_ticks(&self) -> u64 {
        let all = self.host.processes();
        let (mut found, mut at) = (vec![self.root], 0);
        while let Some(parent) = found.get(at).copied() {
            found.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
            at += 1;
        }
        found.into_iter().filter_map(cpu_ticks_of).sum()
    }
}

/// User and system time of a process and of its children that have ended (fields 14 to 17 of `/proc/PID/stat`).
fn cpu_ticks_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some(fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum())
}
