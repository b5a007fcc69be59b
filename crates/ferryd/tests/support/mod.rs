//! A lab with a `ferryd` in it: what the tests on the real thing share.
//!
//! * [`World`] – a lab of one test alone, a `ferryd` on one of its machines, and the `ferry` command beside it;
//! * [`process`] – `ferryd` as a child process: started, killed, its log shown when a test fails;
//! * [`guest`] – test guests and the oracle's verdict on them;
//! * [`recorded`] – what Kimchi was recorded to answer;
//! * [`images`] – their images; [`screen`] – what is on their screens;
//! * [`kimchi`] – the inherited interface on real hosts;
//! * [`http`] – requests as bytes, for what no well-behaved client sends;
//! * [`tasks`] – waiting for what tasks tell; [`standstill`] – what runs when a test does not end; [`supervised`] – libvirtd looked after.
//!
//! Nothing here sleeps for a fixed time: tasks and readiness are awaited by their events. Where a thing tells nobody that it
//! changes, [`until`] looks again and again.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod guest;
pub(crate) mod http;
pub(crate) mod images;
pub(crate) mod kimchi;
pub(crate) mod process;
pub(crate) mod recorded;
pub(crate) mod screen;
mod standstill;
mod supervised;
pub(crate) mod tasks;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use api::client::{Address, Client};
use lab::{Host, Lab, Release};
use serde::de::DeserializeOwned;

use self::process::Ferryd;
use self::standstill::Standstill;

use lab::CONTROLLER;

/// No single `ferry` command takes longer, or it hangs.
const COMMAND_LIMIT_S: &str = "120";
/// For what takes a moment and would take for ever if it were broken.
pub(crate) const SOON: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A lab, and a `ferryd` on one of its machines. All of it ends with the value.
pub(crate) struct World {
    // Dropped in this order: `ferryd` ends before its machine.
    ferryd: RefCell<Ferryd>,
    machine: Host,
    runtime: tokio::runtime::Runtime,
    pub(crate) lab: Lab,
    _standstill: Standstill,
}

/// Names the releases of source and destination for the tests that do not depend on them: "trixie,bookworm".
const RELEASES: &str = "FERRY_TEST_RELEASES";

/// The releases of two hosts: those that were asked for, or else the test's own.
pub(crate) fn releases(own: [Release; 2]) -> [Release; 2] {
    let Ok(asked) = std::env::var(RELEASES) else { return own };
    let (source, destination) = asked.split_once(',').expect("two releases");
    [source, destination].map(|release| release.parse().expect("a release"))
}

/// What a world shall consist of.
pub(crate) struct Plan {
    test: &'static str,
    hosts: Vec<(&'static str, Release)>,
    machine: &'static str,
    flags: Vec<&'static str>,
}

impl World {
    /// Describes the world of a test; the name is short and no other test's.
    pub(crate) fn of(test: &'static str) -> Plan {
        Plan { test, hosts: Vec::new(), machine: CONTROLLER, flags: Vec::new() }
    }

    /// Two hosts of the same release that `ferryd` knows.
    pub(crate) fn pair(test: &'static str) -> Self {
        Self::between(test, [Release::Bookworm, Release::Bookworm])
    }

    /// Two hosts of two releases, the newer one the destination, that `ferryd` knows.
    pub(crate) fn mixed(test: &'static str) -> Self {
        Self::between(test, [Release::Bookworm, Release::Trixie])
    }

    /// Two hosts of one release that `ferryd` knows, for what goes to and fro and not into an older QEMU: saved memory.
    pub(crate) fn alike(test: &'static str) -> Self {
        let [source, _] = releases([Release::Bookworm, Release::Bookworm]);
        Self::with(test, [source, source])
    }

    fn between(test: &'static str, own: [Release; 2]) -> Self {
        Self::with(test, releases(own))
    }

    fn with(test: &'static str, [source, destination]: [Release; 2]) -> Self {
        let world = Self::of(test).host("kvm1", source).host("kvm2", destination).up();
        world.register("kvm1");
        world.register("kvm2");
        world
    }

    /// A machine of the lab.
    pub(crate) fn host(&self, name: &str) -> Host {
        self.lab.host(name)
    }

    /// The machine that `ferryd` runs on.
    pub(crate) fn machine(&self) -> &Host {
        &self.machine
    }

    /// `ferryd`'s socket, as it is seen from here.
    pub(crate) fn socket(&self) -> PathBuf {
        self.machine.path("/run/ferry/ferry.sock").expect("the machine is on")
    }

    /// What `ferryd` has logged so far, all its lives together.
    pub(crate) fn log(&self) -> String {
        self.ferryd.borrow().log()
    }

    /// The pid of `ferryd`'s own process.
    pub(crate) fn pid_of_ferryd(&self) -> i32 {
        self.ferryd.borrow().pid().expect("ferryd runs")
    }

    /// Ends `ferryd` with SIGKILL.
    pub(crate) fn kill_ferryd(&self) {
        self.ferryd.borrow_mut().kill();
    }

    /// Starts `ferryd` again and waits until it is ready.
    pub(crate) fn start_ferryd(&self) {
        self.ferryd.borrow_mut().start();
    }

    /// Registers a host by its name, as a person would.
    pub(crate) fn register(&self, host: &str) {
        self.ferry(&["host", "add", host, &uri(host)]).succeeded();
    }

    /// Runs `ferry` beside `ferryd`.
    pub(crate) fn ferry(&self, arguments: &[&str]) -> Said {
        self.said(arguments, self.machine.output(&Self::command_line(arguments)).expect("ferry starts"))
    }

    /// Runs `ferry` with something on its standard input.
    pub(crate) fn ferry_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = process::spawn(&self.machine, &Self::command_line(arguments));
        let mut stdin = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("ferry reads");
        drop(stdin);
        self.said(arguments, child.wait_with_output().expect("ferry ends"))
    }

    /// Runs `ferry --json`, which has to succeed, and reads what it says.
    pub(crate) fn ferry_json<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        self.ferry(&[&["--json"], arguments].concat()).succeeded().json()
    }

    /// The whole command line; a `ferry` that hangs is ended (and then answers 124).
    fn command_line<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["timeout", "-k", "5", COMMAND_LIMIT_S, "ferry"], arguments].concat()
    }

    fn said(&self, arguments: &[&str], output: Output) -> Said {
        Said { asked: format!("ferry {}", arguments.join(" ")), ..Said::from(output) }
    }

    /// A typed client of `ferryd`.
    pub(crate) fn client(&self) -> Client {
        Client::new(Address::Unix(self.socket()))
    }

    /// Waits for something asynchronous.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Plan {
    /// Adds a host.
    pub(crate) fn host(mut self, name: &'static str, release: Release) -> Self {
        self.hosts.push((name, release));
        self
    }

    /// Has `ferryd` run on this machine instead of the controller.
    pub(crate) fn ferryd_on(mut self, machine: &'static str) -> Self {
        self.machine = machine;
        self
    }

    /// Gives `ferryd` a flag.
    pub(crate) fn flag(mut self, flag: &'static str) -> Self {
        self.flags.push(flag);
        self
    }

    /// Brings it up.
    pub(crate) fn up(self) -> World {
        let standstill = Standstill::watched();
        let name = format!("{}-{}", self.test, std::process::id());
        let builder = Lab::builder(&name).bin_dir(programs());
        let builder =
            self.hosts.iter().fold(builder, |builder, (host, release)| builder.host(host, *release));
        let lab = builder.up().expect("a lab");
        let machine = lab.host(self.machine);
        let ferryd = RefCell::new(Ferryd::started(machine.clone(), &self.flags));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        World { ferryd, machine, runtime, lab, _standstill: standstill }
    }
}

/// Where the built programs are: those that belong to these tests.
fn programs() -> PathBuf {
    let directory = Path::new(env!("CARGO_BIN_EXE_ferryd")).parent().expect("a directory").to_owned();
    for name in ["ferry", "ferry-lab"] {
        assert!(
            directory.join(name).is_file(),
            "{name} is not in {}: cargo build --workspace",
            directory.display()
        );
    }
    directory
}

/// The libvirt URI of a host of the lab.
pub(crate) fn uri(host: &str) -> String {
    format!("qemu+ssh://root@{host}/system")
}

/// Looks again and again until there is something, for what tells nobody that it changes.
#[track_caller]
pub(crate) fn until<T>(limit: Duration, what: &str, look: impl Fn() -> Option<T>) -> T {
    until_seen(limit, what, || look().ok_or(""))
}

/// The same; what was seen last instead is told when the time is over.
#[track_caller]
pub(crate) fn until_seen<T, S: std::fmt::Display>(
    limit: Duration,
    what: &str,
    look: impl Fn() -> Result<T, S>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "{what}: not within {limit:?} {seen}"),
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) asked: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self { asked: String::new(), code: output.status.code(), stdout, stderr }
    }
}

impl Said {
    /// It ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// It ended well.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.ended(0)
    }

    /// It said this to a person, on either stream.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(self.stdout.contains(part) || self.stderr.contains(part), "\"{part}\": {self:#?}");
        self
    }

    /// Its standard output, which is one JSON value.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// What each QEMU said last, where it matters why one ended.
impl Drop for World {
    fn drop(&mut self) {
        const LOGS: &str =
            "for log in /var/log/libvirt/qemu/*.log; do echo \"$log\"; tail -n 12 \"$log\"; done";
        if !std::thread::panicking() {
            return;
        }
        for host in self.lab.hosts().unwrap_or_default().iter().filter(|host| host.is_running()) {
            // One that cannot be asked any more has nothing to say.
            if let Ok(said) = host.run(&["sh", "-c", LOGS]) {
                println!("what each QEMU of {} said last:\n{said}", host.name());
            }
        }
    }
}
