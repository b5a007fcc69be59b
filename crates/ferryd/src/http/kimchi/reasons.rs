//! Kimchi's error answers: a status line, and a reason that begins with a stable id.

use api::problem::{Code, Problem};
use api::task::Task;
use api::vm::VmState;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

mod console;
mod migrate;

pub(super) use console::Sought;
pub(super) use migrate::failed_to_migrate;
use migrate::migrate_reason;

use super::schema::Violation;
use crate::http::problem::shortened;
use crate::libvirt::error::{
    CONFIG_UNSUPPORTED, HostError, OPERATION_INVALID, OPERATION_UNSUPPORTED, REVERT_RISKY,
};
use crate::lifecycle::{NO_ROOM, Refused};
use crate::model::action::Action;

/// An error as Kimchi told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// The HTTP status.
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason with its id.
    #[cfg(test)]
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn bad_request(reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    pub(super) fn schema(what: &str) -> Self {
        Self::bad_request(&format!("WOKAPI0008E: Parameters does not match requirement in schema: {what}"))
    }

    /// A query that cannot be read.
    pub(super) fn arguments() -> Self {
        Self::schema("the arguments after the '?' cannot be read")
    }

    /// The tasks that have ended cannot be stopped.
    pub(super) fn of_cancel(problem: &Problem, id: &str) -> Self {
        match problem.code {
            Code::UnknownTask => Self::no_such_task(id),
            Code::TooLate => {
                let reason = format!("WOKASYNC0004E: Unable to kill task due error: {problem}");
                Self::new(StatusCode::CONFLICT, reason)
            }
            _ => Self::of(problem),
        }
    }

    pub(super) fn no_such_vm(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, absent(name))
    }

    /// Why something was not done to a machine.
    pub(super) fn of_lifecycle(refused: &Refused, name: &str, act: Act) -> Self {
        let told = &*shortened(name);
        if let Refused::State(state) = refused
            && let Some(reason) = act.wrong_state(*state, told)
        {
            return Self::bad_request(&reason);
        }
        Self::of_undone(refused, name, |details| act.failed(told, details))
    }

    /// The same of what is told in the words of `failed`, which is given the details.
    pub(super) fn of_undone(refused: &Refused, name: &str, failed: impl FnOnce(&str) -> String) -> Self {
        let name = &*shortened(name);
        let details = match refused {
            Refused::Unknown => return Self::no_such_vm(name),
            Refused::Transient => {
                let what = format!("KCHVM0036E: Invalid operation for non-persistent virtual machine {name}");
                return Self::bad_request(&what);
            }
            Refused::OnlyWhenStopped(changes) => {
                let names = crate::lifecycle::names(changes);
                return Self::bad_request(&format!(
                    "KCHVM0074E: Unable to update the following parameters while the VM is online: {names}"
                ));
            }
            Refused::Host(error) if error.is_no_domain() => return Self::no_such_vm(name),
            Refused::Host(HostError::Libvirt { source, .. }) => source.message.clone(),
            Refused::Host(error) => format!("{error}; it may have been done, look at the virtual machine"),
            other => other.to_string(),
        };
        Self::new(status_of(refused), failed(&details))
    }

    /// There is no such part of a machine.
    pub(super) fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// What is there, or how it is, does not allow that.
    pub(super) fn conflict(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, reason)
    }

    pub(super) fn cannot_parse() -> Self {
        Self::bad_request("WOKAPI0006E: Unable to parse JSON request")
    }

    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "WOKAPI0007E: This API only supports JSON")
    }

    pub(super) fn length_required() -> Self {
        Self::new(StatusCode::LENGTH_REQUIRED, "Client must specify Content-Length")
    }

    pub(super) fn no_such_task(id: &str) -> Self {
        let reason = format!("WOKASYNC0001E: Unable to find task id: {}", shortened(id));
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    pub(super) fn no_such_address() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Nothing matches the given URI")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Specified method is invalid for this resource")
    }

    pub(super) fn login_required() -> Self {
        let reason = "WOKAUTH0002E: You are not authorized to access Wok. Please, login first.";
        Self::new(StatusCode::UNAUTHORIZED, reason)
    }

    /// HTTP Basic with a password that is not this user's. Kimchi told PAM's number, and by it whether there is such a user.
    pub(super) fn wrong_password(name: &str) -> Self {
        let name = shortened(name);
        let reason = format!("WOKAUTH0001E: Authentication failed for user '{name}'. [Error code: 7]");
        Self::new(StatusCode::UNAUTHORIZED, reason)
    }

    /// The same at the door of `login`.
    pub(super) fn wrong_login() -> Self {
        let reason = "WOKAUTH0008E: The username or password you entered is incorrect. Please try again";
        Self::new(StatusCode::UNAUTHORIZED, reason)
    }

    pub(super) fn too_many_tries(wait_s: u64) -> Self {
        let reason = format!(
            "WOKAUTH0004E: You have failed to login in too much attempts. Please, wait for {wait_s} seconds to try again."
        );
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// What `login` says to a body that cannot be read or does not fit.
    pub(super) fn or_incomplete_login(self) -> Self {
        match self.status {
            StatusCode::BAD_REQUEST => Self::bad_request(
                "WOKAUTH0007E: You need to specify username and password to login into Wok.",
            ),
            _ => self,
        }
    }

    pub(super) fn login_not_checked() -> Self {
        let reason = "The system did not say whether the password is right; the server's log has why.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    pub(super) fn not_allowed() -> Self {
        let reason = "WOKAPI0009E: You don't have permission to perform this operation.";
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// A problem that has no words of Kimchi's.
    pub(super) fn of(problem: &Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, problem.to_string())
    }

    /// Why a migration was not begun. What Kimchi answered with 500 and is no fault of the server's is a 4xx here.
    pub(super) fn of_migrate(problem: &Problem, vm: &str, host: &str, user: &str) -> Self {
        let status = match problem.code {
            Code::BadRequest | Code::BadValue => StatusCode::BAD_REQUEST,
            Code::HostUnreachable => StatusCode::CONFLICT,
            code => StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self::new(status, migrate_reason(problem, vm, host, user))
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        match violation.id.as_deref().map(|id| (id, meaning(id))) {
            Some((id, Some(meaning))) => Self::bad_request(&format!("{id}: {meaning}")),
            Some((id, None)) => Self::bad_request(&format!("{id}: {}", violation.what)),
            None => Self::schema(&violation.what),
        }
    }
}

/// The status that goes with what was not done to a machine.
fn status_of(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Unknown => StatusCode::NOT_FOUND,
        Refused::Transient | Refused::OnlyWhenStopped(_) => StatusCode::BAD_REQUEST,
        Refused::State(_)
        | Refused::Moves(_)
        | Refused::Busy
        | Refused::Job
        | Refused::RunsElsewhere(_)
        | Refused::Leftover(_)
        | Refused::NoClone(_)
        | Refused::Keeps(_)
        | Refused::Left(_)
        | Refused::Brought { .. }
        | Refused::Halfway { .. } => StatusCode::CONFLICT,
        Refused::Host(error) if error.libvirt_code().is_some_and(is_no) => StatusCode::CONFLICT,
        Refused::Host(error) if error.is_broken_connection() => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Host(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Refused::Store(error) => {
            tracing::error!(error = %crate::http::problem::chain(error), "the store failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// Whether libvirt says by this code that it does not do that with such a machine, or not now; it has not failed then.
fn is_no(code: i32) -> bool {
    matches!(code, OPERATION_INVALID | OPERATION_UNSUPPORTED | CONFIG_UNSUPPORTED | REVERT_RISKY)
}

/// What an id of a schema means, where Kimchi's own words say it.
fn meaning(id: &str) -> Option<&'static str> {
    Some(match id {
        "KCHVMHDEV0004E" => "\"name\" should be a device name string",
        "KCHVM0011E" => "Virtual machine name must be a string without slashes (/)",
        "KCHCPUINF0008E" => {
            "Parameter 'cpu_info' expects an object with fields among: 'vcpus', 'maxvcpus', 'topology'."
        }
        "KCHTMPL0014E" => "Template CDROM must be a local or remote ISO file",
        "KCHTMPL0017E" => "All networks for the template must be specified in a list.",
        "KCHVM0014E" => "Supported virtual machine graphics are Spice or VNC",
        "KCHVM0023E" => "User name list must be an array",
        "KCHVM0024E" => "User name must be a string",
        "KCHVM0025E" => "Group name list must be an array",
        "KCHVM0026E" => "Group name must be a string",
        "KCHVM0059E" => "User name of the remote server must be a string.",
        "KCHVM0060E" => "Destination host of the migration must be a string.",
        "KCHVM0069E" => "Password field must be a string.",
        "KCHVM0085E" => "Virtual machine title must be a string",
        "KCHVM0086E" => "Virtual machine description must be a string",
        "KCHVM0091E" => "'enable_rdma' must be of type boolean (true or false).",
        _ => return None,
    })
}

/// What was asked to be done to a machine where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Do(Action),
    Change,
    Remove,
    Clone,
}

impl Act {
    /// What Kimchi said to a machine in a state in which that means nothing, where it had a word for it.
    fn wrong_state(self, state: VmState, name: &str) -> Option<String> {
        let action = match self {
            Self::Do(action) => action,
            Self::Clone => {
                return Some(format!(
                    "KCHVM0033E: Virtual machine '{name}' must be stopped before cloning it."
                ));
            }
            Self::Change | Self::Remove => return None,
        };
        Some(match action {
            Action::Start if state == VmState::Running => {
                format!("KCHVM0048E: Cannot start {name}. Virtual machine is already running.")
            }
            Action::Start => return None,
            Action::PowerOff => format!("KCHVM0049E: Cannot power off {name}. Virtual machine is shut off."),
            Action::Shutdown => format!("KCHVM0050E: Cannot shutdown {name}. Virtual machine is shut off."),
            Action::Reset => format!("KCHVM0051E: Cannot reset {name}. Virtual machine is already shut off."),
            Action::Suspend => format!("KCHVM0037E: Cannot suspend VM '{name}' because it is not running."),
            Action::Resume => format!("KCHVM0039E: Cannot resume VM '{name}' because it is not paused."),
        })
    }

    /// What Kimchi said when it could not be done.
    fn failed(self, name: &str, details: &str) -> String {
        let (id, what) = match self {
            Self::Do(Action::Start) => ("KCHVM0019E", format!("start virtual machine {name}")),
            Self::Do(Action::PowerOff) => ("KCHVM0020E", format!("power off virtual machine {name}")),
            Self::Do(Action::Shutdown) => ("KCHVM0029E", format!("shutdown virtual machine {name}")),
            Self::Do(Action::Reset) => ("KCHVM0022E", format!("reset virtual machine {name}")),
            Self::Do(Action::Suspend) => ("KCHVM0038E", format!("suspend VM '{name}'")),
            Self::Do(Action::Resume) => ("KCHVM0040E", format!("resume VM '{name}'")),
            Self::Change => ("KCHVM0008E", format!("update virtual machine {name}")),
            Self::Remove => ("KCHVM0021E", format!("delete virtual machine {name}")),
            Self::Clone => ("KCHVM0035E", format!("clone VM '{name}'")),
        };
        format!("{id}: Unable to {what}. Details: {details}")
    }
}

fn absent(name: &str) -> String {
    format!("KCHVM0002E: Virtual machine {} does not exist", shortened(name))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            code: String,
            reason: &'a str,
        }

        let code = self.status.to_string();
        (self.status, super::answer(&Body { code, reason: &self.reason })).into_response()
    }
}

/// What `message` says of a clone that was not made.
pub(super) fn failed_to_clone(task: &Task, why: &str) -> String {
    if task.findings.iter().any(|finding| finding.code == NO_ROOM) {
        return format!("KCHVM0034E: Insufficient disk space to clone virtual machine '{}'", task.vm);
    }
    Act::Clone.failed(&task.vm, why)
}

#[cfg(test)]
mod tests {
    use api::finding::{Finding, Severity};

    use super::*;

    fn refused(problem: &Problem) -> (u16, String) {
        let refusal = Refusal::of_migrate(problem, "vm1", "kvm2", "root");
        (refusal.status.as_u16(), refusal.reason)
    }

    fn finding(code: &str, severity: Severity) -> Finding {
        Finding {
            code: code.to_owned(),
            severity,
            subject: "kvm2".to_owned(),
            message: format!("About {code}."),
            evidence: String::new(),
            remedy: None,
            cost: None,
        }
    }

    #[test]
    fn every_code_has_an_answer_that_is_the_callers_unless_it_is_ours() {
        for &code in Code::ALL {
            let (status, reason) = refused(&Problem::new(code, "why"));
            let (id, _) = reason.split_once(": ").unwrap();
            assert!(id.starts_with("KCHVM") || id.starts_with("WOKAPI"), "{reason}");
            let ours = matches!(code, Code::Internal | Code::Libvirt | Code::LoginUnavailable);
            assert_eq!(status >= 500, ours, "{code:?}");
        }
    }

    #[test]
    fn what_was_not_done_is_told_with_the_inherited_ids() {
        let libvirt = |code| {
            let source = crate::libvirt::error::LibvirtError::of(code, "libvirt said so");
            Refused::Host(HostError::Libvirt { host: "kvm1".to_owned(), call: "start", source })
        };
        let silent = HostError::Unreachable { host: "kvm1".to_owned(), reason: "no route".to_owned() };
        let start = Act::Do(Action::Start);
        for (refused, act, status, reason) in [
            (Refused::Unknown, start, 404, "KCHVM0002E: Virtual machine vm1 does not exist"),
            (Refused::State(VmState::Running), start, 400, "KCHVM0048E: "),
            (
                Refused::State(VmState::Paused),
                start,
                409,
                "KCHVM0019E: Unable to start virtual machine vm1. Details: it is paused",
            ),
            (Refused::State(VmState::Shutoff), Act::Do(Action::PowerOff), 400, "KCHVM0049E: "),
            (Refused::State(VmState::Shutoff), Act::Do(Action::Shutdown), 400, "KCHVM0050E: "),
            (Refused::State(VmState::Shutoff), Act::Do(Action::Reset), 400, "KCHVM0051E: "),
            (Refused::State(VmState::Shutoff), Act::Do(Action::Suspend), 400, "KCHVM0037E: "),
            (Refused::State(VmState::Running), Act::Do(Action::Resume), 400, "KCHVM0039E: "),
            (Refused::Job, Act::Do(Action::Suspend), 409, "KCHVM0038E: "),
            (Refused::Job, Act::Do(Action::Resume), 409, "KCHVM0040E: "),
            (Refused::Busy, Act::Remove, 409, "KCHVM0021E: "),
            (Refused::Keeps("why".to_owned()), Act::Remove, 409, "KCHVM0021E: "),
            (Refused::Left("why".to_owned()), Act::Remove, 409, "KCHVM0021E: "),
            (
                Refused::State(VmState::Running),
                Act::Clone,
                400,
                "KCHVM0033E: Virtual machine 'vm1' must be stopped before cloning it.",
            ),
            (
                Refused::NoClone("why".to_owned()),
                Act::Clone,
                409,
                "KCHVM0035E: Unable to clone VM 'vm1'. Details: why",
            ),
            (Refused::Transient, Act::Remove, 400, "KCHVM0036E: "),
            (
                Refused::OnlyWhenStopped(vec![crate::model::change::Change::Name]),
                Act::Change,
                400,
                "KCHVM0074E: ",
            ),
            (
                libvirt(1),
                start,
                500,
                "KCHVM0019E: Unable to start virtual machine vm1. Details: libvirt said so",
            ),
            (libvirt(OPERATION_INVALID), Act::Change, 409, "KCHVM0008E: "),
            (libvirt(crate::libvirt::error::NO_DOMAIN), start, 404, "KCHVM0002E: "),
            (Refused::Host(silent), start, 503, "KCHVM0019E: "),
        ] {
            let refusal = Refusal::of_lifecycle(&refused, "vm1", act);
            assert_eq!(refusal.status.as_u16(), status, "{refused:?}");
            assert!(refusal.reason.starts_with(reason), "{}", refusal.reason);
        }
    }

    #[test]
    fn findings_have_the_inherited_ids() {
        for (code, id) in [
            ("same-host", "KCHVM0055E: Migrate to localhost kvm2 is not allowed."),
            (
                "host-access-denied",
                "KCHVM0056E: To migrate a virtual machine to the remote host kvm2 the user root must have password-less login to the remote host.",
            ),
            (
                "host-key-changed",
                "KCHVM0056E: To migrate a virtual machine to the remote host kvm2 the user root must have password-less login to the remote host.",
            ),
            ("vm-state", "KCHVM0057E: "),
            ("architecture-differs", "KCHVM0064E: "),
            ("hypervisor-differs", "KCHVM0065E: "),
            ("host-refused", "KCHVM0066E: "),
            ("uuid-taken", "KCHVM0058E: Failed to migrate virtual machine vm1 due error: About uuid-taken."),
        ] {
            let findings = vec![finding("note", Severity::Note), finding(code, Severity::Blocker)];
            let problem = Problem { findings, ..Problem::new(Code::RefusedByChecks, "no") };
            let (status, reason) = refused(&problem);
            assert_eq!(status, 409);
            assert!(reason.starts_with(id), "{reason}");
        }
    }
}
