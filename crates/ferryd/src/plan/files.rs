//! Which of a domain's files go along, and as what: pure. The checks tell it, the plan holds it, the steps do it.

use serde::{Deserialize, Serialize};

use crate::hypervisor::NewFile;
use crate::model::definition::{Backing, Disk, Drive, Source};
use crate::model::facts::{DomainFacts, Facts, Sharing, is_networked};

/// What a file is for its domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The image of this disk.
    Disk(String),
    /// An image below that of this disk.
    Base(String),
    /// The variables of its firmware.
    Nvram,
    /// A file of its TPM's state.
    TpmState,
    /// Its saved memory.
    SavedMemory,
}

impl Role {
    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Disk(target) => format!("the image of {target}"),
            Self::Base(target) => format!("an image below that of {target}"),
            Self::Nvram => "the variables of its firmware".to_owned(),
            Self::TpmState => "the state of its TPM".to_owned(),
            Self::SavedMemory => "its saved memory".to_owned(),
        }
    }

    /// Whether it is an image, which stays on the source; anything else goes with the definition.
    #[must_use]
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Base(_))
    }
}

/// A file that is carried over as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// What it is.
    pub role: Role,
    /// The file it goes into, on the destination; its capacity is the length of the source's.
    pub new: NewFile,
    /// What it takes up on the source.
    pub allocated_bytes: u64,
}

/// A disk whose guest runs: QEMU copies what lies in its topmost image while that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedDisk {
    /// Its name in the domain.
    pub target: String,
    /// The image it goes into.
    pub new: NewFile,
    /// What it takes up on the source.
    pub allocated_bytes: u64,
}

/// What goes along, besides definition and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Files carried over as they are: all of a stopped domain's, and what is only read of one that runs. What lies below others
    /// comes first.
    pub carried: Vec<Carried>,
    /// Disks that QEMU copies.
    pub copied: Vec<CopiedDisk>,
}

impl Files {
    /// Whether nothing goes along.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.carried.is_empty() && self.copied.is_empty()
    }

    /// Whether the variables of the firmware go along.
    #[must_use]
    pub fn has_nvram(&self) -> bool {
        self.carried.iter().any(|file| file.role == Role::Nvram)
    }

    /// Whether saved memory goes along.
    #[must_use]
    pub fn has_saved_memory(&self) -> bool {
        self.carried.iter().any(|file| file.role == Role::SavedMemory)
    }

    /// Whether the image of this disk goes along.
    #[must_use]
    pub fn has_disk(&self, target: &str) -> bool {
        let carried = self.carried.iter().any(|file| matches!(&file.role, Role::Disk(of) if of == target));
        carried || self.copied.iter().any(|disk| disk.target == target)
    }

    /// Whether a file of this path goes along.
    #[must_use]
    pub fn has_path(&self, path: &str) -> bool {
        self.new_files().any(|file| file.path == path)
    }

    /// All that is made on the destination.
    pub fn new_files(&self) -> impl Iterator<Item = &NewFile> {
        self.carried.iter().map(|file| &file.new).chain(self.copied.iter().map(|disk| &disk.new))
    }

    /// Has a file go along, where it is known how large it is.
    fn carry(&mut self, role: Role, path: &str, facts: &Facts, domain: &DomainFacts) {
        let extent = extent(facts, domain, &role, path);
        let Some((length_bytes, allocated_bytes)) = extent.filter(|_| !self.has_path(path)) else { return };
        let new = NewFile {
            path: path.to_owned(),
            format: "raw".to_owned(),
            capacity_bytes: length_bytes,
            base: None,
        };
        self.carried.push(Carried { role, new, allocated_bytes });
    }
}

/// How long a file is, and what it takes up.
type Extent = (u64, u64);

/// By the source's shell, or else by what libvirt measures of the disk that it is.
fn extent(facts: &Facts, domain: &DomainFacts, role: &Role, path: &str) -> Option<Extent> {
    if let Some(found) = facts.source.shell().and_then(|shell| shell.path(path)) {
        return found.exists().then_some((found.size_bytes, found.allocated_bytes));
    }
    let Role::Disk(target) = role else { return None };
    let image = domain.image(target)?;
    Some((image.physical_bytes, image.allocation_bytes))
}

/// Which files of the domain go along.
#[must_use]
pub fn files(facts: &Facts) -> Files {
    let mut files = Files::default();
    let (Some(domain), Some(meeting)) = (&facts.domain, &facts.meeting) else { return files };
    let is_missing = |path: &str| {
        !is_of_network(facts, path)
            && meeting.sharing.iter().any(|(of, sharing)| of == path && *sharing == Sharing::Missing)
    };
    for disk in domain.definition.disks.iter().filter(|disk| disk.drive == Drive::Disk) {
        // What lies lowest first: what lies over it is made with it.
        for base in disk.backing.iter().rev().filter_map(|backing| backing.source.path()) {
            if is_missing(base) {
                files.carry(Role::Base(disk.target.clone()), base, facts, domain);
            }
        }
        let Some(path) = disk.source.path().or_else(|| domain.volume_path(&disk.target)) else { continue };
        if !is_missing(path) || stays(facts, domain, disk).is_some() {
            continue;
        }
        if !domain.is_active() || disk.readonly {
            files.carry(Role::Disk(disk.target.clone()), path, facts, domain);
        } else if let Some(copied) = copied(domain, disk, path) {
            files.copied.push(copied);
        }
    }
    if let Some(nvram) = domain.definition.firmware.nvram.as_deref()
        && !domain.is_active()
        && is_missing(nvram)
    {
        files.carry(Role::Nvram, nvram, facts, domain);
    }
    // (The files of a TPM libvirt gives to its swtpm itself, when that is started.)
    let saved = domain.saved.as_ref().map(|saved| saved.path.as_str());
    for path in domain.kept_files().filter(|path| is_missing(path)) {
        let role = if saved == Some(path) { Role::SavedMemory } else { Role::TpmState };
        files.carry(role, path, facts, domain);
    }
    files
}

/// Whether a path of the source's lies on a file system that others have mounted as well: on a destination that does not have it
/// mounted nothing is made in its place, where it would be hidden once it is.
fn is_of_network(facts: &Facts, path: &str) -> bool {
    let found = facts.source.shell().and_then(|shell| shell.path(path));
    found.is_some_and(|found| is_networked(&found.filesystem))
}

/// Why a disk that only the source has cannot go along; none where it can.
#[must_use]
pub fn stays(facts: &Facts, domain: &DomainFacts, disk: &Disk) -> Option<&'static str> {
    let running = domain.is_active() && !disk.readonly;
    let path = disk.source.path().or_else(|| domain.volume_path(&disk.target));
    if path.is_some_and(|path| is_of_network(facts, path)) {
        return Some("it lies on a file system of the network, which the destination has not mounted there");
    }
    // The new image names what it lies over.
    let named = |base: &Backing| base.source.path().is_some() && base.format.is_some();
    if running && disk.backing.first().is_some_and(|base| !named(base)) {
        return Some("what lies below it is no file whose format is known");
    }
    match &disk.source {
        Source::File(_) => {}
        Source::Volume { pool, .. } => {
            let path = domain.volume_path(&disk.target).unwrap_or_default();
            let directory = path.rsplit_once('/').map(|(directory, _)| directory);
            let pools = facts.reception.iter().flat_map(|reception| &reception.pools);
            let same = |target: Option<&str>| target.is_some() && target == directory;
            if !pools.into_iter().any(|known| {
                known.name == *pool && known.active && known.kind == "dir" && same(known.target.as_deref())
            }) {
                return Some("its storage pool is no directory of the same path on both hosts");
            }
        }
        _ => return Some("it is no file"),
    }
    if disk.shareable {
        return Some("others write to it as well");
    }
    if running && disk.encryption.is_some() {
        return Some("it is encrypted, and an encrypted image is copied of a stopped virtual machine only");
    }
    if running && !matches!(disk.format.as_deref(), Some("raw" | "qcow2")) {
        return Some("only raw and qcow2 images are copied while a guest runs");
    }
    if running && facts.wanted.tunnelled {
        return Some("nothing copies disks through libvirt's own connection (--secure)");
    }
    None
}

fn copied(domain: &DomainFacts, disk: &Disk, path: &str) -> Option<CopiedDisk> {
    let image = domain.image(&disk.target)?;
    let base = disk
        .backing
        .first()
        .and_then(|Backing { source, format }| Some((source.path()?.to_owned(), format.clone()?)));
    let new = NewFile {
        path: path.to_owned(),
        format: disk.format.clone()?,
        capacity_bytes: image.capacity_bytes,
        base,
    };
    Some(CopiedDisk { target: disk.target.clone(), new, allocated_bytes: image.allocation_bytes })
}
