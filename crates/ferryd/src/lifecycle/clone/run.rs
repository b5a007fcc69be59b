//! A clone at work.
//!
//! ```text
//!   copy each part ──▶ define ──▶ done
//!        └──── failed, cancelled, ferryd ended ────▶ take away what was made ──▶ failed, cancelled
//! ```
//! | step | does | a crash in the middle leaves |
//! |---|---|---|
//! | copy | copies a volume under a name with the clone's UUID in it | a volume, whole or not, or none; it is removed |
//! | define | writes the clone's definition | the clone, which is done then, or none |
//!
//! Invariants: an intent is logged before each act; only what an intent names is removed, and not what was found to be there before;
//! nothing is removed while it is not known that there is no clone.

use std::sync::Arc;
use std::time::Duration;

use api::finding::{Finding, Severity};
use api::task::{Phase, Progress, TaskState};
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::mpsc;

use crate::hypervisor::{FileSight, NewFile, Span};
use crate::inventory::Fleet;
use crate::inventory::member::Member;
use crate::libvirt::clone::{self, Copied};
use crate::libvirt::error::{HostError, VOLUME_EXISTS};
use crate::model::TaskId;
use crate::model::clone::{ClonePlan, Part};
use crate::store::{LogEntry, TaskRecord};
use crate::task::{Handle, Runner, Stop};

/// The finding of a storage pool that a clone does not fit into.
pub const NO_ROOM: &str = "no-room";

/// Name of the step that copies a part.
const COPY: &str = "clone-copy";
/// Name of the step that defines the clone.
const DEFINE: &str = "clone-define";
/// The result of a copy that was not made because something else has its name.
const FOREIGN: &str = "somebody else's";
/// How long a host may take for what is no copy.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long it is waited before a host is asked again that did not do what an end needs: libvirt tells by no event that it has ended
/// writing a volume.
const PAUSE: Duration = Duration::from_secs(2);

/// Makes clones: the runner of their tasks.
pub struct Cloner {
    fleet: Arc<Fleet>,
}

impl std::fmt::Debug for Cloner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloner").finish_non_exhaustive()
    }
}

impl Cloner {
    /// A runner for the hosts of `fleet`.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>) -> Self {
        Self { fleet }
    }
}

#[async_trait]
impl Runner for Cloner {
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, handle: Handle) -> Result<(), Stop> {
        let plan: ClonePlan = serde_json::from_value(record.plan)?;
        let member = self.fleet.member(&plan.host).ok_or_else(|| Stop::HostGone(plan.host.clone()))?;
        Work { plan, member, handle }.go(&log).await
    }
}

/// Why there is no clone.
enum Fault {
    /// Somebody asked to stop.
    Cancelled,
    /// ferryd ended while it was made.
    Interrupted,
    /// It does not fit: into what, and by which figures or words that is known.
    NoRoom(String, String),
    /// Something failed, in words.
    Failed(String),
    /// The work cannot go on here.
    Stop(Stop),
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<HostError> for Fault {
    fn from(error: HostError) -> Self {
        Self::Failed(error.to_string())
    }
}

struct Work {
    plan: ClonePlan,
    member: Arc<Member>,
    handle: Handle,
}

impl Work {
    async fn go(mut self, log: &[LogEntry]) -> Result<(), Stop> {
        let mut begun = begun(log);
        let made = match log.is_empty() {
            true => self.make(&mut begun).await,
            false => Err(Fault::Interrupted),
        };
        match made {
            Ok(()) => self.end(None).await,
            Err(Fault::Stop(stop)) => Err(stop),
            Err(fault) => self.undo(fault, &begun).await,
        }
    }

    async fn make(&mut self, begun: &mut Begun) -> Result<(), Fault> {
        self.tell(Phase::Copy, "the disks are copied").await?;
        let mut made = Vec::new();
        for part in self.plan.parts.clone() {
            self.unless_cancelled()?;
            let seq = self.handle.intend(COPY, &part).await?;
            begun.parts.push(part.clone());
            let copied = self.copy(&part, begun).await;
            if !begun.parts.contains(&part) {
                self.handle.came_to(COPY, seq, &json!(FOREIGN)).await?;
            }
            let path = copied?;
            self.handle.came_to(COPY, seq, &json!({ "path": path })).await?;
            self.count(&part, path.as_deref()).await?;
            made.extend(path.map(|path| (part, path)));
        }
        self.unless_cancelled()?;
        self.tell(Phase::Confirm, "the clone is defined").await?;
        let seq = self.handle.intend(DEFINE, &self.plan.identity).await?;
        begun.define = true;
        let (plan, link) = (self.plan.clone(), self.member.link());
        // Without a limit: what takes effect later would find its disks gone.
        link.long_call("define a clone", move |connect| clone::define(connect, &plan, &made)).await?;
        self.handle.came_to(DEFINE, seq, &json!("defined")).await?;
        Ok(())
    }

    /// Copies a part, and sees that nobody wrote to it meanwhile; the path of the copy, none where there is nothing to copy.
    async fn copy(&mut self, part: &Part, begun: &mut Begun) -> Result<Option<String>, Fault> {
        let before = self.sight(part).await?;
        let (task, own, link) = (self.handle.id(), part.clone(), self.member.link());
        // As long as it takes: libvirt cannot be asked to stop.
        let copying =
            link.long_call("copy a volume", move |connect| clone::copy_part(connect, task, &own)).await;
        let path = match copying {
            Ok(Copied::Whole(path)) => path,
            Ok(Copied::Nothing) => return Ok(None),
            Ok(Copied::NoRoom { pool, needed_bytes, available_bytes }) => {
                let evidence = format!("{needed_bytes} bytes are needed, {available_bytes} are free");
                return Err(Fault::NoRoom(format!("the storage pool {pool}"), evidence));
            }
            Ok(Copied::ByBytes { from, into }) => self.carry(task, &from, &into).await?,
            Err(error) => {
                if error.libvirt_code() == Some(VOLUME_EXISTS) {
                    // Somebody else's: it stays.
                    begun.parts.retain(|begun| begun != part);
                }
                // What libvirt says of ENOSPC, in the system's words.
                let full = error.to_string().contains("No space left on device");
                let beside = || format!("where {} is", part.original);
                return Err(if full { Fault::NoRoom(beside(), error.to_string()) } else { error.into() });
            }
        };
        if self.sight(part).await? != before {
            return Err(Fault::Failed(format!("{} was written to while it was copied", part.original)));
        }
        Ok(Some(path))
    }

    /// Carries a file byte by byte.
    async fn carry(&mut self, task: TaskId, from: &str, into: &NewFile) -> Result<String, Fault> {
        let host = self.member.hypervisor();
        host.make_file(task, into).await?;
        let span = Span { offset: 0, length: into.capacity_bytes };
        let (sink, pieces) = mpsc::channel(4);
        let both = async {
            tokio::join!(
                host.read_file(task, from, span, sink),
                host.write_file(task, &into.path, span, pieces)
            )
        };
        let mut wishes = self.handle.wishes();
        let cancelled = async {
            // An error: the engine is gone, and this with it.
            let _ = wishes.wait_for(|wish| wish.cancel).await;
        };
        tokio::select! {
            (read, written) = both => { read?; written?; }
            () = cancelled => return Err(Fault::Cancelled),
        }
        Ok(into.path.clone())
    }

    async fn sight(&self, part: &Part) -> Result<Option<FileSight>, HostError> {
        let (task, original) = (self.handle.id(), part.original.clone());
        let link = self.member.link();
        let look = link.long_call_within("look at a volume", CALL_LIMIT, move |connect| {
            clone::part_sight(connect, task, &original)
        });
        look.await
    }

    fn unless_cancelled(&mut self) -> Result<(), Fault> {
        if self.handle.wish().cancel { Err(Fault::Cancelled) } else { Ok(()) }
    }

    async fn tell(&mut self, phase: Phase, what: &str) -> Result<(), Stop> {
        let message = format!("{} is being cloned as {}: {what}", self.plan.name, self.plan.identity.name);
        self.handle
            .update(|task| {
                task.state = TaskState::Running;
                task.phase = phase;
                task.message = message;
            })
            .await
    }

    async fn count(&mut self, part: &Part, path: Option<&str>) -> Result<(), Fault> {
        let bytes = match path {
            Some(_) => self.sight(part).await?.map_or(0, |seen| seen.allocated_bytes),
            None => 0,
        };
        let counted = self.handle.update(|task| {
            let progress = task.progress.get_or_insert_with(Progress::default);
            progress.storage_processed_bytes = Some(progress.storage_processed_bytes.unwrap_or(0) + bytes);
        });
        Ok(counted.await?)
    }

    /// Takes away what was made, and ends the task. Where the clone is defined all the same, there is nothing to take away: it is whole.
    async fn undo(mut self, fault: Fault, begun: &Begun) -> Result<(), Stop> {
        let cancelled = matches!(fault, Fault::Cancelled) || self.handle.wish().cancel;
        let what = format!("{} is not cloned; what was made of it is taken away", self.plan.name);
        self.handle
            .update(|task| {
                task.state = if cancelled { TaskState::Cancelling } else { TaskState::Running };
                task.phase = Phase::Recover;
                task.message = what;
            })
            .await?;
        loop {
            match self.take_away(begun).await {
                Ok(true) => return self.end(Some(fault)).await,
                Ok(false) => return self.end(None).await,
                Err(error) => {
                    tracing::warn!(task.id = %self.handle.id(), %error, "a clone is not taken away yet");
                    self.wait_for_the_host(&error).await?;
                }
            }
        }
    }

    async fn wait_for_the_host(&mut self, error: &HostError) -> Result<(), Stop> {
        let cause = error.to_string();
        if self.handle.task().cause.as_ref() != Some(&cause) {
            self.handle.update(|task| task.cause = Some(cause)).await?;
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Whether there was something to take away, and it is gone; not, where the clone is there.
    async fn take_away(&self, begun: &Begun) -> Result<bool, HostError> {
        let (task, uuid, link) = (self.handle.id(), self.plan.identity.uuid, self.member.link());
        if begun.define {
            let defined = link.long_call_within("look for a clone", CALL_LIMIT, move |connect| {
                clone::is_defined(connect, uuid)
            });
            if defined.await? {
                return Ok(false);
            }
        }
        for part in begun.parts.clone() {
            let removed = link.long_call_within("remove a copy", CALL_LIMIT, move |connect| {
                clone::remove_part(connect, task, &part)
            });
            removed.await?;
        }
        Ok(true)
    }

    /// Stores what it came to.
    async fn end(mut self, fault: Option<Fault>) -> Result<(), Stop> {
        let host = self.member.hypervisor();
        while let Err(error) = host.release_pools(self.handle.id()).await {
            tracing::warn!(task.id = %self.handle.id(), %error, "storage pools made for a clone stay");
            self.wait_for_the_host(&error).await?;
        }
        let cancelled = self.handle.wish().cancel;
        let (state, message, cause, finding) = told(&self.plan, fault, cancelled);
        // Seen in the list as soon as the task has ended.
        self.member.look_anew(self.plan.identity.uuid, CALL_LIMIT).await;
        let ended_at_ms = self.handle.now_ms();
        self.handle
            .update(|task| {
                task.state = state;
                task.phase = Phase::Ended;
                task.message = message;
                task.cause = cause;
                task.findings.extend(finding);
                task.ended_at_ms = Some(ended_at_ms);
            })
            .await
    }
}

type Told = (TaskState, String, Option<String>, Option<Finding>);

fn told(plan: &ClonePlan, fault: Option<Fault>, cancelled: bool) -> Told {
    let (name, made) = (&plan.name, &plan.identity.name);
    let gone = "what was made of it is removed";
    let failed = |message: String, cause| (TaskState::Failed, message, cause, None);
    match fault {
        None => (TaskState::Done, format!("{name} is cloned: {made} is on {}", plan.host), None, None),
        Some(Fault::Cancelled) => (TaskState::Cancelled, format!("{name} is not cloned; {gone}"), None, None),
        Some(Fault::Interrupted) if cancelled => {
            (TaskState::Cancelled, format!("{name} is not cloned; {gone}"), None, None)
        }
        Some(Fault::Interrupted) => {
            failed(format!("{name} is not cloned: ferryd ended while it was; {gone}"), None)
        }
        Some(Fault::NoRoom(place, evidence)) => {
            let message = format!("{name} is not cloned: there is too little room: {place}");
            let finding = Finding {
                code: NO_ROOM.to_owned(),
                severity: Severity::Blocker,
                subject: place,
                message: message.clone(),
                evidence: evidence.clone(),
                remedy: None,
                cost: None,
            };
            (TaskState::Failed, format!("{message}; {gone}"), Some(evidence), Some(finding))
        }
        Some(Fault::Failed(why)) => failed(format!("{name} is not cloned; {gone}"), Some(why)),
        Some(Fault::Stop(stop)) => failed(format!("{name} is not cloned; {gone}"), Some(stop.to_string())),
    }
}

/// What an earlier, or this, run may have made.
#[derive(Debug, Default)]
struct Begun {
    parts: Vec<Part>,
    define: bool,
}

/// What a log says may have been made. An intent is its part: what cannot be read was not written by this.
fn begun(log: &[LogEntry]) -> Begun {
    let foreign = json!(FOREIGN);
    let copies = log.iter().filter(|entry| entry.step == COPY && entry.result.as_ref() != Some(&foreign));
    let parts = copies.filter_map(|entry| serde_json::from_value(entry.intent.clone()).ok());
    Begun { parts: parts.collect(), define: log.iter().any(|entry| entry.step == DEFINE) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::definition::Definition;
    use crate::model::{DomainUuid, clone::Place};

    #[test]
    fn what_a_log_names_may_have_been_made() {
        let part = Part {
            target: Some("vda".to_owned()),
            original: Place::Path("/i/a".to_owned()),
            format: "raw".to_owned(),
            name: "b".to_owned(),
        };
        let entry = |step: &str, intent| LogEntry {
            seq: 1,
            at_ms: 0,
            generation: 1,
            step: step.to_owned(),
            intent,
            result: None,
        };
        let copied = entry(COPY, serde_json::to_value(&part).unwrap());
        let read = begun(std::slice::from_ref(&copied));
        assert_eq!((read.parts, read.define), (vec![part], false));
        assert!(begun(&[copied.clone(), entry(DEFINE, json!({}))]).define);
        let foreign = LogEntry { result: Some(json!(FOREIGN)), ..copied };
        assert!(begun(&[foreign]).parts.is_empty(), "what was there before is not removed");
    }

    #[test]
    fn how_it_ended_is_told() {
        let definition = Definition { name: "web".to_owned(), ..Definition::default() };
        let uuid = DomainUuid(Uuid::from_u128(7));
        let plan = ClonePlan::of("kvm1", &definition, uuid, "web-clone-1".to_owned()).unwrap();
        let (state, message, ..) = told(&plan, None, true);
        assert_eq!((state, message.as_str()), (TaskState::Done, "web is cloned: web-clone-1 is on kvm1"));
        let (state, _, cause, finding) =
            told(&plan, Some(Fault::NoRoom("p".to_owned(), "9 are needed".to_owned())), false);
        assert_eq!(state, TaskState::Failed);
        assert_eq!(cause.as_deref(), Some("9 are needed"));
        assert_eq!(finding.map(|finding| finding.code).as_deref(), Some(NO_ROOM));
        assert_eq!(told(&plan, Some(Fault::Interrupted), true).0, TaskState::Cancelled);
        assert!(told(&plan, Some(Fault::Interrupted), false).1.contains("ferryd ended"));
    }
}
