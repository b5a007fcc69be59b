//! Where drives that are no files come from: servers of images, and storage pools.

use api::finding::Finding;

use super::copies::idle_pool;
use super::say::{advice, blocker, names};
use crate::model::definition::{Disk, NetworkHost, Source};
use crate::model::facts::{DomainFacts, Facts, HostFacts};
use crate::plan;

/// The destination reaches the servers of images on the network, and they are the same servers.
pub(super) fn servers(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(meeting)) = (facts.all(), &facts.meeting) else { return };
    for disk in domain.disks_that_move() {
        let sources = std::iter::once(&disk.source).chain(disk.backing.iter().map(|backing| &backing.source));
        for network in sources.filter_map(|source| match source {
            Source::Network(network) => Some(network),
            _ => None,
        }) {
            let what = network.describe();
            for host in &network.hosts {
                let NetworkHost::Tcp { name, port } = host else {
                    findings.extend(local_socket(facts, destination, domain, disk, host));
                    continue;
                };
                if is_loopback(name) {
                    findings.push(blocker(
                        "disk-server-local",
                        &disk.target,
                        format!(
                            "The server of {} is its own host: on {} that would be another one.",
                            disk.target, destination.name
                        ),
                        what.clone(),
                        advice("Name the server by an address that means the same on every host."),
                    ));
                    continue;
                }
                let probed = meeting
                    .servers
                    .iter()
                    .find(|probe| probe.server == *name && port.is_none_or(|port| port == probe.port));
                if let Some(Err(why)) = probed.map(|probe| &probe.reached) {
                    findings.push(blocker(
                        "disk-server-unreachable",
                        &disk.target,
                        format!("{} does not reach the server of {}.", destination.name, disk.target),
                        format!("{what}: {why}"),
                        advice("Let the destination reach the server: its name there, routes, firewalls, and what the server itself allows."),
                    ));
                }
            }
        }
    }
}

fn local_socket(
    facts: &Facts,
    destination: &HostFacts,
    domain: &DomainFacts,
    disk: &Disk,
    host: &NetworkHost,
) -> Option<Finding> {
    let NetworkHost::Unix(path) = host else { return None };
    let there = facts.destination.shell()?.path(path)?.exists();
    (!there).then(|| {
        blocker(
            "disk-socket-missing",
            &disk.target,
            format!("{} of {} is reached by a socket that {} does not have.", disk.target, domain.name, destination.name),
            format!("{path} is not there"),
            advice("Start what serves the image on the destination, too, and make sure that it is the same image."),
        )
    })
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name == "::1" || name.starts_with("127.")
}

/// Pools that drives name are there and active.
pub(super) fn pools(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else { return };
    let name = &destination.name;
    for disk in domain.disks_that_move() {
        let Source::Volume { pool, volume } = &disk.source else { continue };
        // It leaves that pool.
        if plan::place(facts, domain, disk).is_some() {
            continue;
        }
        match reception.pools.iter().find(|known| known.name == *pool) {
            None => findings.push(blocker(
                "pool-missing",
                pool,
                format!("{name} has no storage pool {pool}, which {} of {} is in.", disk.target, domain.name),
                format!("volume {volume}; pools of {name}: {}", names(reception.pools.iter().map(|known| known.name.as_str()))),
                advice("Define the same pool there, over the same storage (virsh pool-dumpxml on the source, pool-define on the destination)."),
            )),
            Some(known) if !known.active => {
                let evidence = format!("{} of {} is its volume {volume}", disk.target, domain.name);
                findings.push(idle_pool(destination, known, evidence));
            }
            Some(_) => {}
        }
    }
}
