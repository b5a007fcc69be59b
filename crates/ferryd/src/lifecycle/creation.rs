//! Virtual machines that are made anew: asked for here, made by [`Creator`].

use std::sync::Arc;

use api::task::{Task, TaskKind};
use async_trait::async_trait;
use uuid::Uuid;
use virt::connect::Connect;

use super::making::{Fault, Made, Maker, Recipe, Site, Words};
use super::naming::promises;
use super::{Lifecycle, Refused};
use crate::hypervisor::CopyIdentity;
use crate::inventory::member::Member;
use crate::libvirt::creation;
use crate::libvirt::error::{HostError, LibvirtError, VOLUME_EXISTS};
use crate::messages::{Message, Text};
use crate::model::creation::{CreationPlan, Hardware, NewVolume, Unfit, Wanted};
use crate::model::{DomainUuid, TaskId};
use crate::store::{NewTask, StoreError};
use crate::task::{Engine, queued};

/// Makes machines anew: the runner of their tasks.
pub type Creator = Maker<CreationPlan>;

/// Why no machine is made.
#[derive(Debug, thiserror::Error)]
pub enum CreationRefused {
    /// As of whatever is done to a domain.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The host has not what it is to be made of, or has a machine of this name.
    #[error("{}", self.text())]
    Unfit(#[from] Unfit),
    /// No host is registered under this name.
    #[error("{}", self.text())]
    NoSuchHost(String),
    /// ferryd's own machine is no host.
    #[error("{}", self.text())]
    NoHost,
}

impl CreationRefused {
    /// The same as it is told.
    #[must_use]
    pub fn text(&self) -> Text {
        let message = match self {
            Self::Refused(refused) => return refused.text(),
            Self::Unfit(unfit) => Message::FERRYWHY0008I { why: unfit.text() },
            Self::NoSuchHost(host) => Message::FERRYWHY0085I { host: host.as_str().into() },
            Self::NoHost => Message::FERRYWHY0086I,
        };
        message.into()
    }
}

impl From<HostError> for CreationRefused {
    fn from(error: HostError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<StoreError> for CreationRefused {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl Lifecycle {
    /// Has a virtual machine made, by a task of `engine`: on this host, or else on the one that ferryd itself runs on. It is not started.
    ///
    /// # Errors
    /// Why none is made.
    pub async fn create(
        &self,
        wanted: Wanted,
        host: Option<&str>,
        engine: &Engine,
    ) -> Result<Task, CreationRefused> {
        let member = self.site_of(host)?;
        let _naming = self.naming().await?;
        self.fleet.look_again().await;
        if let Some(unfit) = self.promised(&wanted).await? {
            return Err(unfit.into());
        }
        let (task, uuid) = (TaskId::new(), DomainUuid(Uuid::new_v4()));
        let hardware = self.look(&member, task, uuid, &wanted).await;
        if let Err(error) = member.hypervisor().release_pools(task).await {
            tracing::warn!(host = member.name(), %error, "storage pools made to look for volumes stay");
        }
        let plan = CreationPlan::new(member.name(), uuid, wanted, hardware?);
        Ok(engine.submit(&new_task(task, &plan, engine.clock().now_ms())?).await?)
    }

    async fn look(
        &self,
        member: &Member,
        task: TaskId,
        uuid: DomainUuid,
        wanted: &Wanted,
    ) -> Result<Hardware, CreationRefused> {
        let wanted = wanted.clone();
        let looking = member.link().long_call_within(
            "look before a machine is made",
            creation::LOOK_LIMIT,
            move |connect| creation::look(connect, task, uuid, &wanted),
        );
        Ok(looking.await??)
    }

    fn site_of(&self, host: Option<&str>) -> Result<Arc<Member>, CreationRefused> {
        match host {
            Some(name) => self.fleet.member(name).ok_or_else(|| CreationRefused::NoSuchHost(name.to_owned())),
            None => {
                let here = self.fleet.members().into_iter().find(|member| member.is_here());
                here.ok_or(CreationRefused::NoHost)
            }
        }
    }

    /// What another machine has of what is wanted, on any host, or is promised: one that is being made.
    async fn promised(&self, wanted: &Wanted) -> Result<Option<Unfit>, StoreError> {
        if self.fleet.copies_of(&wanted.name) > 0 {
            return Ok(Some(Unfit::NameTaken));
        }
        for task in self.active_tasks().await? {
            if promises(&task, &wanted.name) {
                return Ok(Some(Unfit::NameTaken));
            }
            if task.kind != TaskKind::Creation {
                continue;
            }
            let record = self.store.task(TaskId(task.id)).await?;
            // A plan that cannot be read is not carried out either.
            let plan = record.and_then(|record| serde_json::from_value::<CreationPlan>(record.plan).ok());
            if let Some(volume) = plan.and_then(|plan| plan.wanted.shared_with(wanted)) {
                return Ok(Some(Unfit::Used(volume, Message::FERRYWHY0088I { name: task.vm.into() }.into())));
            }
        }
        Ok(None)
    }
}

fn new_task(id: TaskId, plan: &CreationPlan, now_ms: u64) -> Result<NewTask, StoreError> {
    let name = &plan.identity.name;
    let (vm, way) = ((&**name, plan.identity.uuid), (&*plan.host, &*plan.host));
    let message = format!("{name} is about to be made");
    let queued = queued(id, TaskKind::Creation, vm, way, message, now_ms);
    let task = Task { made: Some(name.clone()), ..queued };
    NewTask::of(task, plan)
}

#[async_trait]
impl Recipe for CreationPlan {
    type Part = NewVolume;
    const STEPS: (&'static str, &'static str) = ("create-volume", "create-define");

    fn host(&self) -> &str {
        &self.host
    }

    fn identity(&self) -> &CopyIdentity {
        &self.identity
    }

    fn parts(&self) -> Vec<NewVolume> {
        self.volumes()
    }

    fn words(&self) -> Words {
        let name = &self.identity.name;
        Words {
            under_way: format!("{name} is being made"),
            parts: "its disks are made",
            done: format!("{name} is made, on {}", self.host),
            not: format!("{name} is not made"),
        }
    }

    async fn make(&self, volume: &NewVolume, site: &mut Site) -> Result<Option<Made>, Fault> {
        let (own, link) = (volume.clone(), site.member.link());
        let made = link.long_call("make a volume", move |connect| creation::make(connect, &own)).await;
        match made {
            Ok(path) => Ok(Some(Made { path, bytes: 0 })),
            Err(error) if error.libvirt_code() == Some(VOLUME_EXISTS) => Err(Fault::Foreign(error.cause())),
            Err(error) => Err(error.into()),
        }
    }

    fn define(
        &self,
        connect: &Connect,
        task: TaskId,
        made: &[(NewVolume, String)],
    ) -> Result<(), LibvirtError> {
        creation::define(connect, task, self, made)
    }

    fn remove(connect: &Connect, _task: TaskId, volume: &NewVolume) -> Result<(), LibvirtError> {
        creation::remove(connect, volume)
    }
}
