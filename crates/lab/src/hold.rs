//! Replies that are held back: the moment at which a host has done what it was asked, and the asker does not know.

use std::fs;

use anyhow::{Context, Result};

use crate::Host;

const PROXY: &str = "/usr/local/sbin/lab-hold";
const HELD: &str = "/run/lab-hold";
const SSH_CONFIG: &str = "/root/.ssh/config";

impl Host {
    /// From now on every ssh connection that root opens here to `peer` goes through a process that can hold back what
    /// `peer` answers.
    pub fn prepare_hold(&self, peer: &str) -> Result<()> {
        self.write(PROXY, include_bytes!("hold.pl"))?;
        let config = format!("Host {peer}\n    ProxyCommand /usr/bin/perl {PROXY} %h %p {HELD}\n");
        self.write(SSH_CONFIG, config.as_bytes())
    }

    /// Holds back what comes over these connections, until [`Host::let_go`].
    pub fn hold(&self) -> Result<()> {
        self.write(HELD, b"")
    }

    /// Passes on what was held back, and whatever comes after it. Nothing held is no error.
    pub fn let_go(&self) -> Result<()> {
        match fs::remove_file(self.path(HELD)?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("a hold"),
            _ => Ok(()),
        }
    }
}
