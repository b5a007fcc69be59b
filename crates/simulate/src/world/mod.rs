//! The simulated world: two hosts, the cables between them, one virtual machine, and everything that happens to it.
//!
//! One queue of things to come, ordered by time and then by when they were put in, so that a seed decides everything. Nothing
//! here waits: what lasts puts its next part into the queue.

pub mod api;
mod connection;
mod direct;
pub mod faults;
pub mod files;
pub mod guest;
pub mod host;
pub mod links;
pub mod migration;
pub mod peer;
pub mod people;
pub mod post_copy;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ferryd::model::DomainUuid;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::dice::Dice;
use crate::gate::{Gate, Passage};
use crate::plant::Plant;
use crate::scenario::Scenario;
use guest::Guest;
use host::Host;
use links::Link;
use migration::Mig;
use people::People;
use post_copy::Stream;

/// Milliseconds since the history began.
pub type Ms = u64;
/// Something that happens.
pub(crate) type Act = Box<dyn FnOnce(&mut World) + Send>;

/// So many looks at one moment are no coincidence.
const STANDSTILL: u32 = 10_000;

/// What libvirt remembers where nobody has set a limit: the most that QEMU takes.
const UNLIMITED_MIB_S: u64 = 8_796_093_022_207;

/// The source, of the first migration.
pub const SOURCE: usize = 0;
/// The destination, of the first migration.
pub const DESTINATION: usize = 1;
/// The hosts' names.
pub const NAMES: [&str; 2] = ["kvm1", "kvm2"];
/// The virtual machine's name.
pub const NAME: &str = "web1";

/// The virtual machine.
#[must_use]
pub fn ours() -> DomainUuid {
    DomainUuid(uuid::Uuid::from_u128(0x0001))
}

/// The copy of it that stays where it was.
#[must_use]
pub fn a_copy() -> DomainUuid {
    DomainUuid(uuid::Uuid::from_u128(0xC))
}

/// Another one that bears the same name.
#[must_use]
pub fn bystander() -> DomainUuid {
    DomainUuid(uuid::Uuid::from_u128(0xB))
}

/// Everything there is.
pub struct World {
    start: Instant,
    /// Now.
    pub now: Ms,
    queue: BTreeMap<(Ms, u64), Act>,
    next_seq: u64,
    /// When the driver wakes.
    armed: Ms,
    /// What chance decides.
    pub dice: Dice,
    /// The planted mistake.
    pub plant: Option<Plant>,
    /// What this history is about.
    pub scenario: Scenario,
    /// The hosts.
    pub hosts: [Host; 2],
    /// Whether the cable between the hosts is in, and since when it is as it is.
    pub peer_cable: bool,
    /// When the data between the hosts flows again after the cable was out (TCP waits longer than the outage).
    pub peer_flows_at: Ms,
    /// libvirt's migration under way.
    pub mig: Option<Mig>,
    /// What is left of the memory of a guest that was switched to post-copy.
    pub stream: Option<Stream>,
    /// The last migration was one that may be switched: libvirt lets it run on the destination by itself.
    pub by_post_copy: bool,
    /// libvirt, and nobody else, is letting a copy run just now.
    unasked: bool,
    /// The limit of its migrations' bandwidth that each host's daemon remembers of the guest, in MiB/s.
    pub max_bandwidth_mib_s: [u64; 2],
    /// What is true of the guest.
    pub guest: Guest,
    /// What people have done to it by hand.
    people: People,
    /// Each controller's connections to both hosts.
    pub links: Vec<[Link; 2]>,
    /// Each controller's gate.
    pub gates: Vec<Arc<Gate>>,
    /// The run of a controller that each place holds now.
    pub current: [usize; 2],
    /// The cable between the hosts stays out.
    pub peer_gone: bool,
    /// Faults that last now.
    pub open_faults: u32,
    /// Faults that came about, for the statistics.
    pub faults_seen: u32,
    /// Whether calls still get lost and the like.
    pub noisy: bool,
    /// The next process number.
    pub next_pid: u32,
    /// Somebody wants the task cancelled.
    pub cancel_wanted: bool,
    /// Somebody wants the bandwidth limited so.
    pub limit_wanted_mib_s: Option<u64>,
    /// How long each controller stays away when it has died.
    pub restart_after: [Ms; 2],
    /// When a controller last was not at work.
    pub troubled_at: Ms,
    /// The log holds the intent to resume the destination.
    pub resume_intended: bool,
    /// The guest is being sent on, undisturbed.
    pub once_more: bool,
    /// What was last stored of the task, in words.
    pub last_told: String,
    /// When the last intent was written.
    pub intent_at: Ms,
    /// Intents written so far.
    pub intents: u32,
    /// Since when no controller has seen the source, and whether that once lasted for long.
    pub unseen_since: Option<Ms>,
    /// See there.
    pub out_of_sight: bool,
    /// What both hosts said when somebody looked.
    pub looked: Option<[String; 2]>,
    /// The first thing that must never be.
    pub violation: Option<String>,
    trace: Option<Vec<String>>,
    /// How often the world was looked at since time last moved.
    looks: u32,
}

impl World {
    fn new(scenario: Scenario, seed: u64, plant: Option<Plant>, traced: bool) -> Self {
        Self {
            start: Instant::now(),
            now: 0,
            queue: BTreeMap::new(),
            next_seq: 0,
            armed: 0,
            dice: Dice::new(seed ^ 0x5EED_0F7E_4157_0217),
            plant,
            hosts: [Host::new(), Host::new()],
            peer_cable: true,
            peer_flows_at: 0,
            mig: None,
            stream: None,
            by_post_copy: false,
            unasked: false,
            max_bandwidth_mib_s: [UNLIMITED_MIB_S; 2],
            guest: Guest::default(),
            people: People::default(),
            links: Vec::new(),
            gates: Vec::new(),
            current: [0; 2],
            peer_gone: false,
            open_faults: 0,
            faults_seen: 0,
            noisy: true,
            next_pid: 1000,
            cancel_wanted: false,
            limit_wanted_mib_s: None,
            restart_after: [1_000; 2],
            troubled_at: 0,
            resume_intended: false,
            once_more: false,
            last_told: String::new(),
            intent_at: 0,
            intents: 0,
            unseen_since: None,
            out_of_sight: false,
            looked: None,
            violation: None,
            trace: traced.then(Vec::new),
            looks: 0,
            scenario,
        }
    }

    /// Has something happen later.
    pub fn after(&mut self, delay: Ms, act: impl FnOnce(&mut Self) + Send + 'static) {
        self.next_seq += 1;
        self.queue.insert((self.now + delay, self.next_seq), Box::new(act));
    }

    /// Writes into the trace, where one is kept.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3}  {}", self.now as f64 / 1000.0, text()));
        }
    }

    /// Notes what must never be; only the first one counts.
    pub fn violate(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.tell(|| format!("VIOLATION: {what}"));
        if self.violation.is_none() {
            self.violation = Some(format!("{what} (at {:.3} s)", self.now as f64 / 1000.0));
        }
    }

    /// The trace so far.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// Somebody who asks again and again without waiting keeps the clock from moving: the controllers are shut off then, so
    /// that the history ends with that.
    fn guard_against_standstill(&mut self, now: Ms) {
        self.looks = if now == self.now { self.looks + 1 } else { 0 };
        self.now = now;
        if self.looks == STANDSTILL {
            self.violate("somebody asks without ever waiting");
            self.gates.iter().for_each(|gate| gate.set(Passage::Dead));
        }
    }

    fn due(&self) -> Option<Ms> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    fn run_due(&mut self) {
        while self.due().is_some_and(|at| at <= self.now) {
            if let Some((_, act)) = self.queue.pop_first() {
                act(self);
            }
        }
    }
}

/// The world as everybody shares it.
#[derive(Clone)]
pub struct Stage {
    world: Arc<Mutex<World>>,
    wake: Arc<Notify>,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

impl Stage {
    /// A new world; nothing in it moves before [`Stage::drive`] runs.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64, plant: Option<Plant>, traced: bool) -> Self {
        let world = World::new(scenario, seed, plant, traced);
        Self { world: Arc::new(Mutex::new(world)), wake: Arc::new(Notify::new()) }
    }

    /// Looks at the world, or changes it, now.
    pub fn with<R>(&self, work: impl FnOnce(&mut World) -> R) -> R {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = u64::try_from(world.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        world.guard_against_standstill(now);
        let result = work(&mut world);
        if world.due().is_some_and(|due| due < world.armed) {
            self.wake.notify_one();
        }
        result
    }

    /// Has things happen when their time has come; for ever.
    pub async fn drive(self) {
        loop {
            let (start, next) = self.with(|world| {
                world.run_due();
                world.armed = world.due().unwrap_or(Ms::MAX);
                (world.start, world.due())
            });
            // Far enough away to be never, where nothing is to come.
            let until = start + Duration::from_millis(next.unwrap_or(1 << 40));
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => {}
                () = self.wake.notified() => {}
            }
        }
    }
}
