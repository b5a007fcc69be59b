//! Things that a `ferryd` would say.

use api::event::Event;
use api::finding::{Finding, Remedy, Severity};
use api::host::{Host, HostInfo, HostState};
use api::task::{Location, Outcome, Phase, Progress, Task, TaskKind, TaskState};
use api::vm::{Vm, VmState};
use uuid::Uuid;

use crate::server::Reply;

/// The id of [`task`].
pub(crate) const ID: &str = "0198c0a1-b2c3-7000-8000-000000000001";

pub(crate) fn task(state: TaskState, phase: Phase, message: &str) -> Task {
    Task {
        id: ID.parse().unwrap(),
        kind: TaskKind::Migration,
        state,
        phase,
        message: message.to_owned(),
        cause: None,
        vm: "web1".to_owned(),
        vm_uuid: Uuid::from_u128(7),
        source: "kvm1".to_owned(),
        destination: "kvm2".to_owned(),
        made: None,
        created_at_ms: 1_000_000,
        updated_at_ms: 1_000_000,
        ended_at_ms: None,
        progress: None,
        bandwidth_mib_s: None,
        outcome: None,
        findings: vec![],
        choices: vec![],
        offers: vec![],
    }
}

pub(crate) fn queued() -> Task {
    task(TaskState::Queued, Phase::Queued, "Waiting for its turn.")
}

pub(crate) fn copying() -> Task {
    let mut task = task(TaskState::Running, Phase::Copy, "Memory is copied to kvm2.");
    task.progress = Some(Progress {
        elapsed_ms: 800,
        memory_processed_bytes: 212 << 20,
        memory_remaining_bytes: 44 << 20,
        memory_total_bytes: 256 << 20,
        memory_bytes_s: 310 << 20,
        dirty_bytes_s: 12 << 20,
        iteration: 2,
        expected_downtime_ms: Some(30),
        ..Progress::default()
    });
    task
}

/// The end of [`task`].
pub(crate) fn ended(state: TaskState, location: Location, message: &str) -> Task {
    let mut task = task(state, Phase::Ended, message);
    task.updated_at_ms = 1_002_310;
    task.ended_at_ms = Some(1_002_310);
    task.outcome = Some(Outcome {
        location,
        total_ms: 2310,
        downtime_ms: (state == TaskState::Done).then_some(23),
        transferred_bytes: Some(268 << 20),
        iterations: Some(2),
        memory_lost: false,
    });
    task
}

pub(crate) fn done() -> Task {
    ended(TaskState::Done, Location::Destination, "web1 runs on kvm2.")
}

pub(crate) fn needs_attention() -> Task {
    let message = "Both hosts have a copy of web1; neither runs.";
    let mut task = ended(TaskState::NeedsAttention, Location::Both, message);
    task.choices = vec![
        format!("ferry task resolve {ID} --keep source"),
        format!("ferry task resolve {ID} --keep destination"),
    ];
    task
}

/// An event as it stands in the stream.
pub(crate) fn event(id: i64, task: &Task) -> String {
    let event = Event { id, at_ms: task.updated_at_ms, task_id: task.id, task: task.clone() };
    format!("id: {id}\nevent: task\ndata: {}\n\n", serde_json::to_string(&event).unwrap())
}

/// `POST /migrations` taken.
pub(crate) fn accepted() -> (&'static str, Reply) {
    ("POST /api/v1/migrations", Reply::json(202, &queued()))
}

/// The stream of these tasks, numbered from 1; then it breaks off.
pub(crate) fn stream(tasks: &[Task]) -> (&'static str, Reply) {
    ("GET /api/v1/events", Reply::events((1..).zip(tasks).map(|(id, task)| event(id, task))))
}

pub(crate) fn host(name: &str) -> Host {
    Host {
        name: name.to_owned(),
        uri: format!("qemu+ssh://root@{name}/system"),
        peer_uri: None,
        migrate_via: None,
        state: HostState::Connected,
        problem: None,
        info: Some(HostInfo {
            hostname: format!("{name}.example"),
            uuid: Uuid::from_u128(1),
            hypervisor: "QEMU".to_owned(),
            architecture: "x86_64".to_owned(),
            libvirt_version: "9.0.0".to_owned(),
            hypervisor_version: "7.2.22".to_owned(),
            cpus: 8,
            memory_bytes: 16 << 30,
        }),
        vms_running: 1,
        vms_total: 2,
    }
}

pub(crate) fn vm(name: &str) -> Vm {
    Vm {
        name: name.to_owned(),
        uuid: Uuid::from_u128(7),
        host: "kvm1".to_owned(),
        state: VmState::Running,
        persistent: true,
        autostart: false,
        vcpus: 2,
        max_memory_bytes: 256 << 20,
        memory_bytes: 256 << 20,
        cpu_time_ns: 1_000_000_000,
        task: None,
    }
}

pub(crate) fn finding(severity: Severity) -> Finding {
    Finding {
        code: "uuid-taken".to_owned(),
        severity,
        subject: "host kvm2".to_owned(),
        message: "It has a virtual machine of the same UUID.".to_owned(),
        evidence: "00000000-0000-0000-0000-000000000007 is old1 there".to_owned(),
        remedy: Some(Remedy {
            text: "Remove the old one.".to_owned(),
            command: Some("virsh undefine old1".to_owned()),
            host: Some("kvm2".to_owned()),
        }),
        cost: None,
    }
}
