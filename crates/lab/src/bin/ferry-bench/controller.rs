//! Ferry in a lab: `ferryd` on the controller, and its hosts.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{Host, Lab};

const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What ferryd says, in the controller.
const LOG: &str = "/var/log/ferryd.log";

/// How Ferry reaches the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By ssh: it has a shell there, and sees a QEMU die.
    Shell,
    /// By libvirt's own connection alone: it knows what libvirt's events tell.
    EventsOnly,
}

impl Reach {
    /// The URI by which the controller opens a host, the same for Ferry and for virsh.
    pub(crate) fn uri(self, host: &str) -> String {
        match self {
            Self::Shell => format!("qemu+ssh://root@{host}/system"),
            Self::EventsOnly => format!("qemu+tcp://{host}/system"),
        }
    }
}

/// The URI by which a host opens another one.
pub(crate) fn peer_uri(host: &str) -> String {
    format!("qemu+ssh://root@{host}/system")
}

/// A running `ferryd`, and what makes libvirt reachable without a shell. All end with this value.
#[derive(Debug)]
pub(crate) struct Controller {
    host: Host,
    processes: Vec<Child>,
}

impl Controller {
    /// Starts `ferryd` and registers the lab's hosts.
    pub(crate) fn start(lab: &Lab, reach: Reach) -> Result<Self> {
        let mut controller = Self { host: lab.controller(), processes: Vec::new() };
        for host in lab.hosts()?.iter().filter(|_| reach == Reach::EventsOnly) {
            controller.processes.push(host.serve_libvirt_by_tcp()?);
        }
        controller.start_ferryd()?;
        for host in lab.hosts()? {
            let (uri, peer) = (reach.uri(host.name()), peer_uri(host.name()));
            controller.wait_for(&["ferry", "host", "add", host.name(), &uri, "--peer-uri", &peer])?;
        }
        Ok(controller)
    }

    fn start_ferryd(&mut self) -> Result<()> {
        let mut ferryd = self.host.command("sh")?;
        ferryd.args(["-c", &format!("exec ferryd >>{LOG} 2>&1")]).stdin(Stdio::null());
        self.processes.push(ferryd.spawn().context("ferryd cannot be started")?);
        self.wait_for(&["ferry", "host", "list"])
    }

    /// Kills ferryd with SIGKILL and starts it again.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let mut ferryd = self.processes.pop().context("ferryd was started last")?;
        // With the stand-in goes the program.
        ferryd.kill()?;
        ferryd.wait()?;
        while self.host.processes().iter().any(|process| process.name == "ferryd") {
            thread::sleep(LOOK_AGAIN);
        }
        self.start_ferryd()
    }

    /// What ferryd has said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.host.disk_path(LOG)).unwrap_or_default()
    }

    /// Runs a command until it succeeds: what it talks to is just starting.
    fn wait_for(&self, command: &[&str]) -> Result<()> {
        self.until(command, READY_WITHIN).map(drop)
    }

    /// Runs a command again and again until it succeeds, and returns what it printed.
    pub(crate) fn until(&self, command: &[&str], limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            match self.host.run(command) {
                Ok(printed) => return Ok(printed),
                Err(error) if Instant::now() > deadline => {
                    bail!("{error:#}\nferryd says:\n{}", self.log())
                }
                Err(_) => thread::sleep(LOOK_AGAIN),
            }
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Either may have ended by itself, which is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
