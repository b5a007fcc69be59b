//! Whether the files that go along are what they were: the source's while they are carried and until its definition goes, the
//! destination's once they have arrived.

use std::sync::Arc;

use tokio::time::Instant;

use super::carry::Halt;
use super::manifest::Made;
use super::steps::Work;
use crate::hypervisor::{FileSight, Hypervisor};
use crate::libvirt::error::HostError;
use crate::plan::Carried;

impl Work {
    /// What is seen of a file on a host, asked again over broken connections.
    pub(super) async fn see(
        &self,
        host: &Arc<dyn Hypervisor>,
        path: &str,
    ) -> Result<Option<FileSight>, Halt> {
        let since = Instant::now();
        loop {
            match host.file(self.handle.id(), path).await {
                Ok(seen) => return Ok(seen),
                Err(error) => self.wait_for_hosts(error, since).await?,
            }
        }
    }

    pub(super) async fn see_source(&self, path: &str) -> Result<FileSight, Halt> {
        let what = || format!("{path} is not there any more");
        let missing = || Halt::Failed(HostError::Shell { host: self.plan.source.clone(), what: what() });
        self.see(&self.source, path).await?.ok_or_else(missing)
    }

    /// What had arrived is there as it arrived.
    pub(super) async fn still_there(&self, path: &str) -> Result<(), Halt> {
        let there = self.see(&self.destination, path).await?;
        let as_arrived = self.made(path).and_then(|made| made.there);
        if there.is_none() || as_arrived.is_some_and(|arrived| there != Some(arrived)) {
            let what = format!("{path} is not as it arrived any more: somebody removed it or wrote to it");
            return Err(Halt::Failed(self.of_destination(what)));
        }
        Ok(())
    }

    /// What the source's file was when the one that it goes into was made.
    pub(super) fn seen_then(&self, file: &Carried) -> Option<Option<FileSight>> {
        let of_path = |made: &&Made| made.path() == file.new.path;
        self.made.iter().chain(&self.spent).find(of_path).map(|made| made.seen)
    }

    /// Whether the source's files are still those that were carried: somebody may have started it since, and stopped it again. None
    /// where the source does not say.
    pub(super) async fn still_as_carried(&self) -> Option<bool> {
        for file in &self.plan.files.carried {
            let seen = self.source.file(self.handle.id(), file.source_path()).await.ok()?;
            if self.seen_then(file).is_some_and(|then| then != seen) {
                return Some(false);
            }
        }
        Some(true)
    }

    pub(super) async fn unchanged(&self, file: &Carried) -> Result<(), Halt> {
        let seen = self.see_source(file.source_path()).await?;
        if self.seen_then(file).is_some_and(|then| then != Some(seen)) {
            return Err(Halt::Failed(self.changed(file)));
        }
        Ok(())
    }

    pub(super) fn changed(&self, file: &Carried) -> HostError {
        let path = file.source_path();
        let what =
            format!("{path} was written to while it was carried: what arrived may be half old and half new");
        HostError::Shell { host: self.plan.source.clone(), what }
    }

    pub(super) fn of_destination(&self, what: String) -> HostError {
        HostError::Shell { host: self.plan.destination.clone(), what }
    }
}
