//! Errors on the wire: RFC 9457 problem documents with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::finding::Finding;

/// The media type of a problem document (RFC 9457, section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// What went wrong, in a word that never changes: scripts may match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        // (A name that a macro hands on for each of them would not reach the description of the API.)
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code there is, in the order of their definition.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as it stands in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// The HTTP status that goes with the code.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// A short title, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// The body is not what the operation takes: not JSON, not UTF-8, a field missing, unknown or of the wrong type.
    BadRequest = "bad-request", 400, "The request is not valid";
    /// A value is of the right type but not allowed; `field` names it.
    BadValue = "bad-value", 422, "A value in the request is not allowed";
    /// The body's content type is not `application/json`.
    UnsupportedMediaType = "unsupported-media-type", 415, "The body must be application/json";
    /// The body is larger than any valid request.
    TooLarge = "too-large", 413, "The request is too large";
    /// No such address.
    NoSuchRoute = "no-such-route", 404, "There is nothing at this address";
    /// The address exists, the method does not.
    MethodNotAllowed = "method-not-allowed", 405, "This address does not take that method";
    /// The request does not say who makes it, or not truly.
    LoginRequired = "login-required", 401, "A login is needed";
    /// Whether a password is right could not be found out.
    LoginUnavailable = "login-unavailable", 503, "The login cannot be checked";
    /// The request comes from a page or origin that may not make it, or from somebody who may not.
    Forbidden = "forbidden", 403, "The request is not allowed";
    /// No host of that name is registered.
    UnknownHost = "unknown-host", 404, "The host is not registered";
    /// No such virtual machine on any registered host that answers.
    UnknownVm = "unknown-vm", 404, "The virtual machine is not known";
    /// More than one host has a virtual machine of that name; name the source.
    AmbiguousVm = "ambiguous-vm", 409, "Several hosts have a virtual machine of that name";
    /// No such task.
    UnknownTask = "unknown-task", 404, "There is no such task";
    /// A host of that name, or the same machine under another name, is registered already.
    HostExists = "host-exists", 409, "The host is registered already";
    /// The host takes part in a task that has not ended.
    HostBusy = "host-busy", 409, "The host takes part in a running task";
    /// The virtual machine is being moved already.
    AlreadyMigrating = "already-migrating", 409, "The virtual machine is being moved already";
    /// Something is being done to the virtual machine this moment: it is started, stopped or changed.
    VmBusy = "vm-busy", 409, "Something is being done to the virtual machine";
    /// The checks found a reason why the migration would fail; `findings` holds all of them.
    RefusedByChecks = "refused-by-checks", 409, "The checks found reasons against this migration";
    /// The host's ssh key is not known yet; `fingerprint` shows it, repeat the request with it to trust it.
    HostKeyUnknown = "host-key-unknown", 409, "The host's ssh key is not known yet";
    /// The host shows another ssh key than the one that is trusted.
    HostKeyChanged = "host-key-changed", 409, "The host's ssh key has changed";
    /// The host did not let us in: no accepted key, or a wrong password.
    AccessDenied = "access-denied", 409, "The host refused the login";
    /// The host cannot be reached or does not answer in time.
    HostUnreachable = "host-unreachable", 503, "The host does not answer";
    /// The task has ended or has come too far for what was asked.
    TooLate = "too-late", 409, "The task cannot do that any more";
    /// libvirt refused or failed; `cause` holds its code and text.
    Libvirt = "libvirt", 502, "libvirt reported an error";
    /// A fault of Ferry's own; details are in its log.
    Internal = "internal", 500, "Ferry met an error of its own";
}

/// An error as every address of Ferry answers it (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:ferry:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short title, the same for every occurrence of the code.
    pub title: String,
    /// The HTTP status, repeated for clients that lost it.
    pub status: u16,
    /// What happened this time, to what, where the virtual machine is now, and what to do.
    pub detail: String,
    /// The stable code.
    pub code: Code,
    /// The field of the request that is wrong, as a path (`max_downtime_ms`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What libvirt or the system said, with its code, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The ssh host key's fingerprint (`SHA256:…`) where the code is about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The task that stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<uuid::Uuid>,
    /// Everything the checks found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Problem {
    /// A problem of this code with its account.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:ferry:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            field: None,
            cause: None,
            fingerprint: None,
            task: None,
            findings: Vec::new(),
        }
    }

    /// The same, naming the wrong field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same, keeping what libvirt or the system said.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        for (i, code) in Code::ALL.iter().enumerate() {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
            assert!(Code::ALL[i + 1..].iter().all(|other| other.as_str() != code.as_str()));
        }
    }
}
