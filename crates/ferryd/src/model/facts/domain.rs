//! The domain on its source.

use super::kept::{SavedMemory, TpmState};
use super::reception::{NetworkFacts, PoolFacts};
use crate::model::DomainUuid;
use crate::model::definition::{Definition, Disk, Source};
use crate::model::domain::DomainSight;

/// The domain on its source.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainFacts {
    /// Its UUID.
    pub uuid: DomainUuid,
    /// Its name.
    pub name: String,
    /// State, persistence, autostart, job.
    pub sight: DomainSight,
    /// As it runs (or, stopped, as it would).
    pub definition: Definition,
    /// Its XML as it runs (or, stopped, as it would), without secrets.
    pub xml: String,
    /// As the destination is to have it, where that is something else.
    pub arriving: Option<Definition>,
    /// As it will be after its next start, where it is persistent.
    pub next_start: Option<Definition>,
    /// The definition libvirt keeps for the next start (without secrets), where it is persistent.
    pub persistent_xml: Option<String>,
    /// As libvirt would describe it to another libvirt (`VIR_DOMAIN_XML_MIGRATABLE`, without secrets); none where it does not run.
    pub migratable_xml: Option<String>,
    /// Names of its snapshots, with whether each is external.
    pub snapshots: Vec<String>,
    /// Those of them that keep something in files of their own (`VIR_DOMAIN_SNAPSHOT_LIST_EXTERNAL`).
    pub external_snapshots: Vec<String>,
    /// Names of its checkpoints.
    pub checkpoints: Vec<String>,
    /// Its memory is saved on disk, to be loaded at the next start.
    pub saved: Option<SavedMemory>,
    /// The state of its emulated TPM, where it is stopped.
    pub tpm_state: Option<TpmState>,
    /// Disks of a stopped one of which it could not be read what lies below them: the drive's name, and why.
    pub chains_unread: Vec<(String, String)>,
    /// Jobs on its disks.
    pub block_jobs: Vec<BlockJob>,
    /// Its images as libvirt measures them, by the drive's name.
    pub images: Vec<DiskImage>,
    /// Paths of its drives that are volumes of a pool: the drive's name and the path.
    pub volume_paths: Vec<(String, String)>,
    /// Storage pools of its host that are not active.
    pub idle_pools: Vec<PoolFacts>,
    /// The networks of libvirt's that it is connected to, as they are on the source.
    pub networks: Vec<NetworkFacts>,
    /// What the CPU mode `host-model` becomes on the source, as an element that libvirt compares.
    pub host_model: Option<String>,
    /// Why the guest cannot be reached (`virDomainGetControlInfo`): the monitor does not answer.
    pub not_responding: Option<String>,
    /// Reads and writes that failed, by the drive's name.
    pub disk_errors: Vec<(String, String)>,
}

/// A job on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockJob {
    /// The drive's name.
    pub target: String,
    /// `copy`, `commit`, `pull`, `backup`.
    pub kind: String,
}

/// A drive's image as libvirt measures it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskImage {
    /// The drive's name.
    pub target: String,
    /// What the guest sees.
    pub capacity_bytes: u64,
    /// What it takes up.
    pub allocation_bytes: u64,
    /// How long the file is.
    pub physical_bytes: u64,
}

impl DomainFacts {
    /// A domain of which nothing is known but its definition and state.
    #[must_use]
    pub fn new(uuid: DomainUuid, definition: Definition, sight: DomainSight) -> Self {
        Self {
            uuid,
            name: definition.name.clone(),
            sight,
            definition,
            xml: String::new(),
            arriving: None,
            next_start: None,
            persistent_xml: None,
            migratable_xml: None,
            snapshots: Vec::new(),
            external_snapshots: Vec::new(),
            checkpoints: Vec::new(),
            saved: None,
            tpm_state: None,
            chains_unread: Vec::new(),
            block_jobs: Vec::new(),
            images: Vec::new(),
            volume_paths: Vec::new(),
            idle_pools: Vec::new(),
            networks: Vec::new(),
            host_model: None,
            not_responding: None,
            disk_errors: Vec::new(),
        }
    }

    /// Whether it has a process.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self.sight.state, api::vm::VmState::Shutoff | api::vm::VmState::NoState)
    }

    /// As the destination is to have it: what is needed there, this says.
    #[must_use]
    pub fn there(&self) -> &Definition {
        self.arriving.as_ref().unwrap_or(&self.definition)
    }

    /// Whether the destination is to have a drive empty in which something lies.
    #[must_use]
    pub fn is_ejected(&self, disk: &Disk) -> bool {
        let there = self.there().disks.iter().find(|there| there.target == disk.target);
        disk.source != Source::Empty && there.is_some_and(|there| there.source == Source::Empty)
    }

    /// Its drives, but for those.
    pub fn disks_that_move(&self) -> impl Iterator<Item = &Disk> {
        self.definition.disks.iter().filter(|disk| !self.is_ejected(disk))
    }

    /// The files in which libvirt keeps something of it beside its definition, where it is stopped, but for the variables of its
    /// firmware.
    pub fn kept_files(&self) -> impl Iterator<Item = &str> {
        let tpm = self.tpm_state.iter().flat_map(|state| &state.files);
        let saved = self.saved.iter().filter(|saved| saved.unread.is_none()).map(|saved| &saved.path);
        tpm.chain(saved).filter(|_| !self.is_active()).map(String::as_str)
    }

    /// The path of a drive that is a volume.
    #[must_use]
    pub fn volume_path(&self, target: &str) -> Option<&str> {
        self.volume_paths.iter().find(|(of, _)| of == target).map(|(_, path)| path.as_str())
    }

    /// What libvirt measured of a drive.
    #[must_use]
    pub fn image(&self, target: &str) -> Option<&DiskImage> {
        self.images.iter().find(|image| image.target == target)
    }
}
