//! One history, from its seed to its verdict.

use std::sync::Arc;

use api::task::{Offer, Outcome, ResolveRequest, Side, Task, TaskKind, TaskState};
use ferryd::hypervisor::{CopyIdentity, Hypervisor, NewFile};
use ferryd::migration::debts::Sweeper;
use ferryd::migration::steps::{Hosts, Mover};
use ferryd::migration::timing::Timing;
use ferryd::model::TaskId;
use ferryd::model::transport::Transport;
use ferryd::plan::{Carried, CopiedDisk, Files, Plan, Rewrite, Role};
use ferryd::store::{NewTask, Store};
use ferryd::task::{Clock, Engine, queued};
use tokio::task::JoinHandle;
use tokio::time::Duration;

use crate::gate::{Gate, Passage};
use crate::gated_store::GatedStore;
use crate::mem_store::MemStore;
use crate::plant::Plant;
use crate::scenario::Scenario;
use crate::sim_host::SimHost;
use crate::verdict::place;
use crate::world::files;
use crate::world::{DESTINATION, Ms, NAME, NAMES, SOURCE, Stage, a_copy, ours};
use haste::Haste;

#[path = "haste.rs"]
mod haste;

/// Between two looks at how the history goes.
const STEP: Duration = Duration::from_millis(200);
/// How long a guest may be frozen, by default.
const RECOVERY: Duration = Duration::from_secs(15);
/// The time of day when a history begins.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// From when on calls go right, if nothing else stands in the way.
const NOISE_ENDS: Ms = 120_000;
/// How long a task may go on when everything is well again.
const MUST_END: Ms = 300_000;
/// How long a person leaves a question alone that they have answered.
const DECIDES_AGAIN: Ms = 30_000;
/// How long nothing more may happen after the end.
const QUIET: Ms = 9_000;
/// Within this time two copies that run are suspended.
const SUSPENDED: Ms = 60_000;
/// How long an undisturbed migration may take.
const AGAIN: Ms = 120_000;

/// What came of a history.
#[derive(Clone, Debug)]
pub struct Report {
    /// The first thing that must never be.
    pub violation: Option<String>,
    /// Everything that happened, where it was asked for.
    pub trace: Vec<String>,
    /// The task's last state.
    pub state: Option<TaskState>,
    /// What the task says came of it.
    pub outcome: Option<Outcome>,
    /// What both hosts said when somebody looked.
    pub looked: Option<[String; 2]>,
    /// Faults that came about.
    pub faults: u32,
    /// Simulated time.
    pub lasted_ms: Ms,
}

/// Plays the history of a seed. Uses a runtime of its own, on this thread.
///
/// # Errors
/// The runtime cannot be made.
pub fn play(seed: u64, plant: Option<Plant>, traced: bool) -> std::io::Result<Report> {
    play_scenario(Scenario::of(seed), seed, plant, traced)
}

/// Plays a history that is about something given; what else chance decides, the seed does.
///
/// # Errors
/// The runtime cannot be made.
pub fn play_scenario(
    scenario: Scenario,
    seed: u64,
    plant: Option<Plant>,
    traced: bool,
) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let report = runtime.block_on(async {
        let stage = Stage::new(scenario, seed, plant, traced);
        let _kept = traced.then(|| crate::trace::keep(stage.clone()));
        History::begin(stage, plant).run().await
    });
    Ok(report)
}

/// A controller at work.
struct Controller {
    gate: Arc<Gate>,
    engine: Arc<Engine>,
    sweeper: Arc<Sweeper>,
    /// The hosts as it sees them.
    hosts: [Arc<dyn Hypervisor>; 2],
    serving: [JoinHandle<()>; 2],
    /// When it is started again, once it is dead.
    back_at: Option<Ms>,
}

struct History {
    stage: Stage,
    store: Arc<MemStore>,
    plant: Option<Plant>,
    controllers: Vec<Controller>,
    runs: u32,
    asked_since: Option<Ms>,
    /// When a person last decided.
    decided_at: Option<Ms>,
    settled_since: Option<Ms>,
    healed_at: Ms,
    haste: Haste,
}

impl History {
    fn begin(stage: Stage, plant: Option<Plant>) -> Self {
        let store = if plant == Some(Plant::Generation) { MemStore::unfenced() } else { MemStore::default() };
        stage.with(|world| {
            world.furnish();
            world.schedule_faults();
            let scenario = format!("{:?}", world.scenario);
            world.tell(|| scenario);
        });
        let store = Arc::new(store);
        Self {
            stage,
            store,
            plant,
            controllers: Vec::new(),
            runs: 0,
            asked_since: None,
            decided_at: None,
            settled_since: None,
            healed_at: 0,
            haste: Haste::default(),
        }
    }

    async fn run(mut self) -> Report {
        tokio::spawn(self.stage.clone().drive());
        let task = self.create(1, SOURCE).await;
        let count = self.stage.with(|world| world.scenario.controllers);
        for place in 0..count {
            let controller = self.start(place);
            self.controllers.push(controller);
        }
        let mut last = task;
        let limit = Duration::from_millis(MUST_END * 4);
        // Everything in it ends by itself; this is for a mistake in here.
        if tokio::time::timeout(limit, self.until_settled(&mut last)).await.is_err() {
            self.stage.with(|world| world.violate("the history does not end"));
        }
        if self.goes_again(task) {
            last = self.again(task).await;
        }
        self.report(last)
    }

    fn report(self, id: TaskId) -> Report {
        let task = self.store.task_now(id);
        let state = task.as_ref().map(|task| task.state);
        let outcome = task.and_then(|task| task.outcome);
        self.stage.with(|world| Report {
            outcome: outcome.clone(),
            looked: world.looked.clone(),
            violation: world.violation.clone(),
            trace: world.take_trace(),
            state,
            faults: world.faults_seen,
            lasted_ms: world.now,
        })
    }

    async fn create(&self, number: u128, source: usize) -> TaskId {
        let (now, plan) = self.stage.with(|world| {
            let scenario = &world.scenario;
            let plan = Plan {
                domain: ours(),
                name: NAME.to_owned(),
                source: NAMES[source].to_owned(),
                destination: NAMES[1 - source].to_owned(),
                peer_uri: format!("qemu+ssh://{}/system", NAMES[1 - source]),
                wants_running: scenario.wants_running,
                cold: scenario.cold,
                persistent: scenario.persistent,
                autostart: scenario.autostart,
                definition: scenario.persistent.then(|| "<domain/>".to_owned()),
                max_downtime_ms: scenario.max_downtime_ms,
                bandwidth_mib_s: None,
                tunnelled: false,
                transport: Transport { direct: scenario.direct, ..Transport::default() },
                migration_ports: None,
                sharing_proven: false,
                needs_no_source: !scenario.cold && !scenario.files,
                post_copy: scenario.post_copy,
                files: if scenario.files { image(scenario.cold) } else { Files::default() },
                rewrite: Rewrite::default(),
                definition_there: None,
                definition_diff: None,
                snapshots_dropped: false,
                snapshots_aside: false,
                removes_tpm_state: false,
                // It is sent on as it is.
                copy: (scenario.copy && !world.once_more).then(|| CopyIdentity {
                    uuid: a_copy(),
                    name: format!("{NAME}-copy"),
                    macs: Vec::new(),
                }),
                deletes_source_disks: scenario.deletes,
                found_twice: false,
            };
            (EPOCH_MS + world.now, plan)
        });
        let id = TaskId(uuid::Uuid::from_u128(number));
        let task = new_task(id, &plan, now);
        let plan = serde_json::to_value(&plan).unwrap_or_default();
        if let Err(error) = self.store.create_task(&NewTask { task, plan }).await {
            self.stage.with(|world| world.violate(format!("no new task: {error}")));
        }
        id
    }

    /// Starts a controller as `ferryd` starts.
    fn start(&mut self, place: usize) -> Controller {
        self.runs += 1;
        let run = self.runs;
        let alone = self.stage.with(|world| world.scenario.controllers == 1);
        let gate = Arc::new(Gate::default());
        let (number, now) = self.stage.with(|world| {
            world.gates.push(gate.clone());
            let number = world.new_controller(world.now == 0);
            world.current[place] = number;
            world.tell(|| format!("controller {number} starts"));
            (number, world.now)
        });
        let store: Arc<dyn Store> =
            Arc::new(GatedStore::new(self.store.clone(), gate.clone(), self.stage.clone()));
        let engine = Engine::new(store.clone(), Clock::starting_at(EPOCH_MS + now), format!("run-{run}"));
        let seen = [SOURCE, DESTINATION].map(|host| {
            let host = SimHost::new(self.stage.clone(), gate.clone(), number, host, self.plant);
            Arc::new(host) as Arc<dyn Hypervisor>
        });
        let both = seen.clone();
        let hosts: Hosts = Arc::new(move |name| Some(both[crate::verdict::place(name)].clone()));
        let sweeper = Sweeper::new(engine.clone(), store.clone(), hosts.clone());
        let mover =
            Arc::new(Mover::new(hosts, Timing { span_bytes: files::SPAN, ..Timing::with_bound(RECOVERY) }));
        let serving = [
            tokio::spawn({
                let engine = engine.clone();
                async move {
                    // Another controller's lease is another's business.
                    if alone && run > 1 && store.drop_leases().await.is_err() {
                        tracing::error!("the leases were not dropped");
                    }
                    engine.serve(mover).await;
                }
            }),
            tokio::spawn(sweeper.clone().serve()),
        ];
        Controller { gate, engine, sweeper, hosts: seen, serving, back_at: None }
    }

    /// Goes on until nothing more is to come of the task, or of the one that came after it.
    async fn until_settled(&mut self, task: &mut TaskId) {
        while !self.is_over(*task) {
            tokio::time::sleep(STEP).await;
            self.tend_controllers();
            self.tend_wishes(*task);
            if let Some(next) = self.tend_haste(*task).await {
                *task = next;
            }
        }
    }

    /// Whether nothing more is to come; judges then.
    fn is_over(&mut self, id: TaskId) -> bool {
        let Some(task) = self.store.task_now(id) else { return true };
        let debts = self.store.debts_now();
        let settled_since = self.settled_since;
        let healed_at = &mut self.healed_at;
        self.stage.with(|world| {
            world.watch_frozen();
            world.watch_sight();
            if world.violation.is_some() {
                return true;
            }
            // A QEMU that hangs on a dead network, which nobody can free without a shell, is a fault that lasts.
            if world.open_faults > 0 || world.mig_is_blocked() {
                *healed_at = world.now;
            }
            world.noisy &= world.now < NOISE_ENDS || world.open_faults > 0;
            if task.state.is_final() {
                world.disarm();
            }
            let over = |host: usize| world.hosts[host].gone || world.is_somebodys(host);
            // What is left is removed only while its owner says that it has the domain.
            let paid =
                debts.iter().all(|debt| over(place(&debt.host)) || world.hosts[place(&debt.owner)].gone);
            let settled = task.state.is_final() && paid && world.open_faults == 0;
            self.settled_since = settled.then(|| settled_since.unwrap_or(world.now));
            // Two that people let run are to be found and suspended first, by however many tries.
            let quiet = if world.two_run() { SUSPENDED } else { QUIET };
            if self.settled_since.is_some_and(|since| world.now - since >= quiet) {
                world.judge(&task, &self.store);
                return true;
            }
            // Carrying files has a patience of its own, before that of asking where the guest is.
            let must_end = MUST_END + if world.scenario.files { 200_000 } else { 0 };
            if world.now - *healed_at > must_end {
                world.judge_unended(&task);
                return true;
            }
            false
        })
    }

    /// Starts controllers again that have died.
    fn tend_controllers(&mut self) {
        for place in 0..self.controllers.len() {
            let controller = &self.controllers[place];
            let (now, away) = self.stage.with(|world| {
                if !controller.gate.is_open() {
                    world.troubled_at = world.now;
                }
                (world.now, world.restart_after[place])
            });
            if !controller.gate.is_dead() {
                continue;
            }
            match controller.back_at {
                None => {
                    controller.serving.iter().for_each(JoinHandle::abort);
                    self.haste.forget();
                    self.stage.with(|world| {
                        world.open_faults += 1;
                        world.tell(|| format!("the controller in place {place} is dead"));
                    });
                    self.controllers[place].back_at = Some(now + away);
                }
                Some(at) if now >= at => {
                    self.stage.with(|world| world.open_faults -= 1);
                    self.controllers[place] = self.start(place);
                }
                Some(_) => {}
            }
        }
    }

    /// Somebody cancels, or limits the bandwidth anew; a person decides.
    fn tend_wishes(&mut self, id: TaskId) {
        let Some(open) = self.controllers.iter().find(|controller| controller.gate.is_open()) else { return };
        let engine = open.engine.clone();
        if let Some(mib_s) = self.stage.with(|world| world.limit_wanted_mib_s.take()) {
            let engine = engine.clone();
            tokio::spawn(async move { engine.limit_bandwidth(id, mib_s).await });
        }
        if self.stage.with(|world| std::mem::take(&mut world.cancel_wanted)) {
            let engine = engine.clone();
            tokio::spawn(async move { engine.cancel(id).await });
        }
        let task = self.store.task_now(id);
        let asks = task.as_ref().is_some_and(|task| task.state == TaskState::NeedsAttention);
        let offers = task.map(|task| task.offers).unwrap_or_default();
        let since = self.asked_since;
        let decision = self.stage.with(|world| {
            self.asked_since = asks.then(|| since.unwrap_or(world.now));
            let after = world.scenario.person_after?;
            let due = self.asked_since.is_some_and(|since| world.now - since >= after);
            // Asked again, they decide again.
            if !due || self.decided_at.is_some_and(|at| world.now - at < DECIDES_AGAIN) {
                return None;
            }
            self.decided_at = Some(world.now);
            world.guest.person_decided = true;
            world.guest.unseen_at_decision = [0, 1].map(|host| !world.hosts[host].answers());
            let gone = |host: usize| world.hosts[host].gone;
            let keep_source = if gone(SOURCE) || gone(DESTINATION) {
                gone(DESTINATION)
            } else {
                world.scenario.person_keeps_source
            };
            let other = if keep_source { DESTINATION } else { SOURCE };
            // Only what is so is vouched for.
            let fenced = gone(other) && !world.hosts[other].power;
            let keep = if keep_source { Side::Source } else { Side::Destination };
            let wanted = ResolveRequest { keep, fenced };
            // What they would rather have may lead nowhere: then they take what does.
            let is_wanted = |offer: &Offer| (offer.keep, offer.fenced) == (keep, fenced);
            let other = offers.iter().find(|offer| !offer.fenced).filter(|_| !offers.iter().any(is_wanted));
            let decision =
                other.map_or(wanted, |offer| ResolveRequest { keep: offer.keep, fenced: offer.fenced });
            world.tell(|| format!("a person keeps {:?}, fenced {}", decision.keep, decision.fenced));
            Some(decision)
        });
        if let Some(decision) = decision {
            tokio::spawn(async move { engine.resolve(id, decision).await });
        }
    }

    fn goes_again(&self, id: TaskId) -> bool {
        let ended = self.store.task_now(id).is_some_and(|task| task.state.is_final());
        ended
            && !self.haste.is_accepted()
            && self
                .stage
                .with(|world| world.scenario.again && world.violation.is_none() && world.can_go_again())
    }

    /// Sends the guest on, undisturbed: that must succeed.
    async fn again(&mut self, before: TaskId) -> TaskId {
        let source = self.stage.with(|world| {
            world.noisy = false;
            world.once_more = true;
            world.tell(|| "once more".to_owned());
            let is_there = world.hosts[DESTINATION].domains.contains_key(&ours());
            let from = usize::from(is_there);
            world.clear_old_image(1 - from);
            from
        });
        let sweeper = self.controllers.first().map(|controller| controller.sweeper.clone());
        let left = match sweeper {
            Some(sweeper) => sweeper.clear(ours()).await.unwrap_or_default(),
            None => Vec::new(),
        };
        if left.iter().any(|debt| debt.host == NAMES[1 - source]) {
            self.stage.with(|world| world.violate("it cannot be sent on: something is owed"));
        }
        let id = self.create(before.0.as_u128() + 1, source).await;
        let until = self.stage.with(|world| world.now + AGAIN);
        self.settled_since = None;
        self.healed_at = until - AGAIN;
        while self.stage.with(|world| world.now) < until && !self.is_over(id) {
            tokio::time::sleep(STEP).await;
        }
        let done = self.store.task_now(id).is_some_and(|task| task.state == TaskState::Done);
        if !done {
            let task = self.store.task_now(id).map(|task| (task.state, task.message));
            self.stage.with(|world| world.violate(format!("it cannot be sent on: {task:?}")));
        }
        id
    }
}

impl Drop for History {
    fn drop(&mut self) {
        for controller in &self.controllers {
            controller.gate.set(Passage::Dead);
        }
    }
}

/// The guest's image goes along: carried, or copied by QEMU.
fn image(cold: bool) -> Files {
    let new = NewFile {
        path: files::IMAGE.to_owned(),
        format: "raw".to_owned(),
        capacity_bytes: files::LENGTH as u64,
        ..NewFile::default()
    };
    let (target, allocated_bytes) = ("vda".to_owned(), files::LENGTH as u64);
    if cold {
        Files {
            carried: vec![Carried { role: Role::Disk(target), new, allocated_bytes, from: None }],
            ..Files::default()
        }
    } else {
        Files { copied: vec![CopiedDisk { target, new, allocated_bytes, from: None }], ..Files::default() }
    }
}

fn new_task(id: TaskId, plan: &Plan, now_ms: u64) -> Task {
    let (vm, way) = ((&*plan.name, plan.domain), (&*plan.source, &*plan.destination));
    queued(id, TaskKind::Migration, vm, way, "queued".to_owned(), now_ms)
}
