//! `vms/NAME/hostdevs`: devices of its host that a machine is given. They are told only, not given and taken.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::filter::Filter;
use super::reasons::Refusal;
use super::{Arguments, answer};
use crate::http::AppState;
use crate::http::extract::NamePath;
use crate::http::problem::{Failure, shortened};
use crate::lifecycle::Lifecycle;
use crate::messages::Message;
use crate::model::host_device::{Labelled, Passed};

/// The routes, without a prefix.
pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/vms/{name}/hostdevs", get(list)).route("/vms/{name}/hostdevs/{device}", get(show))
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

async fn devices(app: AppState, vm: &str) -> Result<Vec<HostDev>, Refusal> {
    match Lifecycle::new(app.fleet, app.store).host_devices(vm).await {
        Ok(found) => Ok(found.into_iter().map(HostDev::from).collect()),
        Err(refused) => {
            Err(Refusal::of_undone(&refused, vm, |name, details| Message::FERRYHDEV0001E { name, details }))
        }
    }
}

/// Those that pass the filters.
async fn list(
    State(app): State<AppState>,
    vm: Result<NamePath, Failure>,
    Arguments(arguments): Arguments,
) -> Result<Response, Refusal> {
    let NamePath(vm) = vm.map_err(|_| Refusal::no_such_address())?;
    let mut told = devices(app, &vm).await?;
    let filter = Filter::new(arguments);
    told.retain(|device| filter.passes(device));
    Ok(answer(&told).into_response())
}

/// One.
async fn show(
    State(app): State<AppState>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((vm, name)) = path.map_err(|_| Refusal::no_such_address())?;
    match devices(app, &vm).await?.into_iter().find(|device| device.name == name) {
        Some(device) => Ok(answer(&device).into_response()),
        None => Err(Refusal::not_found(Message::KCHVMHDEV0001E {
            name: shortened(&vm).into(),
            device: shortened(&name).into(),
        })),
    }
}
