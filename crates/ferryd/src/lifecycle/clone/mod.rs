//! Clones of stopped domains: asked for here, made by [`Cloner`].

mod run;

use api::task::{Task, TaskKind};
use uuid::Uuid;

pub use run::Cloner;

use super::{ACT_LIMIT, Lifecycle, Refused};
use crate::libvirt::clone;
use crate::messages::Message;
use crate::model::clone::{ClonePlan, next_name};
use crate::model::{DomainUuid, TaskId};
use crate::store::NewTask;
use crate::task::{Engine, queued};

impl Lifecycle {
    /// Has a clone of a stopped virtual machine made, beside it on its host; the task does it. While it is at work it is the lock of the
    /// original, as a migration's is.
    ///
    /// # Errors
    /// Why none is made.
    pub async fn clone_vm(&self, name: &str, engine: &Engine) -> Result<Task, Refused> {
        let (held, _turn) = self.hold(self.find(name).await?).await?;
        let domain = held.vm.domain();
        let link = held.member.link();
        let seen =
            link.long_call_within("look", ACT_LIMIT, move |connect| clone::look(connect, domain)).await?;
        let (definition, saved) = seen?;
        if saved {
            return Err(Refused::NoClone(Message::FERRYWHY0040I.into()));
        }
        let _naming = self.naming().await?;
        let new_name = self.free_name(&definition.name).await?;
        let uuid = DomainUuid(Uuid::new_v4());
        let plan =
            ClonePlan::of(held.member.name(), &definition, uuid, new_name).map_err(Refused::NoClone)?;
        let new = new_task(&plan, engine.clock().now_ms())?;
        Ok(engine.submit(&new).await?)
    }

    /// A name that no machine has, on any host, and none that is being made.
    async fn free_name(&self, name: &str) -> Result<String, Refused> {
        let taken = self.taken_names().await?;
        Ok(next_name(name, taken.iter().map(String::as_str)))
    }
}

fn new_task(plan: &ClonePlan, now_ms: u64) -> Result<NewTask, Refused> {
    let made = &plan.identity.name;
    let (vm, way) = ((&*plan.name, plan.domain), (&*plan.host, &*plan.host));
    let message = format!("{} is about to be cloned as {made}", plan.name);
    let queued = queued(TaskId::new(), TaskKind::Clone, vm, way, message, now_ms);
    let task = Task { made: Some(made.clone()), ..queued };
    Ok(NewTask::of(task, plan)?)
}
