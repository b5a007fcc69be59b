//! What can go wrong between a client and `ferryd`, in plain words.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use super::address::Address;
use crate::problem::Problem;

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `ferryd` answered that it does not do this, and why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No connection to `ferryd`.
    #[error("{}", unreachable(address, source))]
    Unreachable {
        /// Where it was looked for.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke before the answer was complete; whether the request was carried out is not known.
    #[error("the connection to ferryd at {address} broke before the answer was complete ({source})")]
    Broken {
        /// Where `ferryd` is.
        address: Address,
        /// How it broke.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// What answered does not speak as `ferryd` does, or speaks another version.
    #[error("what answers at {address} does not speak as ferryd does: {what}")]
    Protocol {
        /// Where the answer came from.
        address: Address,
        /// What was wrong with it.
        what: String,
    },
    /// No answer in time; whether the request was carried out is not known.
    #[error("ferryd at {address} did not answer within {} s", limit.as_secs_f64())]
    Timeout {
        /// Where the answer was awaited from.
        address: Address,
        /// How long it was waited for.
        limit: Duration,
    },
}

impl ClientError {
    /// The problem document, where `ferryd` answered with one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether trying again may help without anything else changing: `ferryd` may just be starting anew.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Timeout { .. })
    }
}

/// Says why there is no connection, and what to do.
fn unreachable(address: &Address, source: &io::Error) -> String {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound, PermissionDenied};
    match (address, source.kind()) {
        (Address::Unix(path), NotFound | NotADirectory) => {
            format!("ferryd is not running here (no socket at {}): start it or give --server", path.display())
        }
        (Address::Unix(path), ConnectionRefused) => {
            format!(
                "ferryd is not running here (nobody listens at {}): start it or give --server",
                path.display()
            )
        }
        (Address::Unix(path), PermissionDenied) => format!(
            "permission to use ferryd's socket {} is missing: this needs root or membership of the socket's group",
            path.display()
        ),
        (Address::Unix(path), _) => format!("ferryd's socket {} cannot be used: {source}", path.display()),
        (Address::Http { .. }, ConnectionRefused) => {
            format!(
                "nothing listens at {address}: is ferryd running there, and told to listen on that address?"
            )
        }
        (Address::Http { .. }, _) => format!("{address} cannot be reached: {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: &str, kind: io::ErrorKind) -> String {
        ClientError::Unreachable { address: address.parse().unwrap(), source: kind.into() }.to_string()
    }

    #[test]
    fn says_what_to_do() {
        assert_eq!(
            text("/run/f.sock", io::ErrorKind::NotFound),
            "ferryd is not running here (no socket at /run/f.sock): start it or give --server"
        );
        assert_eq!(
            text("/run/f.sock", io::ErrorKind::ConnectionRefused),
            "ferryd is not running here (nobody listens at /run/f.sock): start it or give --server"
        );
        assert!(text("/run/f.sock", io::ErrorKind::PermissionDenied).contains("needs root or membership"));
        assert!(
            text("http://kvm1:8070", io::ErrorKind::ConnectionRefused)
                .starts_with("nothing listens at http://kvm1:8070")
        );
    }

    #[test]
    fn times_read_naturally() {
        let address: Address = "/f".parse().unwrap();
        let error = ClientError::Timeout { address, limit: Duration::from_secs(30) };
        assert_eq!(error.to_string(), "ferryd at unix:/f did not answer within 30 s");
    }
}
