//! `/vms`: what the registered hosts run.

use std::collections::BTreeSet;

use api::problem::Code;
use api::task::TaskQuery;
use api::vm::{Vm, VmQuery};
use axum::extract::State;
use serde::Deserialize;

use crate::http::AppState;
use crate::http::extract::{Json, NamePath, Query};
use crate::http::problem::{Failure, problems};
use crate::inventory::unknown_host;

problems!(ListProblems: BadRequest, UnknownHost);
problems!(ShowProblems: BadRequest, UnknownVm, UnknownHost, AmbiguousVm);

/// Tells virtual machines of one name apart.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HostQuery {
    /// The registered host it is on.
    pub host: Option<String>,
}

/// Virtual machines by filter, by name.
#[utoipa::path(get, path = "/vms", tag = "vms", operation_id = "list_vms", params(VmQuery),
    responses((status = 200, description = "The virtual machines.", body = [Vm]), ListProblems))]
pub async fn list(
    State(app): State<AppState>,
    Query(query): Query<VmQuery>,
) -> Result<Json<Vec<Vm>>, Failure> {
    if let Some(host) = query.host.as_deref().filter(|host| app.fleet.member(host).is_none()) {
        return Err(unknown_host(host).into());
    }
    let vms = with_tasks(&app, app.fleet.vms(&query)).await?;
    // Right after a move the view of the source may still be the old one: those that seem to have the same machine are looked at again.
    let is_double =
        |vm: &&Vm| vm.task.is_none() && vms.iter().filter(|other| other.uuid == vm.uuid).count() > 1;
    let hosts: BTreeSet<&str> = vms.iter().filter(is_double).map(|vm| vm.host.as_str()).collect();
    if hosts.is_empty() {
        return Ok(Json(vms));
    }
    app.fleet.look_again_at(|host| hosts.contains(host)).await;
    Ok(Json(with_tasks(&app, app.fleet.vms(&query)).await?))
}

/// The same, each with the task that is moving it.
async fn with_tasks(app: &AppState, mut vms: Vec<Vm>) -> Result<Vec<Vm>, Failure> {
    let active = TaskQuery { active: Some(true), ..TaskQuery::default() };
    for task in app.store.tasks(&active, u32::MAX).await? {
        for vm in vms.iter_mut().filter(|vm| vm.uuid == task.vm_uuid) {
            vm.task = Some(task.id);
        }
    }
    Ok(vms)
}

/// Whether a task moves the virtual machine of this name or UUID.
async fn is_moving(app: &AppState, name: &str) -> Result<bool, Failure> {
    let active = TaskQuery { active: Some(true), ..TaskQuery::default() };
    let tasks = app.store.tasks(&active, u32::MAX).await?;
    Ok(tasks.iter().any(|task| task.vm == name || task.vm_uuid.to_string() == name))
}

/// One virtual machine, by its name or its UUID.
#[utoipa::path(get, path = "/vms/{vm}", tag = "vms", operation_id = "show_vm",
    params(("vm" = String, Path, description = "The virtual machine's name or UUID."), HostQuery),
    responses((status = 200, description = "The virtual machine.", body = Vm), ShowProblems))]
pub async fn show(
    State(app): State<AppState>,
    NamePath(name): NamePath,
    Query(query): Query<HostQuery>,
) -> Result<Json<Vm>, Failure> {
    let find = || app.fleet.find_vm(&name, query.host.as_deref());
    let vm = match find() {
        // Right after a migration the view may still be the old one. While one is under way the hosts are left in peace.
        Err(problem) if problem.code == Code::AmbiguousVm && !is_moving(&app, &name).await? => {
            app.fleet.look_again().await;
            find()?
        }
        other => other?,
    };
    Ok(Json(with_tasks(&app, vec![vm]).await?.remove(0)))
}
