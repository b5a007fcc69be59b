//! The task of making a snapshot.
//!
//! ```text
//!   cancelled before it began ──▶ cancelled
//!   make ──libvirt says yes─────▶ done
//!     │ ──libvirt says no───────▶ failed
//!     └ no answer, or ferryd is started again ──▶ look ──it is there──▶ done
//!                                                  │ └──it is not───▶ failed
//!                                                  └ at work, or no answer: look again, until the time is up ▶ failed
//! ```
//! Invariants: the intent is stored before libvirt is asked, and it is asked once: what a call that was lost came to is looked up, and
//! never tried again. Once begun it cannot be stopped (libvirt has no way to), so how it ends is what the host has. The task is the
//! domain's lock; of what libvirt still does after the time is up, libvirt's own job is.

use std::sync::Arc;
use std::time::Duration;

use api::task::{Phase, TaskState};
use async_trait::async_trait;
use tokio::time::Instant;

use super::snapshots::SnapshotPlan;
use crate::inventory::Fleet;
use crate::inventory::member::Member;
use crate::libvirt::error::HostError;
use crate::libvirt::snapshots::{self, Standing};
use crate::store::{LogEntry, TaskRecord};
use crate::task::{Handle, Runner, Stop};

/// The step's name.
const MAKE: &str = "make-snapshot";
/// How long it may take in all, also when `ferryd` is started anew meanwhile: the memory of a large guest on a slow disk.
const LIMIT: Duration = Duration::from_secs(1800);
/// How long one look may take: libvirt lets a question wait for 30 s while it is at work on the domain.
const LOOK_LIMIT: Duration = Duration::from_secs(45);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// How long it must have been seen not to be there, and nothing to be at work: a call that was sent may just begin.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// Makes snapshots: the runner of their tasks.
#[derive(Debug)]
pub struct Snapshotter {
    fleet: Arc<Fleet>,
}

/// What became of it.
#[derive(Debug)]
enum End {
    Made,
    Refused(HostError),
    NotMade,
    Unknown(String),
}

impl Snapshotter {
    /// A runner that finds its hosts in `fleet`.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>) -> Self {
        Self { fleet }
    }
}

#[async_trait]
impl Runner for Snapshotter {
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, mut handle: Handle) -> Result<(), Stop> {
        let plan: SnapshotPlan = serde_json::from_value(record.plan)?;
        let member = self.fleet.member(&plan.host).ok_or_else(|| Stop::HostGone(plan.host.clone()))?;
        let begun = log.iter().find(|entry| entry.step == MAKE);
        let ended = match begun {
            None if handle.wish().cancel => return cancelled(&mut handle, &plan).await,
            None => make(&member, &plan, &mut handle).await?,
            Some(entry) => {
                let gone = Duration::from_millis(handle.now_ms().saturating_sub(entry.at_ms));
                look(&member, &plan, LIMIT.saturating_sub(gone)).await
            }
        };
        end(&mut handle, &plan, ended).await
    }
}

async fn make(member: &Member, plan: &SnapshotPlan, handle: &mut Handle) -> Result<End, Stop> {
    let message = format!("making a snapshot {} of {} on {}", plan.snapshot, handle.task().vm, plan.host);
    handle
        .update(|task| {
            (task.state, task.phase, task.message) = (TaskState::Running, Phase::Work, message);
        })
        .await?;
    let began = Instant::now();
    let seq = handle.intend(MAKE, plan).await?;
    let (domain, name) = (plan.domain, plan.snapshot.clone());
    let made = member
        .link()
        .long_call_within("make a snapshot", LIMIT, move |connect| snapshots::make(connect, domain, &name))
        .await;
    let ended = match made {
        Ok(()) => End::Made,
        Err(error) if !error.is_broken_connection() => End::Refused(error),
        Err(_) => look(member, plan, LIMIT.saturating_sub(began.elapsed())).await,
    };
    handle.came_to(MAKE, seq, &format!("{ended:?}")).await?;
    Ok(ended)
}

/// Looks whether it is there, until that is clear or the time is up.
async fn look(member: &Member, plan: &SnapshotPlan, left: Duration) -> End {
    let until = Instant::now() + left;
    let mut absent_since = None;
    loop {
        let (domain, name) = (plan.domain, plan.snapshot.clone());
        let asked = Instant::now();
        let seen = member
            .link()
            .long_call_within("look for a snapshot", LOOK_LIMIT, move |connect| {
                snapshots::standing(connect, domain, &name)
            })
            .await;
        let why = match seen {
            Ok(Standing::There) => return End::Made,
            Ok(Standing::Absent) => {
                let since = *absent_since.get_or_insert(asked);
                if since.elapsed() >= ABSENT_FOR {
                    return End::NotMade;
                }
                format!("{} had not begun it", plan.host)
            }
            Ok(Standing::AtWork) => {
                absent_since = None;
                format!("{} is still at work on it", plan.host)
            }
            Err(error) if error.is_no_domain() => return End::Refused(error),
            Err(error) => {
                absent_since = None;
                error.to_string()
            }
        };
        if Instant::now() >= until {
            return End::Unknown(why);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn cancelled(handle: &mut Handle, plan: &SnapshotPlan) -> Result<(), Stop> {
    let message = format!("no snapshot {} of {} was begun", plan.snapshot, handle.task().vm);
    handle.end(TaskState::Cancelled, message, None, |_| ()).await
}

async fn end(handle: &mut Handle, plan: &SnapshotPlan, ended: End) -> Result<(), Stop> {
    let (name, vm, host) = (&plan.snapshot, handle.task().vm.clone(), &plan.host);
    let (state, mut message, cause) = match ended {
        End::Made => (TaskState::Done, format!("the snapshot {name} of {vm} is made"), None),
        End::Refused(error) => {
            let message = format!("{host} made no snapshot {name} of {vm}");
            (TaskState::Failed, message, Some(error.cause()))
        }
        End::NotMade => {
            let message =
                format!("the connection to {host} was lost, and there is no snapshot {name} of {vm}");
            (TaskState::Failed, message, None)
        }
        End::Unknown(why) => {
            let message = format!(
                "whether there will be a snapshot {name} of {vm} is not known: the time for it is up. Look at its snapshots later"
            );
            (TaskState::Failed, message, Some(why))
        }
    };
    if state == TaskState::Done && handle.wish().cancel {
        message.push_str("; it could not be stopped any more");
    }
    handle.end(state, message, cause, |_| ()).await
}
