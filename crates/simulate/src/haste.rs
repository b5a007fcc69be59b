//! Somebody who does not wait: an ended task owes something on a host, and the guest is sent there all the same. As the REST interface
//! does it: what is owed is cleared first, what remains refuses it, then both hosts are looked at.

use std::sync::Arc;

use api::task::Location;
use api::vm::VmState;
use ferryd::hypervisor::Hypervisor;
use ferryd::migration::debts::Sweeper;
use ferryd::model::TaskId;
use ferryd::model::domain::Answer;
use tokio::task::JoinHandle;
use tokio::time::Duration;

use super::History;
use crate::plant::Plant;
use crate::world::{DESTINATION, Ms, NAMES, SOURCE, ours};

/// Until a request that was refused is made again.
const ASKS_AGAIN: Ms = 1_500;

/// The request.
#[derive(Debug, Default)]
pub(super) struct Haste {
    /// Under way: whether it is accepted.
    asked: Option<JoinHandle<bool>>,
    /// When it may be made next, once it was made.
    again_at: Option<Ms>,
    accepted: bool,
}

impl Drop for Haste {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Haste {
    /// Whether the guest was sent on.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// Its controller has died.
    pub(super) fn forget(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.abort();
        }
    }
}

impl History {
    /// Sends the guest on as soon as it may be, where something is owed; the new task.
    pub(super) async fn tend_haste(&mut self, ended: TaskId) -> Option<TaskId> {
        let task = self.store.task_now(ended).filter(|task| task.state.is_final())?;
        let owner = match task.outcome?.location {
            Location::Source => SOURCE,
            Location::Destination => DESTINATION,
            _ => return None,
        };
        let may = self.stage.with(|world| world.scenario.hasty && world.can_be_hurried(owner));
        if !may || self.haste.accepted {
            return None;
        }
        let now = self.stage.with(|world| world.now);
        if let Some(asked) = self.haste.asked.take_if(|asked| asked.is_finished()) {
            self.haste.again_at = Some(now + ASKS_AGAIN);
            if asked.await.unwrap_or(false) {
                return Some(self.hurry(ended, owner).await);
            }
        }
        let owed = self.haste.again_at.is_some() || !self.store.debts_now().is_empty();
        if owed && self.haste.asked.is_none() && self.haste.again_at.is_none_or(|at| now >= at) {
            let open = self.controllers.iter().find(|controller| controller.gate.is_open())?;
            let wanted = self.stage.with(|world| {
                let state = if world.scenario.wants_running { VmState::Running } else { VmState::Paused };
                let state = if world.scenario.cold { VmState::Shutoff } else { state };
                Wanted {
                    state,
                    autostart: world.scenario.autostart,
                    facts_ms: world.dice.between(5, 2_000),
                    clears: world.plant != Some(Plant::NotCleared),
                }
            });
            let request = accepted(open.sweeper.clone(), open.hosts.clone(), owner, wanted);
            self.haste.asked = Some(tokio::spawn(request));
        }
        None
    }

    async fn hurry(&mut self, before: TaskId, owner: usize) -> TaskId {
        self.haste.accepted = true;
        self.stage.with(|world| {
            world.once_more = true;
            world.resume_intended = false;
            world.tell(|| "once more, in haste".to_owned());
            if owner == DESTINATION {
                world.clear_old_image(SOURCE);
            }
            self.healed_at = world.now;
        });
        self.settled_since = None;
        self.create(before.0.as_u128() + 1, owner).await
    }
}

/// What the guest must be like to be sent on.
struct Wanted {
    state: VmState,
    autostart: bool,
    /// How long it takes to read the facts.
    facts_ms: Ms,
    /// What is owed there is cleared before, and refuses it.
    clears: bool,
}

async fn accepted(
    sweeper: Arc<Sweeper>,
    hosts: [Arc<dyn Hypervisor>; 2],
    owner: usize,
    wanted: Wanted,
) -> bool {
    if wanted.clears {
        let Ok(left) = sweeper.clear(ours()).await else { return false };
        if left.iter().any(|debt| debt.host == NAMES[1 - owner]) {
            return false;
        }
    }
    let (here, there) = tokio::join!(hosts[owner].domain(ours()), hosts[1 - owner].domain(ours()));
    tokio::time::sleep(Duration::from_millis(wanted.facts_ms)).await;
    let is_as_wanted = matches!(here, Answer::Present(sight)
        if sight.state == wanted.state && sight.autostart == wanted.autostart && !sight.job);
    is_as_wanted && (there == Answer::Absent || !wanted.clears)
}
