//! The domain's other devices: what they need of the host is there.

use api::finding::Finding;

use super::say::{advice, blocker, command, note, shell_word, warning};
use crate::model::definition::{CharacterDevice, Graphics, Link};
use crate::model::facts::{Facts, HostFacts, ShellFacts};

/// Directories that libvirt makes for a domain by itself.
const MADE_BY_LIBVIRT: &[&str] = &["/var/lib/libvirt/qemu/", "/run/libvirt/qemu/", "/var/run/libvirt/qemu/"];

/// Nothing of the machine's own is given to it, or QEMU takes it out by itself before the move.
pub(super) fn passed_through(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref() else { return };
    let devices =
        domain.definition.host_devices.iter().map(|device| (device.describe(), device.teaming.as_deref()));
    let interfaces =
        domain.definition.interfaces.iter().filter(|interface| interface.link == Link::HostDevice);
    let interfaces = interfaces
        .map(|interface| (format!("pci interface {}", interface.mac), interface.teaming.as_deref()));
    for (what, teaming) in devices.chain(interfaces) {
        if teaming == Some("transient") {
            findings.push(note(
                "device-unplugged",
                &what,
                format!("{} is taken out of {} for the move, and one of the destination's put in; its partner interface works on meanwhile.", what, domain.name),
                "paired for failover (teaming)".to_owned(),
            ));
            continue;
        }
        if !domain.is_active() {
            findings.push(warning(
                "device-of-host",
                &what,
                format!("{} uses a device of its host: it starts on {} only if that has the same device at the same place.", domain.name, facts.destination.name()),
                format!("passed through: {what}"),
                advice("Change its definition on the destination before it is started (virsh edit)."),
            ));
            continue;
        }
        findings.push(blocker(
            "device-passed-through",
            &what,
            format!("{} uses a device of its host, which cannot move with it.", domain.name),
            format!("passed through: {what}"),
            advice("Detach the device (virsh detach-device), move, and attach one of the destination's."),
        ));
    }
}

/// What serial lines, channels and the like are connected to is there.
pub(super) fn characters(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(shell)) = (facts.all(), facts.destination.shell()) else {
        return;
    };
    for device in &domain.there().character_devices {
        if device.device == "smartcard" && device.kind.starts_with("host") {
            findings.push(blocker(
                "smartcard-of-host",
                "smartcard",
                format!("{} uses a smart card of its host, which cannot move with it.", domain.name),
                format!("smartcard mode {}", device.kind),
                advice("Detach it first."),
            ));
        }
        if let Some((address, port)) = &device.listens_on {
            findings.extend(listener(destination, shell, device, address, *port, &domain.name));
        }
        let Some(path) =
            device.path.as_ref().filter(|path| !MADE_BY_LIBVIRT.iter().any(|made| path.starts_with(made)))
        else {
            continue;
        };
        findings.extend(character(destination, shell, device, path, &domain.name));
    }
}

/// A device that listens for whoever wants to talk to it.
fn listener(
    destination: &HostFacts,
    shell: &ShellFacts,
    device: &CharacterDevice,
    address: &str,
    port: u16,
    domain: &str,
) -> Option<Finding> {
    let (name, what) = (&destination.name, &device.device);
    if !is_anywhere(address)
        && address.parse::<std::net::IpAddr>().is_ok()
        && !shell.addresses.iter().any(|own| own == address)
    {
        return Some(blocker(
            "listen-address-missing",
            what,
            format!("A {what} of {domain} listens on an address that {name} does not have."),
            format!("{address}; addresses of {name}: {}", shell.addresses.join(", ")),
            advice("Shut it down and have it listen on 127.0.0.1 or on 0.0.0.0."),
        ));
    }
    shell.ports_taken.contains(&port).then(|| {
        blocker(
            "character-port-taken",
            what,
            format!("A {what} of {domain} listens on a port that is taken on {name}."),
            format!("something on {name} listens on port {port}"),
            advice("Free the port there, or give the device another one."),
        )
    })
}

fn character(
    destination: &HostFacts,
    shell: &ShellFacts,
    device: &CharacterDevice,
    path: &str,
    domain: &str,
) -> Option<Finding> {
    let there = |path: &str| shell.path(path).is_none_or(|found| found.exists());
    let connects = device.mode.as_deref() == Some("connect");
    let must_be_there = match device.kind.as_str() {
        "dev" | "pipe" => true,
        "unix" => connects,
        _ => false,
    };
    let name = &destination.name;
    if must_be_there && !there(path) {
        return Some(blocker(
            "character-device-missing",
            path,
            format!("{name} does not have what a {} of {domain} is connected to.", device.device),
            format!("{path} ({}) is not there", device.kind),
            advice("Provide it there, or connect the device to something that every host has."),
        ));
    }
    let directory =
        path.rsplit_once('/').map(|(directory, _)| directory).filter(|directory| !directory.is_empty())?;
    let makes = matches!(device.kind.as_str(), "file" | "unix") && !must_be_there;
    (makes && !there(directory)).then(|| {
        blocker(
            "directory-missing",
            path,
            format!("{name} does not have the directory that a {} of {domain} is written to.", device.device),
            format!("{directory} is not there"),
            command("Make it.", format!("mkdir -p {}", shell_word(directory)), Some(name)),
        )
    })
}

/// Directories of the host's that are shared with it.
pub(super) fn filesystems(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    for filesystem in domain.definition.filesystems.iter().filter(|_| domain.is_active()) {
        let source = &filesystem.source;
        match filesystem.driver.as_str() {
            "virtiofs" => findings.push(blocker(
                "filesystem-virtiofs",
                source,
                format!("The directory that {} shares with its host by virtiofs cannot move with it.", domain.name),
                format!("{source} as {}", filesystem.target),
                advice("Unmount it in the guest and detach it (virsh detach-device), and attach it again after the move."),
            )),
            _ => findings.push(warning(
                "filesystem-9p",
                source,
                format!("While {} has the directory of its host mounted, QEMU refuses to move it.", domain.name),
                format!("{source} as {} by 9p", filesystem.target),
                advice("Unmount it in the guest first."),
            )),
        }
        let there = facts.destination.shell().and_then(|shell| shell.path(source));
        if there.is_some_and(|found| !found.exists()) {
            findings.push(blocker(
                "directory-missing",
                source,
                format!(
                    "{} does not have the directory that {} shares with its host.",
                    destination.name, domain.name
                ),
                format!("{source} is not there"),
                command(
                    "Make it, with the same contents.",
                    format!("mkdir -p {}", shell_word(source)),
                    Some(&destination.name),
                ),
            ));
        }
    }
}

/// Memory shared with other domains.
pub(super) fn shared_memory(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|domain| domain.is_active()) else { return };
    for memory in &domain.definition.shared_memories {
        if memory.role.as_deref() == Some("master") {
            continue;
        }
        findings.push(blocker(
            "shared-memory",
            &memory.name,
            format!("{} shares memory with others on its host, and cannot move without them.", domain.name),
            format!("shmem {} ({})", memory.name, memory.model),
            advice("Detach it first (virsh detach-device)."),
        ));
    }
}

/// Clients are sent on from SPICE screens of running guests only: QEMU does so for no others.
pub(super) fn clients(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|_| facts.wanted.graphics_uri.is_some()) else { return };
    let kinds: Vec<&str> = domain.definition.graphics.iter().map(|screen| screen.kind.as_str()).collect();
    if domain.is_active() && kinds.contains(&"spice") {
        return;
    }
    let has = if !domain.is_active() {
        "it does not run".to_owned()
    } else if kinds.is_empty() {
        "it has no screen".to_owned()
    } else {
        format!("its screens: {}", kinds.join(", "))
    };
    findings.push(blocker(
        "no-spice",
        &domain.name,
        format!(
            "Nobody looks at a SPICE screen of {}: there are no clients to be sent anywhere.",
            domain.name
        ),
        has,
        advice("Leave --graphics-uri out."),
    ));
}

/// Its screens find the address and port that they listen on.
pub(super) fn screens(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(shell)) = (facts.all(), facts.destination.shell()) else {
        return;
    };
    let name = &destination.name;
    for screen in &domain.there().graphics {
        let kind = &screen.kind;
        if let Some(address) = screen
            .listen
            .as_ref()
            .filter(|address| !is_anywhere(address) && !shell.addresses.contains(address))
        {
            findings.push(blocker(
                "listen-address-missing",
                kind,
                format!("The {kind} screen of {} listens on an address that {name} does not have.", domain.name),
                format!("{address}; addresses of {name}: {}", shell.addresses.join(", ")),
                advice("Name one that is there (--graphics-listen); or shut it down and have it listen on 127.0.0.1, on 0.0.0.0 or on a network of libvirt's (<listen type='network'>)."),
            ));
        }
        for port in fixed_ports(screen).filter(|port| shell.ports_taken.contains(port)) {
            let whose = facts.reception.as_ref().and_then(|reception| {
                reception.occupied.iter().find(|other| other.active && other.ports.contains(&port))
            });
            let evidence = whose.map_or_else(
                || format!("something on {name} listens on port {port}"),
                |other| format!("the screen of {} on {name} has port {port}", other.domain),
            );
            findings.push(blocker(
                "screen-port-taken",
                kind,
                format!("The {kind} screen of {} has a fixed port that is taken on {name}.", domain.name),
                evidence,
                advice(
                    "Free the port there; or shut it down and let libvirt choose the port (autoport='yes').",
                ),
            ));
        }
    }
}

fn is_anywhere(address: &str) -> bool {
    matches!(address, "0.0.0.0" | "::" | "127.0.0.1" | "::1" | "localhost")
}

/// Ports that do not change from host to host.
fn fixed_ports(screen: &Graphics) -> impl Iterator<Item = u16> {
    [screen.port, screen.tls_port].into_iter().flatten().filter(|_| !screen.auto_port)
}

/// Files that it reads are there.
pub(super) fn files(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(shell)) = (facts.all(), facts.destination.shell()) else {
        return;
    };
    let definition = domain.there();
    let rng =
        definition.rng_files.iter().map(|path| ("rng-source-missing", "source of random numbers", path));
    let boot = definition.boot_files.iter().map(|path| ("boot-file-missing", "kernel or initrd", path));
    let memory = definition.memory_devices.iter().filter_map(|(_, path)| path.as_ref());
    let memory = memory.map(|path| ("memory-file-missing", "memory device's file", path));
    for (code, what, path) in rng.chain(boot).chain(memory) {
        if shell.path(path).is_none_or(|found| found.exists()) {
            continue;
        }
        let remedy = if code == "boot-file-missing" {
            let word = shell_word(path);
            command(
                "Bring it over.",
                format!("scp -p {word} {}:{word}", shell_word(&destination.hostname)),
                Some(&source.name),
            )
        } else {
            advice("Provide it there, or have the device use what every host has (/dev/urandom).")
        };
        findings.push(blocker(
            code,
            path,
            format!("{} does not have the {what} of {}.", destination.name, domain.name),
            format!("{path} is not there"),
            remedy,
        ));
    }
}

/// Its vsock's number is nobody else's there.
pub(super) fn vsock(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else { return };
    let Some(cid) = domain.there().vsock_cid else { return };
    for other in reception.occupied.iter().filter(|other| other.active && other.vsock_cid == Some(cid)) {
        findings.push(blocker(
            "vsock-taken",
            &other.domain,
            format!("{} on {} has the vsock number of {}.", other.domain, destination.name, domain.name),
            format!("context number {cid}"),
            advice("Let libvirt choose the number of one of them (<cid auto='yes'/>)."),
        ));
    }
}

/// Arguments that libvirt does not understand.
pub(super) fn qemu_arguments(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|domain| !domain.definition.qemu_arguments.is_empty())
    else {
        return;
    };
    findings.push(warning(
        "qemu-arguments",
        &domain.name,
        format!(
            "{} hands arguments to QEMU past libvirt: whether they work on the destination nobody can check.",
            domain.name
        ),
        domain.definition.qemu_arguments.join(" "),
        advice("Make sure that the destination's QEMU takes them, and that devices in them can move."),
    ));
}
