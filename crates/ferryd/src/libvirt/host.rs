//! One real host: libvirt on the open connection, and, where there is ssh (or the host is this machine), its process table.

use std::sync::Arc;
use std::time::Duration;

use api::vm::VmState;
use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc};
use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::error::{HostError, LibvirtError, OPERATION_INVALID, OPERATION_UNSUPPORTED, XML_ERROR};
use super::link::Link;
use super::{call, ffi, files, qemu_monitor, redefine, snapshot_metadata, translate, usage, xml};
use crate::hypervisor::{
    CopyIdentity, DeathWatch, Digest, FileIdentity, FileSight, Hypervisor, MigrateCall, NewFile, Piece,
    Result, Snapshot, Span, Undefine,
};
use crate::model::domain::{
    Answer, Boot, DomainEvent, DomainSight, HostSight, JobFigures, Process, ProcessAnswer,
};
use crate::model::{DomainUuid, TaskId, Tenure};
use crate::ssh::scripts::{self, ProcessId, Watch};
use crate::ssh::{ConnectFailure, Session, Shell, classify};

/// How long the end of a QEMU may take before the call counts as unanswered: libvirt waits 15 s after SIGTERM and 30 s in all.
const DESTROY_LIMIT: Duration = Duration::from_secs(40);
/// Since which libvirt it is said of the state of a TPM whether it goes with a definition (`VIR_DOMAIN_UNDEFINE_TPM`, 8.9.0).
const KNOWS_TPM_FLAGS: u32 = 8_009_000;
/// How long a watcher may take to log in.
const WATCH_LIMIT: Duration = Duration::from_secs(20);

/// How long it may take to look through all that may use a file.
const USERS_LIMIT: Duration = Duration::from_secs(120);

/// Seconds between keep-alive probes to the destination of a direct migration, and how many may be missed: when it is gone, a frozen guest
/// goes on only once that connection is given up.
const DIRECT_KEEP_ALIVE: (u32, u32) = (2, 4);

/// The ports QEMU receives migrations on by default (qemu.conf's `migration_port_min` and `_max`).
pub const MIGRATION_PORTS: std::ops::RangeInclusive<u16> = 49152..=49215;

/// One registered host.
#[derive(Debug)]
pub struct LibvirtHost {
    link: Arc<Link>,
    session: Option<Arc<Session>>,
}

impl LibvirtHost {
    /// A host on this link; `shell` is where its commands run, if anywhere.
    #[must_use]
    pub fn new(link: Arc<Link>, shell: Option<Shell>) -> Self {
        Self { link, session: shell.map(|shell| Arc::new(Session::new(shell))) }
    }

    /// The link.
    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The shell that stays open, where the host offers one.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    async fn on_domain<T: Send + 'static>(
        &self,
        call: &'static str,
        domain: DomainUuid,
        work: impl FnOnce(&Domain) -> std::result::Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T> {
        self.link.call(call, move |connect| work(&lookup(connect, domain)?)).await
    }

    /// The QEMU of a domain and the host's boot, as the process table shows them.
    pub(super) async fn processes(&self, domain: DomainUuid) -> (ProcessAnswer, Option<Boot>) {
        let Some(session) = &self.session else { return (ProcessAnswer::Unknown, None) };
        let found = session.run(&scripts::find_qemu(domain.0), self.link.limits().call).await;
        let sighting = match found {
            Ok(output) if output.success() => scripts::parse_qemu(&output.stdout),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(host = self.link.host(), %error, "the process table could not be read");
                None
            }
        };
        let Some(sighting) = sighting else { return (ProcessAnswer::Unknown, None) };
        let process = sighting.processes.first().map_or(ProcessAnswer::None, |process| {
            ProcessAnswer::Running(Process { pid: process.pid, start_ticks: process.start_time })
        });
        (process, Some(Boot { id: sighting.boot_id.to_string(), age_ms: sighting.boot_age_ms }))
    }

    pub(super) fn shell_error(&self, what: &str, error: impl std::fmt::Display) -> HostError {
        HostError::Shell { host: self.link.host().to_owned(), what: format!("{what}: {error}") }
    }
}

pub(crate) fn lookup(connect: &Connect, domain: DomainUuid) -> std::result::Result<Domain, LibvirtError> {
    Ok(connect.lookup_domain_by_uuid(domain.0)?)
}

/// What libvirt says of a domain.
///
/// # Errors
/// What libvirt says.
pub(crate) fn sight(domain: &Domain) -> std::result::Result<DomainSight, LibvirtError> {
    let (state, reason) = ffi::domain_state(domain)?;
    let state = translate::state(state);
    let active = !matches!(state, VmState::Shutoff | VmState::Crashed);
    let job = match ffi::job_stats(domain) {
        Ok((kind, _)) => matches!(kind, 1 | 2),
        // Not running: no job. A domain that ended meanwhile is found by the next look.
        Err(error) if error.code == OPERATION_INVALID || !active => false,
        // A domain that is being received: only the source has the figures of that job.
        Err(error) if error.code == OPERATION_UNSUPPORTED => true,
        Err(error) => return Err(error),
    };
    let persistent = domain.is_persistent()?;
    Ok(DomainSight {
        state,
        reason: translate::reason(state, reason),
        persistent,
        autostart: persistent && domain.autostart()?,
        job,
        run: domain.id(),
    })
}

fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_no_domain() => Ok(()),
        other => other,
    }
}

#[async_trait]
impl Hypervisor for LibvirtHost {
    fn name(&self) -> &str {
        self.link.host()
    }

    async fn domain(&self, domain: DomainUuid) -> Answer {
        match self.on_domain("state", domain, sight).await {
            Ok(sight) => Answer::Present(sight),
            Err(error) if error.is_no_domain() => Answer::Absent,
            Err(error) => Answer::Unknown(error.cause()),
        }
    }

    async fn look(&self, domain: DomainUuid) -> HostSight {
        let (answer, (process, boot)) = tokio::join!(self.domain(domain), self.processes(domain));
        HostSight { domain: answer, process, boot }
    }

    async fn job(&self, domain: DomainUuid) -> Result<JobFigures> {
        self.on_domain("job statistics", domain, move |domain| {
            let (kind, params) = ffi::job_stats(domain)?;
            Ok(translate::job(kind, &params))
        })
        .await
    }

    async fn resume(&self, domain: DomainUuid) -> Result<()> {
        self.link
            .urgent_call("resume", move |connect| {
                let domain = &lookup(connect, domain)?;
                match domain.resume() {
                    Ok(()) => Ok(()),
                    // libvirt refuses to resume what runs: then there is nothing to do.
                    Err(error) => match ffi::domain_state(domain) {
                        Ok((state, _)) if translate::state(state) == VmState::Running => Ok(()),
                        _ => Err(error.into()),
                    },
                }
            })
            .await
    }

    async fn suspend(&self, domain: DomainUuid) -> Result<()> {
        self.link.urgent_call("suspend", move |connect| Ok(lookup(connect, domain)?.suspend()?)).await
    }

    async fn destroy(&self, domain: DomainUuid) -> Result<()> {
        let result = self
            .link
            .long_call_within("destroy", DESTROY_LIMIT, move |connect| {
                let domain = lookup(connect, domain)?;
                match domain.destroy() {
                    Ok(()) => Ok(()),
                    Err(error) => {
                        let error = LibvirtError::from(error);
                        // Not running: what was wanted.
                        if error.code == OPERATION_INVALID && !domain.is_active().unwrap_or(true) {
                            return Ok(());
                        }
                        Err(error)
                    }
                }
            })
            .await;
        gone_is_fine(result)
    }

    async fn undefine(&self, domain: DomainUuid, with: Undefine) -> Result<()> {
        let mut flags =
            if with.nvram { sys::VIR_DOMAIN_UNDEFINE_NVRAM } else { sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM };
        if with.snapshots {
            flags |=
                sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
        }
        if with.saved {
            flags |= sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE;
        }
        let result = self
            .link
            .call_apart("undefine", move |connect| {
                let tpm =
                    if with.tpm { sys::VIR_DOMAIN_UNDEFINE_TPM } else { sys::VIR_DOMAIN_UNDEFINE_KEEP_TPM };
                // An older libvirt does not take these flags, and removes the state of a TPM unasked.
                let flags = if connect.lib_version()? >= KNOWS_TPM_FLAGS { flags | tpm } else { flags };
                Ok(lookup(connect, domain)?.undefine_flags(flags)?)
            })
            .await;
        gone_is_fine(result)
    }

    async fn definition(&self, domain: DomainUuid) -> Result<String> {
        let flags =
            sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE | sys::VIR_DOMAIN_XML_MIGRATABLE;
        self.on_domain("definition", domain, move |domain| Ok(domain.xml_desc(flags)?)).await
    }

    async fn define(&self, xml: &str) -> Result<()> {
        let xml = xml.to_owned();
        self.link.call_apart("define", move |connect| Ok(connect.define_domain_xml(&xml).map(drop)?)).await
    }

    async fn define_copy(&self, domain: DomainUuid, copy: &CopyIdentity) -> Result<()> {
        let copy = copy.clone();
        // With everything in it, as [`Self::definition`].
        let flags = sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE;
        self.link
            .call_apart("define a copy", move |connect| {
                let original = lookup(connect, domain)?.xml_desc(flags)?;
                let xml = xml::copy(&original, &copy)
                    .map_err(|error| LibvirtError::of(XML_ERROR, error.to_string()))?;
                Ok(connect.define_domain_xml(&xml).map(drop)?)
            })
            .await
    }

    async fn snapshots(&self, domain: DomainUuid, secrets: bool) -> Result<Vec<Snapshot>> {
        self.on_domain("snapshots", domain, move |domain| snapshot_metadata::list(domain, secrets)).await
    }

    async fn forget_snapshots(&self, domain: DomainUuid, names: &[String]) -> Result<()> {
        let names = names.to_vec();
        let forget = move |connect: &Connect| snapshot_metadata::forget(&lookup(connect, domain)?, &names);
        self.link.call_apart("forget snapshots", forget).await
    }

    async fn redefine_snapshots(&self, domain: DomainUuid, snapshots: &[Snapshot]) -> Result<()> {
        let all = snapshots.to_vec();
        let redefine = move |connect: &Connect| snapshot_metadata::redefine(connect, domain, &all);
        self.link.call_apart("redefine snapshots", redefine).await
    }

    async fn set_autostart(&self, domain: DomainUuid, autostart: bool) -> Result<()> {
        let set = move |connect: &Connect| Ok(lookup(connect, domain)?.set_autostart(autostart)?);
        self.link.call_apart("autostart", set).await?;
        // libvirt has no event for this.
        self.link.tell(domain, DomainEvent::Other);
        Ok(())
    }

    async fn migrate(&self, domain: DomainUuid, call: &MigrateCall) -> Result<()> {
        let call = call.clone();
        self.link
            .long_call("migrate", move |connect| {
                let domain = lookup(connect, domain)?;
                call::in_time(&call)?;
                let mut params = call::params(&call);
                params.extend(redefine::params(&domain, &call)?);
                ffi::migrate_to_uri(&domain, Some(&call.peer_uri), &params, call::flags(&call))
            })
            .await
    }

    async fn migrate_direct(
        &self,
        domain: DomainUuid,
        call: &MigrateCall,
        destination: &dyn Hypervisor,
    ) -> Result<()> {
        let Some(there) = destination.libvirt() else {
            return Err(
                self.shell_error("migrating directly", "the destination has no libvirt to connect to")
            );
        };
        let call = call.clone();
        let (interval_s, count) = DIRECT_KEEP_ALIVE;
        let there = there.own_connection(interval_s, count).await?;
        self.link
            .long_call("migrate", move |connect| {
                let domain = lookup(connect, domain)?;
                call::in_time(&call)?;
                // What has not been finished on the destination goes with that connection, which is closed on this thread.
                let mut params = call::params(&call);
                params.extend(redefine::params(&domain, &call)?);
                ffi::migrate_between(&domain, &there, &params, call::flags(&call))
            })
            .await
    }

    fn libvirt(&self) -> Option<&Link> {
        Some(&self.link)
    }

    async fn max_bandwidth(&self, domain: DomainUuid) -> Result<u64> {
        self.on_domain("bandwidth", domain, |domain| Ok(domain.migrate_max_speed(0)?)).await
    }

    async fn set_max_bandwidth(&self, domain: DomainUuid, mib_s: u64) -> Result<()> {
        self.on_domain("limit the bandwidth", domain, move |domain| {
            Ok(domain.migrate_set_max_speed(mib_s, 0)?)
        })
        .await
    }

    async fn set_max_downtime(&self, domain: DomainUuid, downtime_ms: u64) -> Result<()> {
        self.on_domain("set the longest pause", domain, move |domain| {
            Ok(domain.migrate_set_max_downtime(downtime_ms, 0).map(drop)?)
        })
        .await
    }

    async fn start_post_copy(&self, domain: DomainUuid) -> Result<()> {
        self.on_domain("switch to post-copy", domain, ffi::start_post_copy).await
    }

    async fn abort_job(&self, domain: DomainUuid) -> Result<()> {
        // Was seen to block for as long as a lost connection takes to be noticed.
        self.link
            .long_call_within("abort", DESTROY_LIMIT, move |connect| {
                ffi::abort_job(&lookup(connect, domain)?)
            })
            .await
    }

    async fn watch_death(&self, domain: DomainUuid) -> Result<Option<DeathWatch>> {
        let Some(session) = self.session.clone() else { return Ok(None) };
        let (process, _) = self.processes(domain).await;
        let ProcessAnswer::Running(process) = process else {
            return Err(self.shell_error("watching the QEMU", "it is not in the process table"));
        };
        let watched = ProcessId { pid: process.pid, start_time: process.start_ticks };
        let mut lines = session
            .follow(&scripts::watch_death(watched), WATCH_LIMIT)
            .await
            .map_err(|error| self.shell_error("watching the QEMU", error))?;
        let first =
            lines.next(WATCH_LIMIT).await.map_err(|error| self.shell_error("watching the QEMU", error))?;
        if first.as_deref().and_then(Watch::parse) != Some(Watch::Watching) {
            return Err(self.shell_error("watching the QEMU", format!("it answered {first:?}")));
        }
        let host = self.link.host().to_owned();
        Ok(Some(Box::pin(async move {
            match lines.next_unlimited().await {
                Ok(Some(line)) if Watch::parse(&line) == Some(Watch::Gone) => {
                    // The hand-over does not wait for the script's end.
                    tokio::spawn(async move {
                        if let Ok(None) = lines.next(WATCH_LIMIT).await {
                            session.keep(lines).await;
                        }
                    });
                    Ok(())
                }
                other => {
                    Err(HostError::Shell { host, what: format!("the watch on the QEMU ended: {other:?}") })
                }
            }
        })))
    }

    async fn close_migration_sockets(
        &self,
        domain: DomainUuid,
        peer_uri: &str,
        ports: Option<(u16, u16)>,
    ) -> Result<Option<u32>> {
        self.close_sockets(domain, peer_uri, ports).await
    }

    async fn release_cancelled(&self, domain: DomainUuid) -> Result<bool> {
        // A QEMU that does not answer its monitor must not make its whole host look silent; so below.
        let wake = move |connect: &Connect| qemu_monitor::release_cancelled(&lookup(connect, domain)?);
        self.link.call_apart("wake its migration", wake).await
    }

    async fn limit_disk_copies(&self, domain: DomainUuid, mib_s: u64) -> Result<u32> {
        let limit =
            move |connect: &Connect| qemu_monitor::limit_disk_copies(&lookup(connect, domain)?, mib_s);
        self.link.call_apart("limit the copies of its disks", limit).await
    }

    async fn file(&self, task: TaskId, path: &str) -> Result<Option<FileSight>> {
        let path = path.to_owned();
        self.on_files("look at a file", move |connect| files::sight(connect, task, &path)).await
    }

    async fn make_file(&self, task: TaskId, file: &NewFile) -> Result<()> {
        let file = file.clone();
        self.on_files("make a file", move |connect| files::make(connect, task, &file)).await
    }

    async fn identity(&self, task: TaskId, path: &str) -> Result<Option<FileIdentity>> {
        let Some(sight) = self.file(task, path).await? else { return Ok(None) };
        Ok(Some(FileIdentity { node: self.node_of(path).await?, sight }))
    }

    async fn users_of(
        &self,
        task: TaskId,
        domain: DomainUuid,
        paths: &[String],
    ) -> Result<Vec<(String, String)>> {
        let paths = paths.to_vec();
        self.link
            .long_call_within("who uses files", USERS_LIMIT, move |connect| {
                usage::users_of(connect, task, domain, &paths)
            })
            .await
    }

    async fn remove_file(&self, task: TaskId, path: &str) -> Result<()> {
        let path = path.to_owned();
        self.on_files("remove a file", move |connect| files::remove(connect, task, &path)).await
    }

    async fn read_file(&self, task: TaskId, path: &str, span: Span, sink: mpsc::Sender<Piece>) -> Result<()> {
        let path = path.to_owned();
        self.link
            .long_call("read a file", move |connect| files::read(connect, task, &path, span, &sink))
            .await
    }

    async fn write_file(
        &self,
        task: TaskId,
        path: &str,
        span: Span,
        pieces: mpsc::Receiver<Piece>,
        tenure: Tenure,
    ) -> Result<()> {
        self.write_pieces(task, path, span, (pieces, tenure)).await
    }

    async fn digest(&self, task: TaskId, path: &str, span: Span) -> Result<Digest> {
        self.sum_of(task, path, span).await
    }

    async fn flatten_file(&self, _task: TaskId, from: &str, into: &NewFile) -> Result<()> {
        self.flatten(from, into).await
    }

    async fn release_pools(&self, task: TaskId) -> Result<()> {
        let ended = self.on_files("storage pools", move |connect| files::end_pools(connect, task)).await?;
        self.remove_empty_tpm_directories(&ended).await
    }

    fn events(&self) -> broadcast::Receiver<(DomainUuid, DomainEvent)> {
        self.link.events()
    }
}

/// What kind of failure kept a host from answering, for the checks and for people.
#[must_use]
pub fn failure_of(error: &HostError) -> ConnectFailure {
    match error {
        HostError::TimedOut { .. } => ConnectFailure::NotAnswering,
        other => classify(&other.cause()),
    }
}
