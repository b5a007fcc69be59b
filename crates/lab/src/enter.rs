//! `ferry-lab _enter`: runs a program in all namespaces of a machine and passes its end on.
//!
//! A process cannot move itself into a PID namespace, only its children. So this process stays outside as the
//! program's stand-in: it passes signals in and the exit status out, dies of the signal the program died of, and
//! the program dies with it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, exit};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, chdir, getppid};

use crate::sys;

/// Exit status when the program could not even be started, as `env` and others use it.
const NOT_STARTED: i32 = 125;

/// Enters the machine whose PID 1 is `init`, runs the program and ends as it ended.
///
/// When `bound`, the program is killed as soon as the process that called this one is gone.
pub(crate) fn run(init: i32, bound: bool, program: &[String]) -> Result<()> {
    let parent = if bound { Some(sys::pidfd_open(getppid().as_raw())?) } else { None };
    let signals = wanted_signals();
    signals.thread_block().context("sigmask")?;
    let signal_fd = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    join_namespaces(init)?;
    let (name, arguments) = program.split_first().context("no program was named")?;
    let mut command = Command::new(name);
    command.args(arguments);
    sys::die_with_parent(&mut command);
    sys::unblock_signals(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            crate::say::say(&format!("{name}: {error}"));
            exit(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { NOT_STARTED });
        }
    };
    let status = stand_in(&mut child, &signal_fd, parent.as_ref())?;
    end_like(status)
}

/// The signals that are passed on, and the one that tells of the child's end.
fn wanted_signals() -> SigSet {
    let mut set = SigSet::empty();
    let passed = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1];
    for signal in passed.into_iter().chain([Signal::SIGUSR2, Signal::SIGCHLD]) {
        set.add(signal);
    }
    set
}

fn join_namespaces(init: i32) -> Result<()> {
    let kinds = [
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    // All are opened before the first is joined: in the machine's mounts these paths mean other processes.
    let mut open = Vec::new();
    for (name, kind) in kinds {
        let file = File::open(format!("/proc/{init}/ns/{name}")).context("the machine is switched off")?;
        open.push((file, kind));
    }
    for (file, kind) in open {
        setns(file, kind).context("setns")?;
    }
    chdir("/").context("chdir")
}

/// Waits for the end of the child, passing signals on; kills it when the parent is gone.
fn stand_in(child: &mut Child, signals: &SignalFd, parent: Option<&OwnedFd>) -> Result<ExitStatus> {
    let pid = Pid::from_raw(child.id() as i32);
    loop {
        let mut watched = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(parent.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("poll"),
        }
        let parent_is_gone = watched.get(1).and_then(PollFd::any).unwrap_or(false);
        if parent_is_gone {
            let _ = kill(pid, Signal::SIGKILL);
        }
        while let Some(info) = signals.read_signal()? {
            // A signal from a terminal (no sender) reached the child as well.
            let from_a_process = info.ssi_code <= 0;
            match Signal::try_from(info.ssi_signo as i32) {
                Ok(Signal::SIGCHLD) | Err(_) => {}
                Ok(signal) if from_a_process => drop(kill(pid, signal)),
                Ok(_) => {}
            }
        }
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
    }
}

fn end_like(status: ExitStatus) -> Result<()> {
    if let Some(signal) = status.signal().and_then(|number| Signal::try_from(number).ok()) {
        let mut mask = SigSet::empty();
        mask.add(signal);
        // Blocked so far, for it was to be passed on.
        let _ = mask.thread_unblock();
        let _ = raise(signal);
        exit(128 + signal as i32);
    }
    exit(status.code().unwrap_or(NOT_STARTED))
}
