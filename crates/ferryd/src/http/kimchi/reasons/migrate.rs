//! Why a migration was not begun, or failed, in Kimchi's words as far as it had any.

use api::finding::{Finding, Severity};
use api::problem::{Code, Problem};

use crate::http::problem::shortened;
use crate::messages::{Message, Text};

/// What `message` says of a migration that failed.
pub(in crate::http::kimchi) fn failed_to_migrate(name: impl Into<Text>, why: Text) -> Text {
    Message::KCHVM0058E { name: name.into(), details: why }.into()
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

    fn tell(self, details: Text, way: &Way) -> Text {
        let (name, host, user) = (way.vm.clone(), way.host.clone(), way.user.clone());
        let message = match self {
            Self::SameHost => Message::KCHVM0055E { host },
            Self::Login => Message::KCHVM0056E { host, user },
            // Kimchi trusted any host's key, and so has no word for this.
            Self::HostKey => Message::FERRYVM0003E { host, user, details },
            Self::State => Message::KCHVM0057E { name, details },
            Self::Architecture => Message::KCHVM0064E { name, host, details },
            Self::Hypervisor => Message::KCHVM0065E { name, host, details },
            Self::Connection => Message::KCHVM0066E { host, details },
            Self::Other => return failed_to_migrate(name, details),
        };
        message.into()
    }
}

/// What was to go where, and as whom, as it stands in an answer.
struct Way {
    vm: Text,
    host: Text,
    user: Text,
}

pub(super) fn migrate_reason(problem: &Problem, vm: &str, host: &str, user: &str) -> Text {
    let told = |text: &str| Text::from(shortened(text));
    let way = Way { vm: told(vm), host: told(host), user: told(user) };
    let obstacle = match problem.code {
        Code::BadRequest | Code::BadValue => return bad_value(problem).into(),
        Code::RefusedByChecks => return findings_reason(problem, &way),
        Code::AccessDenied => Obstacle::Login,
        Code::HostKeyUnknown | Code::HostKeyChanged => Obstacle::HostKey,
        Code::HostUnreachable | Code::UnknownHost => Obstacle::Connection,
        _ => Obstacle::Other,
    };
    obstacle.tell(problem.to_string().into(), &way)
}

/// Kimchi told one obstacle, and so does this: the first. All of them are told by our own API.
fn findings_reason(problem: &Problem, way: &Way) -> Text {
    match problem.findings.iter().find(|finding| finding.severity == Severity::Blocker) {
        Some(first) => Obstacle::of_finding(first).tell(first.message.as_str().into(), way),
        None => failed_to_migrate(way.vm.clone(), problem.to_string().into()),
    }
}

fn bad_value(problem: &Problem) -> Message {
    let details = Text::from(problem.detail.as_str());
    match problem.field.as_deref() {
        Some("user") => Message::FERRYVM0004E { details },
        // An unknown host is registered under the name that is given.
        Some("remote_host" | "name") => Message::FERRYVM0005E { details },
        Some("password") => Message::FERRYVM0006E { details },
        Some("rdma" | "enable_rdma") => Message::FERRYVM0007E { details },
        _ => Message::WOKAPI0008E { details },
    }
}
