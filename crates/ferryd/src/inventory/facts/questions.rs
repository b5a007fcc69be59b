//! The questions that are put to a host's shell. One that gets no answer in time leaves its facts open.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Asked;
use crate::inventory::member::Member;
use crate::libvirt::host::MIGRATION_PORTS;
use crate::model::definition::{Definition, Drive, Link, NetworkHost, Source};
use crate::model::facts::{DomainFacts, Login, PortProbe, ServerProbe, ShellFacts, TpmState};
use crate::plan;
use crate::ssh::LibvirtUri;
use crate::ssh::scripts::{self, Inspection, MeetingAnswer, MeetingQuestion};

/// How long the destination listens for the source's connection.
const LISTENS_S: u32 = 6;

/// How long each answer took, and how long there is for all of them.
#[derive(Debug)]
pub(super) struct Stopwatch {
    until: Instant,
    took: Mutex<Vec<Asked>>,
}

impl Stopwatch {
    /// All answers must have come within `limit`, counted from now.
    pub(super) fn within(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, took: Mutex::default() }
    }

    /// How long the next answer may take.
    pub(super) fn left(&self) -> Duration {
        /// A call that is sent at all gets the time to be answered by a host nearby.
        const LEAST: Duration = Duration::from_millis(20);
        self.until.saturating_duration_since(Instant::now()).max(LEAST)
    }

    pub(super) async fn time<T>(
        &self,
        host: &str,
        question: &'static str,
        answer: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let answer = answer.await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let asked = Asked { host: host.to_owned(), question, took_ms };
        self.took.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        answer
    }

    pub(super) fn read(self) -> Vec<Asked> {
        self.took.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a script on a host; none where that has no shell, does not answer or the script fails.
pub(super) async fn run(
    host: &Member,
    question: &'static str,
    script: &str,
    watch: &Stopwatch,
) -> Option<String> {
    let session = host.session()?;
    match watch.time(host.name(), question, session.run(script, watch.left())).await {
        Ok(output) if output.success() => Some(output.stdout),
        Ok(output) => {
            tracing::debug!(
                host = host.name(),
                question,
                status = output.status,
                said = output.stdout,
                "a question failed"
            );
            None
        }
        Err(error) => {
            tracing::debug!(host = host.name(), question, %error, "a question was not answered");
            None
        }
    }
}

/// Has a host wait for a connection on one of its ports for migrations: the port, or that none is free; none where it cannot.
pub(super) async fn listen(host: &Member, watch: &Stopwatch) -> Option<Option<u16>> {
    let script = scripts::listen(&MIGRATION_PORTS, LISTENS_S);
    scripts::parse_listening(&run(host, "a port to listen on", &script, watch).await?)
}

/// Looks at a host and at what the domain needs there.
pub(super) async fn inspect(host: &Member, domain: &DomainFacts, watch: &Stopwatch) -> Option<ShellFacts> {
    let inspection = Inspection { paths: paths(domain), tpm: domain.definition.tpm.is_some(), sshd: true };
    let asked = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began = Instant::now();
    let output = run(host, "memory, paths and interfaces", &scripts::inspect(&inspection), watch).await?;
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    scripts::parse_inspection(&output, millis(asked), millis(began.elapsed()))
}

/// Paths on the host that the domain needs, as it is and as it is to be on the destination.
fn paths(domain: &DomainFacts) -> Vec<String> {
    let mut paths: BTreeSet<String> = domain.volume_paths.iter().map(|(_, path)| path.clone()).collect();
    for definition in std::iter::once(&domain.definition).chain(&domain.arriving) {
        paths_of(definition, &mut paths);
        if definition.tpm.is_some() {
            paths.insert(TpmState::usual_place(domain.uuid));
        }
    }
    paths.extend(domain.kept_files().map(str::to_owned));
    paths.into_iter().collect()
}

fn paths_of(definition: &Definition, paths: &mut BTreeSet<String>) {
    let mut add = |path: Option<&str>| paths.extend(path.map(str::to_owned));
    for disk in &definition.disks {
        add(disk.source.path());
        disk.backing.iter().for_each(|backing| add(backing.source.path()));
        if let Source::Network(network) = &disk.source {
            for host in &network.hosts {
                add(match host {
                    NetworkHost::Unix(path) => Some(path),
                    NetworkHost::Tcp { .. } => None,
                });
            }
        }
    }
    add(definition.emulator.as_deref());
    let firmware = &definition.firmware;
    for path in [&firmware.loader, &firmware.nvram, &firmware.nvram_template] {
        add(path.as_deref());
    }
    definition.boot_files.iter().chain(&definition.rng_files).for_each(|path| add(Some(path)));
    definition.character_devices.iter().for_each(|device| {
        add(device.path.as_deref());
        // What is made there needs its directory.
        add(device.path.as_deref().and_then(directory_of));
    });
    definition.filesystems.iter().for_each(|filesystem| add(Some(&filesystem.source)));
    definition.memory_devices.iter().for_each(|(_, path)| add(path.as_deref()));
    definition.graphics.iter().for_each(|screen| add(screen.socket.as_deref()));
    if let Some(tpm) = &definition.tpm {
        add(tpm.path.as_deref());
    }
    for interface in &definition.interfaces {
        if let Link::VhostUser(path) = &interface.link {
            add(Some(path));
        }
    }
    // Where a host may have the same firmware.
    let firmware = [&firmware.loader, &firmware.nvram_template].into_iter().flatten();
    firmware.for_each(|path| plan::same_firmware(path).for_each(|other| add(Some(other))));
}

pub(super) fn directory_of(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(directory, _)| if directory.is_empty() { "/" } else { directory })
}

/// Asks the source for the way to the destination.
async fn meet(
    source: &Member,
    peer_uri: LibvirtUri,
    hostname: &str,
    port: Option<u16>,
    watch: &Stopwatch,
) -> Option<MeetingAnswer> {
    // Sooner than we ourselves give up: then the source says why.
    let wait_s = u32::try_from(watch.left().as_secs().saturating_sub(1)).unwrap_or(2).clamp(1, 30);
    let question = MeetingQuestion { peer_uri, hostname: hostname.to_owned(), port, wait_s };
    let output = run(source, "the way to the destination", &scripts::meet(&question), watch).await?;
    scripts::parse_meeting(&output, &question)
}

impl Member {
    /// The way to another host, as [`meet`] finds it. One that was found open a moment ago is not tried again unless it is asked
    /// for: a login costs more than all other questions together.
    pub(super) async fn way_to(
        &self,
        peer_uri: LibvirtUri,
        hostname: &str,
        port: Option<u16>,
        fresh: bool,
        watch: &Stopwatch,
    ) -> Option<MeetingAnswer> {
        let key = format!("{peer_uri} {hostname}");
        if let Some(known) = self.open_way(&key).filter(|_| !fresh) {
            return Some(known);
        }
        let answer = meet(self, peer_uri, hostname, port, watch).await?;
        let is_open =
            matches!((&answer.login, &answer.port), (None | Some(Login::Works), Some(PortProbe::Open(_))));
        self.remember_way(key, is_open.then(|| answer.clone()));
        Some(answer)
    }
}

/// Has a host connect to the servers of the domain's images on the network.
pub(super) async fn probe_servers(
    host: &Member,
    definition: &Definition,
    watch: &Stopwatch,
) -> Vec<ServerProbe> {
    let servers = servers(definition);
    if servers.is_empty() {
        return Vec::new();
    }
    let wait_s = u32::try_from(watch.left().as_secs().saturating_sub(1)).unwrap_or(2).clamp(1, 30);
    let script = scripts::probe(&servers, wait_s);
    let output = run(host, "servers of images", &script, watch).await;
    output.and_then(|output| scripts::parse_probes(&output, &servers)).unwrap_or_default()
}

/// The servers of a domain's images: name and port.
fn servers(definition: &Definition) -> Vec<(String, u16)> {
    let mut servers: BTreeSet<(String, u16)> = BTreeSet::new();
    let with_medium = definition.disks.iter().filter(|disk| disk.drive != Drive::Lun);
    for source in with_medium
        .flat_map(|disk| std::iter::once(&disk.source).chain(disk.backing.iter().map(|b| &b.source)))
    {
        let Source::Network(network) = source else { continue };
        for host in &network.hosts {
            if let NetworkHost::Tcp { name, port } = host
                && let Some(port) = port.or_else(|| default_port(&network.protocol))
            {
                servers.insert((name.clone(), port));
            }
        }
    }
    servers.into_iter().collect()
}

/// The port of a protocol, where the definition names none.
fn default_port(protocol: &str) -> Option<u16> {
    Some(match protocol {
        "nbd" => 10809,
        "rbd" => 6789,
        "iscsi" => 3260,
        "gluster" => 24007,
        "http" => 80,
        "https" => 443,
        "ftp" => 21,
        "ssh" => 22,
        _ => return None,
    })
}
