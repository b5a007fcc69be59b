//! What a lab is made of, on disk: `/run/ferry-lab/NAME/state.json`, and where its other files lie.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::process::ProcessId;
use crate::release::Release;

/// Name of the environment variable that every process of a lab carries, with the lab's state directory in it.
pub(crate) const MARK: &str = "FERRY_LAB_MARK";
/// Name of the machine in every lab that has no libvirtd.
pub const CONTROLLER: &str = "controller";
const NAME_BYTES_MAX: usize = 40;

/// What a machine of the lab is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs libvirtd and guests.
    Host,
    /// Has ssh and libvirt's client only.
    Controller,
}

/// One machine of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Its host name.
    pub name: String,
    /// Host or controller.
    pub role: Role,
    /// The Debian it runs.
    pub release: Release,
    /// The read-only root below its overlay.
    pub root: PathBuf,
    /// Its number: last byte of address and MAC, name of its cable.
    pub index: u8,
    /// What libvirt reports as the host's UUID.
    pub host_uuid: String,
    /// How often it was booted.
    pub boots: u32,
    /// Its PID 1, while it is powered on.
    pub init: Option<ProcessId>,
    /// Whether its cable is pulled.
    pub cable_out: bool,
    /// Limit of its link in both directions.
    pub rate_mbit: Option<u32>,
}

impl Machine {
    /// Its address in the lab's network.
    pub fn address(&self) -> String {
        format!("10.77.0.{}", self.index)
    }

    /// Its hardware address.
    pub fn mac(&self) -> String {
        format!("52:54:00:77:00:{:02x}", self.index)
    }

    /// The end of its cable at the switch.
    pub(crate) fn port(&self) -> String {
        format!("port{}", self.index)
    }

    /// Its PID 1 if that still runs.
    pub fn running(&self) -> Option<ProcessId> {
        self.init.filter(ProcessId::alive)
    }
}

/// Everything that is remembered of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabState {
    /// The lab's name.
    pub name: String,
    /// The boot of the machine that the pids belong to.
    pub machine_boot_id: String,
    /// Directory that appears as `/opt/ferry/bin` in every machine.
    pub bin_dir: PathBuf,
    /// The process that takes the lab down when its owner ends, if it is bound to one.
    pub keeper: Option<ProcessId>,
    /// The process that holds the network namespace of the switch.
    pub switch: Option<ProcessId>,
    /// The controller first, then the hosts.
    pub machines: Vec<Machine>,
}

impl LabState {
    /// A machine by its name.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        let found = self.machines.iter().find(|machine| machine.name == name);
        found.with_context(|| format!("the lab \"{}\" has no machine \"{name}\"", self.name))
    }

    /// Whether the pids mean anything: after a reboot of the machine they are other processes'.
    pub(crate) fn of_this_boot(&self) -> bool {
        machine_boot_id().is_ok_and(|id| id == self.machine_boot_id)
    }

    /// All processes that keep the lab alive and still run.
    pub(crate) fn processes(&self) -> Vec<ProcessId> {
        if !self.of_this_boot() {
            return Vec::new();
        }
        let inits = self.machines.iter().filter_map(|machine| machine.init);
        inits.chain(self.switch).filter(ProcessId::alive).collect()
    }
}

/// Where the files of a lab lie.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) lab: String,
}

impl Places {
    /// Checks the name, which becomes a directory and part of messages.
    pub(crate) fn of(lab: &str) -> Result<Self> {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if lab.is_empty() || lab.len() > NAME_BYTES_MAX || lab.starts_with('-') || !lab.chars().all(fine) {
            bail!("\"{lab}\" is no name for a lab: letters, digits, - and _, at most {NAME_BYTES_MAX}");
        }
        Ok(Self { lab: lab.to_owned() })
    }

    /// Private state: pids, keys, logs of the helpers.
    pub(crate) fn run(&self) -> PathBuf {
        run_root().join(&self.lab)
    }

    /// Disks of the machines and the guest's boot files.
    pub(crate) fn data(&self) -> PathBuf {
        directory("FERRY_LAB_DATA", "/var/lib/ferry-lab").join(&self.lab)
    }

    /// Files of one machine.
    pub(crate) fn machine(&self, name: &str) -> PathBuf {
        self.data().join("machines").join(name)
    }

    /// What the machine wrote: the upper layer of its overlay.
    pub(crate) fn upper(&self, name: &str) -> PathBuf {
        self.machine(name).join("upper")
    }

    /// What all machines see at `/srv/shared`.
    pub(crate) fn shared(&self) -> PathBuf {
        self.data().join("shared")
    }

    /// What the machine's PID 1 and daemons print.
    pub(crate) fn console(&self, name: &str) -> PathBuf {
        self.run().join(format!("{name}.console"))
    }

    /// Kernel and initramfs of the test guest.
    pub(crate) fn guest(&self) -> PathBuf {
        self.data().join("guest")
    }

    /// The word in the environment of the lab's processes.
    pub(crate) fn mark(&self) -> String {
        format!("{MARK}={}", self.run().display())
    }

    fn state_file(&self) -> PathBuf {
        self.run().join("state.json")
    }

    /// Reads the state; `None` when there is no such lab.
    pub(crate) fn read(&self) -> Result<Option<LabState>> {
        let path = self.state_file();
        match fs::read(&path) {
            Ok(bytes) => {
                Ok(Some(serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Reads the state of a lab that has to exist.
    pub(crate) fn require(&self) -> Result<LabState> {
        self.read()?.with_context(|| format!("there is no lab \"{}\"", self.lab))
    }

    /// Writes a whole state: readers see the old or the new one.
    pub(crate) fn write(&self, state: &LabState) -> Result<()> {
        let temporary = self.run().join(format!("state.{}.tmp", std::process::id()));
        fs::write(&temporary, serde_json::to_vec_pretty(state)?)?;
        fs::rename(&temporary, self.state_file())?;
        Ok(())
    }

    /// Changes the state while no other process of the lab does.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut LabState) -> Result<T>) -> Result<T> {
        let _lock = lock(&self.run().join("lock"))?;
        let mut state = self.require()?;
        let result = change(&mut state)?;
        self.write(&state)?;
        Ok(result)
    }

    /// Changes what is remembered of one machine.
    pub(crate) fn update_machine(&self, name: &str, change: impl FnOnce(&mut Machine)) -> Result<()> {
        self.update(|state| {
            let found = state.machines.iter_mut().find(|machine| machine.name == name);
            change(found.with_context(|| format!("the lab has no machine \"{name}\""))?);
            Ok(())
        })
    }
}

/// Names of all labs that have state on this machine.
pub fn lab_names() -> Vec<String> {
    let entries = fs::read_dir(run_root()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The cache of Debian roots, shared by all labs.
pub(crate) fn cache_dir() -> PathBuf {
    directory("FERRY_LAB_CACHE", "/var/cache/ferry-lab")
}

fn run_root() -> PathBuf {
    directory("FERRY_LAB_RUN", "/run/ferry-lab")
}

fn directory(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from)
}

/// Makes a directory that only root may enter.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| path.display().to_string())
}

/// Waits for the lock that the file stands for and holds it until the result is dropped.
pub(crate) fn lock(path: &Path) -> Result<Flock<File>> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let file = file.with_context(|| path.display().to_string())?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).context("lock")
}

/// The random name of this boot of the machine.
pub(crate) fn machine_boot_id() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A fresh random UUID, made by the kernel.
pub fn random_uuid() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}
