//! `ferryd` as a child process on a machine of the lab.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab::Host;
use rustix::process::{Pid, Signal, kill_process};

use super::{LOOK_AGAIN, World};

const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often a `ferryd` that does not become ready is asked whether it still lives.
const STILL_ALIVE: Duration = Duration::from_millis(100);
/// Where `ferryd` tells that it is ready, in its machine.
const NOTIFY: &str = "/run/ferryd-notify";
/// Lines of the log that are shown when a test fails.
const SHOWN: usize = 80;

/// A `ferryd`, running or killed.
pub(crate) struct Ferryd {
    machine: Host,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
    logs: tempfile::TempDir,
}

impl Ferryd {
    /// Starts it and waits until it is ready.
    pub(crate) fn started(machine: Host, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let logs = tempfile::tempdir().expect("a directory");
        let mut ferryd = Self { machine, flags, environment: Vec::new(), child: None, logs };
        ferryd.start();
        ferryd
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let notify = self.machine.path(NOTIFY).expect("the machine is on");
        // The last one's, which was killed.
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a socket in the machine");
        ready.set_read_timeout(Some(STILL_ALIVE)).expect("a time limit");
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a log");
        let mut command = self.machine.command("ferryd").expect("the machine is on");
        command.args(&self.flags).env("NOTIFY_SOCKET", NOTIFY).envs(self.environment.iter().cloned());
        // A level of the test's own goes before this one.
        if !self.flags.iter().any(|flag| flag.starts_with("--log-level")) {
            command.args(["--log-level", "info,ferryd=debug"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("ferryd starts"));
        self.wait_ready(&ready);
    }

    fn wait_ready(&mut self, ready: &UnixDatagram) {
        let deadline = Instant::now() + READY_WITHIN;
        let mut message = [0; 64];
        while ready.recv(&mut message).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("wait"));
            assert!(ended.is_none(), "ferryd ended ({ended:?}):\n{}", self.log());
            assert!(Instant::now() < deadline, "ferryd does not become ready:\n{}", self.log());
        }
        assert!(message.starts_with(b"READY=1"), "{}", String::from_utf8_lossy(&message));
    }

    /// Its own process; the child is a stand-in outside of the machine.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.machine
            .processes()
            .into_iter()
            .find(|process| process.name == "ferryd")
            .map(|process| process.pid)
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let pid = self.pid().and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, Signal::KILL).expect("SIGKILL");
        let mut child = self.child.take().expect("it was started");
        child.wait().expect("it ends");
        assert_eq!(self.pid(), None, "it is gone");
    }

    /// Waits until it has ended by itself.
    fn wait_end(&mut self, limit: Duration) {
        let child = self.child.as_mut().expect("it was started");
        let deadline = Instant::now() + limit;
        while child.try_wait().expect("wait").is_none() {
            assert!(Instant::now() < deadline, "ferryd does not end within {limit:?}");
            std::thread::sleep(LOOK_AGAIN);
        }
        self.child = None;
    }

    /// What it has logged so far, all its lives together.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.logs.path().join("ferryd.log")
    }
}

impl Drop for Ferryd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let first = log.lines().count().saturating_sub(SHOWN);
            let shown: Vec<&str> = log.lines().skip(first).collect();
            println!("the end of ferryd's log:\n{}", shown.join("\n"));
        }
        if let Some(child) = &mut self.child {
            // With the stand-in goes the program.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World {
    /// Ends `ferryd` with SIGKILL and starts it again with these variables in its environment, for this life alone.
    pub(crate) fn restart_ferryd_with(&self, environment: &[(&str, &str)]) {
        self.kill_ferryd();
        self.start_ferryd_with(environment);
    }

    /// Starts `ferryd` again, which has ended, with these variables in its environment, for this life alone.
    pub(crate) fn start_ferryd_with(&self, environment: &[(&str, &str)]) {
        let mut ferryd = self.ferryd.borrow_mut();
        ferryd.environment =
            environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        ferryd.start();
        ferryd.environment.clear();
    }

    /// Waits until `ferryd` has ended by itself.
    pub(crate) fn wait_ferryd_ends(&self, limit: Duration) {
        self.ferryd.borrow_mut().wait_end(limit);
    }
}

/// Starts a program on a machine with all its streams piped.
pub(crate) fn spawn(machine: &Host, program: &[&str]) -> Child {
    let mut command = machine.command(program[0]).expect("the machine is on");
    command.args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}
