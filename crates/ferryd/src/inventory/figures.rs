//! How much the guests of a host use: processor, memory, network, disks.
//!
//! Memory and disks are told by the guests' QEMUs, so this is asked on a connection that nothing else waits for, and only while
//! somebody wants to know: a host whose figures nobody reads is not asked for them. A QEMU that stands still costs its host's
//! figures, and nothing else. In between it is looked whether guests were given processors while they run, or lost some: of that
//! libvirt tells by no event, and to ask it needs a call for each guest.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::view::{Changed, LOOK, View, refresh};
use crate::libvirt::link::{Link, LinkState};
use crate::libvirt::survey::{self, Usage};

/// The figures are read after so many looks at processors ([`LOOK`]: about every five seconds), while somebody wants them.
const LOOKS: u32 = 6;
/// Who has asked within this time wants them.
const WANTED_FOR: Duration = Duration::from_secs(60);
/// Peaks begin here: what Kimchi's charts were scaled to while nothing went on.
const LOWEST_PEAK: f64 = 100.0;

/// How much a guest uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Of its virtual CPUs.
    pub cpu_percent: f64,
    /// Of its memory: what the guest says it uses, or what its QEMU takes up.
    pub memory_percent: f64,
    /// Received and sent, in thousands of bytes a second.
    pub net_kb_s: f64,
    /// The most that was.
    pub net_peak_kb_s: f64,
    /// Read and written, in 1024 bytes a second.
    pub disk_kib_s: f64,
    /// The most that was.
    pub disk_peak_kib_s: f64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            cpu_percent: 0.0,
            memory_percent: 0.0,
            net_kb_s: 0.0,
            net_peak_kb_s: LOWEST_PEAK,
            disk_kib_s: 0.0,
            disk_peak_kib_s: LOWEST_PEAK,
        }
    }
}

impl Figures {
    /// What follows from what was seen now and, `elapsed` ago, before. Rates of a guest that was not seen before, or was started
    /// anew since (its counters are smaller), are zero.
    fn of(now: &Usage, before: Option<(&Usage, Self, Duration)>) -> Self {
        let memory_percent = now.memory_percent();
        let Some((past, figures, elapsed)) = before else {
            return Self { memory_percent, ..Self::default() };
        };
        let seconds = elapsed.as_secs_f64();
        let rate = |now: u64, past: u64| {
            if seconds > 0.0 { now.saturating_sub(past) as f64 / seconds } else { 0.0 }
        };
        let cpus = f64::from(now.vcpus.max(1));
        let net_kb_s = rate(now.net_bytes, past.net_bytes) / 1000.0;
        let disk_kib_s = rate(now.disk_bytes, past.disk_bytes) / 1024.0;
        Self {
            cpu_percent: (rate(now.cpu_time_ns, past.cpu_time_ns) / 1e9 * 100.0 / cpus).clamp(0.0, 100.0),
            memory_percent,
            net_kb_s,
            net_peak_kb_s: figures.net_peak_kb_s.max(net_kb_s.trunc()),
            disk_kib_s,
            disk_peak_kib_s: figures.disk_peak_kib_s.max(disk_kib_s.trunc()),
        }
    }
}

/// The figures of one host's guests, and the task that reads them.
#[derive(Debug)]
pub(super) struct Meter {
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<HashMap<Uuid, (Usage, Figures)>>,
    wanted: Mutex<Option<Instant>>,
    asked: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind these locks is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Meter {
    /// Begins to read the figures of the host on this link as soon as somebody wants them. The definitions in its view are read anew when
    /// processors are others than they say.
    pub(super) fn start(link: Arc<Link>, view: Arc<watch::Sender<View>>) -> Self {
        let shared = Arc::<Shared>::default();
        let reader = tokio::spawn(read(link, view, shared.clone()));
        Self { shared, reader }
    }

    /// From now on, for a while, somebody wants the figures.
    pub(super) fn want(&self) {
        let before = lock(&self.shared.wanted).replace(Instant::now());
        if before.is_none_or(|at| at.elapsed() > WANTED_FOR) {
            self.shared.asked.notify_one();
        }
    }

    /// What was read last of every guest that runs, while somebody wants it.
    pub(super) fn figures(&self) -> HashMap<Uuid, Figures> {
        lock(&self.shared.seen).iter().map(|(uuid, (_, figures))| (*uuid, *figures)).collect()
    }
}

async fn read(link: Arc<Link>, view: Arc<watch::Sender<View>>, shared: Arc<Shared>) {
    let mut state = link.state();
    let mut last = Instant::now();
    loop {
        let wanted = lock(&shared.wanted).is_some_and(|at| at.elapsed() <= WANTED_FOR);
        if !wanted {
            // What was read long ago says nothing about now.
            lock(&shared.seen).clear();
            shared.asked.notified().await;
            continue;
        }
        if state.wait_for(|state| *state == LinkState::Up).await.is_err() {
            return;
        }
        // Without a limit: a call that does not come back must not be followed by another one.
        match link.long_call("figures", survey::usage).await {
            Ok(usage) => {
                let now = Instant::now();
                let mut seen = lock(&shared.seen);
                *seen = follow(&seen, usage, now.duration_since(last));
                last = now;
            }
            Err(error) => tracing::debug!(host = link.host(), %error, "the figures were not read"),
        }
        for _ in 0..LOOKS {
            look_at_processors(&link, &view).await;
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Has the definitions read of those whose processors are others than theirs say.
async fn look_at_processors(link: &Link, view: &watch::Sender<View>) {
    // Without a limit, as above.
    let told = match link.long_call("processors", survey::processors).await {
        Ok(told) => told,
        Err(error) => {
            return tracing::debug!(host = link.host(), %error, "the processors were not read");
        }
    };
    let given: HashMap<Uuid, u32> =
        view.borrow().definitions.iter().map(|(uuid, definition)| (*uuid, definition.vcpus)).collect();
    let others = others(&told, &given);
    if !others.is_empty() {
        refresh(link, view, &Changed::These(others)).await;
    }
}

/// Those that have other processors than their definitions say.
fn others(told: &HashMap<Uuid, u32>, given: &HashMap<Uuid, u32>) -> HashSet<Uuid> {
    let is_other = |uuid: &Uuid, count: &u32| given.get(uuid).is_some_and(|given| given != count);
    told.iter().filter(|(uuid, count)| is_other(uuid, count)).map(|(uuid, _)| *uuid).collect()
}

fn follow(
    before: &HashMap<Uuid, (Usage, Figures)>,
    now: Vec<(Uuid, Usage)>,
    elapsed: Duration,
) -> HashMap<Uuid, (Usage, Figures)> {
    let figures = now.into_iter().map(|(uuid, usage)| {
        let past = before.get(&uuid).map(|(past, figures)| (past, *figures, elapsed));
        (uuid, (usage, Figures::of(&usage, past)))
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu_time_ns: u64, net_bytes: u64, disk_bytes: u64) -> Usage {
        Usage { vcpus: 2, cpu_time_ns, net_bytes, disk_bytes, ..Usage::default() }
    }

    #[test]
    fn rates_are_what_came_in_between() {
        let uuid = Uuid::from_u128(7);
        let first = follow(&HashMap::new(), vec![(uuid, usage(9_000_000_000, 5, 5))], Duration::ZERO);
        assert_eq!(first[&uuid].1, Figures::default(), "of one look there is no rate");
        let later = usage(10_000_000_000, 2_000_005, 1_024_005);
        let second = follow(&first, vec![(uuid, later)], Duration::from_secs(5));
        let figures = second[&uuid].1;
        assert!((figures.cpu_percent - 10.0).abs() < 1e-9, "{figures:?}");
        assert!((figures.net_kb_s - 400.0).abs() < 1e-9 && (figures.net_peak_kb_s - 400.0).abs() < 1e-9);
        assert!((figures.disk_kib_s - 200.0).abs() < 0.01 && (figures.disk_peak_kib_s - 200.0).abs() < 1.0);
        let anew = follow(&second, vec![(uuid, usage(1, 1, 1))], Duration::from_secs(5))[&uuid].1;
        assert!(anew.cpu_percent == 0.0 && anew.net_kb_s == 0.0, "it was started anew: {anew:?}");
        assert!((anew.net_peak_kb_s - 400.0).abs() < 1e-9);
        assert!(follow(&second, Vec::new(), Duration::from_secs(5)).is_empty());
    }

    #[test]
    fn memory_is_what_the_guest_says_or_what_its_qemu_takes_up() {
        let mut usage = Usage { memory_kib: 1000, resident_kib: 250, ..Usage::default() };
        let percent = |usage: &Usage| Figures::of(usage, None).memory_percent;
        assert!((percent(&usage) - 25.0).abs() < 1e-9);
        usage.guest = Some((800, 200));
        assert!((percent(&usage) - 75.0).abs() < 1e-9);
        usage.guest = None;
        usage.resident_kib = 2000;
        assert!((percent(&usage) - 100.0).abs() < 1e-9);
        assert!(percent(&Usage::default()) == 0.0);
    }

    #[test]
    fn a_definition_is_read_when_its_processors_are_others() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let given = HashMap::from([(a, 1), (b, 2)]);
        let same = HashMap::from([(a, 1), (b, 2), (c, 4)]);
        assert_eq!(others(&same, &given), HashSet::new(), "one that is not known yet is read anyway");
        assert_eq!(others(&HashMap::from([(a, 1), (b, 3)]), &given), HashSet::from([b]));
    }
}
