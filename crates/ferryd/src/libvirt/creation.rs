//! A domain that is made anew: what the host has for it, its volumes, its definition.

use std::time::Duration;

use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;

use super::clone::path_of;
use super::error::{
    LibvirtError, NO_DOMAIN, NO_NETWORK, NO_POOL, NO_VOLUME, OPERATION_INVALID, VOLUME_EXISTS, XML_ERROR,
};
use super::usage::users_of;
use super::xml::{self, Drive, XmlError};
use crate::hypervisor::NewFile;
use crate::messages::{Message, Text};
use crate::model::clone::Place;
use crate::model::creation::{CreationPlan, Hardware, NewVolume, Unfit, Volume, Wanted, WantedDisk};
use crate::model::facts::MachineSupport;
use crate::model::{DomainUuid, TaskId};

/// How long a host may take to be looked at: whether something uses a volume is asked of all its images.
pub const LOOK_LIMIT: Duration = Duration::from_secs(60);

type Told<T> = Result<T, LibvirtError>;
/// What was looked for, or what speaks against the machine.
type Fit<T> = Told<Result<T, Unfit>>;

/// Goes on with what fits; what does not is told.
macro_rules! fit {
    ($fit:expr) => {
        match $fit {
            Ok(fits) => fits,
            Err(unfit) => return Ok(Err(unfit)),
        }
    };
}

fn unreadable(error: XmlError) -> LibvirtError {
    LibvirtError::of(XML_ERROR, error.to_string())
}

/// Whether a host has all that a machine is to be made of, and what its QEMU offers for it. `task` is whose storage pools are, which may
/// be made for the while.
///
/// # Errors
/// What libvirt says.
pub fn look(connect: &Connect, task: TaskId, uuid: DomainUuid, wanted: &Wanted) -> Fit<Hardware> {
    match connect.lookup_domain_by_name(&wanted.name).map_err(LibvirtError::from) {
        Ok(_) => return Ok(Err(Unfit::NameTaken)),
        Err(error) if error.code == NO_DOMAIN => {}
        Err(error) => return Err(error),
    }
    // QEMU maps all of it at the start, and the kernel refuses more than there is.
    if let Some(most_mib) = less_memory_than(connect, wanted.max_memory_mib)? {
        return Ok(Err(Unfit::TooMuchMemory(most_mib)));
    }
    let hardware = fit!(hardware(connect, wanted)?);
    for disk in &wanted.disks {
        if matches!(disk.volume, Volume::New { .. }) {
            fit!(roomy(connect, disk)?);
        }
    }
    fit!(existing(connect, task, uuid, wanted)?);
    if let Some(path) = &wanted.cdrom
        && path_of(connect, task, &Place::Path(path.clone()))?.is_none()
    {
        return Ok(Err(Unfit::NoMedium(path.clone())));
    }
    for name in &wanted.networks {
        match connect.lookup_network_by_name(name).map_err(LibvirtError::from) {
            Ok(network) if network.is_active()? => {}
            Ok(_) => return Ok(Err(Unfit::NetworkInactive(name.clone()))),
            Err(error) if error.code == NO_NETWORK => return Ok(Err(Unfit::NoNetwork(name.clone()))),
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(hardware))
}

/// All the memory of a host in MiB, where that is less than this.
///
/// # Errors
/// What libvirt says.
pub fn less_memory_than(connect: &Connect, mib: u64) -> Result<Option<u64>, LibvirtError> {
    // `virNodeInfo.memory` is in KiB.
    let most_mib = connect.node_info()?.memory / 1024;
    Ok((most_mib < mib).then_some(most_mib))
}

/// What the host's QEMU offers: with KVM where there is one, and of today's machine type.
fn hardware(connect: &Connect, wanted: &Wanted) -> Fit<Hardware> {
    let host = xml::capabilities(&connect.capabilities()?).map_err(unreadable)?;
    let machine = match host.architecture.as_str() {
        "x86_64" => Some("q35"),
        "aarch64" | "riscv64" => Some("virt"),
        _ => None,
    };
    let mut refused = Text::from(Message::FERRYWHY0097I);
    for kind in ["kvm", "qemu"].into_iter().filter(|kind| host.domain_types.iter().any(|own| own == kind)) {
        // Without one libvirt tells of the machine type that is the emulator's own choice.
        for machine in machine.into_iter().map(Some).chain([None]) {
            match connect.domain_capabilities(None, Some(&host.architecture), machine, Some(kind), 0) {
                Ok(text) => {
                    let support = xml::machine_support(&text).map_err(unreadable)?;
                    return Ok(chosen(kind, host.architecture, &support, wanted));
                }
                Err(error) => refused = error.message().into(),
            }
        }
    }
    Ok(Err(Unfit::NoMachines(refused)))
}

fn chosen(
    kind: &str,
    architecture: String,
    support: &MachineSupport,
    wanted: &Wanted,
) -> Result<Hardware, Unfit> {
    if let Some(most) = support.vcpus_max.filter(|most| *most < wanted.max_vcpus) {
        return Err(Unfit::TooManyCpus(most));
    }
    let screen = &wanted.screen.kind;
    if support.lists("graphics.type") && !support.offers("graphics.type", screen) {
        return Err(Unfit::NoScreen(screen.clone()));
    }
    let first = |property: &str, values: &[&str]| {
        values.iter().find(|value| support.offers(property, value)).map(|value| (*value).to_owned())
    };
    // The firmware of a PC comes with QEMU; other machines start by none but this.
    let needs_firmware =
        architecture != "x86_64" && support.automatic_firmware.iter().any(|name| name == "efi");
    Ok(Hardware {
        domain_type: kind.to_owned(),
        machine: support.machine.clone().unwrap_or_default(),
        host_model: kind == "kvm" && support.host_model.is_some(),
        firmware: needs_firmware.then(|| "efi".to_owned()),
        disk_bus: first("disk.bus", &["virtio", "sata", "scsi"]).unwrap_or_else(|| "virtio".to_owned()),
        cdrom_bus: first("disk.bus", &["sata", "scsi"]).unwrap_or_else(|| "scsi".to_owned()),
        video: first("video.modelType", &["virtio", "vga"]),
        usb: support.offers("disk.bus", "usb"),
        rng: support.offers("rng.model", "virtio"),
        architecture,
    })
}

/// A pool that is active.
fn active(connect: &Connect, name: &str) -> Fit<StoragePool> {
    match connect.lookup_storage_pool_by_name(name).map_err(LibvirtError::from) {
        Ok(pool) if pool.is_active()? => Ok(Ok(pool)),
        Ok(_) => Ok(Err(Unfit::PoolInactive(name.to_owned()))),
        Err(error) if error.code == NO_POOL => Ok(Err(Unfit::NoPool(name.to_owned()))),
        Err(error) => Err(error),
    }
}

/// What is in a pool of this kind is a file; none where it has no path on the host at all.
fn holds_files(pool: &StoragePool) -> Told<Option<bool>> {
    let kind = xml::pool(&pool.xml_desc(0)?).map_err(unreadable)?.kind;
    Ok(match kind.as_str() {
        "dir" | "fs" | "netfs" => Some(true),
        "logical" | "disk" | "iscsi" | "scsi" | "mpath" | "zfs" => Some(false),
        _ => None,
    })
}

/// A pool that a volume may be made in.
fn roomy(connect: &Connect, disk: &WantedDisk) -> Fit<()> {
    let pool = fit!(active(connect, &disk.pool)?);
    Ok(match holds_files(&pool)? {
        Some(true) => Ok(()),
        _ => Err(Unfit::NotMadeIn(disk.pool.clone())),
    })
}

/// The volumes that are there and become disks, by their places among them; nothing else may use one.
fn existing(connect: &Connect, task: TaskId, uuid: DomainUuid, wanted: &Wanted) -> Fit<Vec<(usize, Drive)>> {
    let mut drives: Vec<(usize, Drive)> = Vec::new();
    for (at, disk) in wanted.disks.iter().enumerate() {
        let Volume::Existing(volume) = &disk.volume else { continue };
        let drive = fit!(drive(connect, disk, volume)?);
        if drives.iter().any(|(_, other)| other.path == drive.path) {
            return Ok(Err(Unfit::Used(drive.path.into(), Message::FERRYWHY0087I.into())));
        }
        drives.push((at, drive));
    }
    if drives.is_empty() {
        return Ok(Ok(drives));
    }
    let paths: Vec<String> = drives.iter().map(|(_, drive)| drive.path.clone()).collect();
    Ok(match users_of(connect, task, uuid, &paths)?.into_iter().next() {
        Some((path, user)) => Err(Unfit::Used(path.into(), user.into())),
        None => Ok(drives),
    })
}

fn drive(connect: &Connect, disk: &WantedDisk, volume: &str) -> Fit<Drive> {
    let pool = fit!(active(connect, &disk.pool)?);
    let Some(file) = holds_files(&pool)? else { return Ok(Err(Unfit::NoPath(disk.pool.clone()))) };
    if !file && disk.format != "raw" {
        return Ok(Err(Unfit::OnlyRaw(disk.pool.clone())));
    }
    let Some(found) = in_pool(&pool, volume)? else {
        return Ok(Err(Unfit::NoVolume { pool: disk.pool.clone(), volume: volume.to_owned() }));
    };
    let text = found.xml_desc(0)?;
    let is = xml::shape(&text).map_err(unreadable)?.format;
    // Anything can be taken for a raw disk: what a guest wrote to one must not be interpreted.
    if disk.format != "raw" && is != disk.format {
        let (volume, wanted) = (volume.to_owned(), disk.format.clone());
        return Ok(Err(Unfit::OtherFormat { volume, is, wanted }));
    }
    Ok(Ok(Drive { path: found.path()?, block: !file, format: disk.format.clone() }))
}

/// A volume by its name; a pool knows what came since it was last looked through only when it is again.
fn in_pool(pool: &StoragePool, name: &str) -> Told<Option<StorageVol>> {
    let look = || pool.lookup_storage_vol_by_name(name).map_err(LibvirtError::from);
    let found = look().or_else(|_| {
        pool.refresh(0)?;
        look()
    });
    match found {
        Ok(volume) => Ok(Some(volume)),
        Err(error) if error.code == NO_VOLUME => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a volume, and tells its path.
///
/// # Errors
/// What libvirt says; [`VOLUME_EXISTS`] where something has the name.
pub fn make(connect: &Connect, volume: &NewVolume) -> Told<String> {
    let pool = connect.lookup_storage_pool_by_name(&volume.pool)?;
    if in_pool(&pool, &volume.name)?.is_some() {
        return Err(LibvirtError::of(VOLUME_EXISTS, format!("{} is there already", volume.name)));
    }
    let file = NewFile {
        path: String::new(),
        format: volume.format.clone(),
        capacity_bytes: volume.capacity_bytes,
        ..NewFile::default()
    };
    Ok(StorageVol::create_xml(&pool, &xml::new_file(&volume.name, &file), 0)?.path()?)
}

/// Removes a volume that was made. Nothing there is success.
///
/// # Errors
/// What libvirt says, also that the pool is not there now.
pub fn remove(connect: &Connect, volume: &NewVolume) -> Told<()> {
    let pool = connect.lookup_storage_pool_by_name(&volume.pool)?;
    match in_pool(&pool, &volume.name)? {
        Some(made) => Ok(made.delete(0)?),
        None => Ok(()),
    }
}

/// Defines the machine, for which these volumes were made. What is there and becomes a disk is looked at once more.
///
/// # Errors
/// What libvirt says; [`OPERATION_INVALID`] where something else uses a disk by now.
pub fn define(
    connect: &Connect,
    task: TaskId,
    plan: &CreationPlan,
    made: &[(NewVolume, String)],
) -> Told<()> {
    let found = existing(connect, task, plan.identity.uuid, &plan.wanted)?;
    let mut drives = found.map_err(|unfit| LibvirtError::of(OPERATION_INVALID, unfit.to_string()))?;
    drives.extend(made.iter().map(|(volume, path)| {
        (volume.disk, Drive { path: path.clone(), block: false, format: volume.format.clone() })
    }));
    drives.sort_by_key(|(at, _)| *at);
    let drives: Vec<Drive> = drives.into_iter().map(|(_, drive)| drive).collect();
    let xml = xml::created(plan, &drives);
    Ok(connect.define_domain_xml(&xml).map(drop)?)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::model::creation::Screen;

    fn wanted(kind: &str, max_vcpus: u32) -> Wanted {
        Wanted {
            name: "web".to_owned(),
            title: String::new(),
            description: String::new(),
            memory_mib: 64,
            max_memory_mib: 64,
            vcpus: 1,
            max_vcpus,
            disks: Vec::new(),
            cdrom: None,
            networks: Vec::new(),
            screen: Screen { kind: kind.to_owned(), listen: IpAddr::V4(Ipv4Addr::LOCALHOST) },
        }
    }

    fn support(values: &[(&str, &[&str])]) -> MachineSupport {
        let named = |(name, values): &(&str, &[&str])| {
            ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        MachineSupport {
            machine: Some("m".to_owned()),
            vcpus_max: Some(8),
            automatic_firmware: vec!["efi".to_owned()],
            host_model: Some("<cpu/>".to_owned()),
            devices: values.iter().map(named).collect(),
            ..MachineSupport::default()
        }
    }

    #[test]
    fn hardware_is_chosen_from_what_is_offered() {
        let pc = support(&[
            ("disk.bus", &["fdc", "scsi", "virtio", "usb", "sata"]),
            ("video.modelType", &["vga", "virtio"]),
            ("graphics.type", &["vnc"]),
            ("rng.model", &["virtio"]),
        ]);
        let got = chosen("kvm", "x86_64".to_owned(), &pc, &wanted("vnc", 8)).unwrap();
        assert_eq!((got.disk_bus.as_str(), got.cdrom_bus.as_str()), ("virtio", "sata"));
        assert!(got.usb && got.rng && got.host_model);
        assert_eq!((got.video.as_deref(), got.firmware), (Some("virtio"), None));
        let slow = chosen("qemu", "x86_64".to_owned(), &pc, &wanted("vnc", 8)).unwrap();
        assert!(!slow.host_model, "an emulated CPU is QEMU's choice");
        let refused = |kind, cpus| chosen("kvm", "x86_64".to_owned(), &pc, &wanted(kind, cpus)).unwrap_err();
        assert_eq!(refused("spice", 1), Unfit::NoScreen("spice".to_owned()));
        assert_eq!(refused("vnc", 9), Unfit::TooManyCpus(8));
        let mainframe = support(&[("disk.bus", &["virtio", "scsi"])]);
        let got = chosen("kvm", "s390x".to_owned(), &mainframe, &wanted("vnc", 1)).unwrap();
        assert_eq!((got.cdrom_bus.as_str(), got.usb, got.firmware.as_deref()), ("scsi", false, Some("efi")));
    }
}
