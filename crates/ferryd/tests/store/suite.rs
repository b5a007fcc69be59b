//! The checks. Each gets an empty store; none knows which database it is.

use std::collections::HashSet;
use std::sync::Arc;

use api::task::{Phase, Side, Task, TaskKind, TaskQuery, TaskState};
use ferryd::model::{DomainUuid, TaskId};
use ferryd::store::{BandwidthWish, Debt, Decision, HostRecord, Lease, NewTask, Started, Store, StoreError};
use serde_json::json;
use uuid::Uuid;

/// A queued task for a domain of its own.
pub(crate) fn new_task(vm: &str) -> NewTask {
    let task = Task {
        id: TaskId::new().0,
        kind: TaskKind::Migration,
        state: TaskState::Queued,
        phase: Phase::Queued,
        message: "waits for its turn – „ä\u{0}\u{1F6A2}“".to_owned(),
        cause: None,
        vm: vm.to_owned(),
        vm_uuid: Uuid::new_v4(),
        source: "a".to_owned(),
        destination: "b".to_owned(),
        made: None,
        created_at_ms: 1_000,
        updated_at_ms: 1_000,
        ended_at_ms: None,
        progress: None,
        bandwidth_mib_s: None,
        outcome: None,
        findings: Vec::new(),
        choices: Vec::new(),
        offers: Vec::new(),
    };
    NewTask { task, plan: json!({"steps": ["prepare", "perform"], "nested": {"n": 1.5}}) }
}

/// The same task in another state, changed a moment later.
pub(crate) fn with_state(task: &Task, state: TaskState) -> Task {
    Task { state, updated_at_ms: task.updated_at_ms + 1, ..task.clone() }
}

fn host(name: &str) -> HostRecord {
    HostRecord {
        name: name.to_owned(),
        uri: format!("qemu+ssh://root@{name}/system"),
        peer_uri: Some(format!("qemu+tls://{name}/system")),
        migrate_via: Some("10.1.0.0/24".to_owned()),
    }
}

async fn created(store: &dyn Store, vm: &str) -> NewTask {
    let new = new_task(vm);
    store.create_task(&new).await.unwrap();
    new
}

async fn leased(store: &dyn Store, new: &NewTask, owner: &str) -> Lease {
    store.lease(TaskId(new.task.id), owner, 1_000, 2_000).await.unwrap().unwrap()
}

fn is_fenced<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Fenced))
}

pub(crate) async fn hosts_are_kept_by_name(store: Arc<dyn Store>) {
    assert_eq!(store.hosts().await.unwrap(), []);
    store.add_host(&host("b"), 1).await.unwrap();
    store.add_host(&host("a"), 2).await.unwrap();
    assert_eq!(store.hosts().await.unwrap(), [host("a"), host("b")]);
    assert!(matches!(store.add_host(&host("a"), 3).await, Err(StoreError::HostExists)));
    assert!(store.remove_host("a").await.unwrap());
    assert!(!store.remove_host("a").await.unwrap());
    let odd = HostRecord {
        name: "'; DROP TABLE hosts; --".to_owned(),
        uri: String::new(),
        peer_uri: None,
        migrate_via: None,
    };
    store.add_host(&odd, u64::MAX).await.unwrap();
    assert_eq!(store.hosts().await.unwrap(), [odd, host("b")]);
}

pub(crate) async fn a_task_is_stored_whole_with_its_first_event(store: Arc<dyn Store>) {
    assert_eq!(store.last_event_id().await.unwrap(), 0);
    let new = new_task("web1");
    let id = TaskId(new.task.id);
    assert_eq!(store.task(id).await.unwrap(), None);
    let event = store.create_task(&new).await.unwrap();
    assert_eq!((event.id, event.at_ms, event.task_id), (1, 1_000, id.0));
    assert_eq!(event.task, new.task);
    let record = store.task(id).await.unwrap().unwrap();
    assert_eq!(record.task, new.task);
    assert_eq!(record.plan, new.plan);
    assert!(!record.cancel_requested);
    assert_eq!(record.resolve, None);
    assert_eq!(store.events_after(0, None, 10).await.unwrap(), [event]);
    // The same id again is a mistake, not a busy domain.
    assert!(matches!(store.create_task(&new).await, Err(StoreError::Database(_))));
}

pub(crate) async fn one_task_at_a_time_per_domain(store: Arc<dyn Store>) {
    let first = created(&*store, "web1").await;
    let domain = DomainUuid(first.task.vm_uuid);
    let id = TaskId(first.task.id);
    let mut second = new_task("renamed");
    second.task.vm_uuid = first.task.vm_uuid;
    let refused = store.create_task(&second).await;
    assert!(matches!(refused, Err(StoreError::DomainBusy(other)) if other == id), "{refused:?}");
    assert_eq!(store.last_event_id().await.unwrap(), 1, "a refused task leaves no event");
    assert_eq!(store.task(TaskId(second.task.id)).await.unwrap(), None);
    assert_eq!(store.active_task(domain).await.unwrap(), Some(id));
    assert_eq!(store.active_task(DomainUuid(Uuid::new_v4())).await.unwrap(), None);

    let lease = leased(&*store, &first, "one").await;
    store.update(&lease, &with_state(&first.task, TaskState::NeedsAttention)).await.unwrap();
    assert!(matches!(store.create_task(&second).await, Err(StoreError::DomainBusy(_))), "not ended yet");
    store.update(&lease, &with_state(&first.task, TaskState::Failed)).await.unwrap();
    assert_eq!(store.active_task(domain).await.unwrap(), None);
    store.create_task(&second).await.unwrap();
    assert_eq!(store.active_task(domain).await.unwrap(), Some(TaskId(second.task.id)));
}

pub(crate) async fn two_creations_at_once_make_one_task(store: Arc<dyn Store>) {
    for _ in 0..20 {
        let domain = Uuid::new_v4();
        let attempts: Vec<_> = (0..4)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut new = new_task("web1");
                    new.task.vm_uuid = domain;
                    (new.task.id, store.create_task(&new).await)
                })
            })
            .collect();
        let mut winner = None;
        let mut named = HashSet::new();
        for attempt in attempts {
            match attempt.await.unwrap() {
                (id, Ok(_)) => assert_eq!(winner.replace(TaskId(id)), None, "two tasks on one domain"),
                (_, Err(StoreError::DomainBusy(other))) => {
                    named.insert(other);
                }
                (_, Err(other)) => panic!("{other:?}"),
            }
        }
        assert_eq!(named, HashSet::from([winner.unwrap()]), "the refusals name the winner");
    }
}

pub(crate) async fn tasks_are_filtered_and_newest_first(store: Arc<dyn Store>) {
    let (mut ids, mut uuids) = (Vec::new(), Vec::<Uuid>::new());
    for (n, vm) in ["web1", "db1", "web1"].into_iter().enumerate() {
        let mut new = new_task(vm);
        new.task.created_at_ms += n as u64;
        if n == 2 {
            (new.task.kind, new.task.vm_uuid) = (TaskKind::Clone, uuids[0]);
        }
        uuids.push(new.task.vm_uuid);
        store.create_task(&new).await.unwrap();
        if n == 0 {
            let lease = leased(&*store, &new, "one").await;
            store.update(&lease, &with_state(&new.task, TaskState::Done)).await.unwrap();
        }
        ids.push(new.task.id);
    }
    let list = async |query: TaskQuery, limit| -> Vec<Uuid> {
        store.tasks(&query, limit).await.unwrap().iter().map(|task| task.id).collect()
    };
    assert_eq!(list(TaskQuery::default(), 10).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(TaskQuery::default(), 1).await, [ids[2]]);
    let vm = |vm: &str| TaskQuery { vm: Some(vm.to_owned()), ..TaskQuery::default() };
    assert_eq!(list(vm("web1"), 10).await, [ids[2], ids[0]]);
    assert!(list(vm("web%"), 10).await.is_empty());
    let state = |state| TaskQuery { state: Some(state), ..TaskQuery::default() };
    assert_eq!(list(state(TaskState::Done), 10).await, [ids[0]]);
    assert!(list(state(TaskState::NeedsAttention), 10).await.is_empty());
    let active = |active| TaskQuery { active: Some(active), ..TaskQuery::default() };
    assert_eq!(list(active(true), 10).await, [ids[2], ids[1]]);
    assert_eq!(list(active(false), 10).await, [ids[0]]);
    assert_eq!(list(TaskQuery { active: Some(true), ..vm("web1") }, 10).await, [ids[2]]);
    let kind = |kind| TaskQuery { kind: Some(kind), ..TaskQuery::default() };
    assert_eq!(list(kind(TaskKind::Migration), 10).await, [ids[1], ids[0]]);
    let of = |at: usize| TaskQuery { vm_uuid: Some(uuids[at]), ..TaskQuery::default() };
    assert_eq!(list(of(0), 10).await, [ids[2], ids[0]]);
    assert_eq!(list(of(0), 1).await, [ids[2]]);
    assert_eq!(list(of(1), 10).await, [ids[1]]);
    assert_eq!(list(TaskQuery { kind: Some(TaskKind::Migration), ..of(0) }, 1).await, [ids[0]]);
    assert!(list(TaskQuery { vm_uuid: Some(Uuid::new_v4()), ..vm("web1") }, 10).await.is_empty());
}

pub(crate) async fn only_free_tasks_can_be_claimed(store: Arc<dyn Store>) {
    assert_eq!(store.claimable(0).await.unwrap(), []);
    let (old, held, ended, person) = (
        created(&*store, "old").await,
        created(&*store, "held").await,
        created(&*store, "ended").await,
        created(&*store, "person").await,
    );
    let id = |new: &NewTask| TaskId(new.task.id);
    assert_eq!(store.claimable(0).await.unwrap(), [id(&old), id(&held), id(&ended), id(&person)]);

    leased(&*store, &held, "one").await;
    let lease = leased(&*store, &ended, "one").await;
    store.update(&lease, &with_state(&ended.task, TaskState::Cancelled)).await.unwrap();
    let lease = leased(&*store, &person, "one").await;
    store.update(&lease, &with_state(&person.task, TaskState::NeedsAttention)).await.unwrap();
    store.release(&lease).await.unwrap();
    assert_eq!(store.claimable(1_999).await.unwrap(), [id(&old), id(&person)]);
    let all = [id(&old), id(&held), id(&person)];
    assert_eq!(store.claimable(2_000).await.unwrap(), all, "run out to the millisecond");
    store.drop_leases().await.unwrap();
    assert_eq!(store.claimable(0).await.unwrap(), all, "whoever held one is gone");
    assert_eq!(store.lease(id(&ended), "two", 9_999, 10_000).await.unwrap(), None);
    assert_eq!(store.lease(TaskId::new(), "two", 0, 1).await.unwrap(), None);
}

pub(crate) async fn two_leases_at_once_make_one_holder(store: Arc<dyn Store>) {
    let new = created(&*store, "web1").await;
    let id = TaskId(new.task.id);
    for generation in 1..=20 {
        let now = generation * 10_000;
        let attempts: Vec<_> = ["one", "two", "three", "one"]
            .into_iter()
            .map(|owner| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.lease(id, owner, now as u64, now as u64 + 10_000).await })
            })
            .collect();
        let mut held = Vec::new();
        for attempt in attempts {
            held.extend(attempt.await.unwrap().unwrap());
        }
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!(held[0].generation, generation);
    }
}

pub(crate) async fn an_old_generation_cannot_write(store: Arc<dyn Store>) {
    let new = created(&*store, "web1").await;
    let id = TaskId(new.task.id);
    let old = leased(&*store, &new, "one").await;
    store.renew(&old, 3_000).await.unwrap();
    assert_eq!(store.lease(id, "two", 2_999, 5_000).await.unwrap(), None);
    let seq = store.log_intent(&old, "prepare", &json!({}), 3_000).await.unwrap();
    let current = store.lease(id, "two", 3_000, 5_000).await.unwrap().unwrap();
    assert_eq!((current.generation, current.owner.as_str()), (2, "two"));

    let impostor = Lease { owner: "one".to_owned(), ..current.clone() };
    for late in [&old, &impostor] {
        assert!(is_fenced(store.renew(late, 9_000).await));
        assert!(is_fenced(store.release(late).await));
        assert!(is_fenced(store.log_intent(late, "perform", &json!({}), 3_000).await));
        assert!(is_fenced(store.log_result(late, seq, &json!("done")).await));
        assert!(is_fenced(store.update(late, &with_state(&new.task, TaskState::Done)).await));
        assert!(is_fenced(store.clear_resolve(late).await));
    }
    assert_eq!(store.task(id).await.unwrap().unwrap().task, new.task);
    assert_eq!(store.log(id).await.unwrap().len(), 1);
    assert_eq!(store.log(id).await.unwrap()[0].result, None);
    assert_eq!(store.last_event_id().await.unwrap(), 1, "a fenced update leaves no event");

    store.release(&current).await.unwrap();
    assert!(is_fenced(store.release(&current).await));
    assert!(is_fenced(store.update(&current, &new.task).await), "a released lease is no lease");
    assert_eq!(store.lease(id, "one", 0, 1).await.unwrap().unwrap().generation, 3);
}

pub(crate) async fn an_ended_task_takes_no_update(store: Arc<dyn Store>) {
    let new = created(&*store, "web1").await;
    let lease = leased(&*store, &new, "one").await;
    let seq = store.log_intent(&lease, "clean-up", &json!({}), 1_500).await.unwrap();
    store.update(&lease, &with_state(&new.task, TaskState::Done)).await.unwrap();
    let again = store.update(&lease, &with_state(&new.task, TaskState::Running)).await;
    assert!(matches!(again, Err(StoreError::Ended)), "{again:?}");
    assert_eq!(store.last_event_id().await.unwrap(), 2);
    assert_eq!(store.task(TaskId(new.task.id)).await.unwrap().unwrap().task.state, TaskState::Done);
    store.log_result(&lease, seq, &json!("written after the end")).await.unwrap();
    store.release(&lease).await.unwrap();
}

pub(crate) async fn the_log_keeps_intents_and_results_in_order(store: Arc<dyn Store>) {
    let new = created(&*store, "web1").await;
    let other = created(&*store, "web2").await;
    let id = TaskId(new.task.id);
    assert_eq!(store.log(id).await.unwrap(), []);
    let first = leased(&*store, &new, "one").await;
    let manifest = json!({"creates": ["disk", {"path": "/a b/ä"}]});
    assert_eq!(store.log_intent(&first, "prepare", &manifest, 1_001).await.unwrap(), 1);
    assert_eq!(store.log_intent(&first, "perform", &json!(null), 1_002).await.unwrap(), 2);
    let lease = leased(&*store, &other, "one").await;
    assert_eq!(store.log_intent(&lease, "prepare", &json!(1), 1_003).await.unwrap(), 1, "its own numbers");
    store.log_result(&first, 1, &json!({"ok": true})).await.unwrap();

    let second = store.lease(id, "two", 2_000, 3_000).await.unwrap().unwrap();
    store.log_result(&second, 2, &json!(null)).await.unwrap();
    assert_eq!(store.log_intent(&second, "confirm", &json!([]), 2_001).await.unwrap(), 3);
    let log = store.log(id).await.unwrap();
    let lines: Vec<_> =
        log.iter().map(|line| (line.seq, line.step.as_str(), line.generation, line.at_ms)).collect();
    assert_eq!(lines, [(1, "prepare", 1, 1_001), (2, "perform", 1, 1_002), (3, "confirm", 2, 2_001)]);
    assert_eq!(log[0].intent, manifest);
    assert_eq!(log[0].result, Some(json!({"ok": true})));
    assert_eq!(log[1].result, Some(json!(null)), "a result of nothing is a result");
    assert_eq!(log[2].result, None);
    assert!(store.log_result(&second, 99, &json!(1)).await.is_err(), "there is no such line");
}

pub(crate) async fn a_cancellation_is_noted_while_the_task_lasts(store: Arc<dyn Store>) {
    let new = created(&*store, "web1").await;
    let id = TaskId(new.task.id);
    store.request_cancel(id).await.unwrap();
    store.request_cancel(id).await.unwrap();
    assert!(store.task(id).await.unwrap().unwrap().cancel_requested);
    let unknown = TaskId::new();
    let refused = store.request_cancel(unknown).await;
    assert!(matches!(refused, Err(StoreError::NoSuchTask(id)) if id == unknown), "{refused:?}");
    let lease = leased(&*store, &new, "one").await;
    store.update(&lease, &with_state(&new.task, TaskState::Cancelled)).await.unwrap();
    assert!(matches!(store.request_cancel(id).await, Err(StoreError::Ended)));
}

pub(crate) async fn a_limit_is_noted_while_the_task_lasts(store: Arc<dyn Store>) {
    let new = created(&*store, "web1").await;
    let id = TaskId(new.task.id);
    assert_eq!(store.task(id).await.unwrap().unwrap().bandwidth, None);
    for wish in [BandwidthWish { mib_s: 7, at_ms: 1_001 }, BandwidthWish { mib_s: 9, at_ms: 1_002 }] {
        store.request_bandwidth(id, &wish).await.unwrap();
        assert_eq!(store.task(id).await.unwrap().unwrap().bandwidth, Some(wish));
    }
    let wish = BandwidthWish { mib_s: 5, at_ms: 1_003 };
    assert!(matches!(store.request_bandwidth(TaskId::new(), &wish).await, Err(StoreError::NoSuchTask(_))));
    let lease = leased(&*store, &new, "one").await;
    store.update(&lease, &with_state(&new.task, TaskState::Done)).await.unwrap();
    assert!(matches!(store.request_bandwidth(id, &wish).await, Err(StoreError::Ended)));
}

pub(crate) async fn a_decision_is_noted_only_where_one_is_needed(store: Arc<dyn Store>) {
    let new = created(&*store, "web1").await;
    let id = TaskId(new.task.id);
    let decision = Decision { keep: Side::Destination, fenced: true, at_ms: 2 };
    let earlier = Decision { keep: Side::Source, fenced: false, at_ms: 1 };
    assert!(matches!(store.request_resolve(id, &decision).await, Err(StoreError::Ended)));
    assert!(matches!(store.request_resolve(TaskId::new(), &decision).await, Err(StoreError::NoSuchTask(_))));
    let lease = leased(&*store, &new, "one").await;
    store.update(&lease, &with_state(&new.task, TaskState::NeedsAttention)).await.unwrap();
    store.request_resolve(id, &earlier).await.unwrap();
    store.request_resolve(id, &decision).await.unwrap();
    assert_eq!(store.task(id).await.unwrap().unwrap().resolve, Some(decision));
    store.clear_resolve(&lease).await.unwrap();
    assert_eq!(store.task(id).await.unwrap().unwrap().resolve, None);
    store.update(&lease, &with_state(&new.task, TaskState::Running)).await.unwrap();
    assert!(matches!(store.request_resolve(id, &earlier).await, Err(StoreError::Ended)));
}

pub(crate) async fn events_are_in_order_and_resumable(store: Arc<dyn Store>) {
    let (a, b) = (created(&*store, "a").await, created(&*store, "b").await);
    let (lease_a, lease_b) = (leased(&*store, &a, "one").await, leased(&*store, &b, "one").await);
    for n in 0..5_u64 {
        for (lease, new) in [(&lease_a, &a), (&lease_b, &b)] {
            let task = Task { updated_at_ms: 2_000 + n, ..with_state(&new.task, TaskState::Running) };
            let event = store.update(lease, &task).await.unwrap();
            assert_eq!(event.at_ms, 2_000 + n);
            assert_eq!(event.task, task);
            assert_eq!(event.id, store.last_event_id().await.unwrap());
        }
    }
    let all = store.events_after(0, None, 100).await.unwrap();
    assert_eq!(all.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert_eq!(store.events_after(7, None, 3).await.unwrap(), all[7..10]);
    assert_eq!(store.events_after(12, None, 3).await.unwrap(), []);
    assert_eq!(store.events_after(i64::MAX, None, 3).await.unwrap(), []);
    let of_b = store.events_after(4, Some(TaskId(b.task.id)), 100).await.unwrap();
    assert!(of_b.iter().all(|event| event.task_id == b.task.id && event.id > 4));
    assert_eq!(of_b.len(), 4);
    assert_eq!(of_b.last().unwrap().task.state, TaskState::Running);
}

pub(crate) async fn events_written_at_once_are_all_numbered(store: Arc<dyn Store>) {
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let new = created(&*store, &format!("vm{n}")).await;
                let lease = leased(&*store, &new, "one").await;
                for _ in 0..10 {
                    store.update(&lease, &with_state(&new.task, TaskState::Running)).await.unwrap();
                }
            })
        })
        .collect();
    // A reader that follows along must see every event once, without a gap.
    let mut last = 0;
    while last < 44 {
        for event in store.events_after(last, None, 7).await.unwrap() {
            assert_eq!(event.id, last + 1);
            last = event.id;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.last_event_id().await.unwrap(), 44);
}

pub(crate) async fn only_old_events_of_ended_tasks_are_pruned(store: Arc<dyn Store>) {
    let (ended, active) = (created(&*store, "ended").await, created(&*store, "active").await);
    let lease = leased(&*store, &ended, "one").await;
    let done = Task { updated_at_ms: 5_000, ..with_state(&ended.task, TaskState::Done) };
    store.update(&lease, &done).await.unwrap();
    assert_eq!(store.prune_events(1_000).await.unwrap(), 0);
    assert_eq!(store.prune_events(5_000).await.unwrap(), 1);
    let left: Vec<_> =
        store.events_after(0, None, 9).await.unwrap().iter().map(|e| (e.id, e.task_id)).collect();
    assert_eq!(left, [(2, active.task.id), (3, ended.task.id)]);
    assert_eq!(store.prune_events(u64::MAX).await.unwrap(), 1);
    assert_eq!(store.last_event_id().await.unwrap(), 3, "ids are not given twice");
    let lease = leased(&*store, &active, "one").await;
    assert_eq!(store.update(&lease, &with_state(&active.task, TaskState::Running)).await.unwrap().id, 4);
}

pub(crate) async fn debts_are_kept_until_they_are_settled(store: Arc<dyn Store>) {
    let new = created(&*store, "debtor").await;
    let lease = leased(&*store, &new, "one").await;
    let debt = Debt {
        task: TaskId(new.task.id),
        domain: DomainUuid(new.task.vm_uuid),
        side: Side::Destination,
        host: "kvm2".to_owned(),
        owner: "kvm1".to_owned(),
        at_ms: 5,
        started: Started::No,
        copy_gone: false,
    };
    store.owe(&lease, &debt).await.unwrap();
    store.owe(&lease, &debt).await.unwrap();
    assert_eq!(store.debts().await.unwrap(), std::slice::from_ref(&debt));
    let late_again = lease.clone();
    let late = Lease { generation: lease.generation - 1, ..lease };
    assert!(matches!(store.owe(&late, &debt).await, Err(StoreError::Fenced)));
    let started = Debt { started: Started::Twice, ..debt.clone() };
    store.update_debt(&started).await.unwrap();
    assert_eq!(store.debts().await.unwrap(), std::slice::from_ref(&started));
    // The task that owes it is still at work on the domain: no other one takes its place, and the debt stays.
    let mut other = new_task("debtor");
    other.task.vm_uuid = new.task.vm_uuid;
    assert!(matches!(store.create_task_instead(&other, &debt).await, Err(StoreError::DomainBusy(_))));
    assert_eq!(store.debts().await.unwrap(), std::slice::from_ref(&started));
    store.settle_debt(&debt).await.unwrap();
    store.settle_debt(&debt).await.unwrap();
    store.update_debt(&started).await.unwrap();
    assert!(store.debts().await.unwrap().is_empty());
    // Once that has ended, one does, and the debt is gone with that.
    store.owe(&late_again, &debt).await.unwrap();
    store.update(&late_again, &with_state(&new.task, TaskState::Failed)).await.unwrap();
    store.create_task_instead(&other, &debt).await.unwrap();
    assert!(store.debts().await.unwrap().is_empty());
    assert_eq!(store.active_task(debt.domain).await.unwrap(), Some(TaskId(other.task.id)));
}
