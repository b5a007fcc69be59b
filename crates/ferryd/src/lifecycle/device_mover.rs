//! The tasks of giving a domain a device, and of taking one from it.
//!
//! ```text
//!   give ──libvirt says yes──▶ done
//!     │ ──libvirt says no────▶ take back what there is of it ──▶ failed
//!     └ no answer, or ferryd is started again ──▶ look ──it has it everywhere──▶ done
//!                                                  └──it has not──▶ take back ──▶ failed
//!   take ──▶ ask the guest ──given up──▶ take it out of the definition ──▶ done
//!                    └──not given up in time──▶ failed: it has it as before
//! ```
//! Invariants: the intent is stored before libvirt is asked. A device is given by libvirt in one call, which gives it back to its host
//! when it fails. A definition loses a device only once the guest has given it up: what runs and what is defined stay the same. Taking
//! is begun again from its beginning whatever was done of it before: what is not there is not taken twice.

use std::sync::Arc;
use std::time::Duration;

use api::task::{Phase, TaskState};
use async_trait::async_trait;
use tokio::time::Instant;
use virt::connect::Connect;

use super::ACT_LIMIT;
use super::devices::DevicePlan;
use crate::inventory::Fleet;
use crate::inventory::member::Member;
use crate::libvirt::error::{HostError, LibvirtError};
use crate::libvirt::host_devices;
use crate::model::DomainUuid;
use crate::model::host_device::Standing;
use crate::store::{LogEntry, TaskRecord};
use crate::task::{Handle, Runner, Stop};

/// The steps' names.
const GIVE: &str = "give-device";
const TAKE: &str = "take-device";
/// How long libvirt may take: a device is reset, and its host's driver unbound.
const GIVE_LIMIT: Duration = Duration::from_secs(120);
/// How long a guest may take to give a device up; one that has no driver for it does so at once, one that hangs never.
const GUEST_LIMIT: Duration = Duration::from_secs(60);
/// How long a device must not have been seen where the call to give it may still be under way.
const ABSENT_FOR: Duration = Duration::from_secs(10);
/// How long one that does not answer is asked what it has.
const LOOK_FOR: Duration = Duration::from_secs(300);
/// The pause between two looks. (libvirt's event of a device that is gone is lost with the connection, and names it otherwise.)
const PAUSE: Duration = Duration::from_secs(1);

/// Gives and takes devices: the runner of their tasks.
#[derive(Debug)]
pub struct DeviceMover {
    fleet: Arc<Fleet>,
}

/// What became of it.
#[derive(Debug)]
enum End {
    Done,
    /// It is as it was, and why.
    Not(String),
    /// How it is is not known, and why.
    Unknown(String),
}

impl DeviceMover {
    /// A runner that finds its hosts in `fleet`.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>) -> Self {
        Self { fleet }
    }
}

#[async_trait]
impl Runner for DeviceMover {
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, mut handle: Handle) -> Result<(), Stop> {
        let plan: DevicePlan = serde_json::from_value(record.plan)?;
        let member = self.fleet.member(&plan.host).ok_or_else(|| Stop::HostGone(plan.host.clone()))?;
        let work = Work { member, plan };
        if log.is_empty() && handle.wish().cancel {
            return work.end(&mut handle, None).await;
        }
        let (vm, device) = (&record.task.vm, &work.plan.device);
        let (step, doing) = match work.plan.element {
            Some(_) => (GIVE, format!("{vm} is being given {device}")),
            None => (TAKE, format!("{device} is being taken from {vm}")),
        };
        handle
            .update(|task| (task.state, task.phase, task.message) = (TaskState::Running, Phase::Work, doing))
            .await?;
        let seq = handle.intend(step, &work.plan).await?;
        let ended = match &work.plan.element {
            Some(_) if !log.is_empty() => work.settle("ferryd ended meanwhile".to_owned(), ABSENT_FOR).await,
            Some(element) => work.give(element.clone()).await,
            None => work.take().await,
        };
        handle.came_to(step, seq, &format!("{ended:?}")).await?;
        work.end(&mut handle, Some(ended)).await
    }
}

struct Work {
    member: Arc<Member>,
    plan: DevicePlan,
}

impl Work {
    async fn give(&self, element: String) -> End {
        let (domain, link) = (self.plan.domain, self.member.link());
        let given = link.long_call_within("give a device", GIVE_LIMIT, move |connect| {
            host_devices::give(connect, domain, &element)
        });
        match given.await {
            Ok(()) => End::Done,
            Err(error) if error.is_broken_connection() => self.settle(error.cause(), ABSENT_FOR).await,
            Err(error) => self.settle(error.cause(), Duration::ZERO).await,
        }
    }

    /// Whether it was given after all, which must not have been seen for a while where libvirt did not say that it was not; else what
    /// there is of it is taken back.
    async fn settle(&self, why: String, absent_for: Duration) -> End {
        let mut absent_since = None;
        let seen = loop {
            match self.standing().await {
                Ok(seen) if seen.is_nowhere() => {
                    if absent_since.get_or_insert_with(Instant::now).elapsed() >= absent_for {
                        return End::Not(why);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                other => break other,
            }
        };
        match seen {
            Ok(seen) if seen.is_whole() => End::Done,
            Ok(_) => match self.take().await {
                End::Done => End::Not(why),
                End::Not(kept) | End::Unknown(kept) => End::Unknown(format!("{why}; {kept}")),
            },
            Err(error) => End::Unknown(format!("{why}; {}", error.cause())),
        }
    }

    async fn take(&self) -> End {
        let mut said = String::new();
        if let Err(error) = self.call("ask for a device", host_devices::take_live).await {
            if error.is_no_domain() {
                return End::Done;
            }
            // One that was asked for before is waited for (QEMU's words, which it has in English alone); a host that did not answer may have asked.
            if !error.is_broken_connection() && !error.cause().contains("in the process of unplug") {
                return End::Not(error.cause());
            }
            said = format!(" ({})", error.cause());
        }
        match given_up(GUEST_LIMIT, || self.standing()).await {
            Ok(true) => {}
            Ok(false) => {
                return End::Not(format!(
                    "the guest did not give it up within {} s{said}; it has it as before. It may still give it up, and then has it \
                     again after its next start",
                    GUEST_LIMIT.as_secs()
                ));
            }
            Err(error) if error.is_no_domain() => return End::Done,
            Err(error) => return End::Unknown(error.cause()),
        }
        match self.call("take a device out of a definition", host_devices::take_defined).await {
            Ok(()) => End::Done,
            Err(error) if error.is_no_domain() => End::Done,
            Err(error) => End::Unknown(error.cause()),
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        work: fn(&Connect, DomainUuid, &str) -> Result<T, LibvirtError>,
    ) -> Result<T, HostError> {
        let (domain, name) = (self.plan.domain, self.plan.device.clone());
        let link = self.member.link();
        link.long_call_within(what, ACT_LIMIT, move |connect| work(connect, domain, &name)).await
    }

    /// Where it has the device; a host that does not answer is asked for a while.
    async fn standing(&self) -> Result<Standing, HostError> {
        let until = Instant::now() + LOOK_FOR;
        loop {
            match self.call("look for a device", host_devices::standing).await {
                Err(error) if error.is_broken_connection() && Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn end(&self, handle: &mut Handle, ended: Option<End>) -> Result<(), Stop> {
        let (vm, device) = (handle.task().vm.clone(), &self.plan.device);
        let not = match self.plan.element {
            Some(_) => format!("{vm} was not given {device}"),
            None => format!("{device} was not taken from {vm}"),
        };
        let (state, mut message, cause) = match ended {
            None => (TaskState::Cancelled, not, None),
            Some(End::Done) => {
                let done = match self.plan.element {
                    Some(_) => format!("{vm} has {device}"),
                    None => format!("{device} is taken from {vm}"),
                };
                (TaskState::Done, done, None)
            }
            Some(End::Not(why)) => (TaskState::Failed, not, Some(why)),
            Some(End::Unknown(why)) => {
                let message = format!("{not} for certain: look at the devices of {vm}");
                (TaskState::Failed, message, Some(why))
            }
        };
        if state == TaskState::Done && handle.wish().cancel {
            message.push_str("; it could not be stopped any more");
        }
        self.member.look_anew(self.plan.domain, ACT_LIMIT).await;
        handle.end(state, message, cause, |_| ()).await
    }
}

/// Whether what runs has a device no more, within this time.
async fn given_up<F: Future<Output = Result<Standing, HostError>>>(
    limit: Duration,
    look: impl Fn() -> F,
) -> Result<bool, HostError> {
    let until = Instant::now() + limit;
    while look().await?.live == Some(true) {
        if Instant::now() >= until {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_guest_is_waited_for_but_not_for_ever() {
        let began = Instant::now();
        let (asked, has) = (Cell::new(0), Standing { live: Some(true), defined: Some(true) });
        let look = |gives_up_at: u32| {
            let asked = &asked;
            move || {
                asked.set(asked.get() + 1);
                let seen =
                    if asked.get() < gives_up_at { has } else { Standing { live: Some(false), ..has } };
                std::future::ready(Ok(seen))
            }
        };
        assert_eq!(given_up(GUEST_LIMIT, look(3)).await, Ok(true));
        assert_eq!(asked.get(), 3);
        assert_eq!(given_up(GUEST_LIMIT, look(u32::MAX)).await, Ok(false));
        assert!(began.elapsed() < GUEST_LIMIT * 2, "it ends");
        // One that has ended has nothing.
        let ended = || std::future::ready(Ok(Standing { live: None, defined: Some(true) }));
        assert_eq!(given_up(GUEST_LIMIT, ended).await, Ok(true));
    }
}
