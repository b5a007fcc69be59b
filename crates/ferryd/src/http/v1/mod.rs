//! Our own API, `/api/v1`: one file per resource.

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;

pub mod events;
pub mod hosts;
pub mod migrations;
pub mod openapi;
pub mod preflight;
pub mod tasks;
pub mod vms;

/// Where every address of this API begins.
pub const PREFIX: &str = "/api/v1";

/// What the documentation says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ferry",
        description = "Live-migrates KVM virtual machines between hosts with plain libvirt. Every error is an RFC 9457 \
                       problem document with a stable `code`; its `title` is told in the language of `Accept-Language`.",
        license(name = "LGPL-2.1-or-later", identifier = "LGPL-2.1-or-later"),
    ),
    servers((url = "/", description = "The ferryd that served this document.")),
    tags(
        (name = "hosts", description = "Machines with libvirt that are registered."),
        (name = "vms", description = "Virtual machines on the registered hosts."),
        (name = "migrations", description = "Moving a virtual machine to another host."),
        (name = "tasks", description = "Durable units of work. A migration is one."),
        (name = "events", description = "What happens, as it happens."),
        (name = "openapi", description = "This document."),
    ),
    components(schemas(api::problem::Problem, api::event::Event)),
)]
struct Description;

/// The API's routes.
pub fn router() -> Router<AppState> {
    described().split_for_parts().0
}

/// The API's routes and their documentation, made from the same table.
fn described() -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(hosts::list, hosts::register))
        .routes(routes!(hosts::show, hosts::remove))
        .routes(routes!(vms::list))
        .routes(routes!(vms::show))
        .routes(routes!(migrations::list, migrations::start))
        .routes(routes!(migrations::plan))
        .routes(routes!(preflight::check))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::show, tasks::change))
        .routes(routes!(tasks::cancel))
        .routes(routes!(tasks::resolve))
        .routes(routes!(events::stream))
        .routes(routes!(openapi::show));
    OpenApiRouter::with_openapi(Description::openapi()).nest(PREFIX, routes)
}
