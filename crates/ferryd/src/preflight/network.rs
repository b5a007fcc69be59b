//! The domain's network interfaces: what they are connected to is there, and is the same.

use api::finding::{Finding, Remedy};

use super::say::{advice, blocker, command, names, note, shell_word, warning};
use crate::model::definition::{Interface, Link};
use crate::model::facts::{DomainFacts, Facts, HostFacts, ShellFacts};

/// An interface as people tell it apart.
fn subject(interface: &Interface) -> String {
    interface.mac.clone()
}

/// The same interface as it is on the source.
fn as_it_is<'d>(domain: &'d DomainFacts, arriving: &Interface) -> Option<&'d Interface> {
    domain.definition.interfaces.iter().find(|own| own.mac == arriving.mac)
}

/// Whether it is to be connected to something else on the destination.
fn is_mapped(domain: &DomainFacts, arriving: &Interface) -> bool {
    as_it_is(domain, arriving).is_none_or(|own| own.link != arriving.link)
}

fn define_network(
    domain: &DomainFacts,
    interface: &Interface,
    name: &str,
    destination: &HostFacts,
    source: &str,
) -> Option<Remedy> {
    if is_mapped(domain, interface) {
        return advice(
            "Define and start it there (virsh net-define, virsh net-start), or name one that is there.",
        );
    }
    let (name, host) = (shell_word(name), shell_word(&destination.hostname));
    command(
        "Define it there as on the source, and start it; or name one that is there (--network).",
        format!(
            "virsh net-dumpxml --inactive {name} | ssh {host} 'virsh net-define /dev/stdin && virsh net-start {name}'"
        ),
        Some(source),
    )
}

/// libvirt's networks are there, active, and of the same kind.
pub(super) fn networks(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else {
        return;
    };
    let there = &destination.name;
    for interface in &domain.there().interfaces {
        let Link::Network { name, portgroup } = &interface.link else { continue };
        let subject = subject(interface);
        let Some(network) = reception.networks.iter().find(|known| known.name == *name) else {
            findings.push(blocker(
                "network-missing",
                &subject,
                format!(
                    "{there} has no network {name}, which an interface of {} is connected to.",
                    domain.name
                ),
                format!(
                    "networks of {there}: {}",
                    names(reception.networks.iter().map(|known| known.name.as_str()))
                ),
                define_network(domain, interface, name, destination, &source.name),
            ));
            continue;
        };
        if !network.active {
            findings.push(blocker(
                "network-inactive",
                &subject,
                format!("The network {name} of {there} is not active."),
                format!("an interface of {} is connected to it", domain.name),
                command("Start it.", format!("virsh net-start {}", shell_word(name)), Some(there)),
            ));
        }
        if let Some(group) = portgroup.as_ref().filter(|group| !network.portgroups.contains(group)) {
            findings.push(warning(
                "portgroup-missing",
                &subject,
                format!("The network {name} of {there} has no port group {group}: its VLAN and limits are not set there."),
                format!("port groups there: {}", names(network.portgroups.iter().map(String::as_str))),
                advice("Add the port group to the network there (virsh net-edit)."),
            ));
        }
        // A network that was named for it is the one that is meant, whatever it is.
        let here = domain.networks.iter().find(|known| known.name == *name && !is_mapped(domain, interface));
        if let Some(here) = here.filter(|here| here.forward != network.forward) {
            let kind = |forward: &Option<String>| forward.clone().unwrap_or_else(|| "isolated".to_owned());
            findings.push(warning(
                "network-differs",
                &subject,
                format!(
                    "The network {name} is another one on {there}: the guest may not reach anybody there."
                ),
                format!("{} on {}, {} on {there}", kind(&here.forward), source.name, kind(&network.forward)),
                advice("Make sure that both lead to the same place."),
            ));
        } else if here.is_some_and(|here| {
            !matches!(here.forward.as_deref(), Some("bridge" | "passthrough" | "private" | "vepa"))
        }) {
            findings.push(note(
                "network-private",
                &subject,
                format!("The network {name} is one of each host's own: what the guest was connected with on {} it does not reach from {there}.", source.name),
                format!("forward mode {}", here.and_then(|here| here.forward.as_deref()).unwrap_or("none")),
            ));
        }
    }
}

/// Bridges and interfaces of the host's that are named are there.
pub(super) fn bridges(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(shell)) = (facts.all(), facts.destination.shell()) else {
        return;
    };
    let there = &destination.name;
    for interface in &domain.there().interfaces {
        let subject = subject(interface);
        match &interface.link {
            Link::Bridge(bridge) => match shell.bridges.get(bridge) {
                None => findings.push(blocker(
                    "bridge-missing",
                    &subject,
                    format!(
                        "{there} has no bridge {bridge}, which an interface of {} is connected to.",
                        domain.name
                    ),
                    format!(
                        "bridges of {there}: {}",
                        names(
                            shell
                                .bridges
                                .iter()
                                .filter(|(_, facts)| facts.kind != "other")
                                .map(|(name, _)| name.as_str())
                        )
                    ),
                    command(
                        "Make it, and connect it to the same network as the source's; or name another one (--bridge).",
                        format!("ip link add {0} type bridge && ip link set {0} up", shell_word(bridge)),
                        Some(there),
                    ),
                )),
                Some(found) => findings.extend(kind_differs(facts, interface, bridge, &found.kind)),
            },
            Link::Direct(device) if !shell.bridges.contains_key(device) => findings.push(blocker(
                "interface-missing",
                &subject,
                format!("{there} has no interface {device}, which {} uses directly.", domain.name),
                format!("interfaces of {there}: {}", names(shell.bridges.keys().map(String::as_str))),
                advice("Connect it to an interface that both hosts have, or to a network of libvirt's."),
            )),
            Link::VhostUser(path) if shell.path(path).is_some_and(|found| !found.exists()) => {
                findings.push(blocker(
                    "vhost-user-socket-missing",
                    &subject,
                    format!(
                        "{there} does not have the vhost-user socket of an interface of {}.",
                        domain.name
                    ),
                    format!("{path} is not there"),
                    advice("Start the switch that makes it on the destination."),
                ))
            }
            _ => {}
        }
    }
}

fn kind_differs(facts: &Facts, interface: &Interface, bridge: &str, kind: &str) -> Option<Finding> {
    let (_, destination, domain) = facts.all()?;
    let there = &destination.name;
    let wants_ovs = interface.virtual_port.as_deref() == Some("openvswitch");
    if wants_ovs == (kind == "openvswitch") && (wants_ovs || kind == "bridge") {
        return None;
    }
    let wanted = if wants_ovs { "an Open vSwitch bridge" } else { "a bridge of the kernel's" };
    Some(blocker(
        "bridge-of-other-kind",
        &subject(interface),
        format!("{bridge} on {there} is not {wanted}, as an interface of {} needs.", domain.name),
        format!("{bridge} there is of the kind {kind}"),
        advice("Make a bridge of that kind and name there."),
    ))
}

/// From this libvirt on an interface on a bridge of the kernel's may have VLAN tags of its own; before, only one of Open vSwitch.
const TAGS_ON_BRIDGES: u32 = 11_000_000;

/// VLAN tags of interfaces can be set there.
pub(super) fn vlans(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    if destination.libvirt_version >= TAGS_ON_BRIDGES {
        return;
    }
    for interface in &domain.there().interfaces {
        let Link::Bridge(bridge) = &interface.link else { continue };
        if interface.vlans.is_empty() || interface.virtual_port.is_some() {
            continue;
        }
        let tags: Vec<String> = interface.vlans.iter().map(u32::to_string).collect();
        findings.push(blocker(
            "vlan-unsupported",
            &subject(interface),
            format!(
                "libvirt on {} cannot set VLAN tags on a bridge of the kernel's, as an interface of {} needs.",
                destination.name, domain.name
            ),
            format!(
                "VLAN {} on {bridge}; libvirt {} there, it can from {} on",
                tags.join(", "),
                crate::model::facts::version(destination.libvirt_version),
                crate::model::facts::version(TAGS_ON_BRIDGES)
            ),
            advice("Choose a destination with a newer libvirt, or give the VLAN a bridge of its own on both hosts."),
        ));
    }
}

/// Filters of interfaces are there.
pub(super) fn filters(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else {
        return;
    };
    for filter in &reception.filters_missing {
        let word = shell_word(filter);
        findings.push(blocker(
            "filter-missing",
            filter,
            format!(
                "{} does not have the network filter {filter}, which an interface of {} uses.",
                destination.name, domain.name
            ),
            format!("no filter of that name on {}", destination.name),
            command(
                "Define it there as on the source.",
                format!(
                    "virsh nwfilter-dumpxml {word} | ssh {} virsh nwfilter-define /dev/stdin",
                    shell_word(&destination.hostname)
                ),
                Some(&source.name),
            ),
        ));
    }
}

/// Its addresses are nobody else's there.
pub(super) fn addresses(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else { return };
    for interface in &domain.definition.interfaces {
        for other in reception.occupied.iter().filter(|other| other.macs.contains(&interface.mac)) {
            let message = format!(
                "{} on {} has the same MAC address as an interface of {}.",
                other.domain, destination.name, domain.name
            );
            let evidence =
                format!("{} ({})", interface.mac, if other.active { "running" } else { "stopped" });
            findings.push(if other.active {
                warning(
                    "mac-taken",
                    &subject(interface),
                    format!("{message} Neither will work."),
                    evidence,
                    advice("Give one of them another address (virsh edit), and start it anew."),
                )
            } else {
                note("mac-taken", &subject(interface), message, evidence)
            });
        }
    }
}

/// Bridges there let packets through that are as large as here.
pub(super) fn mtu(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    let (Some(here), Some(there)) = (facts.source.shell(), facts.destination.shell()) else { return };
    for interface in &domain.there().interfaces {
        let Link::Bridge(bridge) = &interface.link else { continue };
        let mtu = |shell: &ShellFacts, bridge: &String| shell.bridges.get(bridge)?.mtu;
        let on_source = match as_it_is(domain, interface).map(|own| &own.link) {
            Some(Link::Bridge(own)) => mtu(here, own),
            _ => None,
        };
        let (Some(ours), Some(theirs)) = (interface.mtu.or(on_source), mtu(there, bridge)) else { continue };
        if theirs < ours {
            findings.push(warning(
                "mtu-smaller",
                &subject(interface),
                format!(
                    "The bridge {bridge} of {} takes smaller packets than {} may send.",
                    destination.name, domain.name
                ),
                format!("MTU {ours} on {}, {theirs} on {}", source.name, destination.name),
                command(
                    "Raise it, and that of its ports.",
                    format!("ip link set {} mtu {ours}", shell_word(bridge)),
                    Some(&destination.name),
                ),
            ));
        }
    }
}
