//! Switching a machine on.
//!
//! ```text
//! up / boot HOST ── ferry-lab _boot ── new mount, network, UTS and IPC namespaces; the cable
//!                        └── ferry-lab _init ── PID 1 of a new PID namespace: mounts, daemons, then reaps
//! ```
//! `_boot` prints the pid of `_init` and ends. Everything of the machine lives in the namespaces of `_init`: when
//! that is killed, the kernel kills the rest and takes mounts, network and cable away.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, pivot_root, sethostname, setsid};

use crate::furnish::PATH;
use crate::net;
use crate::state::{Machine, Places, Role};

const NOTHING: Option<&str> = None;

/// Where every machine sees the same directory, as if it came from a file server.
const SHARED_DIR: &str = "srv/shared";

/// `ferry-lab _boot`: makes the namespaces and starts PID 1 in them.
pub(crate) fn run_boot(places: &Places, name: &str) -> Result<()> {
    let state = places.require()?;
    let machine = state.machine(name)?;
    let switch = state.switch.context("the lab has no switch")?;
    setsid().context("setsid")?;
    let kinds = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    unshare(kinds).context("unshare")?;
    // Nothing that is mounted here may show in the machine's own mount namespace.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, private, NOTHING).context("making mounts private")?;
    net::plug_in(machine, &switch)?;
    // Only now: every process started from here on is in the new PID namespace, the first being its init.
    unshare(CloneFlags::CLONE_NEWPID).context("unshare")?;
    let console = OpenOptions::new().create(true).append(true).open(places.console(name))?;
    let mut init = Command::new("/proc/self/exe");
    init.args(["_init", "--lab", &places.lab, name]);
    init.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
    let child = init.spawn().context("PID 1 cannot be started")?;
    println!("{}", child.id());
    Ok(())
}

/// `ferry-lab _init`: PID 1 of a machine.
pub(crate) fn run_init(places: &Places, name: &str) -> Result<()> {
    if std::process::id() != 1 {
        bail!("_init is for PID 1 of a machine of the lab");
    }
    let state = places.require()?;
    let machine = state.machine(name)?;
    umask(Mode::from_bits_truncate(0o022));
    build_root(places, machine, &state.bin_dir)?;
    sethostname(&machine.name).context("sethostname")?;
    reap_from_now_on()?;
    start_daemons(machine);
    reap_for_ever()
}

/// Mounts the machine's file systems and makes them the root.
fn build_root(places: &Places, machine: &Machine, bin_dir: &Path) -> Result<()> {
    let directory = places.machine(&machine.name);
    let (root, upper, work) = (directory.join("root"), directory.join("upper"), directory.join("work"));
    for path in [&root, &upper, &work] {
        fs::create_dir_all(path)?;
    }
    let (lower, upper) = (machine.root.display(), upper.display());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={}", work.display());
    let no_flags = MsFlags::empty();
    mount(Some("overlay"), &root, Some("overlay"), no_flags, Some(options.as_str())).context("overlay")?;
    bind_read_only(bin_dir, &root.join("opt/ferry/bin"))?;
    bind_read_only(&places.guest(), &root.join("opt/ferry/guest"))?;
    for path in [&places.shared(), &root.join(SHARED_DIR)] {
        fs::create_dir_all(path)?;
    }
    bind(&places.shared(), &root.join(SHARED_DIR))?;
    let nosuid = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("proc"), &root.join("proc"), Some("proc"), nosuid, NOTHING).context("proc")?;
    // The devices and the panic button in these two are the real machine's.
    let read_only = nosuid | MsFlags::MS_RDONLY;
    mount(Some("sysfs"), &root.join("sys"), Some("sysfs"), read_only, NOTHING).context("sysfs")?;
    let trigger = root.join("proc/sysrq-trigger");
    if trigger.exists() {
        bind(Path::new("/dev/null"), &trigger)?;
    }
    mount(Some("tmpfs"), &root.join("run"), Some("tmpfs"), nosuid, Some("mode=755")).context("run")?;
    fs::create_dir_all(root.join("run/sshd"))?;
    devices(&root.join("dev"))?;
    chdir(&root)?;
    // The old root ends up over the new one and is then taken off: no directory for it is needed.
    pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leaving the old root")?;
    chdir("/").context("chdir")
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, NOTHING, MsFlags::MS_BIND, NOTHING)
        .with_context(|| format!("{} at {}", from.display(), to.display()))
}

fn bind_read_only(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    bind(from, to)?;
    let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NOTHING, to, NOTHING, again, NOTHING).with_context(|| to.display().to_string())
}

/// A `/dev` of the machine's own, without KVM: guests run under TCG, the same everywhere.
fn devices(dev: &Path) -> Result<()> {
    mount(Some("tmpfs"), dev, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755")).context("dev")?;
    let nodes = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
        ("net/tun", 10, 200),
    ];
    for directory in ["net", "pts", "shm"] {
        fs::create_dir(dev.join(directory))?;
    }
    for (name, major, minor) in nodes {
        let (path, nobody) = (dev.join(name), Mode::empty());
        mknod(&path, SFlag::S_IFCHR, nobody, makedev(major, minor)).with_context(|| name)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    }
    let links = [("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")];
    for (name, to) in links.into_iter().chain([("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")])
    {
        symlink(to, dev.join(name))?;
    }
    let pts = Some("newinstance,ptmxmode=0666,mode=620,gid=5");
    mount(Some("devpts"), &dev.join("pts"), Some("devpts"), MsFlags::MS_NOSUID, pts).context("devpts")?;
    mount(Some("tmpfs"), &dev.join("shm"), Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=1777"))
        .context("dev/shm")
}

/// Dead children of the dead must be collected, or libvirt waits 40 s for each QEMU that it stops.
fn reap_from_now_on() -> Result<()> {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block().context("sigmask")
}

fn start_daemons(machine: &Machine) {
    let mut daemons = vec![("/usr/sbin/sshd", vec!["-D", "-e"])];
    if machine.role == Role::Host {
        daemons.push(("/usr/sbin/libvirtd", vec![]));
    }
    for (program, arguments) in daemons {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", PATH).env("HOME", "/root").env("LANG", "C.UTF-8");
        // Children keep the mark: a daemon is a process of the lab.
        command.envs(std::env::var_os(crate::state::MARK).map(|value| (crate::state::MARK, value)));
        crate::sys::unblock_signals(&mut command);
        if let Err(error) = command.spawn() {
            crate::say::say(&format!("{program}: {error}"));
        }
    }
}

fn reap_for_ever() -> ! {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    loop {
        if children.wait().is_err() {
            thread::yield_now();
        }
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(_) | Err(_) => {}
            }
        }
    }
}
