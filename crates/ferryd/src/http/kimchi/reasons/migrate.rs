//! Why a migration was not begun, or failed, in Kimchi's words as far as it had any.

use api::finding::{Finding, Severity};
use api::problem::{Code, Problem};

use super::{Refusal, absent};
use crate::http::problem::shortened;

/// What `message` says of a migration that failed.
pub(in crate::http::kimchi) fn failed_to_migrate(vm: &str, why: &str) -> String {
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

pub(super) fn migrate_reason(problem: &Problem, vm: &str, host: &str, user: &str) -> String {
    let (vm, host, user) = (&*shortened(vm), &*shortened(host), &*shortened(user));
    let what = problem.to_string();
    let obstacle = match problem.code {
        Code::UnknownVm => return absent(vm),
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
