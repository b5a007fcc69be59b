//! libvirt's numbers and figures in Ferry's words. The numbers are those of libvirt's public enumerations
//! (`virDomainState`, `virDomain*Reason`, `virDomainEventType`), which never change.

use api::vm::VmState;

use super::ffi::{RawEvent, TypedParams, TypedValue};
use crate::model::DomainUuid;
use crate::model::domain::{DomainEvent, JobFigures, Reason};

/// `virDomainState`.
#[must_use]
pub fn state(number: i32) -> VmState {
    match number {
        1 => VmState::Running,
        2 => VmState::Blocked,
        3 => VmState::Paused,
        4 => VmState::Shutdown,
        5 => VmState::Shutoff,
        6 => VmState::Crashed,
        7 => VmState::PmSuspended,
        _ => VmState::NoState,
    }
}

/// The reason that goes with a state.
#[must_use]
pub fn reason(state: VmState, number: i32) -> Reason {
    match (state, number) {
        (VmState::Running, 2) | (VmState::Shutoff, 4) => Reason::Migrated,
        (VmState::Running, 6) => Reason::MigrationCanceled,
        (VmState::Running, 10) | (VmState::Paused, 12) => Reason::PostCopy,
        (VmState::Running, 11) | (VmState::Paused, 13) => Reason::PostCopyFailed,
        (VmState::Paused, 1) => Reason::User,
        // 11 is "starting up": an incoming domain whose QEMU has just been started.
        (VmState::Paused, 2 | 11) => Reason::Migrating,
        (VmState::Shutoff, 1 | 2) => Reason::Ended,
        (VmState::Shutoff, 3) | (VmState::Crashed, _) => Reason::Crashed,
        _ => Reason::Other,
    }
}

/// The figures of a job: `kind` is its `virDomainJobType`.
#[must_use]
pub fn job(kind: i32, params: &TypedParams) -> JobFigures {
    let figure = |name: &str| params.get(name).and_then(TypedValue::as_u64);
    let page_bytes = figure("memory_page_size").unwrap_or(4096);
    JobFigures {
        active: matches!(kind, 1 | 2),
        elapsed_ms: figure("time_elapsed").unwrap_or(0),
        downtime_ms: figure("downtime"),
        memory_processed_bytes: figure("memory_processed").unwrap_or(0),
        memory_remaining_bytes: figure("memory_remaining").unwrap_or(0),
        memory_total_bytes: figure("memory_total").unwrap_or(0),
        data_processed_bytes: figure("data_processed").unwrap_or(0),
        disk_processed_bytes: figure("disk_processed").unwrap_or(0),
        disk_total_bytes: figure("disk_total").filter(|total| *total > 0),
        memory_bytes_s: figure("memory_bps").unwrap_or(0),
        dirty_bytes_s: figure("memory_dirty_rate").unwrap_or(0).saturating_mul(page_bytes),
        iteration: figure("memory_iteration").unwrap_or(0),
    }
}

/// An event, with the domain it is about; none for those that are not about a domain.
#[must_use]
pub fn event(raw: RawEvent) -> Option<(DomainUuid, DomainEvent)> {
    match raw {
        RawEvent::Lifecycle { uuid, event, detail } => Some((DomainUuid(uuid), lifecycle(event, detail))),
        RawEvent::Iteration { uuid, iteration } => {
            Some((DomainUuid(uuid), DomainEvent::Iteration(iteration)))
        }
        RawEvent::JobCompleted { uuid, params } => {
            let figures = job(3, &params);
            Some((DomainUuid(uuid), DomainEvent::JobCompleted(figures)))
        }
        RawEvent::Changed { uuid } => Some((DomainUuid(uuid), DomainEvent::Other)),
        RawEvent::Closed { .. } => None,
    }
}

fn lifecycle(event: i32, detail: i32) -> DomainEvent {
    match (event, detail) {
        (0, _) => DomainEvent::Defined,
        (1, _) => DomainEvent::Undefined,
        (2, _) => DomainEvent::Started,
        (3, 1) => DomainEvent::SuspendedMigrated,
        (3, _) => DomainEvent::Suspended,
        (4, _) => DomainEvent::Resumed,
        (5, 3) => DomainEvent::StoppedMigrated,
        (5, _) => DomainEvent::Stopped,
        _ => DomainEvent::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_decide_ownership() {
        for (number, detail, expected) in [
            (1, 2, Reason::Migrated),
            (1, 6, Reason::MigrationCanceled),
            (1, 1, Reason::Other),
            (3, 1, Reason::User),
            (3, 2, Reason::Migrating),
            (3, 13, Reason::PostCopyFailed),
            (5, 4, Reason::Migrated),
            (5, 1, Reason::Ended),
            (5, 3, Reason::Crashed),
            (5, 0, Reason::Other),
        ] {
            assert_eq!(reason(state(number), detail), expected, "{number}/{detail}");
        }
    }

    #[test]
    fn dirty_rate_is_pages_times_page_size() {
        let params = TypedParams::from([
            ("memory_dirty_rate".to_owned(), TypedValue::UInt(100)),
            ("memory_page_size".to_owned(), TypedValue::UInt(4096)),
        ]);
        assert_eq!(job(2, &params).dirty_bytes_s, 409_600);
        assert!(job(2, &params).active);
        assert!(!job(0, &TypedParams::new()).active);
    }
}
