//! What the hosts are and run.
//!
//! * [`Fleet`] – the registered hosts, by name; registering and forgetting them.
//! * [`member`] – one of them and its link; `view` – what is known of it, kept by events and a look about every second.
//! * [`register`] – how a host becomes one: key, login, connection, identity.
//! * [`figures`] – what the guests use, while somebody wants to know.
//! * [`known`] – virtual machines with all that is known of them, by name alone.
//! * [`turns`] – one at a time does something to a domain.
//! * [`facts`] – the facts of one migration, read fresh from both hosts at once.

pub mod facts;
pub mod figures;
pub mod known;
pub mod member;
mod register;
pub mod turns;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use api::host::Host;
use api::problem::{Code, Problem};
use api::vm::{Vm, VmQuery};
use uuid::Uuid;

use crate::hypervisor::Hypervisor;
use crate::libvirt::link::LinkLimits;
use crate::ssh::SshDir;
use crate::store::{Store, StoreError};
use crate::task::Clock;
use member::Member;

pub use register::Refusal;

/// How long a host may take to be looked at again for a request that its view leaves open.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// All registered hosts.
pub struct Fleet {
    store: Arc<dyn Store>,
    clock: Clock,
    ssh: Arc<SshDir>,
    limits: LinkLimits,
    members: RwLock<BTreeMap<String, Arc<Member>>>,
    /// Held from the look whether a machine is registered already until it is: two requests at once for one machine are told
    /// apart.
    registering: tokio::sync::Mutex<()>,
    /// Tries to register a host that are under way, by name.
    tries: Mutex<BTreeMap<String, u32>>,
    /// Held from the look whether a name is free until the task that makes a machine of that name is stored, or a machine has it.
    naming: Arc<tokio::sync::Mutex<()>>,
    turns: turns::Turns,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Fleet {
    /// Begins to connect to all hosts that the store knows.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Clock,
        ssh: Arc<SshDir>,
        limits: LinkLimits,
    ) -> Result<Arc<Self>, StoreError> {
        let fleet = Arc::new(Self {
            store,
            clock,
            ssh,
            limits,
            members: RwLock::default(),
            registering: Default::default(),
            tries: Default::default(),
            naming: Default::default(),
            turns: Default::default(),
        });
        for record in fleet.store.hosts().await? {
            match Member::start(&record, &fleet.ssh, limits) {
                Ok(member) => fleet.insert(member),
                Err(problem) => {
                    tracing::error!(host = record.name, error = %problem, "a stored host cannot be used")
                }
            }
        }
        Ok(fleet)
    }

    fn insert(&self, member: Arc<Member>) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.insert(member.name().to_owned(), member);
    }

    /// Who may do something to a domain now.
    #[must_use]
    pub fn turns(&self) -> &turns::Turns {
        &self.turns
    }

    /// Waits for the turn to give a machine its name.
    pub async fn naming(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.naming.clone().lock_owned().await
    }

    /// All members, by name.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// One host behind the seam of the migration engine.
    #[must_use]
    pub fn hypervisor(&self, name: &str) -> Option<Arc<dyn Hypervisor>> {
        self.member(name).map(|member| member.hypervisor())
    }

    /// The registered hosts, by name.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        self.members().iter().map(|member| member.describe()).collect()
    }

    /// One registered host.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<Host> {
        self.member(name).map(|member| member.describe())
    }

    /// Forgets a host; with `force` also one that owes something, which then stays there.
    ///
    /// # Errors
    /// Unknown host, one that takes part in a task that has not ended, or one from which something that a migration left is to be removed
    /// yet.
    pub async fn remove(&self, name: &str, force: bool) -> Result<(), Problem> {
        let Some(member) = self.member(name) else { return Err(unknown_host(name)) };
        let query = api::task::TaskQuery { active: Some(true), ..Default::default() };
        let tasks = self.store.tasks(&query, u32::MAX).await.map_err(Problem::from)?;
        if let Some(task) = tasks.iter().find(|task| task.source == name || task.destination == name) {
            let mut problem = Problem::new(
                Code::HostBusy,
                format!("{name} takes part in task {}, which has not ended.", task.id),
            );
            problem.task = Some(task.id);
            return Err(problem);
        }
        let debts = self.store.debts().await.map_err(Problem::from)?;
        if let Some(debt) = debts.iter().find(|debt| debt.host == name && !force) {
            let mut problem = Problem::new(
                Code::HostBusy,
                format!(
                    "What task {} left on {name} is to be removed yet: that is done when {name} answers. Where {name} is gone for good, \
                     say so: ferry host remove {name} --force.",
                    debt.task
                ),
            );
            problem.task = Some(debt.task.0);
            return Err(problem);
        }
        self.store.remove_host(name).await.map_err(Problem::from)?;
        self.members.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        drop(member);
        self.forget_files(name);
        Ok(())
    }

    /// Removes the files that are kept for the login to a host.
    fn forget_files(&self, name: &str) {
        let forgotten = name.parse::<crate::model::HostName>().map(|name| self.ssh.forget(&name));
        if let Ok(Err(error)) = forgotten {
            tracing::warn!(host = name, %error, "its files were not removed");
        }
    }

    /// The virtual machines, by name.
    #[must_use]
    pub fn vms(&self, query: &VmQuery) -> Vec<Vm> {
        let wanted = |vm: &Vm| query.state.is_none_or(|state| vm.state == state);
        let members = self.members();
        let members =
            members.iter().filter(|member| query.host.as_deref().is_none_or(|host| member.name() == host));
        let mut vms: Vec<Vm> = members.flat_map(|member| member.vms()).filter(wanted).collect();
        vms.sort_by(|a, b| (a.name.to_lowercase(), &a.host).cmp(&(b.name.to_lowercase(), &b.host)));
        vms
    }

    /// The virtual machine that a person means by a name or UUID, on `host` where given.
    ///
    /// # Errors
    /// None, or several hosts have one.
    pub fn find_vm(&self, name_or_uuid: &str, host: Option<&str>) -> Result<Vm, Problem> {
        if let Some(host) = host {
            self.member(host).ok_or_else(|| unknown_host(host))?;
        }
        let uuid = Uuid::parse_str(name_or_uuid).ok();
        let all = self.vms(&VmQuery { host: host.map(str::to_owned), state: None });
        let mut found: Vec<Vm> =
            all.into_iter().filter(|vm| vm.name == name_or_uuid || Some(vm.uuid) == uuid).collect();
        // A leftover definition elsewhere does not make the one that runs ambiguous.
        let active = |vm: &Vm| vm.state != api::vm::VmState::Shutoff;
        if found.len() > 1 && found.iter().filter(|vm| active(vm)).count() == 1 {
            found.retain(active);
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(self.unknown_vm(name_or_uuid)),
            _ => {
                let hosts: Vec<&str> = found.iter().map(|vm| vm.host.as_str()).collect();
                Err(Problem::new(
                    Code::AmbiguousVm,
                    format!(
                        "{name_or_uuid} is on {}: say which is meant (--from HOST).",
                        hosts.join(" and on ")
                    ),
                ))
            }
        }
    }

    /// Has all hosts list their virtual machines now: the view follows what happens a little later, and a request that comes
    /// right after a migration must not be told what was before it.
    pub async fn look_again(&self) {
        self.look_again_at(|_| true).await;
    }

    /// The same of those hosts alone whose names `concerned` picks.
    pub async fn look_again_at(&self, concerned: impl Fn(&str) -> bool) {
        let members = self.members().into_iter().filter(|member| concerned(member.name()));
        let members: Vec<_> = members.collect();
        futures_util::future::join_all(members.iter().map(|member| member.look_again(LOOK_LIMIT))).await;
    }

    /// The hosts whose virtual machines are not known now.
    #[must_use]
    pub fn silent(&self) -> Vec<String> {
        let members = self.members();
        members.iter().filter(|member| !member.is_listed()).map(|member| member.name().to_owned()).collect()
    }

    /// The problem of a virtual machine that no host is known to have.
    #[must_use]
    pub fn unknown_vm(&self, name: &str) -> Problem {
        let silent = self.silent();
        let detail = if silent.is_empty() {
            format!("No registered host has a virtual machine {name}. `ferry vm list` shows all.")
        } else {
            format!(
                "No host that answers has a virtual machine {name}; {} cannot be asked now.",
                silent.join(" and ")
            )
        };
        Problem::new(Code::UnknownVm, detail)
    }
}

/// The problem of a host name that is not registered.
#[must_use]
pub fn unknown_host(name: &str) -> Problem {
    Problem::new(Code::UnknownHost, format!("No host is registered as {name}. `ferry host list` shows all."))
}
