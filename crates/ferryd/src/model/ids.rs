//! Identifiers, each a type of its own so that they cannot be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

uuid_id!(
    /// A domain's UUID: its identity on every host.
    DomainUuid
);
uuid_id!(
    /// A task's id. Version 7, so ids sort by the time of their making.
    TaskId
);

impl TaskId {
    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for TaskId {
    fn default() -> Self {
        Self::new()
    }
}

/// The name a host is registered under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostName(String);

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostNameError {
    /// Empty, or longer than 64 characters.
    #[error("a host name has 1 to 64 characters")]
    Length,
    /// Begins with `-` or `.`: it would be taken for an option or a hidden file.
    #[error("a host name does not begin with '-' or '.'")]
    Start,
    /// Holds something else than letters, digits, `.`, `_` and `-`.
    #[error("a host name holds only letters, digits, '.', '_' and '-'")]
    Character,
}

impl HostName {
    /// Checks a text and makes it a host name.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn new(text: impl Into<String>) -> Result<Self, HostNameError> {
        let text = text.into();
        if text.is_empty() || text.len() > 64 {
            return Err(HostNameError::Length);
        }
        if text.starts_with(['-', '.']) {
            return Err(HostNameError::Start);
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(HostNameError::Character);
        }
        Ok(Self(text))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        Self::new(text)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_that_could_be_options_or_commands_are_refused() {
        for good in ["kvm1", "a", "kvm-2.example.org", "10.0.0.1", "rack_7"] {
            assert_eq!(HostName::new(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(65);
        for (bad, why) in [
            ("", HostNameError::Length),
            (long.as_str(), HostNameError::Length),
            ("-oProxyCommand=touch", HostNameError::Start),
            (".hidden", HostNameError::Start),
            ("a b", HostNameError::Character),
            ("a\nb", HostNameError::Character),
            ("a;b", HostNameError::Character),
            ("a/b", HostNameError::Character),
            ("..", HostNameError::Start),
            ("a%h", HostNameError::Character),
            ("ä", HostNameError::Character),
        ] {
            assert_eq!(HostName::new(bad).unwrap_err(), why, "{bad:?}");
        }
    }
}
