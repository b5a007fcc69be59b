//! One registered host: its link, and the view of it that events keep true.

use std::sync::Arc;
use std::time::Duration;

use api::host::{Host, HostInfo, HostState};
use api::problem::{Code, Problem};
use api::vm::{Vm, VmState};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::hypervisor::Hypervisor;
use crate::libvirt::error::HostError;
use crate::libvirt::host::LibvirtHost;
use crate::libvirt::link::{Link, LinkLimits, LinkState};
use crate::libvirt::survey::{self, Listed};
use crate::model::HostName;
use crate::ssh::{LibvirtUri, Shell, SshDir, Transport, classify};
use crate::store::HostRecord;

/// Events come in bursts (a start is four): after a look the next one is this much later, for all that come meanwhile.
const BURST: Duration = Duration::from_millis(200);
/// Figures that no event tells (memory, CPU time) are read this often.
const FIGURES: Duration = Duration::from_secs(5);

/// What is known of a host.
#[derive(Clone, Debug, Default)]
struct View {
    info: Option<HostInfo>,
    domain_types: Vec<String>,
    domains: Arc<Vec<Listed>>,
    /// The domains were listed since the host was connected last.
    listed: bool,
}

/// One registered host.
#[derive(Debug)]
pub struct Member {
    record: HostRecord,
    uri: LibvirtUri,
    connect_uri: String,
    host: Arc<LibvirtHost>,
    view: Arc<watch::Sender<View>>,
    keeper: JoinHandle<()>,
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
        let connect_uri = ssh.connect_uri(&uri, &name).map_err(|error| {
            tracing::error!(host = record.name, %error, "the login could not be prepared");
            Problem::new(Code::Internal, "The files for the login could not be written; the log tells more.")
        })?;
        let shell = Shell::for_host(ssh, &name, &uri);
        let link = Arc::new(Link::start(&record.name, &connect_uri, limits));
        let host = Arc::new(LibvirtHost::new(link, shell));
        let view = Arc::new(watch::Sender::new(View::default()));
        let keeper = tokio::spawn(keep_view(host.clone(), view.clone()));
        Ok(Arc::new(Self { record: record.clone(), uri, connect_uri, host, view, keeper }))
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
            // Running out of time leaves the view as it is.
            let _ = tokio::time::timeout(limit, refresh(self.link(), &self.view)).await;
        }
    }

    /// What the machine is and which domain types it runs, once it was connected.
    #[must_use]
    pub fn machine(&self) -> Option<(HostInfo, Vec<String>)> {
        let view = self.view();
        view.info.map(|info| (info, view.domain_types))
    }

    /// Waits until the machine is known, at most `limit`.
    ///
    /// # Errors
    /// Why the host does not answer.
    pub async fn known_machine(&self, limit: Duration) -> Result<(HostInfo, Vec<String>), HostError> {
        self.link().ready(limit).await?;
        if let Some(machine) = self.machine() {
            return Ok(machine);
        }
        let machine = self.link().call_within("capabilities", limit, survey::machine).await?;
        self.view.send_modify(|view| {
            (view.info, view.domain_types) = (Some(machine.0.clone()), machine.1.clone())
        });
        Ok(machine)
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
                self.machine().map(|(info, _)| format!("qemu+ssh://root@{}/system", info.hostname))
            }
            Transport::Ssh(_) if matches!(from.uri.transport(), Transport::Local) => {
                Some(self.connect_uri.clone())
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
        let running = view.domains.iter().filter(|vm| vm.state != VmState::Shutoff).count();
        Host {
            name: self.record.name.clone(),
            uri: self.record.uri.clone(),
            peer_uri: self.record.peer_uri.clone(),
            state,
            problem,
            info: view.info,
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

/// Keeps the view: everything once when the host is connected, the domains after every event and every few seconds.
async fn keep_view(host: Arc<LibvirtHost>, view: Arc<watch::Sender<View>>) {
    let link = host.link().clone();
    let mut state = link.state();
    loop {
        if state.wait_for(|state| *state == LinkState::Up).await.is_err() {
            return;
        }
        let mut events = link.events();
        tokio::spawn(warm(host.clone()));
        tokio::join!(identify(&link, &view), refresh(&link, &view));
        while *state.borrow() == LinkState::Up {
            tokio::select! {
                told = events.recv() => {
                    if matches!(told, Err(RecvError::Closed)) {
                        return;
                    }
                    tokio::time::sleep(BURST).await;
                    events = events.resubscribe();
                }
                changed = state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
                () = tokio::time::sleep(FIGURES) => {}
            }
            refresh(&link, &view).await;
        }
        view.send_modify(|view| view.listed = false);
    }
}

/// Opens the host's shell ahead of the first migration, which would otherwise wait for it.
async fn warm(host: Arc<LibvirtHost>) {
    if let Some(session) = host.session() {
        let opened = session.open(host.link().limits().connect).await;
        tracing::debug!(host = host.link().host(), ok = opened.is_ok(), "shell opened");
    }
}

async fn identify(link: &Link, view: &watch::Sender<View>) {
    match link.call("capabilities", survey::machine).await {
        Ok((info, types)) => {
            view.send_modify(|view| (view.info, view.domain_types) = (Some(info), types));
        }
        Err(error) => tracing::debug!(host = link.host(), %error, "what the machine is was not read"),
    }
}

async fn refresh(link: &Link, view: &watch::Sender<View>) {
    match link.call("list of domains", survey::domains).await {
        Ok(domains) => view.send_modify(|view| (view.domains, view.listed) = (Arc::new(domains), true)),
        Err(error) => tracing::debug!(host = link.host(), %error, "the domains were not listed"),
    }
}
