//! The facts of one migration, read fresh from both hosts at once.
//!
//! ```text
//! source's libvirt        domain ─┬────────────────────────────────────────────┐
//! source's shell                  └▶ marks, paths, memory … ─▶ the way there ──┤
//! destination's libvirt           └▶ machine, CPU, networks, pools … ──────────┼▶ facts
//! destination's shell     listen ───▶ marks found, paths, servers … ───────────┘
//! ```
//! Nothing stays on either host: the marks are removed again whatever becomes of the request (those of a ferryd that was killed right
//! then by a later check of the same directory), and the port that the destination listens on is let go after the first connection or
//! some seconds.

mod certificates;
mod chains;
mod kept;
mod marks;
mod questions;
mod sharing;
mod transport;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::member::Member;
use crate::libvirt::error::HostError;
use crate::libvirt::host::failure_of;
use crate::libvirt::survey::{self, Listed};
use crate::libvirt::xml;
use crate::model::definition::{Definition, Disk};
use crate::model::facts::{
    DomainFacts, Facts, HostFacts, HostKnowledge, LeftImage, Meeting, Occupied, PortProbe, Reception,
    ShellFacts, SshPlace, TransportFacts, Wanted,
};
use crate::model::transport::{Asked as AskedTransport, Via};
use crate::model::{ConnectFailure, DomainUuid};
use crate::plan::{self, Rewrite};
use crate::ssh::LibvirtUri;
use crate::ssh::scripts::MeetingAnswer;
use marks::Marks;
use questions::Stopwatch;

/// What is to be found out.
#[derive(Clone, Debug)]
pub struct Inquiry<'a> {
    /// The host the domain is on.
    pub source: &'a Member,
    /// The host it is to go to.
    pub destination: &'a Member,
    /// The domain.
    pub domain: DomainUuid,
    /// How it is asked to be sent.
    pub wanted: Wanted,
    /// What of its definition is to be another on the destination.
    pub rewrite: &'a Rewrite,
    /// Memory of domains on their way to the destination.
    pub arriving_bytes: u64,
    /// Images of it that an earlier move left on the destination, as far as that is stored.
    pub left: Vec<LeftImage>,
    /// How long all answers may take.
    pub limit: Duration,
    /// Whether the source's way to the destination is tried anew although it was found open a moment ago.
    pub fresh: bool,
}

/// A QEMU that has been asked for so long, and does not answer, stands still.
const SILENT: Duration = Duration::from_secs(1);

/// How long one question took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Of whom.
    pub host: String,
    /// What.
    pub question: &'static str,
    /// How long the answer took.
    pub took_ms: u64,
}

/// Reads everything about both hosts and the domain, and how long each answer took. A host that does not answer within the limit
/// is a fact too.
pub async fn gather(inquiry: &Inquiry<'_>) -> (Facts, Vec<Asked>) {
    let watch = Stopwatch::within(inquiry.limit);
    let facts = inquiry.gather(&watch).await;
    (facts, watch.read())
}

/// The same for the way home, after the domain was started anew on the destination: what is needed then is what its definition
/// for the next start says. None where one of the hosts did not answer on the way there.
pub async fn gather_way_home(there: &Inquiry<'_>, facts: &Facts) -> Option<(Facts, Vec<Asked>)> {
    let (source, destination) = (facts.source.known()?, facts.destination.known()?);
    let domain = after_reboot(facts, &there.rewrite.eject)?;
    let watch = Stopwatch::within(there.limit);
    // Where its disks shall go there, and what shall stay here, says nothing of the way back; what is one and the same is so both ways,
    // of the disks that it has then.
    let has = |name: &str| domain.definition.disks.iter().any(|disk| disk.target == name);
    let wanted = Wanted {
        storage: Vec::new(),
        flatten: false,
        copy: false,
        delete_source_disks: false,
        snapshots: None,
        shared: there.wanted.shared.iter().filter(|name| has(name)).cloned().collect(),
        transport: way_home(there.wanted.transport),
        ..there.wanted.clone()
    };
    let home = Inquiry {
        source: there.destination,
        destination: there.source,
        arriving_bytes: 0,
        left: Vec::new(),
        wanted,
        ..there.clone()
    };
    let (from, to) = (
        HostKnowledge::Known(Box::new(HostFacts { shell: None, ..destination.clone() })),
        HostKnowledge::Known(Box::new(HostFacts { shell: None, ..source.clone() })),
    );
    let mut home_facts =
        home.listening(&watch, async |port| home.complete(from, to, Some(domain), port, &watch).await).await;
    plan::files_as_moved(facts, &mut home_facts);
    // There it is the domain itself that has its name.
    if let Some(reception) = &mut home_facts.reception {
        reception.namesakes.clear();
    }
    Some((home_facts, watch.read()))
}

/// Adds to the domain what its QEMU told, or that it did not.
fn put_told(domain: &mut DomainFacts, told: Result<survey::QemuFacts, String>) {
    match told {
        Ok(told) => {
            domain.block_jobs = told.block_jobs;
            domain.images = told.images;
            domain.disk_errors = told.disk_errors;
        }
        Err(silent) => domain.not_responding = Some(silent),
    }
}

/// How the memory would travel back: an address of the destination's is none of the source's.
fn way_home(there: AskedTransport) -> AskedTransport {
    AskedTransport { via: there.via.filter(|via| matches!(via, Via::Network(..))), ..there }
}

/// The domain as it would be after a reboot on the destination.
fn after_reboot(facts: &Facts, eject: &BTreeSet<String>) -> Option<DomainFacts> {
    let mut domain = facts.domain.clone()?;
    if let Some(next) = domain.next_start.clone() {
        domain.definition = next;
    }
    plan::disks_as_moved(facts, eject, &mut domain);
    // Snapshots and jobs are dealt with before it leaves.
    (domain.snapshots, domain.checkpoints, domain.block_jobs) = (Vec::new(), Vec::new(), Vec::new());
    (domain.saved, domain.tpm_state) = (None, None);
    (domain.sight.job, domain.not_responding, domain.migratable_xml) = (false, None, None);
    // It goes home to what it came from.
    domain.arriving = None;
    let machine = facts.reception.as_ref().and_then(|reception| reception.machine.as_ref()?.as_ref().ok());
    let host_model = machine.and_then(|machine| machine.host_model.clone());
    if domain.definition.cpu.mode.as_deref() == Some("host-model") {
        domain.definition.cpu.xml.clone_from(&host_model);
    }
    domain.host_model = host_model;
    Some(domain)
}

impl Inquiry<'_> {
    async fn gather(&self, watch: &Stopwatch) -> Facts {
        self.listening(watch, async |port| {
            let (from, to) = tokio::join!(self.ask_source(watch), self.ask_whom(watch));
            let (source, domain) = match from {
                Ok((host, domain)) => (HostKnowledge::Known(Box::new(host)), domain),
                Err(error) => (unreachable(self.source.name(), &error), None),
            };
            let destination = match to {
                Ok(host) => HostKnowledge::Known(Box::new(host)),
                Err(error) => unreachable(self.destination.name(), &error),
            };
            self.complete(source, destination, domain, port, watch).await
        })
        .await
    }

    /// Does this while the destination begins to listen on one of its ports for migrations, and tells which when it does.
    async fn listening<T>(&self, watch: &Stopwatch, ask: impl AsyncFnOnce(Port) -> T) -> T {
        let (tell, port) = oneshot::channel();
        let listen = async {
            let port = questions::listen(self.destination, watch).await;
            // Nobody asks for it where the two do not get to meet.
            let _ = tell.send(port);
            std::future::pending().await
        };
        tokio::select! {
            answer = ask(port) => answer,
            never = listen => never,
        }
    }

    /// Adds to what the two machines and the domain are what follows from that.
    async fn complete(
        &self,
        mut source: HostKnowledge,
        mut destination: HostKnowledge,
        mut domain: Option<DomainFacts>,
        port: Port,
        watch: &Stopwatch,
    ) -> Facts {
        let destination_peer_uri = match &destination {
            HostKnowledge::Known(_) => self.destination.peer_uri(self.source),
            // One finding is enough for a host that does not answer.
            HostKnowledge::Unreachable { .. } => Some(String::new()),
        };
        let same = matches!((source.known(), destination.known()), (Some(one), Some(other)) if one.uuid == other.uuid);
        let (mut reception, mut meeting) = (None, None);
        let mut transport = match same {
            true => TransportFacts::default(),
            false => self.ask_transport(watch).await,
        };
        let address = transport.address.map(|address| address.to_string());
        let looked = async {
            let (Some(domain), Some(there), false) = (&domain, destination.known(), same) else {
                return None;
            };
            let peer = destination_peer_uri.as_deref().and_then(plain_uri);
            let to = address.as_deref().unwrap_or(&there.hostname);
            Some(self.look(domain, peer, to, port, watch).await)
        };
        let (looked, told) = tokio::join!(looked, self.ask_qemu(domain.as_ref(), watch));
        if let Some(looked) = looked {
            match looked {
                Ok(seen) => {
                    reception = Some(seen.reception);
                    meeting = Some(seen.meeting);
                    put_shell(&mut source, self.source, seen.source_shell);
                    put_shell(&mut destination, self.destination, seen.destination_shell);
                }
                Err(error) => destination = unreachable(self.destination.name(), &error),
            }
        }
        [transport.source_qemu, transport.destination_qemu] =
            self.ask_offers(domain.as_ref(), reception.as_ref(), watch).await;
        if let (Some(domain), Some(told)) = (&mut domain, told) {
            put_told(domain, told);
        }
        Facts {
            source,
            destination,
            domain,
            reception,
            meeting,
            destination_peer_uri,
            wanted: self.wanted.clone(),
            transport,
        }
    }

    /// What only QEMU itself can tell; or that it does not. Asked on a connection that no other question waits for: a QEMU that
    /// stands still answers when it goes on, and must not make its whole host look dead.
    async fn ask_qemu(
        &self,
        domain: Option<&DomainFacts>,
        watch: &Stopwatch,
    ) -> Option<Result<survey::QemuFacts, String>> {
        let domain = domain.filter(|domain| domain.not_responding.is_none())?;
        let (uuid, definition) = (domain.uuid, domain.definition.clone());
        let _turn = tokio::time::timeout(watch.left(), self.source.turn_to_ask_qemu()).await.ok()?;
        let asked = Arc::new(OnceLock::new());
        let begins = asked.clone();
        let question = self.source.link().long_call_within("qemu", watch.left(), move |connect| {
            begins.get_or_init(Instant::now);
            survey::qemu_facts(connect, uuid, &definition)
        });
        match watch.time(self.source.name(), "its QEMU", question).await {
            Ok(told) => Some(Ok(told)),
            // A turn that came late, or a connection that took long, is not the QEMU's silence.
            Err(HostError::TimedOut { .. })
                if domain.is_active() && asked.get().is_some_and(|at: &Instant| at.elapsed() > SILENT) =>
            {
                Some(Err(format!("its QEMU did not answer for {} ms", SILENT.as_millis())))
            }
            Err(error) => {
                tracing::debug!(host = self.source.name(), %error, "QEMU was not asked");
                None
            }
        }
    }

    /// What the destination is, by what it calls itself now: there the memory will be sent.
    async fn ask_whom(&self, watch: &Stopwatch) -> Result<HostFacts, HostError> {
        let host = machine(self.destination, watch.left()).await?;
        let name =
            self.destination.link().call_within("hostname", watch.left(), |connect| Ok(connect.hostname()?));
        let hostname = watch.time(self.destination.name(), "its name", name).await?;
        Ok(HostFacts { hostname, ..host })
    }

    async fn ask_source(&self, watch: &Stopwatch) -> Result<(HostFacts, Option<DomainFacts>), HostError> {
        let host = machine(self.source, watch.left()).await?;
        let uuid = self.domain;
        let facts = self
            .source
            .link()
            .call_within("facts", watch.left(), move |connect| survey::domain_facts(connect, uuid));
        match watch.time(self.source.name(), "the domain", facts).await {
            Ok(mut facts) => {
                chains::read(self.source, &mut facts, watch).await;
                kept::read(self.source, &mut facts, watch).await;
                facts.arriving = self.arriving(&facts);
                Ok((host, Some(facts)))
            }
            Err(error) if error.is_no_domain() => Ok((host, None)),
            Err(error) => Err(error),
        }
    }

    /// The definition that the destination is to have. One that cannot be made is told to who asked for it, and not here.
    fn arriving(&self, domain: &DomainFacts) -> Option<Definition> {
        let rewritten = (!self.rewrite.is_empty()).then(|| plan::rewrite(&domain.xml, self.rewrite).ok());
        xml::definition(&rewritten??).ok()
    }

    /// Everything that can be asked once the domain is known, all at the same time. A destination whose libvirt does not answer is
    /// asked nothing more: its shell would be silent as well.
    async fn look(
        &self,
        domain: &DomainFacts,
        peer: Option<LibvirtUri>,
        hostname: &str,
        port: Port,
        watch: &Stopwatch,
    ) -> Result<Seen, HostError> {
        let (from, to) = (self.source, self.destination);
        let ssh = peer.as_ref().and_then(LibvirtUri::ssh);
        let ssh = ssh.map(|at| SshPlace { word: at.word(), key_name: at.key_name() });
        // Dropped at the end, or when nobody waits any more: then the marks go.
        let marks = Marks::new(from, sharing::directories(domain));
        let (written, marked) = oneshot::channel();
        let at_source = async {
            let marked = marks.write(watch).await;
            // The other side may have given up.
            let _ = written.send(());
            let shell = questions::inspect(from, domain, watch).await;
            let way = match peer {
                Some(peer) => {
                    // No answer: it does not listen.
                    let port = port.await.unwrap_or_default();
                    let way = from.way_to(peer, hostname, port.flatten(), self.fresh, watch).await;
                    let none_free = (port == Some(None)).then_some(PortProbe::NoneFree);
                    way.map(|way| MeetingAnswer { port: way.port.or(none_free), ..way })
                }
                None => None,
            };
            Ok((marked, shell, way))
        };
        let at_destination = async {
            // An error says that the source did not get there; what is found then means nothing, and is not read.
            let _ = marked.await;
            let found = marks.find(to, watch).await;
            let shell = questions::inspect(to, domain, watch).await;
            let servers = questions::probe_servers(to, &domain.definition, watch).await;
            Ok((found, shell, servers))
        };
        let ((marked, source_shell, way), (found, destination_shell, servers), reception) =
            tokio::try_join!(at_source, at_destination, self.ask_destination(domain, watch))?;
        marks.remove();
        let shells = (source_shell.as_ref(), destination_shell.as_ref());
        let sharing = sharing::judge(domain, shells.0, shells.1, marked.as_ref(), found.as_ref());
        let MeetingAnswer { peer, hostname, login, port } = way.unwrap_or_default();
        let meeting = Meeting { ssh, peer, hostname, login, port, sharing, servers };
        Ok(Seen { source_shell, destination_shell, meeting, reception })
    }

    async fn ask_destination(&self, domain: &DomainFacts, watch: &Stopwatch) -> Result<Reception, HostError> {
        let rewritten = |xml: &String| plan::rewrite(xml, self.rewrite).unwrap_or_else(|_| xml.clone());
        let asked = survey::Asked {
            uuid: domain.uuid,
            // What is loaded at the next start is the domain as it was saved.
            definition: domain
                .saved
                .as_ref()
                .and_then(|saved| saved.definition.clone())
                .unwrap_or_else(|| domain.there().clone()),
            migratable_xml: domain.migratable_xml.as_ref().map(rewritten),
            pools: self.wanted.storage.iter().map(|mapping| mapping.pool.clone()).collect(),
        };
        let to = self.destination;
        let question =
            to.link().call_within("facts", watch.left(), move |connect| survey::reception(connect, &asked));
        let found = watch.time(to.name(), "what it has for the domain", question).await?;
        Ok(Reception {
            occupied: to.occupied(domain.uuid),
            memory_promised_bytes: to.memory_promised_bytes(),
            memory_arriving_bytes: self.arriving_bytes,
            left: self.left.clone(),
            ..found
        })
    }
}

/// What was seen once the domain was known.
struct Seen {
    source_shell: Option<ShellFacts>,
    destination_shell: Option<ShellFacts>,
    meeting: Meeting,
    reception: Reception,
}

/// Where the destination listens, once it does: on no port where none is free; none where it cannot listen at all.
type Port = oneshot::Receiver<Option<Option<u16>>>;

fn put_shell(host: &mut HostKnowledge, member: &Member, shell: Option<ShellFacts>) {
    if let HostKnowledge::Known(facts) = host {
        facts.shell_silent = shell.is_none() && member.session().is_some();
        facts.shell = shell;
    }
}

/// A peer URI without its query, which says how to log in and not where.
fn plain_uri(uri: &str) -> Option<LibvirtUri> {
    uri.split('?').next()?.parse().ok()
}

async fn machine(member: &Member, limit: Duration) -> Result<HostFacts, HostError> {
    let machine = member.known_machine(limit).await?;
    Ok(HostFacts { name: member.name().to_owned(), ..machine })
}

impl Member {
    /// What its other domains use.
    fn occupied(&self, but: DomainUuid) -> Vec<Occupied> {
        let of_domain = |(listed, definition): (Listed, Arc<Definition>)| {
            let writes = |disk: &&Disk| !disk.readonly && !disk.shareable;
            Occupied {
                active: listed.state != api::vm::VmState::Shutoff,
                domain: listed.name,
                macs: definition.interfaces.iter().map(|interface| interface.mac.clone()).collect(),
                paths: definition
                    .disks
                    .iter()
                    .filter(writes)
                    .filter_map(|disk| disk.source.path())
                    .map(str::to_owned)
                    .collect(),
                ports: definition
                    .graphics
                    .iter()
                    .flat_map(|screen| [screen.port, screen.tls_port])
                    .flatten()
                    .collect(),
                title: definition.title.clone(),
                vsock_cid: definition.vsock_cid,
                host_devices: definition.host_devices.iter().map(|device| device.describe()).collect(),
            }
        };
        self.definitions().into_iter().filter(|(listed, _)| listed.uuid != but.0).map(of_domain).collect()
    }

    /// Memory that the domains which run here may take.
    fn memory_promised_bytes(&self) -> u64 {
        let running =
            self.definitions().into_iter().filter(|(listed, _)| listed.state != api::vm::VmState::Shutoff);
        running.map(|(listed, _)| listed.max_memory_bytes).sum()
    }
}

/// The stable code of a failure to reach a host.
#[must_use]
pub fn failure_code(failure: ConnectFailure) -> &'static str {
    match failure {
        ConnectFailure::Resolve => "host-name-unknown",
        ConnectFailure::NoRoute => "host-no-route",
        ConnectFailure::Refused => "host-refused",
        ConnectFailure::Dropped => "host-dropped",
        ConnectFailure::TimedOut => "host-timed-out",
        ConnectFailure::HostKeyUnknown => "host-key-unknown",
        ConnectFailure::HostKeyChanged => "host-key-changed",
        ConnectFailure::Denied => "host-access-denied",
        ConnectFailure::TlsCertificate => "host-tls-certificate",
        ConnectFailure::NoLibvirt => "host-no-libvirt",
        ConnectFailure::NotAnswering => "host-not-answering",
        ConnectFailure::Other => "host-unreachable",
    }
}

fn unreachable(name: &str, error: &HostError) -> HostKnowledge {
    let failure = failure_of(error);
    HostKnowledge::Unreachable {
        name: name.to_owned(),
        code: failure_code(failure).to_owned(),
        message: format!("{name}: {}", failure.explanation()),
        evidence: error.cause(),
        remedy: failure.remedy().to_owned(),
    }
}
