//! The Debian releases that hosts can run.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// A Debian release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// Debian 12: libvirt 9.0, QEMU 7.2.
    Bookworm,
    /// Debian 13: libvirt 11.3, QEMU 10.0.
    Trixie,
}

impl Release {
    /// The name of its suite in the archive.
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// The release of the machine itself: programs built here run in a root of the same release.
    pub fn of_this_machine() -> Result<Self> {
        let text = std::fs::read_to_string("/etc/os-release")?;
        let codename = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        match codename.map(|name| name.trim_matches('"').parse()) {
            Some(Ok(release)) => Ok(release),
            _ => bail!("this machine is neither Debian 12 (bookworm) nor Debian 13 (trixie)"),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.suite())
    }
}

impl FromStr for Release {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bookworm" => Ok(Self::Bookworm),
            "trixie" => Ok(Self::Trixie),
            other => bail!("\"{other}\" is not a release the lab knows: bookworm, trixie"),
        }
    }
}
