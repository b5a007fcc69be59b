//! `/vms`: what the registered hosts run.

use api::problem::{Code, Problem};
use api::vm::{Vm, VmQuery};
use axum::extract::State;

use crate::http::AppState;
use crate::http::extract::{Json, NamePath, Query};
use crate::http::problem::{Failure, problems, shortened};

problems!(ListProblems: BadRequest);
problems!(ShowProblems: BadRequest, UnknownVm, AmbiguousVm);

/// Virtual machines by filter, by name.
#[utoipa::path(get, path = "/vms", tag = "vms", operation_id = "list_vms", params(VmQuery),
    responses((status = 200, description = "The virtual machines.", body = [Vm]), ListProblems))]
pub async fn list(State(app): State<AppState>, Query(query): Query<VmQuery>) -> Json<Vec<Vm>> {
    Json(app.fleet.vms(&query))
}

/// One virtual machine, by its name or its UUID; the filters tell those of one name apart.
#[utoipa::path(get, path = "/vms/{vm}", tag = "vms", operation_id = "show_vm",
    params(("vm" = String, Path, description = "The virtual machine's name or UUID."), VmQuery),
    responses((status = 200, description = "The virtual machine.", body = Vm), ShowProblems))]
pub async fn show(
    State(app): State<AppState>,
    NamePath(name): NamePath,
    Query(query): Query<VmQuery>,
) -> Result<Json<Vm>, Failure> {
    the_only(app.fleet.vms(&query), &name).map(Json)
}

/// The one that is meant. A name goes before a UUID, should a machine bear another one's UUID as its name.
fn the_only(vms: Vec<Vm>, wanted: &str) -> Result<Vm, Failure> {
    let (mut named, others): (Vec<_>, Vec<_>) = vms.into_iter().partition(|vm| vm.name == wanted);
    if named.is_empty() {
        let uuid = uuid::Uuid::parse_str(wanted).ok();
        named = others.into_iter().filter(|vm| Some(vm.uuid) == uuid).collect();
    }
    let hosts = named.iter().map(|vm| vm.host.as_str()).collect::<Vec<_>>().join(", ");
    match named.pop() {
        None => {
            let detail = format!("no host that answers has a virtual machine {}", shortened(wanted));
            Err(Problem::new(Code::UnknownVm, detail).into())
        }
        Some(vm) if named.is_empty() => Ok(vm),
        Some(_) => {
            let detail = format!("{} is on {hosts}: say which with `host`", shortened(wanted));
            Err(Problem::new(Code::AmbiguousVm, detail).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use api::vm::VmState;
    use uuid::Uuid;

    use super::*;

    fn vm(name: &str, uuid: u128, host: &str) -> Vm {
        Vm {
            name: name.to_owned(),
            uuid: Uuid::from_u128(uuid),
            host: host.to_owned(),
            state: VmState::Running,
            persistent: true,
            autostart: false,
            vcpus: 1,
            max_memory_bytes: 1,
            memory_bytes: 1,
            cpu_time_ns: 0,
            task: None,
        }
    }

    #[test]
    fn the_one_that_is_meant_is_found() {
        let impostor = Uuid::from_u128(1).to_string();
        let vms = vec![vm("a", 1, "h1"), vm("b", 2, "h1"), vm("b", 3, "h2"), vm(&impostor, 4, "h3")];
        assert_eq!(the_only(vms.clone(), "a").unwrap().host, "h1");
        assert_eq!(the_only(vms.clone(), &Uuid::from_u128(3).to_string()).unwrap().host, "h2");
        assert_eq!(the_only(vms.clone(), &impostor).unwrap().host, "h3");
        assert_eq!(the_only(vms.clone(), "c").unwrap_err().0.code, Code::UnknownVm);
        let ambiguous = the_only(vms, "b").unwrap_err().0;
        assert_eq!(ambiguous.code, Code::AmbiguousVm);
        assert!(ambiguous.detail.contains("h1, h2"), "{}", ambiguous.detail);
    }
}
