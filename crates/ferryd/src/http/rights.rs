//! Who may do what: one table of all routes with the right that each takes, and the layer that goes by it.
//!
//! What is not in the table does not exist, whoever asks: a route that is added without a right is answered as an address or a method
//! that is not there.

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::denial::Denial;
use super::{AppState, Door, credentials, kimchi, v1};
use crate::access::Caller;
use crate::model::TaskId;
use Right::{Admin, Anyone, Task, User, Vm};

/// What a caller needs for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: one logs in and out by it.
    Anyone,
    /// A login.
    User,
    /// To be listed by every virtual machine that has the path's `{name}`, or to be an administrator.
    Vm,
    /// The same of the virtual machine that the task of the path's `{id}` moves.
    Task,
    /// To be an administrator.
    Admin,
}

/// A route and the right that it takes.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method; `HEAD` goes with `GET`.
    pub method: Method,
    /// The path as it is registered. One of the inherited interface stands for itself and for the one with the prefix.
    pub path: &'static str,
    /// What it takes.
    pub right: Right,
}

const fn route(method: Method, path: &'static str, right: Right) -> Route {
    Route { method, path, right }
}

/// Every route of our own interface. It knows no lists of users, and so is the administrators'.
pub const OWN: &[Route] = &[
    route(Method::GET, "/api/v1/hosts", Admin),
    route(Method::POST, "/api/v1/hosts", Admin),
    route(Method::GET, "/api/v1/hosts/{name}", Admin),
    route(Method::DELETE, "/api/v1/hosts/{name}", Admin),
    route(Method::GET, "/api/v1/vms", Admin),
    route(Method::GET, "/api/v1/vms/{vm}", Admin),
    route(Method::GET, "/api/v1/migrations", Admin),
    route(Method::POST, "/api/v1/migrations", Admin),
    route(Method::POST, "/api/v1/migrations/plan", Admin),
    route(Method::POST, "/api/v1/preflight", Admin),
    route(Method::GET, "/api/v1/tasks", Admin),
    route(Method::GET, "/api/v1/tasks/{id}", Admin),
    route(Method::PATCH, "/api/v1/tasks/{id}", Admin),
    route(Method::POST, "/api/v1/tasks/{id}/cancel", Admin),
    route(Method::POST, "/api/v1/tasks/{id}/resolve", Admin),
    route(Method::GET, "/api/v1/events", Admin),
    route(Method::GET, "/api/v1/openapi.json", User),
];

/// Every route of the inherited interface. As there, whom a machine lists may do everything to it, and reads all tasks.
pub const INHERITED: &[Route] = &[
    route(Method::POST, "/login", Anyone),
    route(Method::POST, "/logout", Anyone),
    route(Method::GET, "/login.html", Anyone),
    // The list has what its reader may use.
    route(Method::GET, "/vms", User),
    // Nobody is listed by what is not there yet.
    route(Method::POST, "/vms", Admin),
    route(Method::GET, "/vms/{name}", Vm),
    route(Method::PUT, "/vms/{name}", Vm),
    route(Method::DELETE, "/vms/{name}", Vm),
    route(Method::POST, "/vms/{name}/start", Vm),
    route(Method::POST, "/vms/{name}/poweroff", Vm),
    route(Method::POST, "/vms/{name}/shutdown", Vm),
    route(Method::POST, "/vms/{name}/reset", Vm),
    route(Method::POST, "/vms/{name}/suspend", Vm),
    route(Method::POST, "/vms/{name}/resume", Vm),
    route(Method::POST, "/vms/{name}/migrate", Vm),
    route(Method::POST, "/vms/{name}/clone", Vm),
    route(Method::GET, "/vms/{name}/screenshot", Vm),
    route(Method::POST, "/vms/{name}/serial", Vm),
    route(Method::POST, "/vms/{name}/connect", Vm),
    // Its ticket is what lets in: only who may have the machine was given one.
    route(Method::GET, "/vms/{name}/console", Anyone),
    route(Method::GET, "/vms/{name}/snapshots", Vm),
    route(Method::POST, "/vms/{name}/snapshots", Vm),
    route(Method::GET, "/vms/{name}/snapshots/current", Vm),
    route(Method::GET, "/vms/{name}/snapshots/{snapshot}", Vm),
    route(Method::DELETE, "/vms/{name}/snapshots/{snapshot}", Vm),
    route(Method::POST, "/vms/{name}/snapshots/{snapshot}/revert", Vm),
    route(Method::GET, "/vms/{name}/hostdevs", Vm),
    route(Method::GET, "/vms/{name}/hostdevs/{device}", Vm),
    // What is the host's is not given away by whom a machine lists.
    route(Method::POST, "/vms/{name}/hostdevs", Admin),
    route(Method::DELETE, "/vms/{name}/hostdevs/{device}", Admin),
    route(Method::GET, "/tasks", User),
    route(Method::GET, "/tasks/{id}", User),
    route(Method::DELETE, "/tasks/{id}", Task),
    route(Method::GET, "/config/capabilities", User),
    route(Method::GET, "/schemas", User),
    route(Method::GET, "/openapi.json", User),
];

/// How long a session lasts, in seconds, as Kimchi told it.
const EXPIRES: HeaderName = HeaderName::from_static("session-expires-on");

/// Whether a path is of our own interface. It decides in which form errors are told.
pub(super) fn is_own(path: &str) -> bool {
    path.strip_prefix(v1::PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Lets a request through if the table says so. Handlers find the [`Caller`] among its extensions.
pub(super) async fn decide(
    State((app, door)): State<(AppState, Door)>,
    request: Request,
    next: Next,
) -> Response {
    let pattern = request.extensions().get::<MatchedPath>().cloned();
    let (mut parts, body) = request.into_parts();
    let looks = credentials::Looks::of(&parts);
    let right = match pattern {
        Some(pattern) => right_of(&parts.method, pattern.as_str()),
        None if is_below_resources(parts.uri.path()) => Some(User),
        None => Some(Anyone),
    };
    let known = match door {
        Door::Socket => Ok(credentials::Known { caller: Caller::AtSocket, expires_s: None }),
        // Nothing is asked for there, so no password is checked either: that takes long, and a wrong one counts.
        Door::Loopback if right == Some(Anyone) => {
            credentials::in_session(&app.access, &parts.headers).ok_or(Denial::LoginRequired)
        }
        Door::Loopback => credentials::who(&app.access, &parts.headers, looks).await,
    };
    let expires_s = known.as_ref().ok().and_then(|known| known.expires_s);
    let passes = match (right, known) {
        (Some(Anyone), _) => Ok(()),
        (right, Ok(known)) => {
            let passes = holds(&app, right, &known.caller, &mut parts).await;
            parts.extensions.insert(known.caller);
            passes
        }
        (_, Err(denial)) => Err(denial),
    };
    let mut response = match passes {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(denial) => denial.answer(&parts, looks),
    };
    if let Some(expires_s) = expires_s
        && let Ok(value) = HeaderValue::try_from(expires_s.to_string())
    {
        response.headers_mut().insert(EXPIRES, value);
    }
    response
}

/// Whether an address without a route is below one that asks for a login: there nobody in particular is told what there is, as it was.
fn is_below_resources(path: &str) -> bool {
    let path = path.strip_prefix(kimchi::PREFIX).unwrap_or(path);
    ["/vms/", "/tasks/", "/config/"].iter().any(|resource| path.starts_with(resource))
}

/// The right that a route takes; none where the table has no such route.
fn right_of(method: &Method, pattern: &str) -> Option<Right> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let (table, path) = match is_own(pattern) {
        true => (OWN, pattern),
        false => (INHERITED, pattern.strip_prefix(kimchi::PREFIX).unwrap_or(pattern)),
    };
    table.iter().find(|route| route.path == path && route.method == method).map(|route| route.right)
}

/// Whether this caller has this right. Only who may do everything is told of what is not there in the order of the inherited
/// interface, the request's own faults first: of everybody else's requests nothing is read before.
async fn holds(
    app: &AppState,
    right: Option<Right>,
    caller: &Caller,
    parts: &mut axum::http::request::Parts,
) -> Result<(), Denial> {
    let Some(right) = right else { return Err(Denial::NoSuchMethod) };
    if caller.is_admin() {
        return Ok(());
    }
    match right {
        Anyone | User => Ok(()),
        Admin => Err(Denial::NotAllowed),
        Vm => {
            let name = parameter(parts, "name").await.ok_or(Denial::NoSuchAddress)?;
            let copies = app.fleet.known_where(|vm| vm.listed.name == name);
            match copies.iter().all(|vm| caller.may_use(vm)) {
                true if copies.is_empty() => Err(Denial::NoSuchVm(name, app.fleet.silent())),
                true => Ok(()),
                false => Err(Denial::NotAllowed),
            }
        }
        Task => {
            let id = parameter(parts, "id").await.ok_or(Denial::NoSuchAddress)?;
            let Ok(uuid) = uuid::Uuid::parse_str(&id) else { return Err(Denial::NoSuchTask(id)) };
            let found = app.store.task(TaskId(uuid)).await.map_err(Denial::Store)?;
            let Some(found) = found else { return Err(Denial::NoSuchTask(id)) };
            let copies = app.fleet.known_where(|vm| vm.listed.uuid == found.task.vm_uuid);
            let may = !copies.is_empty() && copies.iter().all(|vm| caller.may_use(vm));
            if may { Ok(()) } else { Err(Denial::NotAllowed) }
        }
    }
}

/// A part of the path; none where it is not there or is no text.
async fn parameter(parts: &mut axum::http::request::Parts, name: &str) -> Option<String> {
    let all = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    all.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_route_is_found_with_and_without_the_prefix() {
        for (method, pattern, right) in [
            (Method::GET, "/vms", Some(User)),
            (Method::HEAD, "/plugins/kimchi/vms", Some(User)),
            (Method::POST, "/vms", Some(Admin)),
            (Method::PUT, "/vms", None),
            (Method::DELETE, "/plugins/kimchi/tasks/{id}", Some(Task)),
            (Method::GET, "/vms/web1", None),
            (Method::GET, "/api/v1/vms", Some(Admin)),
            (Method::GET, "/api/v1/vms/{name}", None),
            (Method::GET, "/plugins/kimchi/api/v1/vms", None),
            (Method::OPTIONS, "/vms", None),
            (Method::POST, "/login", Some(Anyone)),
        ] {
            assert_eq!(right_of(&method, pattern), right, "{method} {pattern}");
        }
        assert!(is_own("/api/v1") && is_own("/api/v1/x") && !is_own("/api/v10/x") && !is_own("/x/api/v1"));
    }

    #[test]
    fn the_table_names_each_route_once_and_what_a_right_goes_by_is_in_its_path() {
        let mut seen = BTreeSet::new();
        for route in OWN.iter().chain(INHERITED) {
            assert!(seen.insert((route.method.as_str(), route.path)), "{route:?}");
            match route.right {
                Vm => assert!(route.path.contains("{name}"), "{route:?}"),
                Task => assert!(route.path.contains("{id}"), "{route:?}"),
                Anyone | User | Admin => {}
            }
            assert_eq!(is_own(route.path), OWN.iter().any(|own| own.path == route.path), "{route:?}");
        }
    }
}
