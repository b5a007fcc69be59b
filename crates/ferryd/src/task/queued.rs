//! A task as it begins.

use api::task::{Phase, Task, TaskKind, TaskState};

use crate::model::{DomainUuid, TaskId};

/// A task that waits for its turn, with nothing done of it yet. `way` is from which host to which; one that moves nothing has the same
/// twice.
#[must_use]
pub fn queued(
    id: TaskId,
    kind: TaskKind,
    (vm, domain): (&str, DomainUuid),
    (source, destination): (&str, &str),
    message: String,
    now_ms: u64,
) -> Task {
    Task {
        id: id.0,
        kind,
        state: TaskState::Queued,
        phase: Phase::Queued,
        message,
        cause: None,
        vm: vm.to_owned(),
        vm_uuid: domain.0,
        source: source.to_owned(),
        destination: destination.to_owned(),
        made: None,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        ended_at_ms: None,
        progress: None,
        bandwidth_mib_s: None,
        outcome: None,
        findings: Vec::new(),
        choices: Vec::new(),
        offers: Vec::new(),
    }
}
