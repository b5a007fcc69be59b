//! Devices of a host's, given to its domains and taken from them.

use api::task::{Task, TaskKind};
use serde::{Deserialize, Serialize};

use super::{ACT_LIMIT, Held, Lifecycle, Refused};
use crate::libvirt::error::HostError;
use crate::libvirt::host_devices;
use crate::messages::{Message, Text};
use crate::model::host_device::{Passed, Unmoved};
use crate::model::{DomainUuid, TaskId};
use crate::store::NewTask;
use crate::task::{Engine, queued};

/// What the task of giving or taking a device is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// The registered host.
    pub host: String,
    /// The domain.
    pub domain: DomainUuid,
    /// libvirt's name of the device.
    pub device: String,
    /// The element by which it is given; none where it is taken.
    pub element: Option<String>,
}

/// Why a device was neither given nor taken.
#[derive(Debug, thiserror::Error)]
pub enum DeviceRefused {
    /// As of whatever is done to a domain.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The device, or how the domain has it, speaks against it.
    #[error("{}", self.text())]
    Unmoved(#[from] Unmoved),
}

impl DeviceRefused {
    /// The same as it is told.
    #[must_use]
    pub fn text(&self) -> Text {
        match self {
            Self::Refused(refused) => refused.text(),
            Self::Unmoved(unmoved) => Message::FERRYWHY0008I { why: unmoved.text() }.into(),
        }
    }
}

impl From<HostError> for DeviceRefused {
    fn from(error: HostError) -> Self {
        Self::Refused(error.into())
    }
}

type Result<T> = std::result::Result<T, DeviceRefused>;

impl Lifecycle {
    /// The devices of its host that a virtual machine is given, as it runs or would.
    ///
    /// # Errors
    /// The machine is not known, or its host does not tell.
    pub async fn host_devices(&self, vm: &str) -> std::result::Result<Vec<Passed>, Refused> {
        let (member, domain) = self.place(vm).await?;
        let link = member.link();
        Ok(link.call("host devices", move |connect| host_devices::passed_through(connect, domain)).await?)
    }

    /// Has a virtual machine given a device of its host's, by a task of `engine`.
    ///
    /// # Errors
    /// Why no task was begun.
    pub async fn give_device(&self, engine: &Engine, vm: &str, device: &str) -> Result<Task> {
        let (held, _turn) = self.hold(self.find(vm).await?).await?;
        let (domain, name) = (held.vm.domain(), device.to_owned());
        let link = held.member.link();
        let looking = link.long_call_within("look at a device", ACT_LIMIT, move |connect| {
            host_devices::to_give(connect, domain, &name)
        });
        let element = looking.await??;
        submit(engine, TaskKind::Attach, &held, device, Some(element)).await
    }

    /// Has a device taken from a virtual machine, by a task of `engine`.
    ///
    /// # Errors
    /// Why no task was begun.
    pub async fn take_device(&self, engine: &Engine, vm: &str, device: &str) -> Result<Task> {
        let (held, _turn) = self.hold(self.find(vm).await?).await?;
        let (domain, name) = (held.vm.domain(), device.to_owned());
        let link = held.member.link();
        let looking = link.long_call_within("look at a device", ACT_LIMIT, move |connect| {
            host_devices::to_take(connect, domain, &name)
        });
        if let Some(unmoved) = looking.await? {
            return Err(unmoved.into());
        }
        submit(engine, TaskKind::Detach, &held, device, None).await
    }
}

/// Stores the task, which is the domain's lock from then on.
async fn submit(
    engine: &Engine,
    kind: TaskKind,
    held: &Held,
    device: &str,
    element: Option<String>,
) -> Result<Task> {
    let (host, vm, domain) = (held.vm.host.clone(), &held.vm.listed.name, held.vm.domain());
    let message = match element {
        Some(_) => format!("{vm} is about to be given {device}"),
        None => format!("{device} is about to be taken from {vm}"),
    };
    let queued = queued(TaskId::new(), kind, (vm, domain), (&host, &host), message, engine.clock().now_ms());
    let task = Task { made: Some(device.to_owned()), ..queued };
    let plan = DevicePlan { host, domain, device: device.to_owned(), element };
    let new = NewTask::of(task, &plan).map_err(Refused::from)?;
    Ok(engine.submit(&new).await.map_err(Refused::from)?)
}
