//! Kimchi's error answers: a status line, and a reason that begins with a stable id.

use api::finding::{Finding, Severity};
use api::problem::{Code, Problem};
use api::task::Task;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::problem::shortened;

/// An error as Kimchi told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body<'a> {
            code: String,
            reason: &'a str,
        }

        let code = self.status.to_string();
        (self.status, super::json(&Body { code, reason: &self.reason })).into_response()
    }
}

/// What `message` says of a migration that failed.
pub(super) fn failed(task: &Task) -> String {
    let why = match &task.cause {
        Some(cause) => format!("{} ({cause})", task.message),
        None => task.message.clone(),
    };
    failed_to_migrate(&task.vm, &why)
}

fn failed_to_migrate(vm: &str, why: &str) -> String {
    format!("KCHVM0058E: Failed to migrate virtual machine {vm} due error: {why}")
}

fn login(host: &str, user: &str) -> String {
    format!(
        "KCHVM0056E: To migrate a virtual machine to the remote host {host} the user {user} must have password-less \
         login to the remote host."
    )
}

/// What stands in the way, in Kimchi's words as far as it had any.
#[derive(Clone, Copy)]
enum Obstacle {
    SameHost,
    Login,
    HostKey,
    State,
    Architecture,
    Hypervisor,
    Connection,
    Other,
}

impl Obstacle {
    fn of_finding(finding: &Finding) -> Self {
        match finding.code.as_str() {
            "same-host" => Self::SameHost,
            "host-access-denied" => Self::Login,
            "host-key-unknown" | "host-key-changed" => Self::HostKey,
            "managed-save" | "nvram-stays" | "tpm-state-stays" | "tpm-state-taken" | "vm-state" => {
                Self::State
            }
            "architecture-differs" => Self::Architecture,
            "hypervisor-differs" | "domain-type-missing" => Self::Hypervisor,
            // Every way in which a host does not answer has a code of its own.
            code if code.starts_with("host-") => Self::Connection,
            _ => Self::Other,
        }
    }

    fn tell(self, what: &str, vm: &str, host: &str, user: &str) -> String {
        match self {
            Self::SameHost => format!("KCHVM0055E: Migrate to localhost {host} is not allowed."),
            Self::Login => login(host, user),
            // Kimchi trusted any host's key, and so has no word for this.
            Self::HostKey => format!("{} {what}", login(host, user)),
            Self::State => format!("KCHVM0057E: Can not migrate virtual machine {vm}: {what}"),
            Self::Architecture => {
                format!("KCHVM0064E: Can not migrate virtual machine {vm} to {host}: {what}")
            }
            Self::Hypervisor => format!("KCHVM0065E: Can not migrate virtual machine {vm} to {host}: {what}"),
            Self::Connection => format!("KCHVM0066E: Unable to connect to the remote host {host}: {what}"),
            Self::Other => failed_to_migrate(vm, what),
        }
    }
}

fn migrate_reason(problem: &Problem, vm: &str, host: &str, user: &str) -> String {
    let (vm, host, user) = (&*shortened(vm), &*shortened(host), &*shortened(user));
    let what = problem.to_string();
    let obstacle = match problem.code {
        Code::UnknownVm => return format!("KCHVM0002E: Virtual machine {vm} does not exist"),
        Code::BadRequest | Code::BadValue => return bad_value(problem),
        Code::RefusedByChecks => return findings_reason(problem, vm, host, user),
        Code::AccessDenied => Obstacle::Login,
        Code::HostKeyUnknown | Code::HostKeyChanged => Obstacle::HostKey,
        Code::HostUnreachable | Code::UnknownHost => Obstacle::Connection,
        _ => Obstacle::Other,
    };
    obstacle.tell(&what, vm, host, user)
}

/// Kimchi told one obstacle, and so does this: the first. All of them are told by our own API.
fn findings_reason(problem: &Problem, vm: &str, host: &str, user: &str) -> String {
    match problem.findings.iter().find(|finding| finding.severity == Severity::Blocker) {
        Some(first) => Obstacle::of_finding(first).tell(&first.message, vm, host, user),
        None => failed_to_migrate(vm, &problem.to_string()),
    }
}

fn bad_value(problem: &Problem) -> String {
    let id = match problem.field.as_deref() {
        Some("remote_host") => "KCHVM0060E",
        Some("user") => "KCHVM0059E",
        Some("password") => "KCHVM0069E",
        Some("rdma" | "enable_rdma") => "KCHVM0091E",
        _ => return Refusal::schema(&problem.detail).reason,
    };
    format!("{id}: {}", problem.detail)
}

#[cfg(test)]
mod tests {
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
            assert_eq!(status >= 500, matches!(code, Code::Internal | Code::Libvirt), "{code:?}");
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
