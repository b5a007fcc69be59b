//! One machine of a lab: running programs in it and reaching its files.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::furnish::PATH;
use crate::process::{self, ProcessId, ProcessInfo};
use crate::state::{Machine, Places, Role};
use crate::{helper, roots};

const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// What a program may take, in seconds: whoever waits for one that hangs (a virsh whose libvirtd does not answer, say) is told which
/// it was. `timeout` ends its children too, which would keep the pipes open.
const PROGRAM_LIMIT_S: &str = "150";
/// What `timeout` says of a program that it ended: by SIGTERM, and by SIGKILL where that did not help.
const ENDED_BY_LIMIT: [i32; 2] = [124, 137];

/// A host, or the controller.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) places: Places,
    name: String,
}

impl Host {
    pub(crate) fn new(places: Places, name: &str) -> Self {
        Self { places, name: name.to_owned() }
    }

    /// Its host name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the lab remembers of it.
    pub fn machine(&self) -> Result<Machine> {
        Ok(self.places.require()?.machine(&self.name)?.clone())
    }

    /// Its address in the lab's network.
    pub fn address(&self) -> Result<String> {
        Ok(self.machine()?.address())
    }

    /// Whether it is powered on.
    pub fn is_running(&self) -> bool {
        self.machine().is_ok_and(|machine| machine.running().is_some())
    }

    /// Its PID 1, as a process of the real machine.
    pub fn init(&self) -> Result<ProcessId> {
        self.machine()?.running().with_context(|| format!("{} is switched off", self.name))
    }

    /// A command that will run inside, in all namespaces of the host, with an environment of its own (add to it
    /// with `env`). It dies with the process that starts it and with the host; `kill` on the child kills the
    /// program; its exit status, or the signal it died of, is the child's.
    ///
    /// The child's pid is that of a stand-in outside. [`Host::processes`] shows the program's own.
    pub fn command(&self, program: &str) -> Result<Command> {
        let init = self.init()?;
        let mut command = Command::new(helper::program()?);
        command.args(["_enter", "--bound", &init.pid.to_string(), "--", program]).current_dir("/");
        command.env_clear().envs([("PATH", PATH), ("HOME", "/root"), ("USER", "root"), ("LANG", "C.UTF-8")]);
        Ok(command)
    }

    /// A command that is ended after [`PROGRAM_LIMIT_S`].
    fn limited(&self, program: &[&str]) -> Result<Command> {
        anyhow::ensure!(!program.is_empty(), "no program was named");
        let mut command = self.command("timeout")?;
        command.args(["-k", "5", PROGRAM_LIMIT_S]).args(program);
        Ok(command)
    }

    /// Runs a program inside and returns what it printed, whatever its end. One that hangs is ended, and then answers 124.
    pub fn output(&self, program: &[&str]) -> Result<Output> {
        let mut command = self.limited(program)?;
        command.stdin(Stdio::null());
        command.output().with_context(|| format!("{} on {}", program.join(" "), self.name))
    }

    /// Runs a program inside that has to succeed, and returns what it printed.
    pub fn run(&self, program: &[&str]) -> Result<String> {
        checked(&self.name, &program.join(" "), self.output(program)?)
    }

    /// Runs a program inside with `input`; it has to succeed.
    pub fn run_with_input(&self, program: &[&str], input: &[u8]) -> Result<String> {
        let mut command = self.limited(program)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            std::io::Write::write_all(&mut stdin, input)?;
        }
        checked(&self.name, &program.join(" "), child.wait_with_output()?)
    }

    /// Makes its libvirt reachable in the lab's network without login, as `listen_tcp` does, until the process ends: ssh, on the host
    /// itself, passes the port of libvirt's TCP transport on to libvirt's socket.
    pub fn serve_libvirt_by_tcp(&self) -> Result<Child> {
        const FORWARD: &str = "0.0.0.0:16509:/run/libvirt/libvirt-sock";
        let mut ssh = self.command("ssh")?;
        ssh.args(["-N", "-g", "-o", "ExitOnForwardFailure=yes", "-L", FORWARD, "localhost"]);
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        ssh.spawn().context("ssh cannot be started")
    }

    /// Runs `virsh` inside; it has to succeed.
    pub fn virsh(&self, arguments: &[&str]) -> Result<String> {
        self.run(&[&["virsh", "-q", "-c", "qemu:///system"], arguments].concat())
    }

    /// Where a file of the running host is, seen from outside.
    pub fn path(&self, inside: impl AsRef<Path>) -> Result<PathBuf> {
        Ok(Path::new(&format!("/proc/{}/root", self.init()?.pid)).join(relative(inside.as_ref())))
    }

    /// Where a file that the host itself wrote to its disk is, whether it is powered on or not.
    pub fn disk_path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.places.upper(&self.name).join(relative(inside.as_ref()))
    }

    /// Everything that runs on it, with pids of the real machine.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        self.init().map(|init| process::in_pid_namespace_of(init.pid)).unwrap_or_default()
    }

    /// The QEMU that runs the domain with this UUID, as a process of the real machine.
    pub fn pid_of_qemu(&self, uuid: &str) -> Option<i32> {
        let qemus = self.processes().into_iter().filter(|process| process.name.starts_with("qemu-system"));
        let mut found = qemus.filter(|process| {
            process.arguments.windows(2).any(|pair| pair[0] == "-uuid" && pair[1].eq_ignore_ascii_case(uuid))
        });
        found.next().map(|process| process.pid)
    }

    /// Waits until its daemons answer.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        let machine = self.machine()?;
        let deadline = Instant::now() + READY_WITHIN;
        self.wait_until(deadline, "sshd", || Ok(self.path("/run/sshd.pid")?.exists()))?;
        if machine.role == Role::Host {
            self.wait_libvirtd(deadline)?;
        }
        Ok(())
    }

    /// Waits until libvirtd takes connections and has loaded its drivers.
    pub(crate) fn wait_libvirtd(&self, deadline: Instant) -> Result<()> {
        self.wait_until(deadline, "libvirtd", || {
            Ok(UnixStream::connect(self.path("/run/libvirt/libvirt-sock")?).is_ok())
        })?;
        self.virsh(&["version"]).map(drop)
    }

    pub(crate) fn wait_until(
        &self,
        deadline: Instant,
        what: &str,
        there: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        loop {
            match there() {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < deadline => thread::sleep(LOOK_AGAIN),
                other => {
                    let console = roots::tail(&self.places.console(&self.name), 15);
                    let why = other.err().map_or("too slow".to_owned(), |error| format!("{error:#}"));
                    bail!("{}: {what} does not come up ({why}); its console says:\n{console}", self.name)
                }
            }
        }
    }

    /// Writes a file inside.
    pub fn write(&self, inside: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        let path = self.path(inside)?;
        fs::write(&path, content).with_context(|| path.display().to_string())
    }

    /// Reads a file inside.
    pub fn read(&self, inside: impl AsRef<Path>) -> Result<String> {
        let path = self.path(inside)?;
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

fn relative(inside: &Path) -> &Path {
    inside.strip_prefix("/").unwrap_or(inside)
}

fn checked(host: &str, what: &str, output: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code().is_some_and(|code| ENDED_BY_LIMIT.contains(&code)) {
        bail!("{what} on {host} did not end within {PROGRAM_LIMIT_S} s");
    }
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{what} on {host} failed ({}):\n{}{}", output.status, text, errors.trim());
    }
    Ok(text)
}
