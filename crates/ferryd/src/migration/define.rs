//! A stopped domain's definition, and what libvirt knows of its snapshots, as the destination is to have them.

use super::steps::Work;
use crate::hypervisor::Snapshot;
use crate::libvirt::error::HostError;
use crate::plan::{Rewrite, RewriteError, rewrite, rewrite_snapshot};

impl Work {
    /// None where they cannot be made, because somebody has changed the definition since that was planned.
    pub(super) fn rewritten(
        &mut self,
        definition: String,
        snapshots: Vec<Snapshot>,
    ) -> Option<(String, Vec<Snapshot>)> {
        match all(&self.plan.rewrite, definition, snapshots) {
            Ok(all) => Some(all),
            Err(error) => {
                tracing::warn!(migration.id = %self.handle.id(), domain.uuid = %self.plan.domain, %error, "not rewritten");
                self.cause.get_or_insert_with(|| error.to_string());
                None
            }
        }
    }

    pub(super) async fn define_there(
        &self,
        definition: &str,
        snapshots: &[Snapshot],
    ) -> Result<(), HostError> {
        self.destination.define(definition).await?;
        if snapshots.is_empty() {
            return Ok(());
        }
        self.destination.redefine_snapshots(self.plan.domain, snapshots).await
    }
}

fn all(
    by: &Rewrite,
    definition: String,
    snapshots: Vec<Snapshot>,
) -> Result<(String, Vec<Snapshot>), RewriteError> {
    if by.is_empty() {
        return Ok((definition, snapshots));
    }
    Ok((rewrite(&definition, by)?, self::snapshots(by, snapshots)?))
}

/// What libvirt knows of its snapshots, as the destination is to have it.
pub(super) fn snapshots(by: &Rewrite, snapshots: Vec<Snapshot>) -> Result<Vec<Snapshot>, RewriteError> {
    if by.is_empty() {
        return Ok(snapshots);
    }
    let rewritten =
        |snapshot: Snapshot| Ok(Snapshot { xml: rewrite_snapshot(&snapshot.xml, by)?, ..snapshot });
    snapshots.into_iter().map(rewritten).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_go_with_the_name() {
        let by = Rewrite { name: Some("b".to_owned()), ..Rewrite::default() };
        let xml = "<domainsnapshot><name>s</name><domain><name>a</name></domain></domainsnapshot>".to_owned();
        let snapshots = vec![Snapshot { name: "s".to_owned(), xml, current: true }];
        let (definition, snapshots) =
            all(&by, "<domain><name>a</name></domain>".to_owned(), snapshots).unwrap();
        assert_eq!(definition, "<domain><name>b</name></domain>");
        assert!(snapshots[0].xml.contains("<domain><name>b</name>") && snapshots[0].current);
    }
}
