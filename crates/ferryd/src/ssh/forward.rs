//! A connection to a port on a registered host, through ssh.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::process::{ChildStdin, ChildStdout};

use super::child::{Complaint, OwnedChild, Streams};
use super::keys::SshDir;
use super::uri::SshTarget;
use crate::model::HostName;

/// A connection that ssh carries (`ssh -W`). It ends with the value.
#[derive(Debug)]
pub struct Forward {
    _child: OwnedChild,
    complaint: Complaint,
}

impl SshDir {
    /// Connects to an address as it is seen from a registered host: what is written goes there, what comes from there is read. That
    /// nothing listens there shows by an end at once.
    ///
    /// # Errors
    /// ssh could not be started.
    pub fn forward(
        &self,
        host: &HostName,
        target: &SshTarget,
        address: IpAddr,
        port: u16,
    ) -> io::Result<(ChildStdout, ChildStdin, Forward)> {
        let mut arguments = self.options(host);
        arguments.extend(["-W".to_owned(), SocketAddr::new(address, port).to_string()]);
        arguments.extend(target.arguments());
        let (child, Streams { stdin, stdout, stderr }) = OwnedChild::start("ssh", &arguments)?;
        Ok((stdout, stdin, Forward { _child: child, complaint: Complaint::collect(stderr) }))
    }
}

impl Forward {
    /// What ssh said of an end that came at once.
    pub async fn complaint(&mut self) -> String {
        self.complaint.text().await
    }
}
