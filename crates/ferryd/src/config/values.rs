//! The values that keys can have. Each is checked where it is read, so that every source is refused in the same words.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// Why a text is not a value of its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

/// Makes a type that reads from text do so in TOML too.
macro_rules! as_text {
    ($($type:ty),*) => { $(
        impl TryFrom<String> for $type {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )* };
}

as_text!(Groups, Listen, LogFormat, LogFilter, LocalHost);

/// Where to listen besides the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At a loopback address.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| ValueError(format!("`{text}` is not 127.0.0.1:PORT, [::1]:PORT or off")))?;
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if !loopback.contains(&address.ip()) {
            return Err(ValueError(format!(
                "ferryd does not listen on {address}: it has no TLS yet, and so only 127.0.0.1 and [::1] are \
                 allowed; use an ssh tunnel to reach it from elsewhere"
            )));
        }
        Ok(Self::At(address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// Names of groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Groups(pub Vec<String>);

impl Groups {
    /// Those whose members may become root by `sudo` on Debian and its kin, and on Red Hat's.
    pub(super) fn sudoers() -> Self {
        Self(vec!["sudo".to_owned(), "wheel".to_owned()])
    }
}

impl FromStr for Groups {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let names: Vec<String> =
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match names.iter().find(|name| name.contains(|c: char| c.is_whitespace() || c == ':' || c == '/')) {
            Some(wrong) => Err(ValueError(format!("`{wrong}` is not the name of a group"))),
            None => Ok(Self(names)),
        }
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(ValueError(format!("`{text}` is not text or json"))),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Whether this machine is registered by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LocalHost {
    /// Where it has libvirt.
    Auto,
    /// Never.
    Off,
}

impl FromStr for LocalHost {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => Err(ValueError(format!("`{text}` is not auto or off"))),
        }
    }
}

impl fmt::Display for LocalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Off => "off",
        })
    }
}

/// What is logged: a level, also by module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter; it was checked when it was read.
    #[must_use]
    pub fn to_filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError(format!("`{text}` is not a level (error, warn, info, debug, trace) or MODULE=LEVEL"))
        };
        for part in text.split(',') {
            // A bare word that is no level would be taken for a module, all of whose messages are wanted.
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            if level.is_empty() || level.parse::<tracing::metadata::LevelFilter>().is_err() {
                return Err(wrong());
            }
        }
        EnvFilter::try_new(text).map_err(|_| wrong())?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time limit in whole seconds, from 1 to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Seconds<const MOST: u64 = 3600>(u64);

impl<const MOST: u64> Seconds<MOST> {
    /// A limit that is known to be one when Ferry is built.
    pub(super) const fn new_const(seconds: u64) -> Self {
        assert!(seconds >= 1 && seconds <= MOST, "a time limit is 1 s to the most there may be");
        Self(seconds)
    }

    /// The limit.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<const MOST: u64> TryFrom<u64> for Seconds<MOST> {
    type Error = ValueError;

    fn try_from(seconds: u64) -> Result<Self, ValueError> {
        if (1..=MOST).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(ValueError(format!("{seconds} is not 1 to {MOST} seconds")))
        }
    }
}

impl<const MOST: u64> From<Seconds<MOST>> for u64 {
    fn from(seconds: Seconds<MOST>) -> Self {
        seconds.0
    }
}

impl<const MOST: u64> FromStr for Seconds<MOST> {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let seconds: u64 =
            text.parse().map_err(|_| ValueError(format!("`{text}` is not 1 to {MOST} seconds")))?;
        Self::try_from(seconds)
    }
}

/// A number of days; 0 means without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Days(pub u32);

impl FromStr for Days {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).map_err(|_| ValueError(format!("`{text}` is not a number of days")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_listened_on() {
        for good in ["off", "127.0.0.1:80", "[::1]:0"] {
            assert_eq!(good.parse::<Listen>().unwrap().to_string(), good);
        }
        for bad in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "127.0.0.2:80", "[::ffff:127.0.0.1]:80"] {
            let error = bad.parse::<Listen>().unwrap_err().to_string();
            assert!(error.contains("no TLS yet"), "{error}");
        }
        for bad in ["", "80", "localhost:80", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(bad.parse::<Listen>().unwrap_err().to_string().contains("127.0.0.1:PORT"), "{bad}");
        }
    }

    #[test]
    fn a_log_level_is_one() {
        for good in ["info", "warn,ferryd=trace", "off", "info,ferryd::http=debug"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "loud", "ferryd", "info,ferryd=loud"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }
}
