//! One registered host: its link, and the view of it that events keep true.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::host::{Host, HostState};
use api::problem::{Code, Problem};
use api::vm::{Vm, VmState};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::figures::Meter;
use super::known::Known;
use super::view::{Changed, View, keep_view, refresh};
use crate::hypervisor::Hypervisor;
use crate::libvirt::error::HostError;
use crate::libvirt::host::LibvirtHost;
use crate::libvirt::link::{Link, LinkLimits, LinkState};
use crate::libvirt::survey::{self, Listed};
use crate::model::definition::Definition;
use crate::model::facts::HostFacts;
use crate::model::offers::Offers;
use crate::model::{DomainUuid, HostName};
use crate::ssh::scripts::MeetingAnswer;
use crate::ssh::{LibvirtUri, Session, Shell, SshDir, Transport, classify};
use crate::store::HostRecord;

/// For how long a way to another host that was found open counts as open for a migration: libvirt itself notices one that is not,
/// before anything moves.
const WAY_STAYS_OPEN: Duration = Duration::from_secs(60);
/// Connections that are opened at once to ask QEMUs: a host lets few in at the same time.
const QEMUS_AT_ONCE: usize = 3;

/// One registered host.
#[derive(Debug)]
pub struct Member {
    record: HostRecord,
    uri: LibvirtUri,
    /// As another host's libvirt opens it, to send a domain there.
    data_uri: String,
    host: Arc<LibvirtHost>,
    view: Arc<watch::Sender<View>>,
    /// Questions to its QEMUs: each takes a connection of its own, which may wait as long as a QEMU does.
    asks_qemu: tokio::sync::Semaphore,
    /// Ways to other hosts that were found open, and when.
    ways: Mutex<HashMap<String, (Instant, MeetingAnswer)>>,
    keeper: JoinHandle<()>,
    /// What its guests use.
    meter: Meter,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Member {
    /// Begins to connect to a host.
    ///
    /// # Errors
    /// The record makes no sense, or the files for its login could not be written.
    pub fn start(record: &HostRecord, ssh: &SshDir, limits: LinkLimits) -> Result<Arc<Self>, Problem> {
        let bad = |field: &str, error: &dyn std::fmt::Display| {
            Problem::new(Code::BadValue, format!("{error}")).field(field)
        };
        let name = record.name.parse::<HostName>().map_err(|error| bad("name", &error))?;
        let uri = record.uri.parse::<LibvirtUri>().map_err(|error| bad("uri", &error))?;
        let uris = ssh.connect_uris(&uri, &name).map_err(|error| {
            tracing::error!(host = record.name, %error, "the login could not be prepared");
            Problem::new(Code::Internal, "The files for the login could not be written; the log tells more.")
        })?;
        let shell = Shell::for_host(ssh, &name, &uri);
        let data_uri = uris.data.clone();
        let link = Arc::new(Link::start(&record.name, uris, limits));
        let host = Arc::new(LibvirtHost::new(link, shell));
        let view = Arc::new(watch::Sender::new(View::default()));
        let keeper = tokio::spawn(keep_view(host.clone(), view.clone()));
        let meter = Meter::start(host.link().clone(), view.clone());
        Ok(Arc::new(Self {
            record: record.clone(),
            uri,
            data_uri,
            host,
            view,
            asks_qemu: tokio::sync::Semaphore::new(QEMUS_AT_ONCE),
            ways: Mutex::default(),
            keeper,
            meter,
        }))
    }

    /// The registered name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its record.
    #[must_use]
    pub fn record(&self) -> &HostRecord {
        &self.record
    }

    /// Its URI.
    #[must_use]
    pub fn uri(&self) -> &LibvirtUri {
        &self.uri
    }

    /// The host behind the migration engine's seam.
    #[must_use]
    pub fn hypervisor(&self) -> Arc<dyn Hypervisor> {
        self.host.clone()
    }

    /// Its link.
    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        self.host.link()
    }

    /// Whether it is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.link().state().borrow() == LinkState::Up
    }

    fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Whether its virtual machines are known: it is connected, and they were listed since.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.is_connected() && self.view.borrow().listed
    }

    /// Waits until its virtual machines are known, at most `limit`; false when they are not by then.
    pub async fn listed(&self, limit: Duration) -> bool {
        let mut view = self.view.subscribe();
        let listed = tokio::time::timeout(limit, view.wait_for(|view| view.listed)).await;
        matches!(listed, Ok(Ok(_)))
    }

    /// Lists its virtual machines now, at most `limit`, where events have not led to it yet.
    pub async fn look_again(&self, limit: Duration) {
        if self.is_connected() {
            // Events on their way could tell that nothing is as it was; of whom, is not known.
            let changed = Changed::These(HashSet::new());
            // Running out of time leaves the view as it is.
            let _ = tokio::time::timeout(limit, refresh(self.link(), &self.view, &changed)).await;
        }
    }

    /// Reads this virtual machine anew, its definition too, at most `limit`: something was done to it.
    pub async fn look_anew(&self, domain: DomainUuid, limit: Duration) {
        if self.is_connected() {
            let changed = Changed::These(HashSet::from([domain.0]));
            // Running out of time leaves the view as it is; the event of what was done comes later.
            let _ = tokio::time::timeout(limit, refresh(self.link(), &self.view, &changed)).await;
        }
    }

    /// What the machine is, once it was connected.
    #[must_use]
    pub fn machine(&self) -> Option<Arc<HostFacts>> {
        self.view.borrow().machine.clone()
    }

    /// Waits until the machine is known, at most `limit`.
    ///
    /// # Errors
    /// Why the host does not answer.
    pub async fn known_machine(&self, limit: Duration) -> Result<HostFacts, HostError> {
        self.link().ready(limit).await?;
        if let Some(machine) = self.machine() {
            return Ok(HostFacts::clone(&machine));
        }
        let machine = self.link().call_within("capabilities", limit, survey::machine).await?;
        self.view.send_modify(|view| view.machine = Some(Arc::new(machine.clone())));
        Ok(machine)
    }

    /// What it offers, read within the limit of a call where that is not known.
    ///
    /// # Errors
    /// Why the host does not answer.
    pub async fn offers(&self) -> Result<Arc<Offers>, HostError> {
        if let Some(offers) = self.view().offers {
            return Ok(offers);
        }
        let offers = Arc::new(self.link().call("offers", survey::offers).await?);
        self.view.send_modify(|view| view.offers = Some(offers.clone()));
        Ok(offers)
    }

    /// The turn to ask one of its QEMUs, once there is one.
    pub(super) async fn turn_to_ask_qemu(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.asks_qemu.acquire().await.ok()
    }

    /// The shell that stays open, where the host offers one.
    #[must_use]
    pub fn session(&self) -> Option<Arc<Session>> {
        self.host.session().cloned()
    }

    /// A way to another host that was found open a moment ago.
    pub(super) fn open_way(&self, key: &str) -> Option<MeetingAnswer> {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        ways.get(key).filter(|(found, _)| found.elapsed() < WAY_STAYS_OPEN).map(|(_, way)| way.clone())
    }

    /// Remembers a way that was found open, or forgets one that was not.
    pub(super) fn remember_way(&self, key: String, way: Option<MeetingAnswer>) {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        match way {
            Some(way) => drop(ways.insert(key, (Instant::now(), way))),
            None => drop(ways.remove(&key)),
        }
    }

    /// Its virtual machines with their definitions; those whose definition is not known yet are left out.
    #[must_use]
    pub fn definitions(&self) -> Vec<(Listed, Arc<Definition>)> {
        let view = self.view();
        let known = view.domains.iter().filter_map(|listed| {
            view.definitions.get(&listed.uuid).map(|definition| (listed.clone(), definition.clone()))
        });
        known.collect()
    }

    /// The URI by which another member's libvirt reaches this one. A source on this very machine uses the login that Ferry
    /// has; any other uses its own.
    #[must_use]
    pub fn peer_uri(&self, from: &Member) -> Option<String> {
        if let Some(uri) = &self.record.peer_uri {
            return Some(uri.clone());
        }
        match self.uri.transport() {
            Transport::Local => {
                self.machine().map(|machine| format!("qemu+ssh://root@{}/system", machine.hostname))
            }
            Transport::Ssh(_) if matches!(from.uri.transport(), Transport::Local) => {
                Some(self.data_uri.clone())
            }
            _ => Some(self.uri.to_string()),
        }
    }

    /// The host as clients see it.
    #[must_use]
    pub fn describe(&self) -> Host {
        let view = self.view();
        let state = self.link().state().borrow().clone();
        let (state, problem) = match state {
            LinkState::Up => (HostState::Connected, None),
            LinkState::Connecting => (HostState::Connecting, None),
            LinkState::Down(text) => {
                let failure = classify(&text);
                (HostState::Unreachable, Some(format!("{} ({})", failure.explanation(), text.trim())))
            }
        };
        let running = view.domains.iter().filter(|vm| vm.state.runs()).count();
        Host {
            name: self.record.name.clone(),
            uri: self.record.uri.clone(),
            peer_uri: self.record.peer_uri.clone(),
            migrate_via: self.record.migrate_via.clone(),
            state,
            problem,
            info: view.machine.map(|machine| machine.info()),
            vms_running: u32::try_from(running).unwrap_or(u32::MAX),
            vms_total: u32::try_from(view.domains.len()).unwrap_or(u32::MAX),
        }
    }

    /// Its virtual machines; none while they are not known.
    #[must_use]
    pub fn vms(&self) -> Vec<Vm> {
        if !self.is_listed() {
            return Vec::new();
        }
        let domains = self.view().domains;
        domains.iter().map(|vm| self.vm(vm)).collect()
    }

    /// Has the figures of its guests read, from now on and for a while.
    pub fn want_figures(&self) {
        self.meter.want();
    }

    /// Whether it is the machine that Ferry runs on.
    #[must_use]
    pub fn is_here(&self) -> bool {
        matches!(self.uri.transport(), Transport::Local)
    }

    /// Its virtual machines with all that is known of them; none while they are not known.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        if !self.is_listed() {
            return Vec::new();
        }
        let (view, figures) = (self.view(), self.meter.figures());
        let here = self.is_here();
        let known = view.domains.iter().map(|listed| Known {
            host: self.record.name.clone(),
            here,
            definition: view.definitions.get(&listed.uuid).cloned(),
            figures: match listed.state {
                VmState::Running => figures.get(&listed.uuid).copied().unwrap_or_default(),
                _ => Default::default(),
            },
            listed: listed.clone(),
        });
        known.collect()
    }

    fn vm(&self, vm: &Listed) -> Vm {
        Vm {
            name: vm.name.clone(),
            uuid: vm.uuid,
            host: self.record.name.clone(),
            state: vm.state,
            persistent: vm.persistent,
            autostart: vm.autostart,
            vcpus: vm.vcpus,
            max_memory_bytes: vm.max_memory_bytes,
            memory_bytes: vm.memory_bytes,
            cpu_time_ns: vm.cpu_time_ns,
            task: None,
        }
    }
}
