//! The seam between the migration engine and the hosts. It has two implementations: real hosts under libvirt
//! ([`crate::libvirt::host`]) and simulated ones that explore many histories.
//!
//! Whoever implements it keeps these promises:
//! * an answer "absent" comes only from a live daemon that was asked; no answer is [`Answer::Unknown`];
//! * every call ends within its own time limit, except [`Hypervisor::migrate`], which ends when libvirt's does;
//! * a call that timed out may still take effect later.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::libvirt::error::HostError;
use crate::model::DomainUuid;
use crate::model::domain::{Answer, DomainEvent, HostSight, JobFigures};

/// Result of a call to a host.
pub type Result<T> = std::result::Result<T, HostError>;

/// How a domain is sent; all the flags of libvirt that Ferry uses, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrateCall {
    /// URI by which the source's libvirt reaches the destination's.
    pub peer_uri: String,
    /// Arrive paused (`VIR_MIGRATE_PAUSED`): the destination runs only when the controller says so.
    pub arrive_paused: bool,
    /// Define it on the destination (`VIR_MIGRATE_PERSIST_DEST`) and undefine it on the source
    /// (`VIR_MIGRATE_UNDEFINE_SOURCE`); off for a transient domain.
    pub persistent: bool,
    /// Send everything through libvirt's own connection (`VIR_MIGRATE_TUNNELLED`).
    pub tunnelled: bool,
    /// The disks were proven to be the same on both hosts: libvirt need not refuse those whose file system it does not know as
    /// shared (`VIR_MIGRATE_UNSAFE`).
    pub sharing_proven: bool,
    /// Upper limit of the bandwidth in MiB/s.
    pub bandwidth_mib_s: Option<u64>,
}

/// Resolves once the source's QEMU process is proven dead; an error means that the watcher was lost, which proves nothing.
pub type DeathWatch = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One host.
#[async_trait]
pub trait Hypervisor: Send + Sync + 'static {
    /// The registered name.
    fn name(&self) -> &str;

    /// libvirt's answer about a domain: one quick question on the open connection.
    async fn domain(&self, domain: DomainUuid) -> Answer;
    /// Everything that can be seen of a domain: libvirt's answer, the process table's, the boot.
    async fn look(&self, domain: DomainUuid) -> HostSight;
    /// Figures of the domain's job.
    async fn job(&self, domain: DomainUuid) -> Result<JobFigures>;

    /// Resumes a paused domain.
    async fn resume(&self, domain: DomainUuid) -> Result<()>;
    /// Pauses a domain.
    async fn suspend(&self, domain: DomainUuid) -> Result<()>;
    /// Ends a domain's QEMU. "No such domain" and "not running" are success.
    async fn destroy(&self, domain: DomainUuid) -> Result<()>;
    /// Removes a domain's definition, keeping everything it refers to. "No such domain" is success.
    async fn undefine(&self, domain: DomainUuid) -> Result<()>;
    /// The definition that a domain has for its next start, with everything in it that another host needs, secrets too: it is
    /// handed on, and neither stored nor logged.
    async fn definition(&self, domain: DomainUuid) -> Result<String>;
    /// Defines a domain.
    async fn define(&self, xml: &str) -> Result<()>;
    /// Sets whether a persistent domain starts with the host.
    async fn set_autostart(&self, domain: DomainUuid, autostart: bool) -> Result<()>;

    /// Sends the domain away; ends when libvirt's call ends. Its result is not where the domain is: look at both hosts.
    async fn migrate(&self, domain: DomainUuid, call: &MigrateCall) -> Result<()>;
    /// Sets the longest pause allowed for the migration under way.
    async fn set_max_downtime(&self, domain: DomainUuid, downtime_ms: u64) -> Result<()>;
    /// Aborts the domain's job.
    async fn abort_job(&self, domain: DomainUuid) -> Result<()>;
    /// Watches the domain's QEMU die. Ready to miss nothing when this returns; none where the host offers no shell.
    async fn watch_death(&self, domain: DomainUuid) -> Result<Option<DeathWatch>>;
    /// Closes the connections of the migration under way to the other host, so that a QEMU that waits for a host that is gone
    /// gives up at once; the number of connections closed, none where the host offers no shell. `ports`: where the other host
    /// receives migrations, first and last, if not on libvirt's usual ones.
    async fn close_migration_sockets(
        &self,
        domain: DomainUuid,
        peer_uri: &str,
        ports: Option<(u16, u16)>,
    ) -> Result<Option<u32>>;

    /// What the host tells by itself, of all domains, from now on. A receiver that lags has missed some: ask then.
    fn events(&self) -> broadcast::Receiver<(DomainUuid, DomainEvent)>;
}
