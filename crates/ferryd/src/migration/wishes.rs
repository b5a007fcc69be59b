//! What of a request is looked at before anything is done, read the same way of a migration and of a mere check: both find the same.

use api::preflight::PreflightRequest;
use api::problem::Problem;
use api::task::{MigrationRequest, PostCopy, SnapshotsWish, StorageMapping};

use super::{bad_value, bandwidth_fits, check, downtime_fits, mapping, transport_fits};
use crate::model::facts::Wanted;
use crate::plan::transport::Options;

/// The wishes of a request.
pub(super) struct Wishes<'a> {
    max_downtime_ms: Option<u64>,
    bandwidth_mib_s: Option<u64>,
    post_copy: Option<PostCopy>,
    storage: &'a [StorageMapping],
    shared: &'a [String],
    flatten: bool,
    snapshots: Option<SnapshotsWish>,
    copy: bool,
    graphics_uri: Option<&'a str>,
    delete_source_disks: bool,
    secure: bool,
    transport: Options<'a>,
}

macro_rules! wishes_of {
    ($request:ty) => {
        impl<'a> From<&'a $request> for Wishes<'a> {
            fn from(request: &'a $request) -> Self {
                Self {
                    max_downtime_ms: request.max_downtime_ms,
                    bandwidth_mib_s: request.bandwidth_mib_s,
                    post_copy: request.post_copy,
                    storage: &request.storage,
                    shared: &request.shared,
                    flatten: request.flatten,
                    snapshots: request.snapshots,
                    copy: request.copy,
                    graphics_uri: request.graphics_uri.as_deref(),
                    delete_source_disks: request.delete_source_disks,
                    secure: request.secure,
                    transport: request.into(),
                }
            }
        }
    };
}

wishes_of!(MigrationRequest);
wishes_of!(PreflightRequest);

impl Wishes<'_> {
    /// What the facts are gathered for.
    ///
    /// # Errors
    /// Wishes that make no sense, whatever the domain is: a problem document that names the field.
    pub(super) fn wanted(&self) -> Result<Wanted, Problem> {
        let transport = transport_fits(&self.transport)?;
        check::storage_fits(self.storage)?;
        check::shared_fits(self.shared, self.storage)?;
        mapping::graphics_uri_fits(self.graphics_uri)?;
        if self.copy && self.delete_source_disks {
            let detail = "A copy needs the images that it leaves on the source: copy and delete_source_disks exclude each other.";
            return Err(bad_value("delete_source_disks", detail.to_owned()));
        }
        downtime_fits(self.max_downtime_ms)?;
        bandwidth_fits(self.bandwidth_mib_s)?;
        Ok(Wanted {
            tunnelled: self.secure,
            bandwidth_mib_s: self.bandwidth_mib_s,
            post_copy: self.post_copy,
            storage: self.storage.to_vec(),
            shared: self.shared.to_vec(),
            flatten: self.flatten,
            snapshots: self.snapshots,
            copy: self.copy,
            delete_source_disks: self.delete_source_disks,
            graphics_uri: self.graphics_uri.map(str::to_owned),
            transport,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_wants_to_know_what_the_migration_does() {
        let migration = MigrationRequest {
            snapshots: Some(SnapshotsWish::Drop),
            copy: true,
            flatten: true,
            shared: vec!["vda".to_owned()],
            secure: true,
            bandwidth_mib_s: Some(5),
            ..MigrationRequest::default()
        };
        let check = PreflightRequest {
            snapshots: migration.snapshots,
            copy: true,
            flatten: true,
            shared: migration.shared.clone(),
            secure: true,
            bandwidth_mib_s: Some(5),
            ..PreflightRequest::default()
        };
        let wanted = Wishes::from(&migration).wanted().unwrap();
        assert!(
            wanted.copy
                && wanted.snapshots == Some(SnapshotsWish::Drop)
                && wanted.flatten
                && wanted.shared == ["vda"]
                && wanted.tunnelled
        );
        assert_eq!(Wishes::from(&check).wanted().unwrap(), wanted);
        let deletes = PreflightRequest { delete_source_disks: true, ..PreflightRequest::default() };
        assert!(Wishes::from(&deletes).wanted().unwrap().delete_source_disks);
        let at_once = PreflightRequest { max_downtime_ms: Some(0), ..PreflightRequest::default() };
        let refused = Wishes::from(&at_once).wanted().unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("max_downtime_ms"));
        let both = PreflightRequest { copy: true, delete_source_disks: true, ..PreflightRequest::default() };
        let refused = Wishes::from(&both).wanted().unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("delete_source_disks"));
    }
}
