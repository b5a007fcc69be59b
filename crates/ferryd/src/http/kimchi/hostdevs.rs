//! `vms/NAME/hostdevs`: devices of its host that a machine is given. Giving and taking one is a task.

use api::task::{Task, TaskKind};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

use super::filter::Filter;
use super::reasons::Refusal;
use super::tasks::KimchiTask;
use super::{Arguments, PREFIX, answer, required_body, schema};
use crate::access::Caller;
use crate::http::extract::NamePath;
use crate::http::problem::{Failure, shortened};
use crate::http::{AppState, to_the_end};
use crate::lifecycle::Lifecycle;
use crate::lifecycle::devices::DeviceRefused;
use crate::messages::{Message, Text};
use crate::model::host_device::{Labelled, Passed, Unmoved};

/// The routes, without a prefix.
pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/vms/{name}/hostdevs", get(list).post(give))
        .route("/vms/{name}/hostdevs/{device}", get(show).delete(take))
}

/// A device as Kimchi told it.
#[derive(Serialize)]
struct HostDev {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    product: Option<Label>,
    vendor: Option<Label>,
    multifunction: Option<bool>,
    vga3d: Option<bool>,
}

#[derive(Serialize)]
struct Label {
    id: String,
    description: Option<String>,
}

impl From<Labelled> for Label {
    fn from(labelled: Labelled) -> Self {
        Self { id: labelled.id, description: labelled.description }
    }
}

impl From<Passed> for HostDev {
    fn from(passed: Passed) -> Self {
        let device = passed.device.unwrap_or_default();
        Self {
            name: passed.name,
            kind: passed.kind,
            vga3d: device.is_3d_controller(),
            product: device.product.map(Label::from),
            vendor: device.vendor.map(Label::from),
            multifunction: passed.multifunction,
        }
    }
}

async fn devices(app: AppState, caller: Caller, vm: &str) -> Result<Vec<HostDev>, Refusal> {
    match Lifecycle::new(app.fleet, app.store, caller).host_devices(vm).await {
        Ok(found) => Ok(found.into_iter().map(HostDev::from).collect()),
        Err(refused) => {
            Err(Refusal::of_undone(&refused, vm, |name, details| Message::FERRYHDEV0001E { name, details }))
        }
    }
}

/// Those that pass the filters.
async fn list(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    vm: Result<NamePath, Failure>,
    Arguments(arguments): Arguments,
) -> Result<Response, Refusal> {
    let NamePath(vm) = vm.map_err(|_| Refusal::no_such_address())?;
    let filter = Filter::new(arguments)?;
    let mut told = devices(app, caller, &vm).await?;
    told.retain(|device| filter.passes(device));
    Ok(answer(&told).into_response())
}

/// One.
async fn show(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((vm, name)) = path.map_err(|_| Refusal::no_such_address())?;
    match devices(app, caller, &vm).await?.into_iter().find(|device| device.name == name) {
        Some(device) => Ok(answer(&device).into_response()),
        None => Err(Act::Take.refused(&Unmoved::NotGiven.into(), &vm, &name)),
    }
}

/// A task that gives or takes a device, as Kimchi told it.
pub(super) fn task(task: &Task) -> KimchiTask {
    let device = task.made.as_deref().unwrap_or_default();
    let address = format!("{PREFIX}/vms/{}/hostdevs/", task.vm);
    let done = Message::FERRYTASK0010I;
    let (act, words, address) = match task.kind {
        TaskKind::Detach => {
            let words = (Message::FERRYTASK0016I, done, Message::FERRYTASK0017I);
            (Act::Take, words, format!("{address}{device}"))
        }
        _ => (Act::Give, (Message::FERRYTASK0014I, done, Message::FERRYTASK0015I), address),
    };
    KimchiTask::told(task, words, address, |why| act.failed(task.vm.as_str().into(), device, why).into())
}

/// What was asked to be done with a device.
#[derive(Clone, Copy, Debug)]
enum Act {
    Give,
    Take,
}

impl Act {
    /// What is said when it could not be done. Kimchi had no word for one that was not taken, and no details.
    fn failed(self, name: Text, device: &str, details: Text) -> Message {
        let device = shortened(device).into();
        match self {
            Self::Give => Message::KCHVMHDEV0007E { device, name, details },
            Self::Take => Message::FERRYHDEV0002E { device, name, details },
        }
    }

    fn refused(self, refused: &DeviceRefused, vm: &str, device: &str) -> Refusal {
        let unmoved = match refused {
            DeviceRefused::Refused(refused) => {
                return Refusal::of_undone(refused, vm, |name, details| self.failed(name, device, details));
            }
            DeviceRefused::Unmoved(unmoved) => unmoved,
        };
        let name = Text::from(shortened(vm));
        let named = Text::from(shortened(device));
        match unmoved {
            Unmoved::Absent => Refusal::not_found(Message::KCHHOST0003E { device: named }),
            Unmoved::NotGiven => Refusal::not_found(Message::KCHVMHDEV0001E { name, device: named }),
            Unmoved::NotAllowed => Refusal::bad_request(Message::KCHVMHDEV0002E { device: named }),
            Unmoved::NoIommu => Refusal::bad_request(Message::KCHVMHDEV0003E),
            Unmoved::OnlyStopped => Refusal::bad_request(Message::KCHVMHDEV0006E { device: named }),
            Unmoved::Given | Unmoved::Job => Refusal::conflict(self.failed(name, device, refused.text())),
        }
    }

    /// Begins it, to the end of that even when the client hangs up meanwhile.
    async fn begun(
        self,
        (app, caller): (AppState, Caller),
        vm: String,
        device: String,
    ) -> Result<Response, Refusal> {
        let (life, engine) = (Lifecycle::new(app.fleet, app.store, caller), app.engine);
        let (of, name) = (vm.clone(), device.clone());
        let work = async move {
            Ok(match self {
                Self::Give => life.give_device(&engine, &of, &name).await,
                Self::Take => life.take_device(&engine, &of, &name).await,
            })
        };
        match to_the_end(work).await {
            Ok(Ok(task)) => Ok((StatusCode::ACCEPTED, KimchiTask::from(&task)).into_response()),
            Ok(Err(refused)) => Err(self.refused(&refused, &vm, &device)),
            Err(Failure(problem)) => Err(Refusal::of(&problem)),
        }
    }
}

/// Has a machine given a device.
async fn give(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    vm: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let NamePath(vm) = vm.map_err(|_| Refusal::no_such_address())?;
    let body = required_body(request).await?;
    schema::check("vm_hostdev_create", &body)?;
    let device = body["name"].as_str().unwrap_or_default().to_owned();
    Act::Give.begun((app, caller), vm, device).await
}

/// Has a device taken from a machine.
async fn take(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((vm, device)) = path.map_err(|_| Refusal::no_such_address())?;
    Act::Take.begun((app, caller), vm, device).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_against_it_is_told_with_kimchis_ids() {
        for (act, unmoved, status, reason) in [
            (Act::Give, Unmoved::Absent, 404, "KCHHOST0003E: Node device 'd' not found"),
            (Act::Give, Unmoved::NotAllowed, 400, "KCHVMHDEV0002E: The host device d is not allowed"),
            (Act::Give, Unmoved::NoIommu, 400, "KCHVMHDEV0003E: No IOMMU groups found."),
            (Act::Give, Unmoved::OnlyStopped, 400, "KCHVMHDEV0006E: Hot-(un)plug of device d is not"),
            (
                Act::Give,
                Unmoved::Given,
                409,
                "KCHVMHDEV0007E: Failed to attach d to vm1. Details: the virtual",
            ),
            (Act::Take, Unmoved::NotGiven, 404, "KCHVMHDEV0001E: VM vm1 does not contain"),
            (Act::Take, Unmoved::Job, 409, "FERRYHDEV0002E: Failed to detach d from vm1. Details: a job"),
        ] {
            let refusal = act.refused(&unmoved.into(), "vm1", "d");
            assert_eq!(refusal.status().as_u16(), status, "{}", refusal.reason());
            assert!(refusal.reason().starts_with(reason), "{}", refusal.reason());
        }
        let unknown = Act::Take.refused(
            &DeviceRefused::Refused(crate::lifecycle::Refused::Unknown(Vec::new())),
            "vm1",
            "d",
        );
        assert!(unknown.reason().starts_with("KCHVM0002E: "), "{}", unknown.reason());
    }
}
