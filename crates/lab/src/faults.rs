//! What can happen to a host: power, cable, bandwidth, frozen and dead daemons.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::Host;
use crate::process::{ProcessId, ProcessInfo};
use crate::{helper, net};

/// A libvirtd that was told to end waits up to 30 s for its own threads, then goes without them (`virNetDaemonRun`): one that has just
/// begun to look at its QEMU takes that long on a busy machine.
const DIES_WITHIN: Duration = Duration::from_secs(40);
const DAEMON_READY_WITHIN: Duration = Duration::from_secs(30);

/// A daemon of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// libvirtd
    Libvirtd,
    /// The listening sshd; sessions that are open are processes of their own and go on.
    Sshd,
}

/// Something on a host that can be frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A daemon.
    Daemon(Daemon),
    /// The QEMU of the guest with this name.
    Qemu(String),
}

impl std::str::FromStr for Daemon {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "libvirtd" => Ok(Self::Libvirtd),
            "sshd" => Ok(Self::Sshd),
            other => bail!("\"{other}\" is no daemon of the lab: libvirtd, sshd"),
        }
    }
}

impl std::str::FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("qemu:") {
            Some(guest) => Ok(Self::Qemu(guest.to_owned())),
            None => Ok(Self::Daemon(text.parse().context("or qemu:GUEST")?)),
        }
    }
}

impl From<Daemon> for Target {
    fn from(daemon: Daemon) -> Self {
        Self::Daemon(daemon)
    }
}

impl Daemon {
    fn name(self) -> &'static str {
        match self {
            Self::Libvirtd => "libvirtd",
            Self::Sshd => "sshd",
        }
    }
}

impl Host {
    /// Switches it on and waits until its daemons answer. Its disks are as they were, its memory is fresh.
    pub fn boot(&self) -> Result<()> {
        if self.is_running() {
            bail!("{} is on already", self.name());
        }
        let mut command = helper::marked(&self.places, "_boot")?;
        let output = command.arg(self.name()).stdin(Stdio::null()).output()?;
        let pid =
            String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.status.success());
        let Some(init) = pid.and_then(ProcessId::of) else {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("{} does not boot: {}{errors}", self.name(), self.console_tail());
        };
        self.places.update_machine(self.name(), |machine| {
            (machine.init, machine.cable_out) = (Some(init), false);
            machine.boots += 1;
        })?;
        if let Some(rate_mbit) = self.machine()?.rate_mbit {
            self.rate(Some(rate_mbit))?;
        }
        self.wait_ready()
    }

    fn console_tail(&self) -> String {
        crate::roots::tail(&self.places.console(self.name()), 15)
    }

    /// Takes its power away: first the cable, or its kernel would close connections for the dead, then everything.
    pub fn kill(&self) -> Result<()> {
        let (machine, init) = (self.machine()?, self.init()?);
        net::remove_cable(&machine, &self.switch()?)?;
        init.signal(Signal::SIGKILL);
        init.wait_gone(DIES_WITHIN)?;
        self.places.update_machine(self.name(), |machine| machine.init = None)
    }

    /// Pulls its cable.
    pub fn cut(&self) -> Result<()> {
        self.cable(false)
    }

    /// Puts its cable back.
    pub fn join(&self) -> Result<()> {
        self.cable(true)
    }

    fn cable(&self, connected: bool) -> Result<()> {
        self.init()?;
        net::set_cable(&self.machine()?, &self.switch()?, connected)?;
        self.places.update_machine(self.name(), |machine| machine.cable_out = !connected)
    }

    /// Limits its link to so many megabits per second in each direction; `None` lifts the limit.
    pub fn rate(&self, rate_mbit: Option<u32>) -> Result<()> {
        if rate_mbit == Some(0) {
            bail!("a link of 0 Mbit is a cut: use that");
        }
        net::set_rate(&self.machine()?, &self.init()?, &self.switch()?, rate_mbit)?;
        self.places.update_machine(self.name(), |machine| machine.rate_mbit = rate_mbit)
    }

    /// Stops a process without ending it.
    pub fn freeze(&self, target: impl Into<Target>) -> Result<()> {
        self.signal(&target.into(), Signal::SIGSTOP)
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self, target: impl Into<Target>) -> Result<()> {
        self.signal(&target.into(), Signal::SIGCONT)
    }

    /// Kills a daemon with SIGKILL. It stays dead.
    pub fn kill_daemon(&self, daemon: Daemon) -> Result<()> {
        self.end_daemon(daemon, Signal::SIGKILL)
    }

    /// Ends a daemon in order. It stays ended.
    pub fn stop_daemon(&self, daemon: Daemon) -> Result<()> {
        self.end_daemon(daemon, Signal::SIGTERM)
    }

    /// Starts a daemon that does not run and waits until it answers.
    pub fn start_daemon(&self, daemon: Daemon) -> Result<()> {
        if self.daemon_process(daemon).is_some() {
            bail!("{} runs on {} already", daemon.name(), self.name());
        }
        let (command, pid_file) = match daemon {
            Daemon::Libvirtd => ("libvirtd", "/run/libvirtd.pid"),
            Daemon::Sshd => ("/usr/sbin/sshd -D -e", "/run/sshd.pid"),
        };
        // A process of the host, not of this call: PID 1 takes it over. What the dead one left would look ready.
        let script = format!(
            "rm -f {pid_file}; test {0} = sshd || rm -f /run/libvirt/libvirt-sock; \
             setsid -f {command} >>/var/log/{0}.log 2>&1 </dev/null",
            daemon.name()
        );
        self.run(&["sh", "-c", &script])?;
        match daemon {
            Daemon::Libvirtd => self.wait_libvirtd(Instant::now() + DAEMON_READY_WITHIN),
            Daemon::Sshd => self.wait_ready(),
        }
    }

    /// Kills a daemon with SIGKILL and starts it again.
    pub fn restart_daemon(&self, daemon: Daemon) -> Result<()> {
        self.kill_daemon(daemon)?;
        self.start_daemon(daemon)
    }

    fn end_daemon(&self, daemon: Daemon, signal: Signal) -> Result<()> {
        let found = self.daemon_process(daemon);
        let found = found.with_context(|| format!("{} does not run on {}", daemon.name(), self.name()))?;
        let Some(process) = ProcessId::of(found.pid) else { return Ok(()) };
        process.signal(signal);
        process.wait_gone(DIES_WITHIN)?;
        // A child that it had just made looks like it until it has become a session, or has ended.
        let deadline = Instant::now() + DIES_WITHIN;
        self.wait_until(deadline, "the end of a daemon", || Ok(self.daemon_process(daemon).is_none()))
    }

    fn signal(&self, target: &Target, signal: Signal) -> Result<()> {
        let process = match target {
            Target::Daemon(daemon) => self.daemon_process(*daemon),
            Target::Qemu(guest) => self.qemu_process(guest),
        };
        let process = process.with_context(|| format!("{target:?} does not run on {}", self.name()))?;
        kill(Pid::from_raw(process.pid), signal).context("kill")
    }

    /// Whether a daemon is there, frozen or not.
    pub fn has_daemon(&self, daemon: Daemon) -> bool {
        self.daemon_process(daemon).is_some()
    }

    /// The daemon itself, which is a child of PID 1. Its helpers are not; open sessions of an sshd that was killed become so,
    /// and bear the names of their users.
    fn daemon_process(&self, daemon: Daemon) -> Option<ProcessInfo> {
        let init = self.init().ok()?;
        let is_session = |process: &ProcessInfo| {
            let title = process.arguments.join(" ");
            // One that has just been accepted still bears the daemon's command line, with -R.
            process.arguments.iter().any(|word| word == "-R")
                || (title.starts_with("sshd") && !title.contains("[listener]"))
        };
        self.processes().into_iter().find(|process| {
            process.parent == init.pid && process.name == daemon.name() && !is_session(process)
        })
    }

    fn qemu_process(&self, guest: &str) -> Option<ProcessInfo> {
        let wanted = format!("guest={guest}");
        let named = |process: &ProcessInfo| {
            let mut words = process.arguments.iter();
            words.any(|word| word == &wanted || word.starts_with(&format!("{wanted},")))
        };
        self.processes().into_iter().find(|process| process.name.starts_with("qemu-system") && named(process))
    }

    pub(crate) fn switch(&self) -> Result<ProcessId> {
        self.places.require()?.switch.filter(ProcessId::alive).context("the lab's switch is gone")
    }
}
