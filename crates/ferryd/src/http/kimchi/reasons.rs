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

use super::schema::{Violation, wrong_value};
use crate::http::extract::BODY_LIMIT_BYTES;
use crate::http::problem::shortened;
use crate::libvirt::error::{
    CONFIG_UNSUPPORTED, HostError, OPERATION_INVALID, OPERATION_UNSUPPORTED, REVERT_RISKY,
};
use crate::lifecycle::{NO_ROOM, Refused};
use crate::messages::{Message, Text};
use crate::model::action::Action;

/// An error as Kimchi told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: Text,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<Text>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// The HTTP status.
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason with its id, in English.
    #[cfg(test)]
    pub(super) fn reason(&self) -> String {
        self.reason.to_string()
    }

    pub(super) fn bad_request(reason: Message) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    pub(super) fn schema(details: impl Into<Text>) -> Self {
        Self::bad_request(Message::WOKAPI0008E { details: details.into() })
    }

    /// A query that cannot be read.
    pub(super) fn arguments() -> Self {
        Self::schema(Message::FERRYSCHEMA0012I)
    }

    /// Why a task was not asked to stop.
    pub(super) fn of_cancel(problem: &Problem, id: &str) -> Self {
        match problem.code {
            Code::UnknownTask => Self::no_such_task(id),
            _ => Self::of(problem),
        }
    }

    pub(super) fn no_such_vm(name: &str) -> Self {
        Self::not_found(absent(name))
    }

    /// No host that answers has it, and `silent` do not answer.
    pub(super) fn unknown_vm(name: &str, silent: &[String]) -> Self {
        if silent.is_empty() {
            return Self::no_such_vm(name);
        }
        let details = Message::FERRYWHY0099I { hosts: silent.join(", ").into() }.into();
        let reason = Message::KCHVM0009E { name: shortened(name).into(), details };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// Why something was not done to a machine.
    pub(super) fn of_lifecycle(refused: &Refused, name: &str, act: Act) -> Self {
        if let Refused::State(state) = refused
            && let Some(reason) = act.wrong_state(*state, shortened(name).into())
        {
            return Self::bad_request(reason);
        }
        Self::of_undone(refused, name, |name, details| act.failed(name, details))
    }

    /// The same of what is told in the words of `failed`, which is given the name and the details.
    pub(super) fn of_undone(
        refused: &Refused,
        name: &str,
        failed: impl FnOnce(Text, Text) -> Message,
    ) -> Self {
        let told = || Text::from(shortened(name));
        let details = match refused {
            Refused::Unknown(silent) => return Self::unknown_vm(name, silent),
            Refused::NotAllowed => return Self::not_allowed(),
            Refused::Transient => return Self::bad_request(Message::KCHVM0036E { name: told() }),
            Refused::TooMuchMemory(most_mib) => {
                return Self::bad_request(Message::KCHVM0041E { maxmem: (*most_mib).into() });
            }
            Refused::TooMuch(_) => return Self::new(StatusCode::BAD_REQUEST, refused.text()),
            Refused::NameTaken(other) => {
                return Self::conflict(Message::KCHVM0001E { name: shortened(other).into() });
            }
            Refused::OnlyWhenStopped(changes) => {
                let changes = crate::lifecycle::names(changes).into();
                return Self::bad_request(Message::KCHVM0074E { changes });
            }
            Refused::Host(error) if error.is_no_domain() => return Self::no_such_vm(name),
            Refused::Host(HostError::Libvirt { source, .. }) => source.message.as_str().into(),
            Refused::Host(error) => Message::FERRYWHY0015I { error: error.to_string().into() }.into(),
            other => other.text(),
        };
        Self::new(status_of(refused), failed(told(), details))
    }

    /// There is no such part of a machine.
    pub(super) fn not_found(reason: Message) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// What is there, or how it is, does not allow that.
    pub(super) fn conflict(reason: Message) -> Self {
        Self::new(StatusCode::CONFLICT, reason)
    }

    pub(super) fn cannot_parse() -> Self {
        Self::bad_request(Message::WOKAPI0006E)
    }

    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Message::WOKAPI0007E)
    }

    pub(super) fn length_required() -> Self {
        Self::new(StatusCode::LENGTH_REQUIRED, Message::FERRYAPI0001E)
    }

    pub(super) fn no_such_task(id: &str) -> Self {
        Self::not_found(Message::WOKASYNC0001E { task: shortened(id).into() })
    }

    pub(super) fn no_such_address() -> Self {
        Self::not_found(Message::FERRYAPI0002E)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Message::FERRYAPI0003E)
    }

    pub(super) fn login_required() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Message::WOKAUTH0002E)
    }

    /// HTTP Basic with a password that is not this user's. Kimchi told PAM's number, and by it whether there is such a user.
    pub(super) fn wrong_password(name: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Message::WOKAUTH0001E { user: shortened(name).into() })
    }

    /// The same at the door of `login`.
    pub(super) fn wrong_login() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Message::WOKAUTH0008E)
    }

    pub(super) fn too_many_tries(wait_s: u64) -> Self {
        Self::new(StatusCode::FORBIDDEN, Message::WOKAUTH0004E { seconds: wait_s.into() })
    }

    /// What `login` says to a body that does not fit.
    pub(super) fn incomplete_login() -> Self {
        Self::bad_request(Message::WOKAUTH0007E)
    }

    pub(super) fn login_not_checked() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Message::FERRYAUTH0001E)
    }

    pub(super) fn not_allowed() -> Self {
        Self::new(StatusCode::FORBIDDEN, Message::WOKAPI0009E)
    }

    pub(super) fn too_large() -> Self {
        let bytes = u64::try_from(BODY_LIMIT_BYTES).unwrap_or(u64::MAX).into();
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Message::FERRYAPI0005E { bytes })
    }

    /// A problem that has no words of Kimchi's.
    pub(super) fn of(problem: &Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, Message::FERRYAPI0004E { details: problem.to_string().into() })
    }

    /// Why a migration was not begun, while `silent` do not answer. What Kimchi answered with 500 and is no fault of the server's is a 4xx
    /// here.
    pub(super) fn of_migrate(problem: &Problem, vm: &str, host: &str, user: &str, silent: &[String]) -> Self {
        let status = match problem.code {
            Code::UnknownVm => return Self::unknown_vm(vm, silent),
            Code::BadRequest | Code::BadValue => StatusCode::BAD_REQUEST,
            Code::HostUnreachable => StatusCode::CONFLICT,
            code => StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self::new(status, migrate_reason(problem, vm, host, user))
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        match violation.id.as_deref().and_then(|id| wrong_value(id, &violation.what)) {
            Some(reason) => Self::bad_request(reason),
            None => Self::schema(violation.what),
        }
    }
}

/// The status that goes with what was not done to a machine.
fn status_of(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Unknown(silent) if silent.is_empty() => StatusCode::NOT_FOUND,
        Refused::Unknown(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::NotAllowed => StatusCode::FORBIDDEN,
        Refused::Transient
        | Refused::OnlyWhenStopped(_)
        | Refused::TooMuchMemory(_)
        | Refused::TooMuch(_) => StatusCode::BAD_REQUEST,
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
        | Refused::NameTaken(_)
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
    fn wrong_state(self, state: VmState, name: Text) -> Option<Message> {
        Some(match self {
            Self::Do(Action::Start) if state == VmState::Running => Message::KCHVM0048E { name },
            Self::Do(Action::Start) | Self::Change | Self::Remove => return None,
            Self::Do(Action::PowerOff) => Message::KCHVM0049E { name },
            Self::Do(Action::Shutdown) => Message::KCHVM0050E { name },
            Self::Do(Action::Reset) => Message::KCHVM0051E { name },
            Self::Do(Action::Suspend) => Message::KCHVM0037E { name },
            Self::Do(Action::Resume) => Message::KCHVM0039E { name },
            Self::Clone => Message::KCHVM0033E { name },
        })
    }

    /// What Kimchi said when it could not be done.
    fn failed(self, name: Text, details: Text) -> Message {
        match self {
            Self::Do(Action::Start) => Message::KCHVM0019E { name, details },
            Self::Do(Action::PowerOff) => Message::KCHVM0020E { name, details },
            Self::Do(Action::Shutdown) => Message::KCHVM0029E { name, details },
            Self::Do(Action::Reset) => Message::KCHVM0022E { name, details },
            Self::Do(Action::Suspend) => Message::KCHVM0038E { name, details },
            Self::Do(Action::Resume) => Message::KCHVM0040E { name, details },
            Self::Change => Message::KCHVM0008E { name, details },
            Self::Remove => Message::KCHVM0021E { name, details },
            Self::Clone => Message::KCHVM0035E { name, details },
        }
    }
}

fn absent(name: &str) -> Message {
    Message::KCHVM0002E { name: shortened(name).into() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            code: String,
            reason: String,
        }

        let Self { status, reason } = self;
        super::worded(status, move |language| Body {
            code: status.to_string(),
            reason: reason.told(language).into_owned(),
        })
    }
}

/// What `message` says of a clone that was not made.
pub(super) fn failed_to_clone(task: &Task, why: Text) -> Text {
    let name = Text::from(task.vm.as_str());
    match task.findings.iter().any(|finding| finding.code == NO_ROOM) {
        true => Message::KCHVM0034E { name }.into(),
        false => Act::Clone.failed(name, why).into(),
    }
}

#[cfg(test)]
mod tests {
    use api::finding::{Finding, Severity};

    use super::*;

    fn refused(problem: &Problem) -> (u16, String) {
        let refusal = Refusal::of_migrate(problem, "vm1", "kvm2", "root", &[]);
        (refusal.status.as_u16(), refusal.reason())
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

    fn ids(schema: &serde_json::Value, found: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(object) => {
                found.extend(object.get("error").and_then(|id| id.as_str()).map(str::to_owned));
                object.values().for_each(|value| ids(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| ids(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_id_of_a_schema_is_a_message() {
        let mut found = Vec::new();
        ids(&super::super::schema::published(), &mut found);
        // `login` has one answer for all that does not fit, whatever its schema says.
        found.retain(|id| !id.starts_with("WOKAUTH"));
        assert!(found.len() > 15, "{found:?}");
        for id in found {
            let reason = Refusal::from(Violation { id: Some(id.clone()), what: "why".into() }).reason();
            assert!(reason.starts_with(&format!("{id}: ")), "{id}: {reason}");
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
            (Refused::Unknown(Vec::new()), start, 404, "KCHVM0002E: Virtual machine vm1 does not exist"),
            (
                Refused::Unknown(vec!["kvm2".to_owned()]),
                start,
                503,
                "KCHVM0009E: Unable to retrieve virtual machine vm1. Details: no host",
            ),
            (Refused::NotAllowed, start, 403, "WOKAPI0009E: "),
            (
                Refused::NameTaken("db1".to_owned()),
                Act::Change,
                409,
                "KCHVM0001E: Virtual machine db1 already exists",
            ),
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
            (Refused::Keeps("why".into()), Act::Remove, 409, "KCHVM0021E: "),
            (Refused::Left("why".into()), Act::Remove, 409, "KCHVM0021E: "),
            (
                Refused::State(VmState::Running),
                Act::Clone,
                400,
                "KCHVM0033E: Virtual machine 'vm1' must be stopped before cloning it.",
            ),
            (
                Refused::NoClone("why".into()),
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
            assert!(refusal.reason().starts_with(reason), "{}", refusal.reason());
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
