//! A source whose migration hangs: what it waits for is taken from it.

use serde_json::{Value, json};
use virt::domain::Domain;

use super::error::LibvirtError;
use super::host::{LibvirtHost, MIGRATION_PORTS};
use crate::hypervisor::Result;
use crate::model::DomainUuid;
use crate::model::domain::ProcessAnswer;
use crate::ssh::LibvirtUri;
use crate::ssh::scripts;

/// How QEMU calls the state of a migration that it was told to give up, and has not yet (`MigrationStatus`).
const CANCELLING: &str = "cancelling";

impl LibvirtHost {
    /// Does [`close_migration_sockets`](crate::hypervisor::Hypervisor::close_migration_sockets).
    pub(super) async fn close_sockets(
        &self,
        domain: DomainUuid,
        peer_uri: &str,
        ports: Option<(u16, u16)>,
    ) -> Result<Option<u32>> {
        let Some(session) = self.session() else { return Ok(None) };
        // Without the query, which says how to log in and not where.
        let plain = peer_uri.split('?').next().unwrap_or_default();
        let Some(peer) = plain.parse::<LibvirtUri>().ok().and_then(|uri| uri.host().map(str::to_owned))
        else {
            return Ok(None);
        };
        let (process, _) = self.processes(domain).await;
        let failed =
            |error: &dyn std::fmt::Display| self.shell_error("closing the migration's connections", error);
        let process = match process {
            ProcessAnswer::Running(process) => process,
            ProcessAnswer::None => return Ok(Some(0)),
            ProcessAnswer::Unknown => return Err(failed(&"the process table could not be read")),
        };
        let ports = ports.map_or(MIGRATION_PORTS, |(first, last)| first..=last);
        let script = scripts::break_off(process.pid, &peer, ports);
        let output = session.run(&script, self.link().limits().call).await.map_err(|error| failed(&error))?;
        match scripts::parse_closed(&output.stdout) {
            Some(sockets) if sockets.kept == 0 => Ok(Some(u32::try_from(sockets.closed).unwrap_or(u32::MAX))),
            Some(sockets) => Err(failed(&format!("{} of them could not be closed", sockets.kept))),
            None => Err(failed(&output.stdout.trim())),
        }
    }
}

/// Does [`release_cancelled`](crate::hypervisor::Hypervisor::release_cancelled).
///
/// QEMU's migration thread pauses before the switch-over until it is told to go on (`migrate-continue`), and `migrate_cancel` wakes it
/// there. Told in the moment in which the thread has looked whether it was cancelled, and does not wait yet, it wakes nobody: the thread
/// waits for ever, in the state `cancelling`, and libvirt with it for that state's end (`qemuMigrationSrcCancel`); seen with QEMU 7.2. To
/// continue in just this state is what wakes it; the migration is given up all the same, for QEMU leaves `cancelling` only for its end.
/// In any other state QEMU refuses it, so that nothing can go on that was not to.
pub(super) fn release_cancelled(domain: &Domain) -> std::result::Result<bool, LibvirtError> {
    let ask = |command: Value| -> std::result::Result<Value, LibvirtError> {
        let said = domain.qemu_monitor_command(&command.to_string(), 0)?;
        Ok(serde_json::from_str(&said).unwrap_or_default())
    };
    let migration = ask(json!({ "execute": "query-migrate" }))?;
    if migration["return"]["status"] != CANCELLING {
        return Ok(false);
    }
    let answer = ask(json!({ "execute": "migrate-continue", "arguments": { "state": CANCELLING } }))?;
    // Refused, it has ended meanwhile.
    Ok(answer.get("return").is_some())
}
