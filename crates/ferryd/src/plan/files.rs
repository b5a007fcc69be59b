//! Which of a domain's files go along, and as what: pure. The checks tell it, the plan holds it, the steps do it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::places::{flattens, is_copied_by_qemu, path_of, place};
use crate::hypervisor::NewFile;
use crate::model::definition::{Backing, Disk, Drive, Source};
use crate::model::facts::{DomainFacts, Facts, PathKind, Sharing, is_networked};

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
    /// Where it lies on the source; none where it is the path that it gets.
    #[serde(default)]
    pub from: Option<String>,
}

impl Carried {
    /// Where it lies on the source.
    #[must_use]
    pub fn source_path(&self) -> &str {
        self.from.as_deref().unwrap_or(&self.new.path)
    }
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
    /// Where it lies on the source; none where it is the path that it gets.
    #[serde(default)]
    pub from: Option<String>,
}

impl CopiedDisk {
    /// Where it lies on the source.
    #[must_use]
    pub fn source_path(&self) -> &str {
        self.from.as_deref().unwrap_or(&self.new.path)
    }
}

/// A disk of a stopped domain that becomes one image on the destination, after what it is made of has been carried there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlattenedDisk {
    /// Its name in the domain.
    pub target: String,
    /// The image as it was carried, over what lies below it.
    pub from: String,
    /// The image that it becomes.
    pub new: NewFile,
    /// What it may take up.
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
    /// QEMU copies with them what lies below them.
    #[serde(default)]
    pub whole: bool,
    /// Disks that become one image where they have been carried to.
    #[serde(default)]
    pub flattened: Vec<FlattenedDisk>,
    /// Files among those carried that go again when the flattened images have been made of them.
    #[serde(default)]
    pub temporary: Vec<String>,
    /// The variables of the firmware of a guest that runs, in a file of the source's alone: QEMU takes them along, and the file stays.
    #[serde(default)]
    pub nvram_stays: Option<String>,
    /// Where the images of disks are on the destination, whose definition there says otherwise than the source's.
    #[serde(default)]
    pub moved: BTreeMap<String, PathBuf>,
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
        let flattened = self.flattened.iter().map(|disk| &disk.new);
        let carried = self.carried.iter().map(|file| &file.new);
        carried.chain(self.copied.iter().map(|disk| &disk.new)).chain(flattened)
    }

    /// Has a file go along into one of this path, where it is known how large it is.
    fn carry(&mut self, role: Role, from: &str, to: &str, facts: &Facts, domain: &DomainFacts) {
        let extent = extent(facts, domain, &role, from);
        let Some((length_bytes, allocated_bytes)) = extent.filter(|_| !self.has_path(to)) else { return };
        let new = NewFile {
            path: to.to_owned(),
            format: "raw".to_owned(),
            capacity_bytes: length_bytes,
            ..NewFile::default()
        };
        self.carried.push(Carried { role, new, allocated_bytes, from: elsewhere(from, to) });
    }

    /// Has the image of a disk go along into one of this path.
    fn take(&mut self, facts: &Facts, domain: &DomainFacts, disk: &Disk, from: &str, to: &str) {
        let flat = flattens(facts, domain, disk);
        if is_copied_by_qemu(domain, disk) {
            let Some(copied) = copied(domain, disk, from, to, flat) else { return };
            self.whole |= flat;
            self.copied.push(copied);
        } else if flat {
            self.take_flat(facts, domain, disk, from, to);
        } else {
            self.carry(Role::Disk(disk.target.clone()), from, to, facts, domain);
        }
        // Also where only what lies below it is another.
        if (flat || from != to) && self.has_disk(&disk.target) {
            self.moved.insert(disk.target.clone(), PathBuf::from(to));
        }
    }

    /// The image is carried beside its place, and made one with what lies below it there.
    fn take_flat(&mut self, facts: &Facts, domain: &DomainFacts, disk: &Disk, from: &str, to: &str) {
        let (Some(image), Some(format)) = (domain.image(&disk.target), &disk.format) else { return };
        let chain = format!("{to}.chain");
        self.carry(Role::Disk(disk.target.clone()), from, &chain, facts, domain);
        if !self.has_path(&chain) {
            return;
        }
        let below = disk.backing.iter().filter_map(|base| base.source.path());
        let below =
            below.filter_map(|base| facts.source.shell()?.path(base)).map(|seen| seen.allocated_bytes);
        self.flattened.push(FlattenedDisk {
            target: disk.target.clone(),
            from: chain.clone(),
            new: NewFile {
                path: to.to_owned(),
                format: format.clone(),
                capacity_bytes: image.capacity_bytes,
                ..NewFile::default()
            },
            allocated_bytes: below
                .fold(image.allocation_bytes, u64::saturating_add)
                .min(image.capacity_bytes),
        });
        self.temporary.push(chain);
    }
}

/// How long a file is, and what it takes up.
type Extent = (u64, u64);

/// A path where it is another than the one that is got.
fn elsewhere(from: &str, to: &str) -> Option<String> {
    (from != to).then(|| from.to_owned())
}

/// By the source's shell, or else by what libvirt measures of the disk that it is.
fn extent(facts: &Facts, domain: &DomainFacts, role: &Role, path: &str) -> Option<Extent> {
    let found = facts.source.shell().and_then(|shell| shell.path(path));
    // How large a block device is its file system does not say.
    if let Some(found) = found.filter(|found| found.kind != PathKind::Block) {
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
    let is_missing =
        |path: &str| !is_of_network(facts, path) && meeting.sharing_of(path) == Some(&Sharing::Missing);
    let mut kept: Vec<&str> = Vec::new();
    for disk in domain.definition.disks.iter().filter(|disk| disk.drive == Drive::Disk) {
        let path = path_of(domain, disk);
        let goes = path.filter(|_| stays(facts, domain, disk).is_none()).and_then(|path| {
            let to = match place(facts, domain, disk) {
                Some(place) => place.ok().map(|place| place.path),
                None => is_missing(path).then(|| path.to_owned()),
            };
            Some((path, to?))
        });
        let flat = goes.is_some() && flattens(facts, domain, disk);
        // What lies lowest first: what lies over it is made with it. QEMU itself reads the whole of a chain.
        for base in disk.backing.iter().rev().filter_map(|backing| backing.source.path()) {
            if is_missing(base) && !(flat && is_copied_by_qemu(domain, disk)) {
                files.carry(Role::Base(disk.target.clone()), base, base, facts, domain);
                if flat { files.temporary.push(base.to_owned()) } else { kept.push(base) }
            }
        }
        if let Some((from, to)) = goes {
            files.take(facts, domain, disk, from, &to);
        }
    }
    files.temporary.sort();
    files.temporary.dedup();
    files.temporary.retain(|path| !kept.contains(&path.as_str()));
    if let Some(nvram) = domain.definition.firmware.nvram.as_deref() {
        let sharing = facts.meeting.as_ref().and_then(|meeting| meeting.sharing_of(nvram));
        if !domain.is_active() && is_missing(nvram) {
            files.carry(Role::Nvram, nvram, nvram, facts, domain);
        } else if domain.is_active() && !matches!(sharing, Some(Sharing::Shared(_))) {
            files.nvram_stays = Some(nvram.to_owned());
        }
    }
    // (The files of a TPM libvirt gives to its swtpm itself, when that is started.)
    let saved = domain.saved.as_ref().map(|saved| saved.path.as_str());
    for path in domain.kept_files().filter(|path| is_missing(path)) {
        let role = if saved == Some(path) { Role::SavedMemory } else { Role::TpmState };
        files.carry(role, path, path, facts, domain);
    }
    files
}

/// Whether a path of the source's lies on a file system that others have mounted as well: on a destination that does not have it
/// mounted nothing is made in its place, where it would be hidden once it is.
fn is_of_network(facts: &Facts, path: &str) -> bool {
    let found = facts.source.shell().and_then(|shell| shell.path(path));
    found.is_some_and(|found| is_networked(&found.filesystem))
}

/// Why a disk that only the source has, or that is to go into another storage pool, cannot go along; none where it can.
#[must_use]
pub fn stays(facts: &Facts, domain: &DomainFacts, disk: &Disk) -> Option<&'static str> {
    let running = is_copied_by_qemu(domain, disk);
    let (path, is_placed) = (path_of(domain, disk), place(facts, domain, disk).is_some());
    let flat = flattens(facts, domain, disk);
    // The new image names what it lies over.
    let named = |base: &Backing| base.source.path().is_some() && base.format.is_some();
    if running && !flat && disk.backing.first().is_some_and(|base| !named(base)) {
        return Some("what lies below it is no file whose format is known");
    }
    if is_placed {
        // One that was carried names what lies below it as it did at its old place.
        let by_place = |base: &Backing| base.by_place || domain.is_active();
        if !running && !flat && disk.backing.first().is_some_and(by_place) {
            return Some(
                "it may name the image below it by its place beside its own, and would not find it from another directory; --flatten makes one image of both",
            );
        }
    } else if let Some(why) = stays_by_its_place(facts, domain, disk, path) {
        return Some(why);
    }
    if disk.shareable {
        return Some("others write to it as well");
    }
    if running && let Some(why) = disk.encryption.as_deref().and_then(|kind| stays_encrypted(disk, kind)) {
        return Some(why);
    }
    if running && !matches!(disk.format.as_deref(), Some("raw" | "qcow2")) {
        return Some("only raw and qcow2 images are copied while a guest runs");
    }
    if running && facts.wanted.tunnelled {
        return Some("nothing copies disks through libvirt's own connection (--secure)");
    }
    None
}

/// Why an image that is encrypted in this way cannot be made for a guest that runs: QEMU opens both images, and what it writes into
/// the new one is encrypted with the same secret, which the destination has to have anyway.
fn stays_encrypted(disk: &Disk, kind: &str) -> Option<&'static str> {
    match (kind, disk.passphrase()) {
        // What lies below it is not encrypted then: that would be a second one.
        ("luks", Some(_)) => None,
        _ => Some(
            "it is encrypted otherwise than by LUKS with one passphrase, and is copied of a stopped virtual machine only",
        ),
    }
}

/// Why a disk cannot be made under the path it has.
fn stays_by_its_place(
    facts: &Facts,
    domain: &DomainFacts,
    disk: &Disk,
    path: Option<&str>,
) -> Option<&'static str> {
    if path.is_some_and(|path| is_of_network(facts, path)) {
        return Some("it lies on a file system of the network, which the destination has not mounted there");
    }
    match &disk.source {
        Source::File(_) => None,
        Source::Volume { pool, .. } => {
            let path = domain.volume_path(&disk.target).unwrap_or_default();
            let directory = path.rsplit_once('/').map(|(directory, _)| directory);
            let pools = facts.reception.iter().flat_map(|reception| &reception.pools);
            let same = |target: Option<&str>| target.is_some() && target == directory;
            let is_same = pools.into_iter().any(|known| {
                known.name == *pool && known.active && known.kind == "dir" && same(known.target.as_deref())
            });
            (!is_same).then_some("its storage pool is no directory of the same path on both hosts")
        }
        Source::Block(_) => Some("it is a block device, and none is written over"),
        _ => Some("it is no file"),
    }
}

fn copied(domain: &DomainFacts, disk: &Disk, from: &str, to: &str, flat: bool) -> Option<CopiedDisk> {
    let image = domain.image(&disk.target)?;
    let base = disk.backing.first().filter(|_| !flat);
    let base = base.and_then(|base| Some((base.source.path()?.to_owned(), base.format.clone()?)));
    let new = NewFile {
        path: to.to_owned(),
        format: disk.format.clone()?,
        capacity_bytes: image.capacity_bytes,
        base,
        luks: disk.encryption.as_ref().and_then(|_| disk.passphrase().cloned()),
    };
    let (target, from) = (disk.target.clone(), elsewhere(from, to));
    Some(CopiedDisk { target, new, allocated_bytes: image.allocation_bytes, from })
}
