//! A source that waits for a host that is gone: the connections by which it does are closed.

use super::host::{LibvirtHost, MIGRATION_PORTS};
use crate::hypervisor::Result;
use crate::model::DomainUuid;
use crate::model::domain::ProcessAnswer;
use crate::ssh::LibvirtUri;
use crate::ssh::scripts;

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
