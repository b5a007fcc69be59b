//! The XML of a domain that is made anew.

use std::fmt::Write as _;

use super::escaped;
use crate::hypervisor::CopyIdentity;
use crate::model::creation::{CreationPlan, Hardware, Screen, Wanted};

/// A disk of it, once its volume is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Where the volume is.
    pub path: String,
    /// It is a device, and no file.
    pub block: bool,
    /// `raw`, `qcow2`.
    pub format: String,
}

/// The definition of a planned machine with these disks.
#[must_use]
pub fn created(plan: &CreationPlan, drives: &[Drive]) -> String {
    let CreationPlan { identity, wanted, hardware, .. } = plan;
    let mut xml = format!(
        "<domain type='{}'><name>{}</name><uuid>{}</uuid>",
        escaped(&hardware.domain_type),
        escaped(&identity.name),
        identity.uuid
    );
    for (element, text) in [("title", &wanted.title), ("description", &wanted.description)] {
        if !text.is_empty() {
            push(&mut xml, format_args!("<{element}>{}</{element}>", escaped(text)));
        }
    }
    push(
        &mut xml,
        format_args!(
            "<memory unit='MiB'>{}</memory><currentMemory unit='MiB'>{}</currentMemory>",
            wanted.max_memory_mib, wanted.memory_mib
        ),
    );
    push(&mut xml, format_args!("<vcpu current='{}'>{}</vcpu>", wanted.vcpus, wanted.max_vcpus));
    xml.push_str(&system(wanted, hardware));
    xml.push_str("<devices>");
    xml.push_str(&disks(wanted, hardware, drives));
    xml.push_str(&interfaces(wanted, identity));
    // Both see the guest's console: the one who has a screen, and the one who has a line.
    xml.push_str("<serial type='pty'/><console type='pty'/>");
    xml.push_str(&seen(&wanted.screen, hardware));
    if hardware.rng {
        xml.push_str("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>");
    }
    xml.push_str("</devices></domain>");
    xml
}

fn push(xml: &mut String, part: std::fmt::Arguments<'_>) {
    // Into a text nothing fails.
    let _ = xml.write_fmt(part);
}

/// Everything that is no device.
fn system(wanted: &Wanted, hardware: &Hardware) -> String {
    let firmware = hardware.firmware.as_ref();
    let firmware = firmware.map_or_else(String::new, |name| format!(" firmware='{}'", escaped(name)));
    let mut xml = format!(
        "<os{firmware}><type arch='{}' machine='{}'>hvm</type>",
        escaped(&hardware.architecture),
        escaped(&hardware.machine)
    );
    let boots = [
        ("hd", !wanted.disks.is_empty()),
        // A disk that nothing is on yet does not boot, and the medium is next.
        ("cdrom", wanted.cdrom.is_some()),
        ("network", !wanted.networks.is_empty()),
    ];
    for (device, _) in boots.into_iter().filter(|(_, there)| *there) {
        push(&mut xml, format_args!("<boot dev='{device}'/>"));
    }
    xml.push_str("</os>");
    if hardware.architecture == "x86_64" {
        xml.push_str("<features><acpi/><apic/></features>");
    } else if hardware.firmware.is_some() {
        xml.push_str("<features><acpi/></features>");
    }
    if hardware.host_model {
        xml.push_str("<cpu mode='host-model'/>");
    }
    xml.push_str("<clock offset='utc'/>");
    xml
}

fn disks(wanted: &Wanted, hardware: &Hardware, drives: &[Drive]) -> String {
    let mut xml = String::new();
    let mut targets = Targets::default();
    for drive in drives {
        let (kind, attribute) = if drive.block { ("block", "dev") } else { ("file", "file") };
        let target = targets.next(&hardware.disk_bus);
        push(
            &mut xml,
            format_args!(
                "<disk type='{kind}' device='disk'><driver name='qemu' type='{}' cache='none'/><source {attribute}='{}'/>\
                 <target dev='{target}' bus='{}'/></disk>",
                escaped(&drive.format),
                escaped(&drive.path),
                escaped(&hardware.disk_bus)
            ),
        );
    }
    if let Some(path) = &wanted.cdrom {
        let target = targets.next(&hardware.cdrom_bus);
        push(
            &mut xml,
            format_args!(
                "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{}'/>\
                 <target dev='{target}' bus='{}'/><readonly/></disk>",
                escaped(path),
                escaped(&hardware.cdrom_bus)
            ),
        );
    }
    let scsi =
        drives.iter().map(|_| &hardware.disk_bus).chain(wanted.cdrom.iter().map(|_| &hardware.cdrom_bus));
    if scsi.into_iter().any(|bus| bus == "scsi") {
        xml.push_str("<controller type='scsi' model='virtio-scsi'/>");
    }
    xml
}

/// Names of disks, as libvirt wants them by their bus: `vda`, `sda`.
#[derive(Default)]
struct Targets {
    virtio: usize,
    other: usize,
}

impl Targets {
    fn next(&mut self, bus: &str) -> String {
        let (prefix, count) = match bus {
            "virtio" => ("vd", &mut self.virtio),
            "ide" => ("hd", &mut self.other),
            _ => ("sd", &mut self.other),
        };
        *count += 1;
        format!("{prefix}{}", letters(*count))
    }
}

/// 1 is `a`, 26 is `z`, 27 is `aa`.
fn letters(mut number: usize) -> String {
    let mut reversed = Vec::new();
    while number > 0 {
        number -= 1;
        reversed.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
        number /= 26;
    }
    reversed.into_iter().rev().collect()
}

fn interfaces(wanted: &Wanted, identity: &CopyIdentity) -> String {
    let all = wanted.networks.iter().zip(&identity.macs).map(|(network, mac)| {
        format!(
            "<interface type='network'><mac address='{}'/><source network='{}'/><model type='virtio'/></interface>",
            escaped(mac),
            escaped(network)
        )
    });
    all.collect()
}

/// What it is seen and used by.
fn seen(screen: &Screen, hardware: &Hardware) -> String {
    let mut xml = format!(
        "<graphics type='{}' autoport='yes'><listen type='address' address='{}'/></graphics>",
        escaped(&screen.kind),
        screen.listen
    );
    if let Some(video) = &hardware.video {
        push(&mut xml, format_args!("<video><model type='{}'/></video>", escaped(video)));
    }
    if hardware.usb {
        // Where the pointer is on a screen only such a device tells.
        xml.push_str("<controller type='usb' model='qemu-xhci'/><input type='tablet' bus='usb'/>");
    }
    xml
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::libvirt::xml::definition;
    use crate::model::DomainUuid;
    use crate::model::creation::{Volume, WantedDisk};
    use crate::model::definition::{Drive as DriveKind, Source};

    fn plan() -> CreationPlan {
        let disk = WantedDisk {
            pool: "default".to_owned(),
            format: "qcow2".to_owned(),
            volume: Volume::New { capacity_bytes: 1 << 30 },
        };
        let wanted = Wanted {
            name: "web & <co>".to_owned(),
            title: "Shop's".to_owned(),
            description: "a\nb".to_owned(),
            memory_mib: 512,
            max_memory_mib: 1024,
            vcpus: 1,
            max_vcpus: 2,
            disks: vec![disk.clone(), disk],
            cdrom: Some("/iso/a&b.iso".to_owned()),
            networks: vec!["lan".to_owned()],
            screen: Screen { kind: "vnc".to_owned(), listen: IpAddr::V4(Ipv4Addr::LOCALHOST) },
        };
        let hardware = Hardware {
            domain_type: "kvm".to_owned(),
            architecture: "x86_64".to_owned(),
            machine: "pc-q35-7.2".to_owned(),
            host_model: true,
            disk_bus: "virtio".to_owned(),
            cdrom_bus: "sata".to_owned(),
            video: Some("virtio".to_owned()),
            usb: true,
            rng: true,
            firmware: None,
        };
        CreationPlan::new("kvm1", DomainUuid(uuid::Uuid::from_u128(7)), wanted, hardware)
    }

    fn drive(path: &str, block: bool) -> Drive {
        let format = if block { "raw" } else { "qcow2" };
        Drive { path: path.to_owned(), block, format: format.to_owned() }
    }

    #[test]
    fn it_is_what_was_wanted() {
        let xml = created(&plan(), &[drive("/i/7-0.img", false), drive("/dev/vg/data", true)]);
        let read = definition(&xml).unwrap();
        assert_eq!((read.name.as_str(), read.uuid), ("web & <co>", uuid::Uuid::from_u128(7)));
        assert_eq!((read.title.as_deref(), read.description.as_deref()), (Some("Shop's"), Some("a\nb")));
        assert_eq!((read.memory_bytes, read.current_memory_bytes), (1024 << 20, 512 << 20));
        assert_eq!((read.vcpus, read.vcpus_max), (1, 2));
        assert_eq!((read.domain_type.as_str(), read.machine.as_str()), ("kvm", "pc-q35-7.2"));
        assert_eq!(read.boot_devices, ["hd", "cdrom", "network"]);
        let disks: Vec<_> =
            read.disks.iter().map(|disk| (disk.target.as_str(), disk.drive, disk.source.clone())).collect();
        assert_eq!(
            disks,
            [
                ("vda", DriveKind::Disk, Source::File("/i/7-0.img".to_owned())),
                ("vdb", DriveKind::Disk, Source::Block("/dev/vg/data".to_owned())),
                ("sda", DriveKind::Cdrom, Source::File("/iso/a&b.iso".to_owned())),
            ]
        );
        assert!(read.disks[2].readonly && !read.disks[0].readonly);
        assert_eq!(read.interfaces.len(), 1);
        assert_eq!(read.graphics[0].listen.as_deref(), Some("127.0.0.1"));
        assert!(xml.contains("<cpu mode='host-model'/>") && xml.contains("model='qemu-xhci'"), "{xml}");
    }

    #[test]
    fn nothing_is_in_it_that_was_not_wanted_or_is_not_offered() {
        let mut plan = plan();
        plan.wanted = Wanted {
            title: String::new(),
            description: String::new(),
            disks: Vec::new(),
            cdrom: None,
            networks: Vec::new(),
            ..plan.wanted
        };
        plan.hardware = Hardware {
            domain_type: "qemu".to_owned(),
            architecture: "s390x".to_owned(),
            machine: "s390-ccw-virtio-7.2".to_owned(),
            ..Hardware::default()
        };
        let xml = created(&plan, &[]);
        for not in [
            "<title",
            "<description",
            "<boot",
            "<disk",
            "<interface",
            "<cpu",
            "<features",
            "usb",
            "<rng",
            "scsi",
        ] {
            assert!(!xml.contains(not), "{not}: {xml}");
        }
        plan.wanted.cdrom = Some("/a.iso".to_owned());
        plan.hardware.cdrom_bus = "scsi".to_owned();
        plan.hardware.firmware = Some("efi".to_owned());
        let xml = created(&plan, &[]);
        assert!(xml.contains("model='virtio-scsi'") && xml.contains("<os firmware='efi'>"), "{xml}");
    }

    #[test]
    fn disks_are_named_as_libvirt_counts() {
        assert_eq!(
            [1, 2, 26, 27, 52, 53, 702, 703].map(letters),
            ["a", "b", "z", "aa", "az", "ba", "zz", "aaa"]
        );
    }
}
