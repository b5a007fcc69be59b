//! One domain's move.
//!
//! * [`Migrations`] – accepts requests: checks (`check`), plan, task.
//! * [`steps`] – the table of steps and the runner that walks it.
//! * `carry` – files that go along; `way` – how their bytes get over; `flatten` – those that become one image there; `files_seen` – whether they are what they were;
//!   `made` – making and removing them; `manifest` – what the log says of them; `leaving` – what becomes of the source afterwards.
//! * `perform` – libvirt's migration under watch, and the hand-over; `monitor` – what is seen of it; `again` – post-copy: beginning anew
//!   by it, the switch, joining again what broke.
//! * `wishes` – what of a request the checks depend on.
//! * `mapping` – what of a request makes the definition another one on the destination; `define` – a stopped domain's definition there.
//! * `limit` – a limit of the bandwidth that is changed meanwhile.
//! * `contact` – how long the source was out of sight.
//! * `aside` – what libvirt knows of a running domain's snapshots, on the way.
//! * `settle` – ask both hosts (`glance`; `waiting` – for how long), decide, act, until it has ended; [`copy`] – what a host's answers come to, `knowledge` – what the log
//!   proves, [`outcome`] – the decision (`not_begun` – before it has begun, `cold` – of a stopped domain, `post_copy` – of one that moves so, `resolve` – of a person's word): pure.
//! * [`debts`] – what an ended migration left on a host that did not answer, removed when it does.
//! * `story` – what a person is told.

mod again;
mod aside;
mod carry;
mod check;
mod cold;
#[cfg(test)]
mod cold_tests;
mod contact;
pub mod copy;
pub mod debts;
mod define;
mod files_seen;
mod flatten;
mod glance;
mod held;
mod inherited;
mod knowledge;
mod leaving;
mod limit;
mod made;
mod manifest;
mod mapping;
mod monitor;
mod not_begun;
pub mod outcome;
#[cfg(test)]
mod outcome_tests;
mod perform;
mod post_copy;
#[cfg(test)]
mod post_copy_tests;
mod resolve;
mod settle;
pub mod steps;
mod story;
pub mod timing;
mod waiting;
mod way;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use api::finding::Finding;
use api::plan::PlanReport;
use api::problem::{Code, Problem};
use api::task::{MigrationRequest, Task, TaskKind};
use api::vm::{Vm, VmQuery};

pub use inherited::InheritedRequest;
use wishes::Wishes;

use crate::access::Caller;
use crate::inventory::{Fleet, facts};
use crate::model::facts::Facts;
use crate::model::transport::Asked;
use crate::model::{DomainUuid, TaskId};
use crate::plan::transport::Options;
use crate::plan::{Plan, Rewrite};
use crate::preflight;
use crate::store::{NewTask, Started, Store, StoreError};
use crate::task::{Engine, queued};

/// Upper limits of what a request may ask for; libvirt takes no more.
const MAX_DOWNTIME_MS: u64 = 2_000_000;
const MAX_BANDWIDTH_MIB_S: u64 = 1_000_000;

/// Accepts migrations.
pub struct Migrations {
    fleet: Arc<Fleet>,
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    sweeper: Arc<debts::Sweeper>,
    /// How long a host may take to answer the checks.
    limit: Duration,
}

impl std::fmt::Debug for Migrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migrations").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Migrations {
    /// Accepts migrations among the hosts of `fleet`; a host may take `limit` to answer the checks.
    #[must_use]
    pub fn new(
        fleet: Arc<Fleet>,
        engine: Arc<Engine>,
        store: Arc<dyn Store>,
        sweeper: Arc<debts::Sweeper>,
        limit: Duration,
    ) -> Self {
        Self { fleet, engine, store, sweeper, limit }
    }

    /// Checks a request, plans it, creates its task and has it begun.
    ///
    /// # Errors
    /// A problem document that says why not; `refused-by-checks` holds everything that the checks found.
    pub async fn start(&self, request: MigrationRequest) -> Result<Task, Problem> {
        self.start_for(request, &Caller::AtSocket).await
    }

    /// The same for a caller who may use some machines only: a name may mean another one by now than when the request was let in.
    async fn start_for(&self, request: MigrationRequest, caller: &Caller) -> Result<Task, Problem> {
        let (plan, findings) = self.planned(&request, true).await?;
        let name = plan.name.clone();
        let new = self.new_task(&plan, findings)?;
        // Until the task is stored, which is the lock from then on.
        let Some(_turn) = self.fleet.turns().try_take(plan.domain) else { return Err(in_other_hands(&name)) };
        self.allowed(caller, plan.domain, &name)?;
        self.engine.submit(&new).await.map_err(|error| match error {
            StoreError::DomainBusy(task) => already_moving(&name, task),
            other => other.into(),
        })
    }

    /// What a request would do.
    ///
    /// # Errors
    /// As [`Migrations::start`].
    pub async fn plan(&self, request: &MigrationRequest) -> Result<PlanReport, Problem> {
        let (plan, findings) = self.planned(request, false).await?;
        Ok(plan.report(findings))
    }

    /// The plan of a request that the checks let through, and what they found.
    /// `clear`: what an earlier migration has left is removed first, as far as hosts answer.
    async fn planned(
        &self,
        request: &MigrationRequest,
        clear: bool,
    ) -> Result<(Plan, Vec<Finding>), Problem> {
        valid(request)?;
        let rewrite = mapping::of_migration(request)?;
        let mut vm = self.find(&request.vm, request.source.as_deref()).await?;
        let mut facts = self.facts(request, &vm, &rewrite, clear).await?;
        if facts.domain.is_none() && facts.source.known().is_some() {
            // It left that host after the last look at it.
            self.fleet.look_again().await;
            vm = self.find(&request.vm, request.source.as_deref()).await?;
            facts = self.facts(request, &vm, &rewrite, clear).await?;
        }
        mapping::fits_domain(&rewrite, &facts)?;
        let domain = DomainUuid(vm.uuid);
        let mut findings = preflight::check(&facts);
        // Of two requests the second sees the first one's job and copy: say that, and not "job active".
        self.not_moving(domain, &vm.name).await?;
        preflight::ignore(&mut findings, &request.ignore).map_err(|code| check::not_to_be_ignored(&code))?;
        let (Some(domain_facts), false) = (&facts.domain, preflight::forbids(&findings)) else {
            return Err(refused(&vm.name, &request.destination, findings));
        };
        // The checks have seen that there is one wherever the source's libvirt needs it: not for a stopped domain.
        let peer_uri = facts.destination_peer_uri.clone().unwrap_or_default();
        let mut plan = Plan::new(request, &facts, domain_facts, peer_uri);
        if request.copy {
            let named = self.fleet.vms(&VmQuery { host: Some(plan.source.clone()), ..VmQuery::default() });
            let taken = named.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>();
            plan.leave_copy(DomainUuid(uuid::Uuid::new_v4()), &domain_facts.definition, &taken);
        }
        Ok((plan.with_rewrite(rewrite, &facts, domain_facts).map_err(mapping::unfit)?, findings))
    }

    /// Everything that the checks look at.
    async fn facts(
        &self,
        request: &MigrationRequest,
        vm: &Vm,
        rewrite: &Rewrite,
        clear: bool,
    ) -> Result<Facts, Problem> {
        let (source, destination) = (self.member(&vm.host)?, self.member(&request.destination)?);
        self.nothing_owed(vm, &request.destination, clear).await?;
        let wanted = Wishes::from(request).wanted()?;
        let inquiry = self.inquiry(vm, &source, &destination, wanted, rewrite, false).await?;
        Ok(facts::gather(&inquiry).await.0)
    }

    /// The virtual machine that is meant. While it moves both hosts have it: that is told by its task. Right after that the view
    /// of the hosts may still be the old one: they are looked at again.
    async fn find(&self, name: &str, source: Option<&str>) -> Result<Vm, Problem> {
        let find = || self.fleet.find_vm(name, source);
        match find() {
            Err(problem) if problem.code == Code::UnknownVm => {
                self.fleet.look_again().await;
                find()
            }
            Err(problem) if problem.code == Code::AmbiguousVm => {
                let named = self.fleet.vms(&VmQuery::default());
                for vm in named.iter().filter(|vm| vm.name == name || vm.uuid.to_string() == name) {
                    self.not_moving(DomainUuid(vm.uuid), &vm.name).await?;
                }
                self.fleet.look_again().await;
                find()
            }
            other => other,
        }
    }

    /// Before the copy on the destination can be a new one, what an earlier migration left there must be gone.
    async fn nothing_owed(&self, vm: &Vm, destination: &str, clear: bool) -> Result<(), Problem> {
        let domain = DomainUuid(vm.uuid);
        let left = if clear {
            self.sweeper.clear(domain).await.map_err(Problem::from)?
        } else {
            let debts = self.store.debts().await.map_err(Problem::from)?;
            debts.into_iter().filter(|debt| debt.domain == domain).collect()
        };
        let Some(debt) = left.iter().find(|debt| debt.host == destination) else { return Ok(()) };
        let finding = Finding {
            code: "leftover".to_owned(),
            severity: api::finding::Severity::Blocker,
            subject: destination.to_owned(),
            message: format!("An earlier migration of {} may have left something on {destination}.", vm.name),
            evidence: debt.describe(),
            remedy: Some(api::finding::Remedy {
                text: match debt.started {
                    Started::No => "It is removed by itself when the host answers.".to_owned(),
                    _ => format!(
                        "It is somebody's now: say which copy stays, {}'s or {}'s.",
                        debt.host, debt.owner
                    ),
                },
                command: Some(format!("ferry host show {destination}")),
                host: None,
            }),
            cost: None,
        };
        Err(refused(&vm.name, destination, vec![finding]))
    }

    async fn not_moving(&self, domain: DomainUuid, name: &str) -> Result<(), Problem> {
        match self.store.active_task(domain).await {
            Ok(None) => Ok(()),
            Ok(Some(task)) => Err(already_moving(name, task)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a caller may use a machine, as every host that has it tells.
    fn allowed(&self, caller: &Caller, domain: DomainUuid, name: &str) -> Result<(), Problem> {
        let copies = self.fleet.known_where(|vm| vm.domain() == domain);
        let listed = !copies.is_empty() && copies.iter().all(|vm| caller.may_use(vm));
        if caller.is_admin() || listed {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, format!("{name} does not list you. Nothing was changed.")))
    }

    fn new_task(&self, plan: &Plan, findings: Vec<Finding>) -> Result<NewTask, Problem> {
        let now_ms = self.engine.clock().now_ms();
        let (vm, way) = ((&*plan.name, plan.domain), (&*plan.source, &*plan.destination));
        let message =
            format!("{} is about to be moved from {} to {}", plan.name, plan.source, plan.destination);
        let queued = queued(TaskId::new(), TaskKind::Migration, vm, way, message, now_ms);
        let task = Task { bandwidth_mib_s: plan.bandwidth_mib_s, findings, ..queued };
        Ok(NewTask::of(task, plan)?)
    }
}

fn valid(request: &MigrationRequest) -> Result<(), Problem> {
    name_fits("vm", &request.vm)?;
    name_fits("destination", &request.destination)?;
    check::ignorable(&request.ignore)?;
    Wishes::from(request).wanted().map(drop)
}

/// How the memory is to travel, where that makes sense.
fn transport_fits(options: &Options<'_>) -> Result<Asked, Problem> {
    options.asked().map_err(|senseless| bad_value(senseless.field, senseless.why))
}

fn bad_value(field: &str, detail: String) -> Problem {
    Problem::new(Code::BadValue, detail).field(field)
}

fn name_fits(field: &str, text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        let detail = format!("{field} must be a name of 1 to 256 characters without control characters.");
        return Err(bad_value(field, detail));
    }
    Ok(())
}

fn downtime_fits(max_downtime_ms: Option<u64>) -> Result<(), Problem> {
    match max_downtime_ms {
        Some(ms) if ms == 0 || ms > MAX_DOWNTIME_MS => {
            Err(bad_value("max_downtime_ms", format!("max_downtime_ms must be 1 to {MAX_DOWNTIME_MS}.")))
        }
        _ => Ok(()),
    }
}

/// A limit of the bandwidth is one that libvirt takes.
///
/// # Errors
/// A problem document that names the field.
pub fn bandwidth_fits(mib_s: Option<u64>) -> Result<(), Problem> {
    if mib_s.is_some_and(|mib_s| mib_s == 0 || mib_s > MAX_BANDWIDTH_MIB_S) {
        return Err(bad_value(
            "bandwidth_mib_s",
            format!("bandwidth_mib_s must be 1 to {MAX_BANDWIDTH_MIB_S}."),
        ));
    }
    Ok(())
}

fn refused(name: &str, destination: &str, findings: Vec<Finding>) -> Problem {
    let blockers =
        findings.iter().filter(|finding| finding.severity == api::finding::Severity::Blocker).count();
    let reasons = if blockers == 1 { "one reason".to_owned() } else { format!("{blockers} reasons") };
    let mut problem = Problem::new(
        Code::RefusedByChecks,
        format!(
            "{name} was not moved to {destination}: the checks found {reasons} against it. Nothing was changed."
        ),
    );
    problem.findings = findings;
    problem
}

fn in_other_hands(name: &str) -> Problem {
    let detail = format!(
        "{name} is being started, stopped or changed this moment. Nothing was changed; try it again."
    );
    Problem::new(Code::VmBusy, detail)
}

fn already_moving(name: &str, task: TaskId) -> Problem {
    let mut problem = Problem::new(
        Code::AlreadyMigrating,
        format!(
            "{name} is being moved already, or a snapshot of it is being made. `ferry task watch {task}` shows how far it is."
        ),
    );
    problem.task = Some(task.0);
    problem
}
