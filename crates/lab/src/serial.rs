//! What guests say on their serial lines, with the time at which it reached the host.
//!
//! [`GuestLog`] follows the log of one guest on every host at once and stamps each line as it arrives, by the real
//! machine's clock: a gap between ticks is then the pause that somebody outside would see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::Lab;

const POLL: Duration = Duration::from_millis(2);
const SIGNS_OF_PANIC: &[&str] = &["Kernel panic", "Oops:", "BUG:", "general protection fault", "segfault"];

/// So many hold the reason, the registers and the stack.
const LINES_OF_PANIC: usize = 40;

/// Where the log of a guest lies in a host.
pub(crate) fn path_of(guest: &str) -> String {
    format!("/{}/{guest}.log", crate::furnish::GUEST_LOG_DIR)
}

/// One line of a guest's log.
#[derive(Clone, Debug)]
pub struct Line {
    /// The host on which it was written.
    pub host: String,
    /// What it says.
    pub text: String,
    /// When it arrived.
    pub at: Instant,
    /// It was there before anybody watched: its time means nothing.
    pub backlog: bool,
}

/// One tick of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The host on which it ran at that moment.
    pub host: String,
    /// The tick's number, counted from the boot.
    pub number: u64,
    /// Which boot it belongs to.
    pub boot: u32,
    /// Errors the guest has found so far.
    pub errors: u64,
    /// Whole passes over the patterned region so far.
    pub region_passes: u64,
    /// Whole passes over the working set so far.
    pub work_passes: u64,
    /// Blocks written to the disk so far, if it has one.
    pub disk_blocks: Option<u64>,
    /// When it arrived.
    pub at: Instant,
    /// It was there before anybody watched.
    pub backlog: bool,
}

impl Tick {
    /// Reads `T 1234 b1f2e3d4c e0 p17 w3 d88`; `None` for any other line and for one that was cut.
    fn parse(line: &Line) -> Option<Self> {
        let mut words = line.text.strip_prefix("T ")?.split(' ');
        let number = words.next()?.parse().ok()?;
        let boot = u32::from_str_radix(words.next()?.strip_prefix('b')?, 16).ok()?;
        let mut counter = |letter: char| words.next()?.strip_prefix(letter)?.parse::<u64>().ok();
        let (errors, region_passes, work_passes) = (counter('e')?, counter('p')?, counter('w')?);
        let disk_blocks = counter('d');
        let (host, at, backlog) = (line.host.clone(), line.at, line.backlog);
        Some(Self { host, number, boot, errors, region_passes, work_passes, disk_blocks, at, backlog })
    }
}

#[derive(Default)]
struct Records {
    ticks: Vec<Tick>,
    others: Vec<Line>,
}

#[derive(Default)]
struct Shared {
    records: Mutex<Records>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The serial log of one guest, followed on all hosts from the moment this value was made until it is dropped.
pub struct GuestLog {
    guest: String,
    shared: Arc<Shared>,
    follower: Option<JoinHandle<()>>,
}

impl Lab {
    /// Follows the serial log of a guest on all hosts.
    pub fn watch_guest(&self, guest: &str) -> Result<GuestLog> {
        let path = path_of(guest);
        let hosts = self.hosts()?.into_iter();
        let mut tails: Vec<Tail> = hosts.map(|host| Tail::new(host.name(), host.disk_path(&path))).collect();
        let shared = Arc::new(Shared::default());
        tails.iter_mut().for_each(|tail| tail.advance(&shared, true));
        let for_thread = shared.clone();
        let follower = thread::spawn(move || {
            while !for_thread.stop.load(Relaxed) {
                tails.iter_mut().for_each(|tail| tail.advance(&for_thread, false));
                thread::sleep(POLL);
            }
        });
        Ok(GuestLog { guest: guest.to_owned(), shared, follower: Some(follower) })
    }
}

/// The end of one file.
struct Tail {
    host: String,
    path: PathBuf,
    file: Option<File>,
    unfinished: Vec<u8>,
}

impl Tail {
    fn new(host: &str, path: PathBuf) -> Self {
        Self { host: host.to_owned(), path, file: None, unfinished: Vec::new() }
    }

    fn advance(&mut self, shared: &Shared, backlog: bool) {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        let before = self.unfinished.len();
        if !matches!(file.read_to_end(&mut self.unfinished), Ok(size) if size > 0) {
            return;
        }
        let at = Instant::now();
        let end = match self.unfinished[before..].iter().rposition(|byte| *byte == b'\n') {
            Some(position) => before + position + 1,
            None => return,
        };
        let whole: Vec<u8> = self.unfinished.drain(..end).collect();
        let mut records = shared.records();
        for text in String::from_utf8_lossy(&whole).lines() {
            let text = text.trim_end().to_owned();
            let line = Line { host: self.host.clone(), text, at, backlog };
            match Tick::parse(&line) {
                Some(tick) => records.ticks.push(tick),
                None if line.text.is_empty() => {}
                None => records.others.push(line),
            }
        }
        shared.changed.notify_all();
    }
}

impl GuestLog {
    /// The guest it follows.
    pub fn guest(&self) -> &str {
        &self.guest
    }

    /// Waits for a tick that arrives on `host` after this call.
    pub fn wait_next_tick(&self, host: &str, limit: Duration) -> Result<Tick> {
        let called = Instant::now();
        let wanted = |tick: &&Tick| tick.host == host && !tick.backlog && tick.at > called;
        let found = self.wait(limit, |records| records.ticks.iter().rev().find(wanted).cloned());
        found.with_context(|| format!("{} does not tick on {host}: {}", self.guest, self.account()))
    }

    /// Waits until the guest has laid down its patterns on `host`.
    pub fn wait_ready(&self, host: &str, limit: Duration) -> Result<()> {
        let ready = |line: &Line| line.host == host && line.text == "S ready";
        let found = self.wait(limit, |records| records.others.iter().any(ready).then_some(()));
        found.with_context(|| format!("{} is not ready on {host}: {}", self.guest, self.account()))
    }

    /// Waits until the guest on `host` has checked its whole region once more, from start to end after this call.
    pub fn wait_checked(&self, host: &str, limit: Duration) -> Result<Tick> {
        let called = Instant::now();
        let start = self.wait_next_tick(host, limit)?;
        // The pass that is under way began before the call: the one after it counts.
        let goal = start.region_passes + 2;
        let wanted = |tick: &&Tick| tick.host == host && tick.at > called && tick.region_passes >= goal;
        let found = self.wait(limit, |records| records.ticks.iter().rev().find(wanted).cloned());
        found.with_context(|| format!("{} does not finish a check on {host}: {}", self.guest, self.account()))
    }

    fn wait<T>(&self, limit: Duration, find: impl Fn(&Records) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut records = self.shared.records();
        loop {
            if let Some(found) = find(&records) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.shared.changed.wait_timeout(records, left);
            records = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
        }
    }

    /// All ticks so far, in the order of their arrival.
    pub fn all_ticks(&self) -> Vec<Tick> {
        self.shared.records().ticks.clone()
    }

    /// The ticks that were written on one host.
    pub fn ticks(&self, host: &str) -> Vec<Tick> {
        self.shared.records().ticks.iter().filter(|tick| tick.host == host).cloned().collect()
    }

    /// The newest tick on any host.
    pub fn last_tick(&self) -> Option<Tick> {
        self.shared.records().ticks.last().cloned()
    }

    /// All other lines.
    pub fn lines(&self) -> Vec<Line> {
        self.shared.records().others.clone()
    }

    /// The longest time without a tick on any host, since watching began or the guest booted.
    pub fn largest_gap_ms(&self) -> f64 {
        largest_gap_ms(&self.shared.records().ticks, None)
    }

    /// The longest time without a tick on any host, between ticks that came after `start`.
    pub fn largest_gap_ms_since(&self, start: Instant) -> f64 {
        largest_gap_ms(&self.shared.records().ticks, Some(start))
    }

    /// What the guest found wrong: its error lines, and a count that grew without one.
    pub fn errors(&self) -> Vec<String> {
        let records = self.shared.records();
        let described = records.others.iter().filter(|line| line.text.starts_with("E "));
        let mut errors: Vec<String> = described.map(|line| format!("{}: {}", line.host, line.text)).collect();
        let counted = records.ticks.iter().map(|tick| tick.errors).max().unwrap_or(0);
        if counted > errors.len() as u64 {
            errors.push(format!("{counted} errors counted, {} described", errors.len()));
        }
        errors
    }

    /// Numbers of ticks that were written on more than one host: the guest ran twice.
    pub fn doubled(&self) -> Vec<u64> {
        doubled(&self.shared.records().ticks)
    }

    /// Whether the guest's kernel gave up, which makes the test rig suspect, not the product.
    pub fn panicked(&self) -> bool {
        self.panic().is_some()
    }

    /// What it said when it gave up: that host's lines from the first sign on.
    pub fn panic(&self) -> Option<String> {
        let records = self.shared.records();
        let says = |line: &Line| SIGNS_OF_PANIC.iter().any(|sign| line.text.contains(sign));
        let first = records.others.iter().position(says)?;
        let host = &records.others[first].host;
        let said = records.others[first..].iter().filter(|line| line.host == *host);
        let said: Vec<&str> = said.take(LINES_OF_PANIC).map(|line| line.text.as_str()).collect();
        Some(format!("{host}: {}", said.join(" | ")))
    }

    /// Hosts on which the guest booted afresh, with the id of each boot, oldest first.
    pub fn boots(&self) -> Vec<(String, String)> {
        let records = self.shared.records();
        let boots = records.others.iter().filter_map(|line| {
            // What a firmware wrote last need not have ended its line.
            let (_, rest) = line.text.split_once("S boot id=")?;
            let id = rest.split(' ').next()?;
            Some((line.host.clone(), id.to_owned()))
        });
        boots.collect()
    }

    /// Fails unless no page was damaged, nothing ran twice and nothing panicked.
    pub fn check_unharmed(&self) -> Result<()> {
        let (errors, doubled) = (self.errors(), self.doubled());
        if !errors.is_empty() || !doubled.is_empty() || self.panicked() {
            bail!("{}: errors {errors:?}, ticks on two hosts {doubled:?}, {}", self.guest, self.account());
        }
        Ok(())
    }

    /// The last words of every host, for a message.
    fn account(&self) -> String {
        let records = self.shared.records();
        let mut last: BTreeMap<&str, String> = BTreeMap::new();
        for line in records.others.iter() {
            last.insert(&line.host, line.text.clone());
        }
        for tick in &records.ticks {
            last.insert(&tick.host, format!("tick {} e{}", tick.number, tick.errors));
        }
        format!("last heard {last:?}")
    }
}

impl Drop for GuestLog {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(follower) = self.follower.take() {
            let _ = follower.join();
        }
    }
}

/// A fresh boot is no gap: only ticks of the same boot are compared.
fn largest_gap_ms(ticks: &[Tick], start: Option<Instant>) -> f64 {
    let mut live: Vec<&Tick> = ticks.iter().filter(|tick| !tick.backlog).collect();
    live.retain(|tick| start.is_none_or(|start| tick.at >= start));
    live.sort_by_key(|tick| tick.at);
    let pairs = live.windows(2).filter(|pair| pair[0].boot == pair[1].boot);
    pairs.map(|pair| (pair[1].at - pair[0].at).as_secs_f64() * 1000.0).fold(0.0, f64::max)
}

fn doubled(ticks: &[Tick]) -> Vec<u64> {
    let mut seen: BTreeMap<(u32, u64), &str> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for tick in ticks {
        let first = *seen.entry((tick.boot, tick.number)).or_insert(&tick.host);
        if first != tick.host {
            twice.insert(tick.number);
        }
    }
    twice.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(host: &str, number: u64, at: Instant) -> Tick {
        let text = format!("T {number} b0000000a e0 p1 w0");
        Tick::parse(&Line { host: host.into(), text, at, backlog: false }).expect("a tick")
    }

    #[test]
    fn a_line_that_was_cut_is_no_tick() {
        for text in
            ["T 12", "T 12T 13 b0000000a e0 p1 w0", "34 b0000000a e0 p1 w0", "T 5 b0000000a e0 p1", "S ready"]
        {
            let line = Line { host: "a".into(), text: text.into(), at: Instant::now(), backlog: false };
            assert_eq!(Tick::parse(&line), None, "{text}");
        }
    }

    #[test]
    fn the_gap_is_measured_across_hosts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ticks = [tick("a", 1, at(0)), tick("a", 2, at(20)), tick("b", 3, at(120)), tick("b", 4, at(140))];
        assert!((largest_gap_ms(&ticks, None) - 100.0).abs() < 0.001);
        assert!((largest_gap_ms(&ticks, Some(at(100))) - 20.0).abs() < 0.001);
    }

    #[test]
    fn the_same_tick_of_the_same_boot_on_two_hosts_is_a_double_run() {
        let now = Instant::now();
        let mut other_boot = tick("b", 2, now);
        other_boot.boot = 11;
        assert_eq!(doubled(&[tick("a", 1, now), tick("a", 2, now), other_boot]), Vec::<u64>::new());
        assert_eq!(doubled(&[tick("a", 1, now), tick("a", 2, now), tick("b", 2, now)]), [2]);
    }
}
