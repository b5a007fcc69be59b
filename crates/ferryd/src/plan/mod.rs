//! Facts and request become the complete plan of a migration: pure, serialisable, shown before it is carried out.

use api::task::{Location, MigrationRequest, PostCopy, SnapshotsWish};
use api::vm::VmState;
use serde::{Deserialize, Serialize};

use crate::hypervisor::{CopyIdentity, MigrateCall};
use crate::model::DomainUuid;
use crate::model::facts::{DomainFacts, Facts};
use crate::model::transport::Transport;
use crate::preflight;

mod files;
mod host_files;
mod leaving;
mod places;
mod report;
mod rewrite;
mod steps;
mod there;
pub mod transport;
mod way_home;

pub use files::{Carried, CopiedDisk, Files, FlattenedDisk, Role, files, stays};
pub use host_files::{host_files, same_firmware};
pub use places::{
    EVERY, NoPlace, Place, flattens, is_copied_by_qemu, not_flattened, path_of, place, unknown_disks,
    wants_flat,
};
pub use rewrite::{Patch, PatchError, Rewrite, RewriteError, rewrite, rewrite_snapshot, without_itco};
pub use way_home::{disks_as_moved, files_as_moved};

/// Everything that a migration will do. It is stored with the task, so that whoever takes the task over does the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The domain.
    pub domain: DomainUuid,
    /// Its name.
    pub name: String,
    /// Registered name of the source.
    pub source: String,
    /// Registered name of the destination.
    pub destination: String,
    /// URI by which the source's libvirt reaches the destination's.
    pub peer_uri: String,
    /// The guest runs, and shall run afterwards.
    pub wants_running: bool,
    /// It is stopped, and moved so: its definition goes over.
    #[serde(default)]
    pub cold: bool,
    /// It has a definition that outlives its run, and shall have one on the destination alone.
    pub persistent: bool,
    /// It starts with its host; cleared on the source before the start, restored where it ends.
    pub autostart: bool,
    /// Its definition (without secrets), to write it again should both hosts lose it.
    pub definition: Option<String>,
    /// Longest pause allowed.
    pub max_downtime_ms: Option<u64>,
    /// Upper limit of the bandwidth.
    pub bandwidth_mib_s: Option<u64>,
    /// Send everything through libvirt's own connection.
    pub tunnelled: bool,
    /// How the memory travels.
    #[serde(default)]
    pub transport: Transport,
    /// The ports that the destination receives migrations on, where they are not libvirt's usual ones: by them a migration that hangs
    /// is broken off.
    #[serde(default)]
    pub migration_ports: Option<(u16, u16)>,
    /// Every image that is written to was proven to be the same on both hosts, or is by the word of who asked; and libvirt, which goes by
    /// the type of the file system alone, is to take that from us.
    #[serde(default)]
    pub sharing_proven: bool,
    /// All that it needs besides its memory and its definition is proven to be the destination's as well.
    #[serde(default)]
    pub needs_no_source: bool,
    /// When it is switched to post-copy, if it may be. Nothing of one that does not run has to follow.
    #[serde(default)]
    pub post_copy: Option<PostCopy>,
    /// What goes along besides definition and memory, because only the source has it.
    #[serde(default)]
    pub files: Files,
    /// What of its definition is another on the destination.
    #[serde(default)]
    pub rewrite: Rewrite,
    /// The definition (without secrets) that the destination has then, where it is another one.
    #[serde(default)]
    pub definition_there: Option<String>,
    /// What that has otherwise, as a unified diff.
    #[serde(default)]
    pub definition_diff: Option<String>,
    /// The destination's libvirt is not told of its snapshots.
    #[serde(default)]
    pub snapshots_dropped: bool,
    /// It runs and has snapshots: the source's libvirt forgets them before it goes, and the libvirt that has it at the end is told of
    /// them.
    #[serde(default)]
    pub snapshots_aside: bool,
    /// It has an emulated TPM whose state each host has for itself: that of the source goes with the definition.
    #[serde(default)]
    pub removes_tpm_state: bool,
    /// What the copy of it is known by that stays on the source, stopped, in the place of its definition.
    #[serde(default)]
    pub copy: Option<CopyIdentity>,
    /// The images that were copied are removed from the source.
    #[serde(default)]
    pub deletes_source_disks: bool,
    /// It was found running on both hosts after its migration had ended: nothing is moved, a person says which copy stays.
    #[serde(default)]
    pub found_twice: bool,
}

impl Plan {
    /// The plan for a request that the checks let through.
    #[must_use]
    pub fn new(request: &MigrationRequest, facts: &Facts, domain: &DomainFacts, peer_uri: String) -> Self {
        Self {
            domain: domain.uuid,
            name: domain.name.clone(),
            source: facts.source.name().to_owned(),
            destination: facts.destination.name().to_owned(),
            peer_uri,
            wants_running: runs(domain),
            cold: !domain.is_active(),
            persistent: domain.sight.persistent,
            autostart: domain.sight.autostart,
            definition: domain.persistent_xml.clone(),
            max_downtime_ms: request.max_downtime_ms,
            bandwidth_mib_s: request.bandwidth_mib_s,
            tunnelled: request.secure,
            transport: transport::transport(facts, domain),
            migration_ports: facts.destination.shell().and_then(|shell| shell.migration_ports),
            sharing_proven: preflight::sharing_proven(facts),
            needs_no_source: preflight::needs_no_source(facts, domain),
            post_copy: request.post_copy.filter(|_| runs(domain)),
            files: files(facts),
            rewrite: Rewrite::default(),
            definition_there: None,
            definition_diff: None,
            snapshots_dropped: request.snapshots == Some(SnapshotsWish::Drop),
            snapshots_aside: request.snapshots.is_some()
                && domain.is_active()
                && !domain.snapshots.is_empty(),
            removes_tpm_state: leaving::removes_tpm_state(facts, domain),
            copy: None,
            deletes_source_disks: request.delete_source_disks,
            found_twice: false,
        }
    }

    /// The plan of what is left to do when both copies of a domain that was moved by this one are found running: both sides' disks, and
    /// all else that is theirs, stay.
    #[must_use]
    pub fn for_two_copies(self) -> Self {
        Self {
            found_twice: true,
            wants_running: true,
            cold: false,
            post_copy: None,
            files: Files::default(),
            snapshots_aside: false,
            removes_tpm_state: false,
            copy: None,
            deletes_source_disks: false,
            ..self
        }
    }

    /// The host of a location; none of one that is no host's.
    #[must_use]
    pub fn host_at(&self, location: Location) -> Option<&str> {
        match location {
            Location::Source => Some(&self.source),
            Location::Destination => Some(&self.destination),
            Location::Neither | Location::Both | Location::Unknown => None,
        }
    }

    /// What libvirt is asked to do.
    #[must_use]
    pub fn call(&self) -> MigrateCall {
        MigrateCall {
            peer_uri: self.peer_uri.clone(),
            arrive_paused: true,
            persistent: self.persistent,
            keep_source: self.copy.is_some(),
            tunnelled: self.tunnelled,
            transport: self.transport.clone(),
            sharing_proven: self.sharing_proven,
            bandwidth_mib_s: self.bandwidth_mib_s,
            copied_disks: self.files.copied.iter().map(|disk| disk.target.clone()).collect(),
            post_copy: false,
            recover: false,
            whole_disks: self.files.whole,
            not_after: None,
            rewrite: self.rewrite.clone(),
        }
    }

    /// The same for one that is switched to post-copy.
    #[must_use]
    pub fn post_copy_call(&self) -> MigrateCall {
        MigrateCall { arrive_paused: false, post_copy: true, ..self.call() }
    }

    /// What libvirt is asked to do when post-copy broke.
    #[must_use]
    pub fn recovery_call(&self) -> MigrateCall {
        MigrateCall { recover: true, ..self.post_copy_call() }
    }
}

fn runs(domain: &DomainFacts) -> bool {
    matches!(domain.sight.state, VmState::Running | VmState::Blocked)
}
