//! Says after a migration, or after a fault in the middle of one, whether what is there now is right.
//!
//! It shares no code with the product and does not ask it: it reads the guest's serial logs, the hosts' QEMU processes, and the
//! files that libvirt keeps its definitions in. libvirt is asked one thing, with `virsh`: whether a state file is still in use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{GuestLog, GuestSpec, Host, Lab};

const DEFINITIONS: &str = "/etc/libvirt/qemu";
const AUTOSTART: &str = "/etc/libvirt/qemu/autostart";
const LIVE: &str = "/run/libvirt/qemu";
/// Where a migration can leave something behind.
const WATCHED: &[&str] = &[
    "/var/lib/libvirt/images",
    "/etc/libvirt",
    "/var/lib/libvirt/qemu/nvram",
    "/var/lib/libvirt/qemu/save",
    "/var/lib/libvirt/swtpm",
];
const TICKS_WITHIN: Duration = Duration::from_secs(20);
const CHECKED_WITHIN: Duration = Duration::from_secs(60);
/// A second copy has this long to show itself by ticking.
const SECOND_COPY_SHOWS: Duration = Duration::from_millis(500);

/// What the guest shall be doing at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Exactly one copy runs and ticks.
    Running,
    /// Exactly one copy exists and is paused.
    Paused,
    /// None runs: the host or the QEMU that held its memory died.
    Lost,
    /// None runs, as none did before.
    Stopped,
}

/// What was there before, and what is to be compared with it.
#[derive(Clone, Debug)]
pub struct Oracle {
    spec: GuestSpec,
    files: BTreeMap<String, BTreeSet<PathBuf>>,
    allowed: BTreeSet<(String, PathBuf)>,
    /// How long a running guest may take until it ticks. Default: 20 s.
    pub ticks_within: Duration,
    /// How long it may take, then, to check its whole region. Default: 60 s.
    pub checked_within: Duration,
}

/// What the oracle found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The host that has the guest now.
    pub owner: Option<String>,
    /// Everything that is wrong, in words. Empty when all is well.
    pub violations: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    fn violation(&mut self, text: String) {
        self.violations.push(text);
    }
}

impl Oracle {
    /// Takes down what is there before the migration.
    pub fn before(lab: &Lab, spec: &GuestSpec) -> Result<Self> {
        let mut files = BTreeMap::new();
        for host in lab.hosts()? {
            files.insert(host.name().to_owned(), watched_files(&host));
        }
        Ok(Self {
            spec: spec.clone(),
            files,
            allowed: BTreeSet::new(),
            ticks_within: TICKS_WITHIN,
            checked_within: CHECKED_WITHIN,
        })
    }

    /// Allows a file to come and go: a disk that was copied along, the definition of another guest that moves.
    pub fn allow(&mut self, host: &str, path: impl Into<PathBuf>) {
        self.allowed.insert((host.to_owned(), path.into()));
    }

    /// Looks at everything and says what is wrong.
    pub fn verdict(&self, lab: &Lab, log: &GuestLog, expect: Expect) -> Result<Verdict> {
        let hosts = lab.hosts()?;
        let mut verdict = Verdict::default();
        let running: Vec<&Host> =
            hosts.iter().filter(|host| host.pid_of_qemu(&self.spec.uuid).is_some()).collect();
        let names: Vec<&str> = running.iter().map(|host| host.name()).collect();
        match (names.as_slice(), expect) {
            ([], Expect::Lost | Expect::Stopped) | ([_], Expect::Running | Expect::Paused) => {}
            (found, _) => verdict.violation(format!("expected {expect:?}, but QEMU runs on {found:?}")),
        }
        verdict.owner = names.first().map(|name| (*name).to_owned());
        self.ticking(log, expect, &hosts, &mut verdict);
        self.definitions(&hosts, &mut verdict);
        self.leftovers(&hosts, &mut verdict);
        Self::unharmed(log, &mut verdict);
        Ok(verdict)
    }

    /// The owner ticks and has since checked all of its memory; nobody else ticks.
    fn ticking(&self, log: &GuestLog, expect: Expect, hosts: &[Host], verdict: &mut Verdict) {
        let start = Instant::now();
        if let (Expect::Running, Some(owner)) = (expect, verdict.owner.clone()) {
            let ticks = log.wait_next_tick(&owner, self.ticks_within);
            let checked = ticks.and_then(|_| log.wait_checked(&owner, self.checked_within));
            if let Err(error) = checked {
                verdict.violation(format!("{error:#}"));
            }
        }
        let wait = SECOND_COPY_SHOWS.saturating_sub(start.elapsed());
        std::thread::sleep(wait);
        let owner_may_tick = expect == Expect::Running;
        for host in hosts {
            let may = owner_may_tick && verdict.owner.as_deref() == Some(host.name());
            // A line that was under way when we began is not a sign of life.
            let later = start + SECOND_COPY_SHOWS / 4;
            if !may && log.ticks(host.name()).iter().any(|tick| !tick.backlog && tick.at > later) {
                verdict.violation(format!("it ticks on {}", host.name()));
            }
        }
    }

    /// One persistent definition on the owner, or none for a transient guest; autostart along with it.
    fn definitions(&self, hosts: &[Host], verdict: &mut Verdict) {
        let defined =
            |host: &&Host| !definitions_of(&host.disk_path(DEFINITIONS), &self.spec.uuid).is_empty();
        let on: Vec<&str> = hosts.iter().filter(defined).map(Host::name).collect();
        // Without a running copy the definition may be on either side: that there is one is all that can be asked.
        let right = match (&verdict.owner, self.spec.persistent) {
            (_, false) => on.is_empty(),
            (Some(owner), true) => on == [owner.as_str()],
            (None, true) => on.len() == 1,
        };
        if !right {
            let kind = if self.spec.persistent { "persistent" } else { "transient" };
            verdict.violation(format!("a {kind} guest of {:?} is defined on {on:?}", verdict.owner));
        }
        self.autostart(hosts, &on, verdict);
        let owner = verdict.owner.clone();
        for host in hosts.iter().filter(|host| Some(host.name()) != owner.as_deref()) {
            let live = host.path(LIVE).map(|path| definitions_of(&path, &self.spec.uuid)).unwrap_or_default();
            if !live.is_empty() && !forgotten(host, &self.spec.uuid) {
                verdict.violation(format!("libvirt on {} still thinks that it runs there", host.name()));
            }
        }
    }

    fn autostart(&self, hosts: &[Host], defined_on: &[&str], verdict: &mut Verdict) {
        for host in hosts {
            let file = format!("{AUTOSTART}/{}.xml", self.spec.name);
            let marked = fs::symlink_metadata(host.disk_path(file)).is_ok();
            let should = self.spec.autostart && defined_on.contains(&host.name());
            if marked != should {
                verdict.violation(format!("autostart on {} is {marked}, should be {should}", host.name()));
            }
        }
    }

    fn leftovers(&self, hosts: &[Host], verdict: &mut Verdict) {
        for host in hosts {
            let before = self.files.get(host.name()).cloned().unwrap_or_default();
            for path in watched_files(host).difference(&before) {
                let key = (host.name().to_owned(), path.clone());
                if !self.allowed.contains(&key) && !self.is_own_definition(path) {
                    verdict.violation(format!("{} is new on {}", path.display(), host.name()));
                }
            }
            for path in before.difference(&watched_files(host)) {
                let key = (host.name().to_owned(), path.clone());
                if !self.allowed.contains(&key) && !self.is_own_definition(path) {
                    verdict.violation(format!("{} is gone from {}", path.display(), host.name()));
                }
            }
        }
    }

    /// The guest's own definition is judged by itself.
    fn is_own_definition(&self, path: &Path) -> bool {
        let file = format!("{}.xml", self.spec.name);
        [DEFINITIONS, AUTOSTART].iter().any(|directory| path == Path::new(directory).join(&file))
            || path == Path::new(AUTOSTART)
    }

    fn unharmed(log: &GuestLog, verdict: &mut Verdict) {
        let doubled = log.doubled();
        if let (Some(first), Some(last)) = (doubled.first(), doubled.last()) {
            verdict.violation(format!("{} ticks on two hosts, {first} to {last}", doubled.len()));
        }
        for error in log.errors() {
            verdict.violation(format!("the guest found: {error}"));
        }
        if let Some(said) = log.panic() {
            verdict
                .violation(format!("the guest's kernel panicked: the rig is to be doubted first ({said})"));
        }
    }
}

/// Whether libvirt there does not know the domain any more. The state file of a QEMU that died while it was the destination was seen
/// to stay behind then (libvirt 11.3); libvirt itself clears it away when it is started next.
fn forgotten(host: &Host, uuid: &str) -> bool {
    let list = ["timeout", "5", "virsh", "-q", "-c", "qemu:///system", "list", "--all", "--uuid"];
    let asked = host.output(&list).ok().filter(|asked| asked.status.success());
    asked.is_some_and(|asked| {
        !String::from_utf8_lossy(&asked.stdout).to_ascii_lowercase().contains(&uuid.to_ascii_lowercase())
    })
}

/// Definitions in a directory of libvirt's that carry this UUID.
fn definitions_of(directory: &Path, uuid: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "xml"));
    let tag = format!("<uuid>{}</uuid>", uuid.to_ascii_lowercase());
    files
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.to_ascii_lowercase().contains(&tag)))
        .collect()
}

/// Everything below the watched directories that the host itself wrote, by its path inside.
fn watched_files(host: &Host) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for directory in WATCHED {
        walk(&host.disk_path(directory), Path::new(directory), &mut found);
    }
    found
}

fn walk(outside: &Path, inside: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(outside).into_iter().flatten().flatten() {
        let path = inside.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &path, found);
        }
        found.insert(path);
    }
}
