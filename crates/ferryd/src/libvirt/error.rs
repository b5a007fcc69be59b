//! libvirt's errors, kept with their code and text.

use std::fmt;
use std::time::Duration;

use super::ffi;

/// `VIR_ERR_INTERNAL_ERROR` of libvirt's `virErrorNumber`.
pub const INTERNAL_ERROR: i32 = 1;
/// `VIR_ERR_OPERATION_FAILED`.
pub const OPERATION_FAILED: i32 = 9;
/// `VIR_ERR_OPERATION_INVALID`.
pub const OPERATION_INVALID: i32 = 55;
/// `VIR_ERR_NO_DOMAIN`.
pub const NO_DOMAIN: i32 = 42;
/// `VIR_ERR_INVALID_ARG`.
pub const INVALID_ARGUMENT: i32 = 8;
/// `VIR_ERR_XML_ERROR`.
pub const XML_ERROR: i32 = 27;
/// `VIR_ERR_SYSTEM_ERROR`.
const SYSTEM_ERROR: i32 = 38;
/// `VIR_ERR_OPERATION_ABORTED`.
pub const OPERATION_ABORTED: i32 = 78;
/// `VIR_FROM_RPC` of libvirt's `virErrorDomain`: the part that carries calls.
const FROM_RPC: i32 = 7;
/// No part of libvirt, but Ferry itself. (`VIR_FROM_NONE`, 0, is libvirt's: what its programs said.)
const FERRY: i32 = -1;
/// `VIR_ERR_NO_NETWORK`.
pub const NO_NETWORK: i32 = 43;
/// `VIR_ERR_NO_STORAGE_POOL`.
pub const NO_POOL: i32 = 49;
/// `VIR_ERR_NO_STORAGE_VOL`.
pub const NO_VOLUME: i32 = 50;
/// `VIR_ERR_CONFIG_UNSUPPORTED`.
pub const CONFIG_UNSUPPORTED: i32 = 67;
/// `VIR_ERR_OPERATION_TIMEOUT`: what else is done to the domain has not ended.
pub const OPERATION_TIMEOUT: i32 = 68;
/// `VIR_ERR_NO_NODE_DEVICE`.
pub const NO_NODE_DEVICE: i32 = 53;
/// `VIR_ERR_NO_DOMAIN_SNAPSHOT`.
pub const NO_SNAPSHOT: i32 = 72;
/// `VIR_ERR_SNAPSHOT_REVERT_RISKY`.
pub const REVERT_RISKY: i32 = 77;
/// `VIR_ERR_STORAGE_VOL_EXIST`.
pub const VOLUME_EXISTS: i32 = 90;
/// `VIR_ERR_OPERATION_UNSUPPORTED`.
pub const OPERATION_UNSUPPORTED: i32 = 84;

/// An error as libvirt reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibvirtError {
    /// `virErrorNumber`.
    pub code: i32,
    /// `virErrorDomain`: the part of libvirt that reported it.
    pub domain: i32,
    /// Its text, unchanged: in the language of whoever runs that libvirtd.
    pub message: String,
    /// The system's error number (`int1` of a `VIR_ERR_SYSTEM_ERROR`), where it was the system that refused.
    pub errno: Option<i32>,
}

impl fmt::Display for LibvirtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.domain {
            FERRY => f.write_str(&self.message),
            domain => write!(f, "libvirt error {}/{domain}: {}", self.code, self.message),
        }
    }
}

impl std::error::Error for LibvirtError {}

impl LibvirtError {
    /// What Ferry itself says with one of libvirt's codes.
    #[must_use]
    pub fn of(code: i32, message: impl Into<String>) -> Self {
        Self { code, domain: FERRY, message: message.into(), errno: None }
    }

    /// What the system says where a file system is full, and what was seen of that.
    #[must_use]
    pub fn no_space(seen: &str) -> Self {
        let message = format!("No space left on device: {seen}");
        Self { errno: Some(libc::ENOSPC), ..Self::of(SYSTEM_ERROR, message) }
    }

    /// What the system said there was: no such file or directory.
    #[must_use]
    pub fn is_no_file(&self) -> bool {
        self.errno == Some(libc::ENOENT)
    }
}

impl From<virt::error::Error> for LibvirtError {
    fn from(error: virt::error::Error) -> Self {
        let code = i32::try_from(error.code().to_raw()).unwrap_or(i32::MAX);
        Self {
            code,
            domain: i32::try_from(error.domain().to_raw()).unwrap_or(i32::MAX),
            message: error.message().to_owned(),
            errno: if code == SYSTEM_ERROR { ffi::errno_of(error.message()) } else { None },
        }
    }
}

/// Why a host did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is no connection to the host's libvirt now; whatever is there is unknown.
    #[error("{host} cannot be asked: {reason}")]
    Unreachable {
        /// The registered host.
        host: String,
        /// Why, in plain words.
        reason: String,
    },
    /// The host's libvirt did not answer in time. The call may still take effect.
    #[error("{host} did not answer \"{call}\" within {limit_ms} ms")]
    TimedOut {
        /// The registered host.
        host: String,
        /// What was asked.
        call: &'static str,
        /// The limit that ran out.
        limit_ms: u64,
    },
    /// libvirt answered with an error.
    #[error("{host}: {call} failed")]
    Libvirt {
        /// The registered host.
        host: String,
        /// What was asked.
        call: &'static str,
        /// What libvirt said.
        #[source]
        source: LibvirtError,
    },
    /// A command on the host failed.
    #[error("{host}: {what}")]
    Shell {
        /// The registered host.
        host: String,
        /// What was run and what came of it.
        what: String,
    },
}

impl HostError {
    /// The libvirt error code, where libvirt answered.
    #[must_use]
    pub fn libvirt_code(&self) -> Option<i32> {
        match self {
            Self::Libvirt { source, .. } => Some(source.code),
            _ => None,
        }
    }

    /// A live libvirt said that it has no such domain.
    #[must_use]
    pub fn is_no_domain(&self) -> bool {
        self.libvirt_code() == Some(NO_DOMAIN)
    }

    /// There was no room for what was to be written: by the system's number, or in the words of a program that libvirt ran for it, which
    /// it runs in English (`virCommandAddEnvPassCommon`).
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::Libvirt { source, .. } => {
                source.errno == Some(libc::ENOSPC) || source.message.contains("No space left on device")
            }
            _ => false,
        }
    }

    /// The connection broke, or nothing came by it: the same may succeed over another one.
    #[must_use]
    pub fn is_broken_connection(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Libvirt { source, .. } => {
                source.domain == FROM_RPC
                    || source.code == OPERATION_ABORTED
                    || (source.code == SYSTEM_ERROR && source.message.contains("reading data"))
            }
            Self::Shell { .. } => false,
        }
    }

    /// What to keep as the cause in a task or problem: libvirt's own words where it spoke.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Libvirt { host, source, .. } if source.domain == FERRY => format!("{host}: {source}"),
            Self::Libvirt { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    /// A call that took longer than its limit.
    #[must_use]
    pub fn timed_out(host: &str, call: &'static str, limit: Duration) -> Self {
        Self::TimedOut {
            host: host.to_owned(),
            call,
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_is_told() {
        let said = |source| HostError::Libvirt { host: "kvm2".to_owned(), call: "write a file", source };
        let full = said(LibvirtError::no_space("2.0 MiB are free"));
        assert_eq!(full.cause(), "kvm2: No space left on device: 2.0 MiB are free");
        assert!(full.is_no_room() && !full.is_broken_connection());
        let domain = FROM_RPC;
        let theirs =
            said(LibvirtError { domain, ..LibvirtError::of(INTERNAL_ERROR, "client socket is closed") });
        assert_eq!(theirs.cause(), "libvirt error 1/7: client socket is closed");
        assert!(theirs.is_broken_connection());
        let domain = 0;
        let program =
            said(LibvirtError { domain, ..LibvirtError::of(INTERNAL_ERROR, "Child process (qemu-img)") });
        assert_eq!(program.cause(), "libvirt error 1/0: Child process (qemu-img)");
    }
}
