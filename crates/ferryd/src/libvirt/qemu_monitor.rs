//! What libvirt has no call for, or none while a domain migrates, and QEMU can be told by its monitor through libvirt (a query to it,
//! which it answers also while a job is under way). libvirt marks the domain for as long as it runs as one to
//! whose QEMU somebody spoke (`custom-monitor`, in its log and in `virsh dominfo`), therefore only what cannot be had otherwise.

use serde_json::{Value, json};
use virt::domain::Domain;

use super::error::{INTERNAL_ERROR, LibvirtError};

type Result<T> = std::result::Result<T, LibvirtError>;

/// How QEMU calls the state of a migration that it was told to give up, and has not yet (`MigrationStatus`).
const CANCELLING: &str = "cancelling";

/// What QEMU answers to a command: with `return`, or with `error` where it refuses.
fn ask(domain: &Domain, command: &Value) -> Result<Value> {
    let said = domain.qemu_monitor_command(&command.to_string(), 0)?;
    Ok(serde_json::from_str(&said).unwrap_or_default())
}

/// Does [`release_cancelled`](crate::hypervisor::Hypervisor::release_cancelled).
///
/// QEMU's migration thread pauses before the switch-over until it is told to go on (`migrate-continue`), and `migrate_cancel` wakes it
/// there. Told in the moment in which the thread has looked whether it was cancelled, and does not wait yet, it wakes nobody: the thread
/// waits for ever, in the state `cancelling`, and libvirt with it for that state's end (`qemuMigrationSrcCancel`); seen with QEMU 7.2. To
/// continue in just this state is what wakes it; the migration is given up all the same, for QEMU leaves `cancelling` only for its end.
/// In any other state QEMU refuses it, so that nothing can go on that was not to.
pub(super) fn release_cancelled(domain: &Domain) -> Result<bool> {
    let migration = ask(domain, &json!({ "execute": "query-migrate" }))?;
    if migration["return"]["status"] != CANCELLING {
        return Ok(false);
    }
    let answer =
        ask(domain, &json!({ "execute": "migrate-continue", "arguments": { "state": CANCELLING } }))?;
    // Refused, it has ended meanwhile.
    Ok(answer.get("return").is_some())
}

/// Does [`limit_disk_copies`](crate::hypervisor::Hypervisor::limit_disk_copies).
///
/// `virDomainBlockJobSetSpeed` waits for the migration to end.
pub(super) fn limit_disk_copies(domain: &Domain, mib_s: u64) -> Result<u32> {
    let jobs = ask(domain, &json!({ "execute": "query-block-jobs" }))?;
    let Some(jobs) = jobs["return"].as_array() else {
        let said = jobs["error"]["desc"].as_str().unwrap_or("no answer that can be read");
        return Err(LibvirtError::of(INTERNAL_ERROR, format!("query-block-jobs: {said}")));
    };
    let copies = jobs.iter().filter(|job| job["type"] == "mirror");
    let mut limited = 0;
    for job in copies {
        let arguments = json!({ "device": job["device"], "speed": mib_s << 20 });
        let answer = ask(domain, &json!({ "execute": "block-job-set-speed", "arguments": arguments }))?;
        // Refused, it has ended meanwhile.
        limited += u32::from(answer.get("return").is_some());
    }
    Ok(limited)
}
