//! Where `ferryd` is to be found.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a `ferryd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket on this machine: `unix:/run/ferry/ferry.sock`.
    Unix(PathBuf),
    /// Plain HTTP: `http://127.0.0.1:8070`.
    Http {
        /// Name or address; IPv6 without its brackets.
        host: String,
        /// TCP port; 80 where none was given.
        port: u16,
    },
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins with none of the schemes there are.
    #[error("`{0}` is not an address of ferryd: write unix:/run/ferry/ferry.sock or http://127.0.0.1:8070")]
    Scheme(String),
    /// `https` is not there yet.
    #[error("https is not offered yet: use the Unix socket, or http:// through an ssh tunnel")]
    Tls,
    /// The path of the socket is empty or relative.
    #[error("`{0}` does not name a socket by its full path: write unix:/run/ferry/ferry.sock")]
    SocketPath(String),
    /// The host part is empty or holds what no host name holds.
    #[error("`{0}` has no valid host name: write http://127.0.0.1:8070")]
    Host(String),
    /// The port is not a number from 1 to 65535.
    #[error("`{0}` has no valid port: write http://127.0.0.1:8070")]
    Port(String),
    /// More than host and port was given.
    #[error("`{0}` has more than a host and a port: write http://127.0.0.1:8070")]
    Path(String),
}

impl Address {
    /// Whether what is sent there stays on this machine (a Unix socket or the loopback interface), so that a secret may
    /// be sent without encryption.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Http { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Http { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Http { host, port } => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http { .. } => write!(f, "http://{}", self.authority()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/…` is how some tools write it; an empty authority means the same.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.contains('\0') {
                return Err(AddressError::SocketPath(text.to_owned()));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        if text.starts_with("https:") {
            return Err(AddressError::Tls);
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(AddressError::Scheme(text.to_owned()));
        };
        http(text, rest.strip_suffix('/').unwrap_or(rest))
    }
}

/// Reads the part after `http://`; `text` is the whole, for the error.
fn http(text: &str, rest: &str) -> Result<Address, AddressError> {
    if rest.contains(['/', '?', '#', '@']) {
        return Err(AddressError::Path(text.to_owned()));
    }
    let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or_else(|| AddressError::Host(text.to_owned()))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(AddressError::Host(text.to_owned()));
        }
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').unwrap_or("")) })
    } else {
        match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        return Err(AddressError::Host(text.to_owned()));
    }
    let port = match port {
        None => 80,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && !digits.starts_with('+') => port,
            _ => return Err(AddressError::Port(text.to_owned())),
        },
    };
    Ok(Address::Http { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, shown) in [
            ("unix:/run/ferry/ferry.sock", "unix:/run/ferry/ferry.sock"),
            ("unix:///run/ferry/ferry.sock", "unix:/run/ferry/ferry.sock"),
            ("/run/ferry/ferry.sock", "unix:/run/ferry/ferry.sock"),
            ("http://127.0.0.1:8070", "http://127.0.0.1:8070"),
            ("http://localhost:8070/", "http://localhost:8070"),
            ("http://kvm1", "http://kvm1:80"),
            ("http://[::1]:8070", "http://[::1]:8070"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_with_a_reason() {
        for text in ["", "ferry.sock", "ftp://x", "localhost:8070"] {
            assert!(matches!(text.parse::<Address>(), Err(AddressError::Scheme(_))), "{text}");
        }
        for text in ["unix:", "unix:ferry.sock"] {
            assert!(matches!(text.parse::<Address>(), Err(AddressError::SocketPath(_))), "{text}");
        }
        for text in ["http://", "http://-x", "http://a b", "http://[x]:1", "http://[::1", "http://a\r\nb"] {
            assert!(matches!(text.parse::<Address>(), Err(AddressError::Host(_))), "{text}");
        }
        for text in
            ["http://a:", "http://a:0", "http://a:65536", "http://a:+1", "http://[::1]8070", "http://::1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        for text in ["http://a/api", "http://u@a", "http://a?x"] {
            assert!(matches!(text.parse::<Address>(), Err(AddressError::Path(_))), "{text}");
        }
        assert_eq!("https://kvm1".parse::<Address>(), Err(AddressError::Tls));
    }

    #[test]
    fn only_this_machine_is_local() {
        for (text, local) in [
            ("/x", true),
            ("http://localhost", true),
            ("http://127.0.0.5:1", true),
            ("http://[::1]", true),
            ("http://kvm1", false),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_local(), local, "{text}");
        }
    }
}
