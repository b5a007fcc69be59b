//! Bringing a lab up and taking it down.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;

use crate::host::Host;
use crate::process::{self, ProcessId};
use crate::release::Release;
use crate::say::say;
use crate::state::{CONTROLLER, LabState, Machine, Places, Role};
use crate::{boot_files, furnish, helper, net, roots, state};

const DIES_WITHIN: Duration = Duration::from_secs(20);
/// What the owner writes to its keeper to let the lab live on without it.
const RELEASE_WORD: &[u8] = b"release\n";
const CONTROLLER_INDEX: u8 = 1;
const FIRST_HOST_INDEX: u8 = 11;
const HOSTS_MAX: usize = 200;

/// A lab that is up, or was found.
///
/// A lab brought up by [`LabBuilder::up`] is bound to this value and to this process: it is taken down when the
/// value is dropped and when the process ends, however it ends. One found by [`Lab::open`] is left as it is.
#[derive(Debug)]
pub struct Lab {
    places: Places,
    keeper: Option<Child>,
}

/// What a lab shall consist of.
#[derive(Clone, Debug)]
pub struct LabBuilder {
    name: String,
    hosts: Vec<(String, Release)>,
    bin_dir: Option<PathBuf>,
}

impl LabBuilder {
    /// Adds a host.
    #[must_use]
    pub fn host(mut self, name: &str, release: Release) -> Self {
        self.hosts.push((name.to_owned(), release));
        self
    }

    /// Names the directory that appears as `/opt/ferry/bin` in every machine. Default: where `ferry-lab` lies.
    #[must_use]
    pub fn bin_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.bin_dir = Some(directory.into());
        self
    }

    /// Brings the lab up, bound to the result. When anything fails, nothing stays.
    pub fn up(self) -> Result<Lab> {
        require_root()?;
        let places = Places::of(&self.name)?;
        self.check()?;
        make_room(&places)?;
        let keeper = start_keeper(&places)?;
        // From here on dropping the lab takes down whatever of it exists.
        let lab = Lab { places, keeper: Some(keeper) };
        lab.build(self)?;
        Ok(lab)
    }

    fn check(&self) -> Result<()> {
        if self.hosts.len() > HOSTS_MAX {
            bail!("at most {HOSTS_MAX} hosts");
        }
        for (index, (name, _)) in self.hosts.iter().enumerate() {
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || name.len() > 32 || name.starts_with('-') || !name.chars().all(fine) {
                bail!("\"{name}\" is no host name: small letters, digits and -, at most 32");
            }
            let before = &self.hosts[..index];
            if name == CONTROLLER || name == "localhost" || before.iter().any(|(other, _)| other == name) {
                bail!("the host name \"{name}\" is taken");
            }
        }
        Ok(())
    }

    fn machines(&self) -> Result<Vec<Machine>> {
        let own = Release::of_this_machine()?;
        let controller = (CONTROLLER.to_owned(), own, Role::Controller, CONTROLLER_INDEX);
        let hosts =
            self.hosts.iter().enumerate().map(|(at, (name, release))| {
                (name.clone(), *release, Role::Host, FIRST_HOST_INDEX + at as u8)
            });
        let roots =
            roots_of(&[&[own], &self.hosts.iter().map(|(_, r)| *r).collect::<Vec<_>>()[..]].concat())?;
        let mut machines = Vec::new();
        for (name, release, role, index) in std::iter::once(controller).chain(hosts) {
            let root = roots.iter().find(|(of, _)| *of == release).map(|(_, root)| root.clone());
            machines.push(Machine {
                name,
                role,
                release,
                root: root.context("a root for every release")?,
                index,
                host_uuid: state::random_uuid()?,
                boots: 0,
                init: None,
                cable_out: false,
                rate_mbit: None,
            });
        }
        Ok(machines)
    }
}

impl Lab {
    /// Describes a new lab.
    pub fn builder(name: &str) -> LabBuilder {
        LabBuilder { name: name.to_owned(), hosts: Vec::new(), bin_dir: None }
    }

    /// Finds a lab that is up. Dropping the result changes nothing.
    pub fn open(name: &str) -> Result<Self> {
        require_root()?;
        let places = Places::of(name)?;
        places.require()?;
        Ok(Self { places, keeper: None })
    }

    /// Takes a lab down, whoever brought it up and however far that got. No such lab is no error.
    pub fn down(name: &str) -> Result<()> {
        require_root()?;
        take_down(&Places::of(name)?)
    }

    /// Lets the lab live on after this value and this process.
    pub fn release(mut self) -> Result<()> {
        if let Some(mut keeper) = self.keeper.take() {
            let mut stdin = keeper.stdin.take().context("a keeper listens")?;
            stdin.write_all(RELEASE_WORD)?;
            drop(stdin);
            keeper.wait()?;
            self.places.update(|state| {
                state.keeper = None;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.places.lab
    }

    /// What is remembered of the lab.
    pub fn state(&self) -> Result<LabState> {
        self.places.require()
    }

    /// A host (or the controller) by its name. A name that the lab does not have shows at the first use.
    pub fn host(&self, name: &str) -> Host {
        Host::new(self.places.clone(), name)
    }

    /// The machine without libvirtd, from which a controller acts.
    pub fn controller(&self) -> Host {
        self.host(CONTROLLER)
    }

    /// All hosts, without the controller.
    pub fn hosts(&self) -> Result<Vec<Host>> {
        let machines = self.state()?.machines;
        let hosts = machines.iter().filter(|machine| machine.role == Role::Host);
        Ok(hosts.map(|machine| self.host(&machine.name)).collect())
    }

    fn build(&self, plan: LabBuilder) -> Result<()> {
        let bin_dir = match &plan.bin_dir {
            Some(directory) => directory.clone(),
            None => helper::program()?.parent().map(Path::to_path_buf).context("a program lies somewhere")?,
        };
        let mut state = LabState {
            name: self.places.lab.clone(),
            machine_boot_id: state::machine_boot_id()?,
            bin_dir: bin_dir.canonicalize().with_context(|| bin_dir.display().to_string())?,
            keeper: self.keeper.as_ref().and_then(|child| ProcessId::of(child.id() as i32)),
            switch: None,
            machines: Vec::new(),
        };
        // Written early, so that whatever follows can be found and taken down.
        self.places.write(&state)?;
        state.machines = plan.machines()?;
        state::private_dir(&self.places.data())?;
        boot_files::write(&state.machines[0].root, &self.places.guest())?;
        furnish::all(&self.places, &state)?;
        state.switch = Some(net::start_switch(&self.places)?);
        self.places.write(&state)?;
        in_parallel(&state.machines, |machine| self.host(&machine.name).boot())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            // The end of its input is the keeper's sign; it is the one place that takes bound labs down.
            drop(keeper.stdin.take());
            match keeper.wait() {
                Ok(status) if status.success() => {}
                other => say(&format!("the keeper of {} ended with {other:?}", self.places.lab)),
            }
        }
    }
}

/// The roots of the named releases, made side by side where they are missing.
fn roots_of(releases: &[Release]) -> Result<Vec<(Release, PathBuf)>> {
    let mut wanted: Vec<Release> = Vec::new();
    for release in releases {
        if !wanted.contains(release) {
            wanted.push(*release);
        }
    }
    thread::scope(|scope| {
        let started: Vec<_> = wanted.iter().map(|r| (*r, scope.spawn(|| roots::ensure(*r)))).collect();
        let joined = started.into_iter().map(|(release, thread)| {
            let root = thread.join().map_err(|_| anyhow!("making the {release} root panicked"))??;
            Ok((release, root))
        });
        joined.collect()
    })
}

fn in_parallel(machines: &[Machine], act: impl Fn(&Machine) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let act = &act;
        let started: Vec<_> = machines.iter().map(|machine| scope.spawn(move || act(machine))).collect();
        let results: Vec<Result<()>> = started
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
            .collect();
        results.into_iter().collect()
    })
}

/// Refuses a name whose lab lives, removes what is left of one that does not.
fn make_room(places: &Places) -> Result<()> {
    if let Some(state) = places.read()? {
        let keeper = state.keeper.filter(|keeper| state.of_this_boot() && keeper.alive());
        if keeper.is_some() || !state.processes().is_empty() {
            bail!("the lab \"{0}\" is up already: ferry-lab down --lab {0}", places.lab);
        }
        say(&format!("removing what is left of an earlier lab \"{}\"", places.lab));
    }
    take_down(places)?;
    state::private_dir(&places.run())
}

fn start_keeper(places: &Places) -> Result<Child> {
    let log = File::create(places.run().join("keeper.log"))?;
    // Not marked: it is the one that kills what is.
    let mut command = std::process::Command::new(helper::program()?);
    command.args(["_keeper", "--lab", &places.lab]).current_dir("/");
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("the keeper cannot be started")
}

/// `ferry-lab _keeper`: takes the lab down when its owner is gone, which is when its input ends.
pub(crate) fn run_keeper(places: &Places) -> Result<()> {
    // A session of its own: Ctrl-C and the end of a test's process group are for the owner.
    nix::unistd::setsid().context("setsid")?;
    let mut word = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut word)?;
    match word == RELEASE_WORD {
        true => Ok(()),
        false => take_down(places),
    }
}

/// Kills every process of the lab, then removes its files. Namespaces, mounts and links go with the processes.
fn take_down(places: &Places) -> Result<()> {
    let deadline = Instant::now() + DIES_WITHIN;
    loop {
        // Looked for again until none is found: one may have been about to start another.
        let mut alive = process::marked(&places.mark());
        if let Ok(Some(state)) = places.read() {
            alive.extend(state.processes());
        }
        if alive.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            bail!("processes of the lab \"{}\" do not end: {alive:?}", places.lab);
        }
        alive.iter().for_each(|process| process.signal(Signal::SIGKILL));
        for process in &alive {
            let _ = process.wait_gone(Duration::from_secs(1));
        }
    }
    remove(&places.data())?;
    remove(&places.run())
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| directory.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Fails unless the caller is root.
pub fn require_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(NotRoot.into());
    }
    Ok(())
}

/// The lab was asked for by somebody who is not root.
#[derive(Debug)]
pub struct NotRoot;

impl std::fmt::Display for NotRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the lab makes namespaces and mounts: run it as root")
    }
}

impl std::error::Error for NotRoot {}
