//! A machine in the making: the volumes that are its own, then its definition.
//!
//! ```text
//!   make each part ──▶ define ──▶ done
//!        └──── failed, cancelled, ferryd ended ────▶ take away what was made ──▶ failed, cancelled
//! ```
//! | step | does | a crash in the middle leaves |
//! |---|---|---|
//! | part | makes a volume under a name with the machine's UUID in it | a volume, whole or not, or none; it is removed |
//! | define | writes the machine's definition | the machine, which is done then, or none |
//!
//! Invariants: an intent is logged before each act; only what an intent names is removed, and not what was found to be there before;
//! nothing is removed while it is not known that there is no such machine. What a part is, and how it is made, is its [`Recipe`]'s.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use api::finding::{Finding, Severity};
use api::task::{Phase, Progress, TaskState};
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;
use virt::connect::Connect;

use crate::hypervisor::CopyIdentity;
use crate::inventory::Fleet;
use crate::inventory::member::Member;
use crate::libvirt::clone;
use crate::libvirt::error::{HostError, LibvirtError};
use crate::model::TaskId;
use crate::store::{LogEntry, TaskRecord};
use crate::task::{Handle, Runner, Stop};

/// The finding of a storage pool that what is made does not fit into.
pub const NO_ROOM: &str = "no-room";

/// The result of a part that was not made because something else has its name.
const FOREIGN: &str = "somebody else's";
/// How long a host may take for what moves no data.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long it is waited before a host is asked again that did not do what an end needs: libvirt tells by no event that it has ended
/// writing a volume.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a host that answers may refuse to take away what was made (a volume that is still being written, say) until it is left there.
const LEFT_AFTER: Duration = Duration::from_secs(600);

/// How a machine is made: the plan of its task.
#[async_trait]
pub trait Recipe: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// A volume that is made for it.
    type Part: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Names of the steps: of a part, and of the definition.
    const STEPS: (&'static str, &'static str);

    /// The registered host.
    fn host(&self) -> &str;
    /// What the new machine is known by.
    fn identity(&self) -> &CopyIdentity;
    /// What is made for it, in this order.
    fn parts(&self) -> Vec<Self::Part>;
    /// What is told of it.
    fn words(&self) -> Words;
    /// Makes a part; none where there is nothing to make.
    async fn make(&self, part: &Self::Part, site: &mut Site) -> Result<Option<Made>, Fault>;
    /// Defines the machine, whose parts lie at these paths now.
    fn define(
        &self,
        connect: &Connect,
        task: TaskId,
        made: &[(Self::Part, String)],
    ) -> Result<(), LibvirtError>;
    /// Removes what was made for a part. Nothing there is success.
    fn remove(connect: &Connect, task: TaskId, part: &Self::Part) -> Result<(), LibvirtError>;
}

/// What is told of a machine in the making.
#[derive(Clone, Debug)]
pub struct Words {
    /// While it is under way, before what is being done.
    pub under_way: String,
    /// What the making of parts is.
    pub parts: &'static str,
    /// When it is done.
    pub done: String,
    /// When it was not.
    pub not: String,
}

/// A part that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Where it is.
    pub path: String,
    /// How much was written.
    pub bytes: u64,
}

/// Where a machine is made, and by which task.
pub struct Site {
    /// The host.
    pub(super) member: Arc<Member>,
    /// The task.
    pub(super) handle: Handle,
}

/// Makes machines by a kind of recipe: the runner of their tasks.
pub struct Maker<R> {
    fleet: Arc<Fleet>,
    recipes: PhantomData<fn() -> R>,
}

impl<R> std::fmt::Debug for Maker<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maker").finish_non_exhaustive()
    }
}

impl<R: Recipe> Maker<R> {
    /// A runner for the hosts of `fleet`.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>) -> Self {
        Self { fleet, recipes: PhantomData }
    }
}

#[async_trait]
impl<R: Recipe> Runner for Maker<R> {
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, handle: Handle) -> Result<(), Stop> {
        let plan: R = serde_json::from_value(record.plan)?;
        let host = plan.host();
        let member = self.fleet.member(host).ok_or_else(|| Stop::HostGone(host.to_owned()))?;
        Work { plan, site: Site { member, handle } }.go(&log).await
    }
}

/// Why a machine is not made.
pub enum Fault {
    /// Somebody asked to stop.
    Cancelled,
    /// ferryd ended while it was made.
    Interrupted,
    /// It does not fit: into what, and by which figures or words that is known.
    NoRoom(String, String),
    /// What is there under the name of a part is somebody else's, and stays.
    Foreign(String),
    /// Something failed, in words.
    Failed(String),
    /// What was made could not be taken away, in words.
    Left(String),
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
        Self::Failed(error.cause())
    }
}

struct Work<R> {
    plan: R,
    site: Site,
}

impl<R: Recipe> Work<R> {
    async fn go(mut self, log: &[LogEntry]) -> Result<(), Stop> {
        let mut begun = begun::<R>(log);
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

    async fn make(&mut self, begun: &mut Begun<R::Part>) -> Result<(), Fault> {
        let (of_part, of_definition) = R::STEPS;
        self.tell(Phase::Copy, self.plan.words().parts).await?;
        let mut made = Vec::new();
        for part in self.plan.parts() {
            self.unless_cancelled()?;
            let seq = self.site.handle.intend(of_part, &part).await?;
            begun.parts.push(part.clone());
            let one = self.plan.make(&part, &mut self.site).await;
            if matches!(one, Err(Fault::Foreign(_))) {
                begun.parts.pop();
                self.site.handle.came_to(of_part, seq, &json!(FOREIGN)).await?;
            }
            let one = one?;
            let path = one.as_ref().map(|made| made.path.clone());
            self.site.handle.came_to(of_part, seq, &json!({ "path": path })).await?;
            self.count(one.map_or(0, |made| made.bytes)).await?;
            made.extend(path.map(|path| (part, path)));
        }
        self.unless_cancelled()?;
        self.tell(Phase::Confirm, "it is defined").await?;
        let seq = self.site.handle.intend(of_definition, self.plan.identity()).await?;
        begun.define = true;
        let (plan, task, link) = (self.plan.clone(), self.site.handle.id(), self.site.member.link());
        // Without a limit: what takes effect later would find its disks gone.
        link.long_call("define a machine", move |connect| plan.define(connect, task, &made)).await?;
        self.site.handle.came_to(of_definition, seq, &json!("defined")).await?;
        Ok(())
    }

    fn unless_cancelled(&mut self) -> Result<(), Fault> {
        if self.site.handle.wish().cancel { Err(Fault::Cancelled) } else { Ok(()) }
    }

    async fn tell(&mut self, phase: Phase, what: &str) -> Result<(), Stop> {
        let message = format!("{}: {what}", self.plan.words().under_way);
        self.site
            .handle
            .update(|task| {
                task.state = TaskState::Running;
                task.phase = phase;
                task.message = message;
            })
            .await
    }

    async fn count(&mut self, bytes: u64) -> Result<(), Stop> {
        let counted = self.site.handle.update(|task| {
            let progress = task.progress.get_or_insert_with(Progress::default);
            progress.storage_processed_bytes = Some(progress.storage_processed_bytes.unwrap_or(0) + bytes);
        });
        counted.await
    }

    /// Takes away what was made, and ends the task. Where the machine is defined all the same, there is nothing to take away: it is whole.
    async fn undo(mut self, fault: Fault, begun: &Begun<R::Part>) -> Result<(), Stop> {
        let handle = &mut self.site.handle;
        let cancelled = matches!(fault, Fault::Cancelled) || handle.wish().cancel;
        let what = format!("{}; what was made of it is taken away", self.plan.words().not);
        handle
            .update(|task| {
                task.state = if cancelled { TaskState::Cancelling } else { TaskState::Running };
                task.phase = Phase::Recover;
                task.message = what;
            })
            .await?;
        let mut refused_since = None;
        loop {
            match self.take_away(begun).await {
                Ok(true) => return self.end(Some(fault)).await,
                Ok(false) => return self.end(None).await,
                Err(error) if is_refused_for_good(&error, &mut refused_since) => {
                    return self.end(Some(Fault::Left(error.cause()))).await;
                }
                Err(error) => {
                    tracing::warn!(task.id = %self.site.handle.id(), %error, "what was made is not taken away yet");
                    self.wait_for_the_host(&error).await?;
                }
            }
        }
    }

    async fn wait_for_the_host(&mut self, error: &HostError) -> Result<(), Stop> {
        let cause = error.cause();
        if self.site.handle.task().cause.as_ref() != Some(&cause) {
            self.site.handle.update(|task| task.cause = Some(cause)).await?;
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Whether there was something to take away, and it is gone; not, where the machine is there.
    async fn take_away(&self, begun: &Begun<R::Part>) -> Result<bool, HostError> {
        let (task, uuid, link) = (self.site.handle.id(), self.plan.identity().uuid, self.site.member.link());
        if begun.define {
            let defined = link.long_call_within("look for a machine", CALL_LIMIT, move |connect| {
                clone::is_defined(connect, uuid)
            });
            if defined.await? {
                return Ok(false);
            }
        }
        for part in begun.parts.clone() {
            let removed = link.long_call_within("remove a volume", CALL_LIMIT, move |connect| {
                R::remove(connect, task, &part)
            });
            removed.await?;
        }
        Ok(true)
    }

    /// Stores what it came to.
    async fn end(mut self, fault: Option<Fault>) -> Result<(), Stop> {
        let host = self.site.member.hypervisor();
        let mut refused_since = None;
        while let Err(error) = host.release_pools(self.site.handle.id()).await {
            tracing::warn!(task.id = %self.site.handle.id(), %error, "storage pools made for a task stay");
            if is_refused_for_good(&error, &mut refused_since) {
                break;
            }
            self.wait_for_the_host(&error).await?;
        }
        let handle = &mut self.site.handle;
        let cancelled = handle.wish().cancel;
        let (state, message, cause, finding) = told(&self.plan.words(), fault, cancelled);
        // Seen in the list as soon as the task has ended.
        self.site.member.look_anew(self.plan.identity().uuid, CALL_LIMIT).await;
        handle.end(state, message, cause, |task| task.findings.extend(finding)).await
    }
}

/// Whether a host that answers has refused for so long that it will not do it any more.
fn is_refused_for_good(error: &HostError, since: &mut Option<Instant>) -> bool {
    if error.is_broken_connection() {
        *since = None;
        return false;
    }
    since.get_or_insert_with(Instant::now).elapsed() > LEFT_AFTER
}

type Told = (TaskState, String, Option<String>, Option<Finding>);

fn told(words: &Words, fault: Option<Fault>, cancelled: bool) -> Told {
    let not = &words.not;
    let gone = "what was made of it is removed";
    let failed = |message: String, cause| (TaskState::Failed, message, cause, None);
    match fault {
        None => (TaskState::Done, words.done.clone(), None, None),
        Some(Fault::Cancelled) => (TaskState::Cancelled, format!("{not}; {gone}"), None, None),
        Some(Fault::Interrupted) if cancelled => (TaskState::Cancelled, format!("{not}; {gone}"), None, None),
        Some(Fault::Interrupted) => failed(format!("{not}: ferryd ended while it was; {gone}"), None),
        Some(Fault::NoRoom(place, evidence)) => {
            let message = format!("{not}: there is too little room: {place}");
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
        Some(Fault::Left(why)) => {
            failed(format!("{not}; what was made of it could not be removed, and is still there"), Some(why))
        }
        Some(Fault::Foreign(why) | Fault::Failed(why)) => failed(format!("{not}; {gone}"), Some(why)),
        Some(Fault::Stop(stop)) => failed(format!("{not}; {gone}"), Some(stop.to_string())),
    }
}

/// What an earlier, or this, run may have made.
#[derive(Debug)]
struct Begun<P> {
    parts: Vec<P>,
    define: bool,
}

/// What a log says may have been made. An intent is its part: what cannot be read was not written by this.
fn begun<R: Recipe>(log: &[LogEntry]) -> Begun<R::Part> {
    let (of_part, of_definition) = R::STEPS;
    let foreign = json!(FOREIGN);
    let made = log.iter().filter(|entry| entry.step == of_part && entry.result.as_ref() != Some(&foreign));
    let parts = made.filter_map(|entry| serde_json::from_value(entry.intent.clone()).ok());
    Begun { parts: parts.collect(), define: log.iter().any(|entry| entry.step == of_definition) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clone::{ClonePlan, Part, Place};

    #[test]
    fn what_a_log_names_may_have_been_made() {
        let part = Part {
            target: Some("vda".to_owned()),
            original: Place::Path("/i/a".to_owned()),
            format: "raw".to_owned(),
            name: "b".to_owned(),
        };
        let (of_part, of_definition) = ClonePlan::STEPS;
        let entry = |step: &str, intent| LogEntry {
            seq: 1,
            at_ms: 0,
            generation: 1,
            step: step.to_owned(),
            intent,
            result: None,
        };
        let copied = entry(of_part, serde_json::to_value(&part).unwrap());
        let read = begun::<ClonePlan>(std::slice::from_ref(&copied));
        assert_eq!((read.parts, read.define), (vec![part], false));
        assert!(begun::<ClonePlan>(&[copied.clone(), entry(of_definition, json!({}))]).define);
        let foreign = LogEntry { result: Some(json!(FOREIGN)), ..copied };
        assert!(begun::<ClonePlan>(&[foreign]).parts.is_empty(), "what was there before is not removed");
    }

    #[test]
    fn how_it_ended_is_told() {
        let words = Words {
            under_way: "web is being cloned".to_owned(),
            parts: "the disks are copied",
            done: "web is cloned".to_owned(),
            not: "web is not cloned".to_owned(),
        };
        let (state, message, ..) = told(&words, None, true);
        assert_eq!((state, message.as_str()), (TaskState::Done, "web is cloned"));
        let (state, _, cause, finding) =
            told(&words, Some(Fault::NoRoom("p".to_owned(), "9 are needed".to_owned())), false);
        assert_eq!(state, TaskState::Failed);
        assert_eq!(cause.as_deref(), Some("9 are needed"));
        assert_eq!(finding.map(|finding| finding.code).as_deref(), Some(NO_ROOM));
        assert_eq!(told(&words, Some(Fault::Interrupted), true).0, TaskState::Cancelled);
        assert!(told(&words, Some(Fault::Interrupted), false).1.contains("ferryd ended"));
    }
    #[tokio::test(start_paused = true)]
    async fn what_a_host_refuses_for_long_is_left_and_one_that_is_away_is_waited_for() {
        let refused = HostError::Libvirt {
            host: "kvm1".to_owned(),
            call: "remove a volume",
            source: LibvirtError::of(1, "it is in use"),
        };
        let away = HostError::Unreachable { host: "kvm1".to_owned(), reason: "no route".to_owned() };
        let mut since = None;
        assert!(!is_refused_for_good(&refused, &mut since));
        tokio::time::advance(LEFT_AFTER * 2).await;
        assert!(!is_refused_for_good(&away, &mut since), "it may come back, and then it is asked anew");
        assert!(!is_refused_for_good(&refused, &mut since));
        tokio::time::advance(LEFT_AFTER * 2).await;
        assert!(is_refused_for_good(&refused, &mut since));
    }
}
