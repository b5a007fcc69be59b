//! One simulated host behind the engine's seam, as one controller sees it.

use std::sync::Arc;

use api::vm::VmState;
use async_trait::async_trait;
use ferryd::hypervisor::{
    CopyIdentity, DeathWatch, Digest, FileIdentity, FileSight, Hypervisor, MigrateCall, NewFile, Piece,
    Result, Snapshot, Span, Undefine,
};
use ferryd::libvirt::error::HostError;
use ferryd::libvirt::link::Link;
use ferryd::model::domain::{
    Answer, Boot, DomainEvent, DomainSight, HostSight, JobFigures, ProcessAnswer, Reason,
};
use ferryd::model::{DomainUuid, TaskId, Tenure};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Duration, Instant};

use crate::gate::Gate;
use crate::plant::Plant;
use crate::world::host::Watcher;
use crate::world::links::Reply;
use crate::world::{Ms, NAMES, Stage, World};

/// Limits as ferryd sets them by default.
const CALL_LIMIT: Ms = 5_000;
const LONG_LIMIT: Ms = 40_000;
const FILE_LIMIT: Ms = 30_000;
const WATCH_LIMIT: Ms = 20_000;
/// A look at the process table of a host that does not answer is tried again this often.
const SHELL_RETRY: Ms = 250;

/// A host, through one controller's gate and connections.
#[derive(Debug)]
pub struct SimHost {
    stage: Stage,
    gate: Arc<Gate>,
    controller: usize,
    host: usize,
    plant: Option<Plant>,
}

impl SimHost {
    /// The host as this controller sees it.
    #[must_use]
    pub fn new(stage: Stage, gate: Arc<Gate>, controller: usize, host: usize, plant: Option<Plant>) -> Self {
        Self { stage, gate, controller, host, plant }
    }

    fn unreachable(&self) -> HostError {
        HostError::Unreachable {
            host: NAMES[self.host].to_owned(),
            reason: "the connection was lost".to_owned(),
        }
    }

    fn shell_error(&self, what: &str) -> HostError {
        HostError::Shell { host: NAMES[self.host].to_owned(), what: what.to_owned() }
    }

    /// One call: it goes out, takes effect whatever becomes of its caller, and its answer comes back, or not.
    async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        limit: Option<Ms>,
        act: impl FnOnce(&mut World, usize, Reply<T>) + Send + 'static,
    ) -> Result<T> {
        self.gate.pass().await;
        let host = self.host;
        let lasts = limit.is_none();
        let pending = self.stage.with(|world| {
            world.ask(self.controller, host, lasts, move |world, reply| act(world, host, reply))
        });
        let Some(mut pending) = pending else { return Err(self.unreachable()) };
        let limit = Duration::from_millis(limit.unwrap_or(1 << 40));
        let answer = tokio::select! {
            biased;
            Ok(told) = &mut pending.answer => {
                told.map_err(|source| HostError::Libvirt { host: NAMES[host].to_owned(), call: name, source })
            }
            () = pending.life.ends() => Err(self.unreachable()),
            () = tokio::time::sleep(limit) => Err(HostError::timed_out(NAMES[host], name, limit)),
        };
        if let Err(error) = &answer {
            self.stage
                .with(|world| world.tell(|| format!("controller {}: {name}: {error:?}", self.controller)));
        }
        self.gate.pass().await;
        answer
    }

    /// A call that the host carries out at once.
    async fn order(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut World, usize) -> crate::world::links::Told<()> + Send + 'static,
    ) -> Result<()> {
        self.call(name, Some(CALL_LIMIT), move |world, host, reply| {
            let told = act(world, host);
            reply.send(world, told);
        })
        .await
    }

    /// Waits until the shell answers, at most so long.
    async fn shell<T>(&self, limit: Ms, read: impl Fn(&mut World) -> T) -> Option<T> {
        self.gate.pass().await;
        let until = Instant::now() + Duration::from_millis(limit);
        let answer = loop {
            let told = self.stage.with(|world| world.hosts[self.host].reachable().then(|| read(world)));
            if told.is_some() || Instant::now() >= until {
                break told;
            }
            tokio::time::sleep(Duration::from_millis(SHELL_RETRY)).await;
        };
        let delay = self.stage.with(|world| world.dice.between(1, 4));
        tokio::time::sleep(Duration::from_millis(delay)).await;
        self.gate.pass().await;
        answer
    }

    /// A sight as it is told; otherwise where that mistake is planted.
    fn told_of(&self, sight: DomainSight) -> DomainSight {
        let apart = matches!(sight.reason, Reason::PostCopy | Reason::PostCopyFailed);
        match sight.state {
            VmState::Paused if apart && self.plant == Some(Plant::Halves) => {
                DomainSight { reason: Reason::Migrating, ..sight }
            }
            _ => sight,
        }
    }

    fn has_shell(&self) -> bool {
        self.stage.with(|world| world.scenario.shell)
    }

    async fn processes(&self) -> (ProcessAnswer, Option<Boot>) {
        if !self.has_shell() {
            return (ProcessAnswer::Unknown, None);
        }
        let host = self.host;
        let read = |world: &mut World| {
            let host_now = &world.hosts[host];
            let boot = Boot {
                id: format!("boot-{host}-{}", host_now.boot),
                // All was on long before the history began.
                age_ms: world.now - host_now.booted_at + if host_now.boot == 1 { 1_000_000 } else { 0 },
            };
            (world.process(host), boot)
        };
        match self.shell(CALL_LIMIT, read).await {
            None => (ProcessAnswer::Unknown, None),
            Some((process, boot)) => {
                let process = process.map_or(ProcessAnswer::None, ProcessAnswer::Running);
                (process, Some(boot))
            }
        }
    }
}

fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_no_domain() => Ok(()),
        other => other,
    }
}

#[async_trait]
impl Hypervisor for SimHost {
    fn name(&self) -> &str {
        NAMES[self.host]
    }

    async fn domain(&self, domain: DomainUuid) -> Answer {
        let told: Result<Option<DomainSight>> = self
            .call("state", Some(CALL_LIMIT), move |world, host, reply| {
                let sight = world.sight(host, domain);
                world.people_told(host);
                reply.send(world, Ok(sight));
            })
            .await;
        match told {
            Ok(Some(sight)) => Answer::Present(self.told_of(sight)),
            Ok(None) => Answer::Absent,
            Err(_) if self.plant == Some(Plant::Absent) => Answer::Absent,
            Err(error) => Answer::Unknown(error.cause()),
        }
    }

    async fn look(&self, domain: DomainUuid) -> HostSight {
        let (answer, (process, boot)) = tokio::join!(self.domain(domain), self.processes());
        HostSight { domain: answer, process, boot }
    }

    async fn job(&self, domain: DomainUuid) -> Result<JobFigures> {
        self.call("job statistics", Some(CALL_LIMIT), move |world, host, reply| {
            world.job(host, reply, domain)
        })
        .await
    }

    async fn resume(&self, domain: DomainUuid) -> Result<()> {
        self.call("resume", Some(CALL_LIMIT), move |world, host, reply| world.resume(host, reply, domain, 0))
            .await
    }

    async fn suspend(&self, domain: DomainUuid) -> Result<()> {
        self.order("suspend", move |world, host| world.suspend(host, domain)).await
    }

    async fn destroy(&self, domain: DomainUuid) -> Result<()> {
        self.gate.pass().await;
        let asked_at = self.stage.with(|world| world.now);
        let act = move |world: &mut World, host, reply| world.destroy(host, reply, domain, asked_at);
        gone_is_fine(self.call("destroy", Some(LONG_LIMIT), act).await)
    }

    async fn undefine(&self, domain: DomainUuid, _with: Undefine) -> Result<()> {
        gone_is_fine(self.order("undefine", move |world, host| world.undefine(host, domain)).await)
    }

    async fn definition(&self, domain: DomainUuid) -> Result<String> {
        self.call("definition", Some(CALL_LIMIT), move |world, host, reply| {
            let told = world.definition(host, domain);
            reply.send(world, told);
        })
        .await
    }

    async fn define(&self, _xml: &str) -> Result<()> {
        self.order("define", |world, host| {
            world.spares_definition(host, "replaced");
            world.definition_changes(host);
            world.define(host)
        })
        .await
    }

    async fn define_copy(&self, domain: DomainUuid, copy: &CopyIdentity) -> Result<()> {
        let copy = copy.clone();
        self.order("define a copy", move |world, host| world.define_copy(host, domain, copy)).await
    }

    async fn snapshots(&self, _domain: DomainUuid, _secrets: bool) -> Result<Vec<Snapshot>> {
        Ok(Vec::new())
    }

    async fn forget_snapshots(&self, _domain: DomainUuid, _names: &[String]) -> Result<()> {
        Ok(())
    }

    async fn redefine_snapshots(&self, _domain: DomainUuid, _snapshots: &[Snapshot]) -> Result<()> {
        Ok(())
    }

    async fn set_autostart(&self, domain: DomainUuid, autostart: bool) -> Result<()> {
        self.order("autostart", move |world, host| world.set_autostart(host, domain, autostart)).await
    }

    async fn migrate(&self, _domain: DomainUuid, call: &MigrateCall) -> Result<()> {
        let mut call = call.clone();
        // The planted mistake: it runs on arrival.
        call.arrive_paused &= self.plant != Some(Plant::PausedFlag);
        self.call("migrate", None, move |world, host, reply| world.migrate(host, reply, call)).await
    }

    async fn migrate_direct(
        &self,
        _domain: DomainUuid,
        call: &MigrateCall,
        _destination: &dyn Hypervisor,
    ) -> Result<()> {
        let (mut call, controller) = (call.clone(), self.controller);
        call.arrive_paused &= self.plant != Some(Plant::PausedFlag);
        self.call("migrate", None, move |world, host, reply| {
            world.migrate_direct(host, reply, call, controller)
        })
        .await
    }

    fn libvirt(&self) -> Option<&Link> {
        None
    }

    async fn max_bandwidth(&self, domain: DomainUuid) -> Result<u64> {
        self.call("bandwidth", Some(CALL_LIMIT), move |world, host, reply| {
            let told = world.max_bandwidth(host, domain);
            reply.send(world, told);
        })
        .await
    }

    async fn set_max_bandwidth(&self, domain: DomainUuid, mib_s: u64) -> Result<()> {
        self.order("limit the bandwidth", move |world, host| world.set_max_bandwidth(host, domain, mib_s))
            .await
    }

    async fn limit_disk_copies(&self, _domain: DomainUuid, _mib_s: u64) -> Result<u32> {
        // No simulated QEMU copies disks.
        Ok(0)
    }

    async fn set_max_downtime(&self, _domain: DomainUuid, _downtime_ms: u64) -> Result<()> {
        self.order("set the longest pause", |_, _| Ok(())).await
    }

    async fn start_post_copy(&self, _domain: DomainUuid) -> Result<()> {
        self.order("switch to post-copy", |world, host| world.start_post_copy(host)).await
    }

    async fn abort_job(&self, _domain: DomainUuid) -> Result<()> {
        self.call("abort", Some(LONG_LIMIT), |world, host, reply| world.abort(host, reply)).await
    }

    async fn watch_death(&self, _domain: DomainUuid) -> Result<Option<DeathWatch>> {
        if !self.has_shell() {
            return Ok(None);
        }
        let (host, gate) = (self.host, self.gate.clone());
        let watch = |world: &mut World| {
            let process = world.process(host)?;
            let (tell, told) = oneshot::channel();
            world.hosts[host].watchers.push(Watcher { process, tell });
            Some(told)
        };
        let Some(Some(told)) = self.shell(WATCH_LIMIT, watch).await else {
            return Err(self.shell_error("watching the QEMU: it is not in the process table"));
        };
        let lost = self.shell_error("the watch on the QEMU ended");
        Ok(Some(Box::pin(async move {
            let proven = told.await.unwrap_or(false);
            gate.pass().await;
            if proven { Ok(()) } else { Err(lost) }
        })))
    }

    async fn release_cancelled(&self, _domain: DomainUuid) -> Result<bool> {
        // No simulated QEMU sleeps for ever.
        Ok(false)
    }

    async fn close_migration_sockets(
        &self,
        _domain: DomainUuid,
        _peer_uri: &str,
        _ports: Option<(u16, u16)>,
    ) -> Result<Option<u32>> {
        if !self.has_shell() {
            return Ok(None);
        }
        let host = self.host;
        match self.shell(CALL_LIMIT, |world| world.sockets_closed(host)).await {
            Some(closed) => Ok(Some(closed)),
            None => Err(self.shell_error("closing the migration's connections: no answer")),
        }
    }

    async fn file(&self, _task: TaskId, path: &str) -> Result<Option<FileSight>> {
        let path = path.to_owned();
        self.call("look at a file", Some(FILE_LIMIT), move |world, host, reply| {
            let seen = world.file(host, &path);
            reply.send(world, Ok(seen));
        })
        .await
    }

    async fn make_file(&self, _task: TaskId, file: &NewFile) -> Result<()> {
        let file = file.clone();
        self.call("make a file", Some(FILE_LIMIT), move |world, host, reply| {
            let told = world.make_file(host, &file);
            reply.send(world, told);
        })
        .await
    }

    async fn identity(&self, task: TaskId, path: &str) -> Result<Option<FileIdentity>> {
        let node = self.has_shell().then_some((1, 1));
        Ok(self.file(task, path).await?.map(|sight| FileIdentity { node, sight }))
    }

    async fn users_of(
        &self,
        _task: TaskId,
        _domain: DomainUuid,
        _paths: &[String],
    ) -> Result<Vec<(String, String)>> {
        self.order("who uses files", |_, _| Ok(())).await?;
        Ok(Vec::new())
    }

    async fn remove_file(&self, _task: TaskId, path: &str) -> Result<()> {
        let path = path.to_owned();
        self.call("remove a file", Some(FILE_LIMIT), move |world, host, reply| {
            world.remove_file(host, &path);
            reply.send(world, Ok(()));
        })
        .await
    }

    async fn read_file(
        &self,
        _task: TaskId,
        path: &str,
        span: Span,
        sink: mpsc::Sender<Piece>,
    ) -> Result<()> {
        let path = path.to_owned();
        let bytes = self
            .call("read a file", Some(FILE_LIMIT), move |world, host, reply| {
                let told = world.read_file(host, &path, span);
                reply.send(world, told);
            })
            .await?;
        // Who does not take it has given up.
        let _ = sink.send(Piece::Data(bytes)).await;
        Ok(())
    }

    async fn write_file(
        &self,
        _task: TaskId,
        path: &str,
        span: Span,
        mut pieces: mpsc::Receiver<Piece>,
        mut tenure: Tenure,
    ) -> Result<()> {
        let (path, mut bytes) = (path.to_owned(), Vec::new());
        while let Some(Piece::Data(more)) = pieces.recv().await {
            bytes.extend(more);
        }
        let whole = bytes.len() as u64 == span.length;
        if bytes.is_empty() && !whole {
            // A stream that was opened ahead, and ended before anything came: nothing was written.
            return Err(self.unreachable());
        }
        self.gate.pass().await;
        if !tenure.is_sure().await {
            return Err(self.unreachable());
        }
        self.order("write a file", move |world, host| world.write_file(host, &path, span, &bytes)).await?;
        if whole { Ok(()) } else { Err(self.unreachable()) }
    }

    async fn digest(&self, task: TaskId, path: &str, span: Span) -> Result<Digest> {
        let (sink, mut out) = mpsc::channel(4);
        self.read_file(task, path, span, sink).await?;
        let mut sum = sha2::Sha256::default();
        while let Some(piece) = out.recv().await {
            piece.count_into(&mut sum);
        }
        Ok(sha2::Digest::finalize(sum).into())
    }

    async fn flatten_file(&self, _task: TaskId, from: &str, into: &NewFile) -> Result<()> {
        let (from, into) = (from.to_owned(), into.path.clone());
        self.call("make one image", Some(LONG_LIMIT), move |world, host, reply| {
            let told = world.flatten_file(host, &from, &into);
            reply.send(world, told);
        })
        .await
    }

    async fn release_pools(&self, _task: TaskId) -> Result<()> {
        Ok(())
    }

    fn events(&self) -> broadcast::Receiver<(DomainUuid, DomainEvent)> {
        self.stage.with(|world| world.links[self.controller][self.host].events())
    }
}
