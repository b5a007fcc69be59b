//! An image made one with what lies below it, by the host's own `qemu-img`.

use std::time::Duration;

use super::host::LibvirtHost;
use crate::hypervisor::{NewFile, Result};
use crate::ssh::scripts::{self, Flattening};

/// How long a shell may take to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);
/// How long nothing may be heard while qemu-img is at work: it says so several times a second.
const SILENT: Duration = Duration::from_secs(60);

impl LibvirtHost {
    /// Writes what a guest sees of an image into an empty one, and compares the two.
    pub(super) async fn flatten(&self, from: &str, into: &NewFile) -> Result<()> {
        const WHAT: &str = "making one image of several";
        let Some(session) = self.session() else {
            return Err(self.shell_error(WHAT, "it offers no shell"));
        };
        let script = scripts::flatten(from, &into.format, &into.path);
        let lost = |error: &dyn std::fmt::Display| self.lost_shell(error);
        let mut lines = session.follow(&script, BEGINS_WITHIN).await.map_err(|error| lost(&error))?;
        let mut said = String::new();
        loop {
            match lines
                .next(SILENT)
                .await
                .map_err(|error| lost(&error))?
                .as_deref()
                .map(scripts::parse_flattening)
            {
                Some(Flattening::Working) => {}
                Some(Flattening::Says(what)) => said = what,
                Some(Flattening::Done) => break,
                Some(Flattening::Failed) => return Err(self.shell_error(WHAT, said)),
                None => return Err(lost(&"it ended in the middle of it")),
            }
        }
        if let Ok(None) = lines.next(BEGINS_WITHIN).await {
            session.keep(lines).await;
        }
        Ok(())
    }
}
