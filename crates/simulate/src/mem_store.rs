//! A [`Store`] in memory: fenced like the real one, and passing the same suite.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::event::Event;
use api::task::{Side, Task, TaskQuery, TaskState};
use async_trait::async_trait;
use ferryd::model::{DomainUuid, TaskId};
use ferryd::store::{
    BandwidthWish, Debt, Decision, HostRecord, Lease, LogEntry, NewTask, Result, Store, StoreError,
    TaskRecord,
};

/// A store that lives as long as its value.
#[derive(Debug)]
pub struct MemStore {
    data: Mutex<Data>,
    /// Off only for the planted mistake.
    fenced: bool,
}

#[derive(Debug, Default)]
struct Data {
    hosts: BTreeMap<String, HostRecord>,
    tasks: BTreeMap<TaskId, Row>,
    events: Vec<Event>,
    last_event: i64,
    debts: Vec<Debt>,
}

#[derive(Debug)]
struct Row {
    record: TaskRecord,
    log: Vec<LogEntry>,
    active: bool,
    /// Who holds it until when.
    lease: Option<(String, u64)>,
    generation: i64,
}

impl Row {
    fn is_free(&self, now_ms: u64) -> bool {
        self.active && self.lease.as_ref().is_none_or(|(_, until)| *until <= now_ms)
    }

    /// The order in which tasks were made.
    fn age(&self) -> (u64, uuid::Uuid) {
        (self.record.task.created_at_ms, self.record.task.id)
    }
}

impl Data {
    fn active_task(&self, domain: DomainUuid) -> Option<TaskId> {
        self.tasks
            .iter()
            .find(|(_, row)| row.active && row.record.task.vm_uuid == domain.0)
            .map(|(id, _)| *id)
    }

    fn add_event(&mut self, task: &Task) -> Event {
        self.last_event += 1;
        let event =
            Event { id: self.last_event, at_ms: task.updated_at_ms, task_id: task.id, task: task.clone() };
        self.events.push(event.clone());
        event
    }

    /// The task's row, for whoever may still ask something of it.
    fn unended(&mut self, id: TaskId) -> Result<&mut Row> {
        match self.tasks.get_mut(&id) {
            None => Err(StoreError::NoSuchTask(id)),
            Some(row) if !row.active => Err(StoreError::Ended),
            Some(row) => Ok(row),
        }
    }
}

/// Debts are told in this order.
fn order(debt: &Debt) -> (u64, TaskId, bool) {
    (debt.at_ms, debt.task, debt.side == Side::Source)
}

impl Default for MemStore {
    fn default() -> Self {
        Self { data: Mutex::default(), fenced: true }
    }
}

impl MemStore {
    /// An empty store that does not check who writes: the planted mistake.
    #[must_use]
    pub fn unfenced() -> Self {
        Self { fenced: false, ..Self::default() }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        // Every change is made as a whole: a panic elsewhere leaves nothing half done.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_row<T>(&self, lease: &Lease, change: impl FnOnce(&mut Row) -> Result<T>) -> Result<T> {
        let mut data = self.data();
        let row = data.tasks.get_mut(&lease.task).ok_or(StoreError::Fenced)?;
        let held = row.generation == lease.generation
            && row.lease.as_ref().is_some_and(|(owner, _)| *owner == lease.owner);
        if self.fenced && !held {
            return Err(StoreError::Fenced);
        }
        change(row)
    }

    /// A task's log, as a check may read it.
    #[must_use]
    pub fn log_of(&self, id: TaskId) -> Vec<LogEntry> {
        self.data().tasks.get(&id).map(|row| row.log.clone()).unwrap_or_default()
    }

    /// A task, as a check may read it.
    #[must_use]
    pub fn task_now(&self, id: TaskId) -> Option<Task> {
        self.data().tasks.get(&id).map(|row| row.record.task.clone())
    }

    /// The debts, as a check may read them.
    #[must_use]
    pub fn debts_now(&self) -> Vec<Debt> {
        self.data().debts.clone()
    }
}

#[async_trait]
impl Store for MemStore {
    async fn hosts(&self) -> Result<Vec<HostRecord>> {
        Ok(self.data().hosts.values().cloned().collect())
    }

    async fn add_host(&self, host: &HostRecord, _now_ms: u64) -> Result<()> {
        let mut data = self.data();
        if data.hosts.contains_key(&host.name) {
            return Err(StoreError::HostExists);
        }
        data.hosts.insert(host.name.clone(), host.clone());
        Ok(())
    }

    async fn remove_host(&self, name: &str) -> Result<bool> {
        Ok(self.data().hosts.remove(name).is_some())
    }

    async fn create_task(&self, new: &NewTask) -> Result<Event> {
        let mut data = self.data();
        let id = TaskId(new.task.id);
        if data.tasks.contains_key(&id) {
            return Err(sqlx::Error::Protocol("the task exists".into()).into());
        }
        if let Some(other) = data.active_task(DomainUuid(new.task.vm_uuid)) {
            return Err(StoreError::DomainBusy(other));
        }
        let (task, plan) = (new.task.clone(), new.plan.clone());
        let record = TaskRecord { task, plan, cancel_requested: false, resolve: None, bandwidth: None };
        let row = Row { record, log: Vec::new(), active: true, lease: None, generation: 0 };
        data.tasks.insert(id, row);
        Ok(data.add_event(&new.task))
    }

    async fn create_task_instead(&self, new: &NewTask, debt: &Debt) -> Result<Event> {
        let event = self.create_task(new).await?;
        self.settle_debt(debt).await?;
        Ok(event)
    }

    async fn task(&self, id: TaskId) -> Result<Option<TaskRecord>> {
        Ok(self.data().tasks.get(&id).map(|row| row.record.clone()))
    }

    async fn tasks(&self, query: &TaskQuery, limit: u32) -> Result<Vec<Task>> {
        let data = self.data();
        let wanted = |row: &&Row| {
            let task = &row.record.task;
            query.vm.as_ref().is_none_or(|vm| *vm == task.vm)
                && query.vm_uuid.is_none_or(|uuid| uuid == task.vm_uuid)
                && query.kind.is_none_or(|kind| kind == task.kind)
                && query.state.is_none_or(|state| state == task.state)
                && query.active.is_none_or(|active| active == row.active)
        };
        let mut found: Vec<&Row> = data.tasks.values().filter(wanted).collect();
        found.sort_by_key(|row| std::cmp::Reverse(row.age()));
        Ok(found.into_iter().take(limit as usize).map(|row| row.record.task.clone()).collect())
    }

    async fn active_task(&self, domain: DomainUuid) -> Result<Option<TaskId>> {
        Ok(self.data().active_task(domain))
    }

    async fn claimable(&self, now_ms: u64) -> Result<Vec<TaskId>> {
        let data = self.data();
        let mut free: Vec<&Row> = data.tasks.values().filter(|row| row.is_free(now_ms)).collect();
        free.sort_by_key(|row| row.age());
        Ok(free.into_iter().map(|row| TaskId(row.record.task.id)).collect())
    }

    async fn lease(&self, id: TaskId, owner: &str, now_ms: u64, until_ms: u64) -> Result<Option<Lease>> {
        let mut data = self.data();
        let Some(row) = data.tasks.get_mut(&id).filter(|row| row.is_free(now_ms)) else { return Ok(None) };
        row.generation += 1;
        row.lease = Some((owner.to_owned(), until_ms));
        Ok(Some(Lease { task: id, owner: owner.to_owned(), generation: row.generation }))
    }

    async fn drop_leases(&self) -> Result<()> {
        self.data().tasks.values_mut().filter(|row| row.active).for_each(|row| row.lease = None);
        Ok(())
    }

    async fn renew(&self, lease: &Lease, until_ms: u64) -> Result<()> {
        self.with_row(lease, |row| {
            row.lease = Some((lease.owner.clone(), until_ms));
            Ok(())
        })
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        self.with_row(lease, |row| {
            row.lease = None;
            Ok(())
        })
    }

    async fn log_intent(
        &self,
        lease: &Lease,
        step: &str,
        intent: &serde_json::Value,
        now_ms: u64,
    ) -> Result<i64> {
        self.with_row(lease, |row| {
            let seq = row.log.last().map_or(1, |line| line.seq + 1);
            row.log.push(LogEntry {
                seq,
                at_ms: now_ms,
                generation: lease.generation,
                step: step.to_owned(),
                intent: intent.clone(),
                result: None,
            });
            Ok(seq)
        })
    }

    async fn log_result(&self, lease: &Lease, seq: i64, result: &serde_json::Value) -> Result<()> {
        self.with_row(lease, |row| {
            let line = row.log.iter_mut().find(|line| line.seq == seq).ok_or(sqlx::Error::RowNotFound)?;
            line.result = Some(result.clone());
            Ok(())
        })
    }

    async fn log(&self, id: TaskId) -> Result<Vec<LogEntry>> {
        Ok(self.log_of(id))
    }

    async fn update(&self, lease: &Lease, task: &Task) -> Result<Event> {
        self.with_row(lease, |row| {
            if !row.active {
                return Err(StoreError::Ended);
            }
            row.record.task = task.clone();
            row.active = !task.state.is_final();
            Ok(())
        })?;
        Ok(self.data().add_event(task))
    }

    async fn request_cancel(&self, id: TaskId) -> Result<()> {
        self.data().unended(id)?.record.cancel_requested = true;
        Ok(())
    }

    async fn request_bandwidth(&self, id: TaskId, wish: &BandwidthWish) -> Result<()> {
        self.data().unended(id)?.record.bandwidth = Some(*wish);
        Ok(())
    }

    async fn request_resolve(&self, id: TaskId, decision: &Decision) -> Result<()> {
        let mut data = self.data();
        let row = data.unended(id)?;
        if row.record.task.state != TaskState::NeedsAttention {
            return Err(StoreError::Ended);
        }
        row.record.resolve = Some(*decision);
        Ok(())
    }

    async fn clear_resolve(&self, lease: &Lease) -> Result<()> {
        self.with_row(lease, |row| {
            row.record.resolve = None;
            Ok(())
        })
    }

    async fn owe(&self, lease: &Lease, debt: &Debt) -> Result<()> {
        self.with_row(lease, |_| Ok(()))?;
        let mut data = self.data();
        if !data.debts.iter().any(|known| (known.task, known.side) == (debt.task, debt.side)) {
            data.debts.push(debt.clone());
            data.debts.sort_by_key(order);
        }
        Ok(())
    }

    async fn debts(&self) -> Result<Vec<Debt>> {
        Ok(self.debts_now())
    }

    async fn update_debt(&self, debt: &Debt) -> Result<()> {
        for known in &mut self.data().debts {
            if (known.task, known.side) == (debt.task, debt.side) {
                *known = debt.clone();
            }
        }
        Ok(())
    }

    async fn settle_debt(&self, debt: &Debt) -> Result<()> {
        self.data().debts.retain(|known| (known.task, known.side) != (debt.task, debt.side));
        Ok(())
    }

    async fn events_after(&self, after: i64, task: Option<TaskId>, limit: u32) -> Result<Vec<Event>> {
        let data = self.data();
        let wanted = |event: &&Event| event.id > after && task.is_none_or(|task| task.0 == event.task_id);
        Ok(data.events.iter().filter(wanted).take(limit as usize).cloned().collect())
    }

    async fn last_event_id(&self) -> Result<i64> {
        Ok(self.data().last_event)
    }

    async fn prune_events(&self, before_ms: u64) -> Result<u64> {
        let mut data = self.data();
        let data = &mut *data;
        let (before, tasks) = (data.events.len(), &data.tasks);
        data.events.retain(|event| {
            let active = tasks.get(&TaskId(event.task_id)).is_some_and(|row| row.active);
            active || event.at_ms >= before_ms
        });
        Ok((before - data.events.len()) as u64)
    }
}
