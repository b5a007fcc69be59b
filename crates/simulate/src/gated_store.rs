//! The store as one controller reaches it: through its gate, in a little time, now and then failing.

use std::sync::Arc;

use api::event::Event;
use api::task::{Task, TaskQuery};
use async_trait::async_trait;
use ferryd::model::{DomainUuid, TaskId};
use ferryd::store::{
    BandwidthWish, Debt, Decision, HostRecord, Lease, LogEntry, NewTask, Result, Store, TaskRecord,
};
use tokio::time::Duration;

use crate::gate::Gate;
use crate::mem_store::MemStore;
use crate::verdict::place;
use crate::world::Stage;

/// A controller's way to the store.
#[derive(Debug)]
pub struct GatedStore {
    store: Arc<MemStore>,
    gate: Arc<Gate>,
    stage: Stage,
}

impl GatedStore {
    /// The way through this gate.
    #[must_use]
    pub fn new(store: Arc<MemStore>, gate: Arc<Gate>, stage: Stage) -> Self {
        Self { store, gate, stage }
    }

    async fn enter(&self) -> Result<()> {
        self.gate.pass().await;
        let (delay, fails) = self.stage.with(|world| {
            let fails = world.noisy && world.dice.per_mille(world.scenario.noise.store);
            // A runner whose write failed begins anew, and has seen nothing.
            world.out_of_sight |= fails;
            (world.dice.between(0, 2), fails)
        });
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if fails { Err(sqlx::Error::PoolTimedOut.into()) } else { Ok(()) }
    }
}

/// Through the gate, to the store, and back through the gate.
macro_rules! gated {
    ($self:ident, $call:ident($($arg:expr),*)) => {{
        $self.enter().await?;
        let answer = $self.store.$call($($arg),*).await;
        $self.gate.pass().await;
        answer
    }};
}

#[async_trait]
impl Store for GatedStore {
    async fn hosts(&self) -> Result<Vec<HostRecord>> {
        gated!(self, hosts())
    }

    async fn add_host(&self, host: &HostRecord, now_ms: u64) -> Result<()> {
        gated!(self, add_host(host, now_ms))
    }

    async fn remove_host(&self, name: &str) -> Result<bool> {
        gated!(self, remove_host(name))
    }

    async fn create_task(&self, new: &NewTask) -> Result<Event> {
        gated!(self, create_task(new))
    }

    async fn create_task_instead(&self, new: &NewTask, debt: &Debt) -> Result<Event> {
        gated!(self, create_task_instead(new, debt))
    }

    async fn task(&self, id: TaskId) -> Result<Option<TaskRecord>> {
        gated!(self, task(id))
    }

    async fn tasks(&self, query: &TaskQuery, limit: u32) -> Result<Vec<Task>> {
        gated!(self, tasks(query, limit))
    }

    async fn active_task(&self, domain: DomainUuid) -> Result<Option<TaskId>> {
        gated!(self, active_task(domain))
    }

    async fn claimable(&self, now_ms: u64) -> Result<Vec<TaskId>> {
        gated!(self, claimable(now_ms))
    }

    async fn lease(&self, id: TaskId, owner: &str, now_ms: u64, until_ms: u64) -> Result<Option<Lease>> {
        gated!(self, lease(id, owner, now_ms, until_ms))
    }

    async fn drop_leases(&self) -> Result<()> {
        gated!(self, drop_leases())
    }

    async fn renew(&self, lease: &Lease, until_ms: u64) -> Result<()> {
        gated!(self, renew(lease, until_ms))
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        gated!(self, release(lease))
    }

    async fn log_intent(
        &self,
        lease: &Lease,
        step: &str,
        intent: &serde_json::Value,
        now_ms: u64,
    ) -> Result<i64> {
        self.enter().await?;
        let answer = self.store.log_intent(lease, step, intent, now_ms).await;
        if answer.is_ok() {
            self.stage.with(|world| world.intent_stored(step));
        }
        self.gate.pass().await;
        answer
    }

    async fn log_result(&self, lease: &Lease, seq: i64, result: &serde_json::Value) -> Result<()> {
        gated!(self, log_result(lease, seq, result))
    }

    async fn log(&self, id: TaskId) -> Result<Vec<LogEntry>> {
        gated!(self, log(id))
    }

    async fn update(&self, lease: &Lease, task: &Task) -> Result<Event> {
        self.enter().await?;
        let answer = self.store.update(lease, task).await;
        if answer.is_ok() {
            self.stage.with(|world| world.claimed(task));
        }
        self.gate.pass().await;
        answer
    }

    async fn request_cancel(&self, id: TaskId) -> Result<()> {
        gated!(self, request_cancel(id))
    }

    async fn request_bandwidth(&self, id: TaskId, wish: &BandwidthWish) -> Result<()> {
        gated!(self, request_bandwidth(id, wish))
    }

    async fn request_resolve(&self, id: TaskId, decision: &Decision) -> Result<()> {
        gated!(self, request_resolve(id, decision))
    }

    async fn clear_resolve(&self, lease: &Lease) -> Result<()> {
        gated!(self, clear_resolve(lease))
    }

    async fn owe(&self, lease: &Lease, debt: &Debt) -> Result<()> {
        let answer = gated!(self, owe(lease, debt));
        if answer.is_ok() {
            self.stage.with(|world| world.owed_on(place(&debt.host)));
        }
        answer
    }

    async fn debts(&self) -> Result<Vec<Debt>> {
        gated!(self, debts())
    }

    async fn update_debt(&self, debt: &Debt) -> Result<()> {
        gated!(self, update_debt(debt))
    }

    async fn settle_debt(&self, debt: &Debt) -> Result<()> {
        gated!(self, settle_debt(debt))
    }

    async fn events_after(&self, after: i64, task: Option<TaskId>, limit: u32) -> Result<Vec<Event>> {
        gated!(self, events_after(after, task, limit))
    }

    async fn last_event_id(&self) -> Result<i64> {
        gated!(self, last_event_id())
    }

    async fn prune_events(&self, before_ms: u64) -> Result<u64> {
        gated!(self, prune_events(before_ms))
    }
}
