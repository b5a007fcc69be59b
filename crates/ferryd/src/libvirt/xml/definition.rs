//! A domain's definition out of its XML.

use roxmltree::Node;
use uuid::Uuid;

use super::{Result, XmlError, attribute, child, children, devices, metadata, number, parse, path, text};
use crate::model::definition::{
    CharacterDevice, Cpu, Definition, Filesystem, Firmware, Graphics, HostDevice, MemoryBacking, Placement,
    SharedMemory, Tpm,
};

const WHAT: &str = "domain XML";

/// Reads a domain's XML (`virDomainGetXMLDesc`).
///
/// # Errors
/// Not XML, or without type, name or UUID.
pub fn definition(xml: &str) -> Result<Definition> {
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let missing = |missing| XmlError::Missing { what: WHAT, missing };
    let devices = child(root, "devices");
    let of = |name: &'static str| devices.into_iter().flat_map(move |devices| children(devices, name));
    let kind = path(root, &["os", "type"]);
    let (vcpus_max, vcpus) = vcpus(root);
    let memory_bytes = child(root, "memory").and_then(bytes).unwrap_or(0);
    Ok(Definition {
        name: text(root, &["name"]).ok_or(missing("name"))?,
        uuid: text(root, &["uuid"]).and_then(|text| Uuid::parse_str(&text).ok()).ok_or(missing("UUID"))?,
        title: text(root, &["title"]),
        description: text(root, &["description"]),
        domain_type: attribute(root, "type").ok_or(missing("type"))?,
        architecture: kind.and_then(|kind| attribute(kind, "arch")).unwrap_or_default(),
        machine: kind.and_then(|kind| attribute(kind, "machine")).unwrap_or_default(),
        emulator: text(root, &["devices", "emulator"]),
        memory_bytes,
        current_memory_bytes: child(root, "currentMemory").and_then(bytes).unwrap_or(memory_bytes),
        memory_backing: child(root, "memoryBacking").map(memory_backing).unwrap_or_default(),
        memory_hard_limit: path(root, &["memtune", "hard_limit"]).is_some(),
        vcpus_max,
        vcpus,
        cpu: child(root, "cpu").map(|node| cpu(node, xml)).unwrap_or_default(),
        placement: placement(root),
        firmware: child(root, "os").map(firmware).unwrap_or_default(),
        boot_files: ["kernel", "initrd", "dtb"].iter().filter_map(|name| text(root, &["os", name])).collect(),
        boot_devices: child(root, "os")
            .into_iter()
            .flat_map(|os| children(os, "boot"))
            .filter_map(|boot| attribute(boot, "dev"))
            .collect(),
        boot_menu: path(root, &["os", "bootmenu"])
            .is_some_and(|menu| menu.attribute("enable") == Some("yes")),
        launch_security: child(root, "launchSecurity").and_then(|node| attribute(node, "type")),
        disks: of("disk").map(devices::disk).collect(),
        interfaces: of("interface").map(devices::interface).collect(),
        host_devices: of("hostdev").map(host_device).collect(),
        character_devices: character_devices(devices),
        graphics: of("graphics").map(graphics).collect(),
        filesystems: of("filesystem").map(filesystem).collect(),
        tpm: of("tpm").next().map(tpm),
        rng_files: of("rng").filter_map(rng_file).collect(),
        shared_memories: of("shmem").map(shared_memory).collect(),
        vsock_cid: of("vsock").find_map(vsock_cid),
        memory_devices: of("memory").map(memory_device).collect(),
        qemu_arguments: qemu_arguments(root),
        fixed_labels: children(root, "seclabel").filter_map(fixed_label).collect(),
        access: metadata::access_of(root),
    })
}

/// A size with its unit; libvirt's default is KiB.
fn bytes(node: Node<'_, '_>) -> Option<u64> {
    let count: u64 = node.text()?.trim().parse().ok()?;
    let unit = match node.attribute("unit").unwrap_or("KiB") {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => 1 << 10,
    };
    count.checked_mul(unit)
}

fn vcpus(root: Node<'_, '_>) -> (u32, u32) {
    let Some(node) = child(root, "vcpu") else { return (1, 1) };
    let max = node.text().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
    (max, number(node, "current").unwrap_or(max))
}

fn memory_backing(node: Node<'_, '_>) -> MemoryBacking {
    let pages = child(node, "hugepages").map(|pages| {
        let sizes: Vec<u64> = children(pages, "page")
            .map(|page| {
                let size = number(page, "size").unwrap_or(0);
                match page.attribute("unit").unwrap_or("KiB") {
                    "M" | "MiB" => size << 10,
                    "G" | "GiB" => size << 20,
                    _ => size,
                }
            })
            .collect();
        if sizes.is_empty() { vec![0] } else { sizes }
    });
    MemoryBacking {
        huge_pages_kib: pages.unwrap_or_default(),
        locked: child(node, "locked").is_some(),
        allocated_at_once: child(node, "allocation")
            .is_some_and(|node| node.attribute("mode") == Some("immediate")),
        source: child(node, "source").and_then(|node| attribute(node, "type")),
    }
}

fn cpu(node: Node<'_, '_>, xml: &str) -> Cpu {
    let topology = child(node, "topology").map(|topology| {
        ["sockets", "dies", "cores", "threads"].map(|name| number(topology, name).unwrap_or(1))
    });
    let features = children(node, "feature").filter_map(|feature| {
        Some((
            attribute(feature, "name")?,
            attribute(feature, "policy").unwrap_or_else(|| "require".to_owned()),
        ))
    });
    Cpu {
        mode: attribute(node, "mode"),
        model: text(node, &["model"]),
        features: features.collect(),
        topology,
        xml: xml.get(node.range()).map(str::to_owned),
    }
}

fn placement(root: Node<'_, '_>) -> Placement {
    let mut pinned = Vec::new();
    let machine_wide = child(root, "vcpu").and_then(|vcpu| attribute(vcpu, "cpuset"));
    pinned.extend(machine_wide.map(|set| ("all vcpus".to_owned(), set)));
    if let Some(tune) = child(root, "cputune") {
        for node in tune.children().filter(Node::is_element) {
            let what = match node.tag_name().name() {
                "vcpupin" => format!("vcpu {}", node.attribute("vcpu").unwrap_or("?")),
                "iothreadpin" => format!("I/O thread {}", node.attribute("iothread").unwrap_or("?")),
                "emulatorpin" => "the emulator".to_owned(),
                _ => continue,
            };
            pinned.extend(attribute(node, "cpuset").map(|set| (what, set)));
        }
    }
    let memory = path(root, &["numatune", "memory"]);
    Placement {
        pinned,
        numa_nodes: memory.and_then(|node| attribute(node, "nodeset")),
        numa_mode: memory.and_then(|node| attribute(node, "mode")),
    }
}

fn firmware(os: Node<'_, '_>) -> Firmware {
    let (loader, nvram) = (child(os, "loader"), child(os, "nvram"));
    Firmware {
        automatic: attribute(os, "firmware"),
        loader: text(os, &["loader"]),
        secure: loader.is_some_and(|loader| loader.attribute("secure") == Some("yes")),
        nvram: text(os, &["nvram"]).or_else(|| {
            nvram.and_then(|nvram| child(nvram, "source")).and_then(|source| attribute(source, "file"))
        }),
        nvram_format: nvram.and_then(|nvram| attribute(nvram, "format")),
        nvram_template: nvram.and_then(|nvram| attribute(nvram, "template")),
    }
}

fn host_device(node: Node<'_, '_>) -> HostDevice {
    HostDevice {
        kind: attribute(node, "type").unwrap_or_default(),
        what: child(node, "source").map(devices::address_of_host_device).unwrap_or_default(),
        teaming: child(node, "teaming").and_then(|teaming| attribute(teaming, "type")),
        startup_policy: child(node, "source").and_then(|source| attribute(source, "startupPolicy")),
    }
}

fn character_devices(devices: Option<Node<'_, '_>>) -> Vec<CharacterDevice> {
    const KINDS: [&str; 7] = ["serial", "console", "channel", "parallel", "smartcard", "redirdev", "rng"];
    let all = devices.into_iter().flat_map(|devices| devices.children().filter(Node::is_element));
    let mut found: Vec<CharacterDevice> = Vec::new();
    for node in all.filter(|node| KINDS.contains(&node.tag_name().name())) {
        // The device of an RNG is its backend; one that is no character device has no source of that kind.
        let holder = if node.has_tag_name("rng") { child(node, "backend") } else { Some(node) };
        let Some(holder) =
            holder.filter(|holder| !node.has_tag_name("rng") || holder.attribute("model") == Some("egd"))
        else {
            continue;
        };
        let device = character_device(node.tag_name().name(), holder);
        // libvirt shows the first serial line as a console once more.
        let twin = device.device == "console"
            && found.iter().any(|other| {
                other.device == "serial" && (&other.kind, &other.path) == (&device.kind, &device.path)
            });
        if !twin {
            found.push(device);
        }
    }
    found
}

fn character_device(device: &str, node: Node<'_, '_>) -> CharacterDevice {
    let sources: Vec<Node<'_, '_>> = children(node, "source").collect();
    let mode = sources.iter().find_map(|source| attribute(*source, "mode"));
    let end = |wanted: &str| {
        let of_mode = |source: &&Node<'_, '_>| source.attribute("mode").unwrap_or("connect") == wanted;
        let source = sources.iter().find(of_mode)?;
        Some((attribute(*source, "host").unwrap_or_default(), number(*source, "service")?))
    };
    let kind = attribute(node, "type").unwrap_or_default();
    let target = child(node, "target");
    CharacterDevice {
        device: device.to_owned(),
        // A pty is made by the host itself, with a path that means nothing elsewhere.
        path: sources.iter().find_map(|source| attribute(*source, "path")).filter(|_| kind != "pty"),
        connects_to: end("connect"),
        listens_on: end("bind"),
        kind,
        mode,
        target: target.and_then(|target| attribute(target, "name")),
        state: target.and_then(|target| attribute(target, "state")),
    }
}

fn graphics(node: Node<'_, '_>) -> Graphics {
    let listen = child(node, "listen");
    let port = |name: &str| {
        number::<i32>(node, name).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
    };
    let of_type = |kind: &str| listen.filter(|listen| listen.attribute("type") == Some(kind));
    Graphics {
        kind: attribute(node, "type").unwrap_or_default(),
        port: port("port"),
        tls_port: port("tlsPort"),
        auto_port: node.attribute("autoport") == Some("yes"),
        listen: of_type("address")
            .and_then(|listen| attribute(listen, "address"))
            .or_else(|| attribute(node, "listen")),
        listen_network: of_type("network").and_then(|listen| attribute(listen, "network")),
        socket: of_type("socket").and_then(|listen| attribute(listen, "socket")),
        password_valid_to: attribute(node, "passwdValidTo"),
    }
}

fn filesystem(node: Node<'_, '_>) -> Filesystem {
    let source = child(node, "source");
    let source = source.and_then(|source| attribute(source, "dir").or_else(|| attribute(source, "socket")));
    Filesystem {
        driver: child(node, "driver")
            .and_then(|driver| attribute(driver, "type"))
            .unwrap_or_else(|| "path".to_owned()),
        source: source.unwrap_or_default(),
        target: child(node, "target").and_then(|target| attribute(target, "dir")).unwrap_or_default(),
    }
}

fn tpm(node: Node<'_, '_>) -> Tpm {
    let backend = child(node, "backend");
    let inside = |name: &str, key: &str| {
        backend.and_then(|backend| child(backend, name)).and_then(|node| attribute(node, key))
    };
    Tpm {
        backend: backend.and_then(|backend| attribute(backend, "type")).unwrap_or_default(),
        version: backend.and_then(|backend| attribute(backend, "version")),
        encryption: inside("encryption", "secret").and_then(|text| Uuid::parse_str(&text).ok()),
        persistent_state: backend.is_some_and(|backend| backend.attribute("persistent_state") == Some("yes")),
        path: inside("source", "path").or_else(|| inside("device", "path")),
    }
}

fn rng_file(node: Node<'_, '_>) -> Option<String> {
    let backend = child(node, "backend").filter(|backend| backend.attribute("model") == Some("random"))?;
    backend.text().map(|text| text.trim().to_owned()).filter(|path| !path.is_empty())
}

fn shared_memory(node: Node<'_, '_>) -> SharedMemory {
    SharedMemory {
        name: attribute(node, "name").unwrap_or_default(),
        model: child(node, "model").and_then(|model| attribute(model, "type")).unwrap_or_default(),
        role: attribute(node, "role"),
    }
}

fn vsock_cid(node: Node<'_, '_>) -> Option<u32> {
    let cid = child(node, "cid").filter(|cid| cid.attribute("auto") != Some("yes"))?;
    number(cid, "address")
}

fn memory_device(node: Node<'_, '_>) -> (String, Option<String>) {
    (attribute(node, "model").unwrap_or_default(), text(node, &["source", "path"]))
}

fn qemu_arguments(root: Node<'_, '_>) -> Vec<String> {
    const NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";
    root.children()
        .filter(|node| node.has_tag_name((NAMESPACE, "commandline")))
        .flat_map(|line| line.children().filter(|node| node.has_tag_name((NAMESPACE, "arg"))))
        .filter_map(|argument| attribute(argument, "value"))
        .collect()
}

fn fixed_label(node: Node<'_, '_>) -> Option<(String, String)> {
    (node.attribute("type") == Some("static"))
        .then(|| (attribute(node, "model").unwrap_or_default(), text(node, &["label"]).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::{Drive, Link, Source};

    const RICH: &str = include_str!("samples/rich.xml");

    #[test]
    fn a_rich_definition_is_read() {
        let read = definition(RICH).unwrap();
        assert_eq!((read.name.as_str(), read.title.as_deref()), ("web1", Some("Shop front")));
        assert_eq!((read.domain_type.as_str(), read.machine.as_str()), ("kvm", "pc-q35-7.2"));
        assert_eq!((read.memory_bytes, read.current_memory_bytes), (4 << 30, 2 << 30));
        assert_eq!((read.vcpus_max, read.vcpus), (4, 2));
        assert_eq!(read.memory_backing.huge_pages_kib, [2048]);
        assert!(read.memory_backing.locked && read.memory_backing.allocated_at_once);
        let cpu = &read.cpu;
        assert_eq!((cpu.mode.as_deref(), cpu.model.as_deref()), (Some("custom"), Some("Skylake-Server")));
        assert_eq!(cpu.features[0], ("avx512f".to_owned(), "require".to_owned()));
        assert!(
            cpu.xml.as_deref().unwrap().starts_with("<cpu ")
                && cpu.xml.as_deref().unwrap().ends_with("</cpu>")
        );
        assert_eq!(
            read.placement.pinned,
            [("vcpu 0".to_owned(), "2".to_owned()), ("the emulator".to_owned(), "0-1".to_owned())]
        );
        assert_eq!(read.placement.numa_nodes.as_deref(), Some("0"));
        assert_eq!(read.firmware.loader.as_deref(), Some("/usr/share/OVMF/OVMF_CODE_4M.ms.fd"));
        assert!(read.firmware.secure && read.firmware.nvram_template.is_some());
        assert_eq!(read.firmware.nvram.as_deref(), Some("/var/lib/libvirt/qemu/nvram/web1_VARS.fd"));
        assert_eq!(read.boot_devices, ["hd", "network"]);
        assert_eq!(read.launch_security.as_deref(), Some("sev"));
        assert_eq!(
            read.tpm.as_ref().map(|tpm| (tpm.backend.as_str(), tpm.version.as_deref())),
            Some(("emulator", Some("2.0")))
        );
        assert_eq!(read.rng_files, ["/dev/hwrng"]);
        assert_eq!(read.vsock_cid, Some(5));
        assert_eq!(read.qemu_arguments, ["-fw_cfg", "name=opt/x,string=y"]);
        assert_eq!(read.filesystems[0].driver, "virtiofs");
        assert_eq!(read.shared_memories[0].name, "bus");
        assert_eq!(read.fixed_labels, [("apparmor".to_owned(), "libvirt-web1".to_owned())]);
    }

    #[test]
    fn its_devices_are_read() {
        let read = definition(RICH).unwrap();
        let disk = &read.disks[0];
        assert_eq!(
            (disk.target.as_str(), disk.format.as_deref(), disk.cache.as_deref()),
            ("vda", Some("qcow2"), Some("none"))
        );
        assert_eq!(disk.source, Source::File("/images/web1.qcow2".to_owned()));
        assert_eq!(disk.backing.len(), 2);
        assert_eq!(disk.backing[1].source.path(), Some("/images/base.raw"));
        assert_eq!(read.disks[1].source.describe(), "nbd://store:10810/web1");
        assert_eq!((read.disks[2].drive, &read.disks[2].source), (Drive::Cdrom, &Source::Empty));
        assert_eq!(read.disks[3].source.describe(), "data.qcow2 in pool fast");
        assert_eq!(read.disks[3].secrets.len(), 1);
        let links: Vec<&Link> = read.interfaces.iter().map(|interface| &interface.link).collect();
        assert_eq!(links[0], &Link::Network { name: "lan".to_owned(), portgroup: Some("office".to_owned()) });
        assert_eq!(links[1], &Link::Bridge("br0".to_owned()));
        assert_eq!(links[2], &Link::HostDevice);
        assert_eq!(read.interfaces[1].mac, "52:54:00:aa:bb:cc");
        assert_eq!((read.interfaces[1].mtu, read.interfaces[1].vlans.as_slice()), (Some(9000), &[42][..]));
        assert_eq!(read.interfaces[1].filter.as_deref(), Some("clean-traffic"));
        let passed: Vec<String> = read.host_devices.iter().map(HostDevice::describe).collect();
        assert_eq!(
            passed,
            ["pci 0000:01:00.0", "usb 046d:c52b", "mdev a24f5045-dc32-425b-af7c-5802b16591a6"]
        );
        // The console is the serial line once more.
        let characters: Vec<&str> =
            read.character_devices.iter().map(|device| device.device.as_str()).collect();
        assert_eq!(characters, ["serial", "serial", "channel"]);
        assert_eq!(read.character_devices[1].connects_to, Some(("log".to_owned(), 5140)));
        assert_eq!(read.character_devices[2].state.as_deref(), Some("disconnected"));
        let vnc = &read.graphics[0];
        assert_eq!((vnc.port, vnc.auto_port, vnc.listen.as_deref()), (Some(5900), true, Some("10.0.0.1")));
    }

    #[test]
    fn sizes_have_units() {
        for (text, expected) in
            [("<m unit='GiB'>1</m>", 1 << 30), ("<m>1</m>", 1024), ("<m unit='MB'>1</m>", 1_000_000)]
        {
            let document = roxmltree::Document::parse(text).unwrap();
            assert_eq!(bytes(document.root_element()), Some(expected));
        }
    }

    #[test]
    fn what_is_no_definition_is_refused() {
        assert!(definition("no xml").is_err());
        assert!(definition("<domain type='kvm'><name>x</name></domain>").is_err());
    }
}
