//! What is done to a domain where it is: it is made, started, stopped, changed, cloned, removed; [`snapshots`] of it are made, deleted, gone back
//! to ([`snapshotter`] does the task of making one).
//!
//! Never while it moves. A migration's task is its domain's lock; whoever does something else takes the domain's turn
//! ([`crate::inventory::turns`]) and looks for a task then, and a migration takes the turn to store its task: neither begins
//! beside the other. Migrations that are not Ferry's own show by libvirt's job and the domain's state, which are looked at on
//! the same connection right before anything is done ([`crate::libvirt::act`]).

mod clone;
mod creation;
pub mod device_mover;
pub mod devices;
mod leaving;
mod making;
mod naming;
mod refused;
pub mod snapshots;
pub mod snapshotter;

use std::sync::Arc;
use std::time::Duration;

use api::task::{TaskKind, TaskQuery, TaskState};
use api::vm::VmState;

pub use clone::Cloner;
pub use creation::{CreationRefused, Creator};
pub use leaving::{Disks, WithIt};
pub use making::NO_ROOM;
pub use refused::Refused;
pub(crate) use refused::names;

use crate::access::Caller;
use crate::inventory::Fleet;
use crate::inventory::known::{Known, active_elsewhere};
use crate::inventory::member::Member;
use crate::inventory::turns::Taken;
use crate::libvirt::act::{self, Changed};
use crate::model::DomainUuid;
use crate::model::action::{Action, Objection};
use crate::model::change::Changes;
use crate::store::Store;

/// How long a host may take to start or end a QEMU: libvirt waits 30 s for the end of one.
const ACT_LIMIT: Duration = Duration::from_secs(60);
/// How long a request waits until it is its turn.
const TURN_LIMIT: Duration = Duration::from_secs(10);
/// How long a host may take to be looked at again after that.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// What is done to domains, for one caller.
pub struct Lifecycle {
    fleet: Arc<Fleet>,
    store: Arc<dyn Store>,
    caller: Caller,
}

impl std::fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lifecycle").finish_non_exhaustive()
    }
}

/// A domain whose turn was taken: nothing else of Ferry's is done to it, and none of Ferry's tasks moves it.
struct Held {
    vm: Known,
    member: Arc<Member>,
}

impl Lifecycle {
    /// Works on the domains of `fleet`; the tasks of `store` are what moves them. Nothing is done to a machine that `caller` may not use:
    /// a name may mean another machine by then than when the request was let in.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, store: Arc<dyn Store>, caller: Caller) -> Self {
        Self { fleet, store, caller }
    }

    /// The virtual machine that is meant by a name. The view of the hosts follows what happens a little later: where it leaves
    /// open whether and where the machine is, the hosts are looked at again.
    async fn find(&self, name: &str) -> Result<Known, Refused> {
        if self.fleet.copies_of(name) != 1 {
            self.fleet.look_again().await;
        }
        self.fleet.sought(name).map_err(Refused::Unknown)
    }

    /// The host that has a virtual machine.
    async fn place(&self, vm: &str) -> Result<(Arc<Member>, DomainUuid), Refused> {
        let vm = self.find(vm).await?;
        let member = self.fleet.member(&vm.host).ok_or(Refused::Unknown(Vec::new()))?;
        self.allowed(&vm)?;
        Ok((member, vm.domain()))
    }

    /// Whether the caller may use this very machine, as it is known now.
    fn allowed(&self, vm: &Known) -> Result<(), Refused> {
        if self.caller.may_use(vm) { Ok(()) } else { Err(Refused::NotAllowed) }
    }

    /// Makes a virtual machine do something, and tells how it is then.
    ///
    /// # Errors
    /// Why it was not done, or that it is not known whether it was.
    pub async fn act(&self, name: &str, action: Action) -> Result<Known, Refused> {
        let (held, turn) = self.hold(self.find(name).await?).await?;
        let domain = held.vm.domain();
        if action == Action::Start
            && let Some(host) = active_elsewhere(&self.fleet, domain.0, &held.vm.host)
        {
            return Err(Refused::RunsElsewhere(host));
        }
        let link = held.member.link();
        let done = link
            .long_call_within(action.as_str(), ACT_LIMIT, move |connect| {
                let _until_it_ends = turn;
                act::act(connect, domain, action)
            })
            .await;
        let after = held.after().await;
        match done? {
            None => Ok(after),
            Some(objection) => Err(objection.into()),
        }
    }

    /// Changes a virtual machine, and tells how it is then.
    ///
    /// # Errors
    /// Why it was not changed, or not in everything.
    pub async fn change(&self, name: &str, mut changes: Changes) -> Result<Known, Refused> {
        let (held, turn) = self.hold(self.find(name).await?).await?;
        // The name that it has is no change. (While it runs not even that is taken, as it was.)
        let is_off = held.vm.listed.state == VmState::Shutoff;
        changes.name = changes.name.filter(|name| !is_off || *name != held.vm.listed.name);
        if let Some(definition) = &held.vm.definition {
            changes.fit(definition)?;
        }
        let (domain, only_stopped) = (held.vm.domain(), changes.only_when_stopped());
        let named = match changes.name.as_deref().filter(|name| *name != held.vm.listed.name) {
            Some(name) => Some(self.renaming(domain, name).await?),
            None => None,
        };
        // With the call, as the turn, and until the name is seen.
        let named = Arc::new(named);
        let (turn, link) = ((turn, named.clone()), held.member.link());
        let done = link
            .long_call_within("change", ACT_LIMIT, move |connect| {
                let _until_it_ends = turn;
                act::change(connect, domain, &changes)
            })
            .await;
        let after = held.after().await;
        drop(named);
        match done? {
            Changed::All => Ok(after),
            Changed::None(Objection::State(_)) => Err(Refused::OnlyWhenStopped(only_stopped)),
            Changed::TooMuchMemory(most_mib) => Err(Refused::TooMuchMemory(most_mib)),
            Changed::None(Objection::Job) => Err(Refused::Job),
            Changed::Some(made, failed, error) => Err(Refused::Halfway { made, failed, error }),
        }
    }

    /// Removes a virtual machine: one that runs is ended first; its disks stay, but those that are to go with it. `host`: the copy on
    /// that host is meant.
    ///
    /// A machine that Ferry has moved to where it is is removed only when that host is named: the web pages that this interface
    /// was made for ask, after a migration, to remove what was left on the source, and that is gone already.
    ///
    /// # Errors
    /// Why it was not removed, or that it is not known whether it was.
    pub async fn remove(&self, name: &str, host: Option<&str>, with: &WithIt) -> Result<(), Refused> {
        let vm = match host {
            None => self.find(name).await?,
            Some(host) => self.on(name, host).await?,
        };
        if !vm.listed.persistent {
            return Err(Refused::Transient);
        }
        let (held, turn) = self.hold(vm).await?;
        let domain = held.vm.domain();
        if host.is_none()
            && let Some(from) = self.brought_from(&held.vm).await?
        {
            return Err(Refused::Brought { host: held.vm.host.clone(), from });
        }
        let leaving = self.leaving(&held, &with.disks).await?;
        let (turn, nvram, link) = (Arc::new(turn), with.nvram, held.member.link());
        let until_it_ends = turn.clone();
        let done = link
            .long_call_within("remove", ACT_LIMIT, move |connect| {
                let _until_it_ends = until_it_ends;
                act::remove(connect, domain, nvram)
            })
            .await;
        held.after().await;
        match done? {
            None => leaving.go(&held).await,
            Some(objection) => Err(objection.into()),
        }
    }

    async fn on(&self, name: &str, host: &str) -> Result<Known, Refused> {
        let member = self.fleet.member(host).ok_or(Refused::Unknown(Vec::new()))?;
        let find = || member.known().into_iter().find(|vm| vm.listed.name == name);
        if let Some(vm) = find() {
            return Ok(vm);
        }
        member.look_again(LOOK_LIMIT).await;
        let silent = || if member.is_listed() { Vec::new() } else { vec![host.to_owned()] };
        find().ok_or_else(|| Refused::Unknown(silent()))
    }

    /// Takes a domain's turn, and sees that the caller may use it, that nothing moves it and that it is no leftover of a move. The turn goes with the call to
    /// the host: one that runs out of its time may still take effect, and no migration begins before it has ended.
    async fn hold(&self, vm: Known) -> Result<(Held, Taken), Refused> {
        let domain = vm.domain();
        let turn = tokio::time::timeout(TURN_LIMIT, self.fleet.turns().take(domain)).await;
        let turn = turn.map_err(|_| Refused::Busy)?;
        let member = self.fleet.member(&vm.host).ok_or(Refused::Unknown(Vec::new()))?;
        // Whom it lists may have changed while the turn was waited for.
        let vm = member.known().into_iter().find(|now| now.domain() == domain).unwrap_or(vm);
        self.allowed(&vm)?;
        if let Some(task) = self.store.active_task(domain).await? {
            return Err(Refused::Moves(task));
        }
        let debts = self.store.debts().await?;
        if debts.iter().any(|debt| debt.domain == domain && debt.host == vm.host) {
            return Err(Refused::Leftover(vm.host));
        }
        Ok((Held { vm, member }, turn))
    }

    /// The host that Ferry's last migration of a machine brought it from, to where it is.
    async fn brought_from(&self, vm: &Known) -> Result<Option<String>, Refused> {
        let moves = TaskQuery {
            vm_uuid: Some(vm.listed.uuid),
            kind: Some(TaskKind::Migration),
            state: Some(TaskState::Done),
            ..TaskQuery::default()
        };
        // The newest comes first.
        let last = self.store.tasks(&moves, 1).await?.pop();
        Ok(last.filter(|task| task.destination == vm.host).map(|task| task.source))
    }
}

impl Held {
    /// How the machine is now. One that is gone (a transient one that ended) is told as it was, stopped.
    async fn after(&self) -> Known {
        self.member.look_anew(self.vm.domain(), LOOK_LIMIT).await;
        let now = self.member.known().into_iter().find(|vm| vm.listed.uuid == self.vm.listed.uuid);
        now.unwrap_or_else(|| {
            let mut gone = self.vm.clone();
            if self.member.is_listed() {
                gone.listed.state = VmState::Shutoff;
                gone.figures = Default::default();
            }
            gone
        })
    }
}
