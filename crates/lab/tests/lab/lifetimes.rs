//! Nothing of a lab outlives it, however its owner ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::support::{assert_gone, leftovers, mixed, name, namespaces};
use lab::{Lab, Release};

/// Set for the process that plays an owner about to be killed.
const OWNER: &str = "FERRY_LAB_TEST_OWNER";

#[test]
fn two_labs_live_side_by_side_and_end_one_by_one() {
    let one = mixed("one").up().expect("a lab");
    let two = Lab::builder(&name("two")).host("kvm1", Release::Bookworm).up().expect("another lab");
    assert!(Lab::builder(one.name()).up().is_err(), "a name that is taken is refused");
    assert_eq!(one.host("kvm1").address().expect("it"), two.host("kvm1").address().expect("it"));
    assert_eq!(one.host("kvm2").run(&["ssh", "kvm1", "hostname"]).expect("ssh"), "kvm1\n");
    // The other lab's host of the same name and address is another machine.
    two.host("kvm1").write("/run/who", b"two").expect("a note");
    assert!(one.host("kvm1").read("/run/who").is_err());
    assert!(two.host("kvm2").run(&["true"]).is_err(), "lab two has no kvm2");

    let (first, first_name) = (namespaces(&one), one.name().to_owned());
    assert!(!leftovers(&first_name, &first).is_empty(), "the search for leftovers finds a living lab");
    drop(one);
    assert_gone(&first_name, &first);
    assert!(two.host("kvm1").virsh(&["version"]).is_ok());
    let (second, second_name) = (namespaces(&two), two.name().to_owned());
    drop(two);
    assert_gone(&second_name, &second);
}

#[test]
fn a_released_lab_stays_until_it_is_taken_down() {
    let name = name("released");
    Lab::builder(&name).host("kvm1", Release::Bookworm).up().expect("a lab").release().expect("released");
    let lab = Lab::open(&name).expect("it is there");
    let spaces = namespaces(&lab);
    assert!(lab.host("kvm1").virsh(&["pool-info", "default"]).expect("the pool").contains("running"));
    drop(lab);
    Lab::down(&name).expect("down");
    assert_gone(&name, &spaces);
    Lab::down(&name).expect("twice is no error");
}

#[test]
fn a_killed_owner_leaves_nothing() {
    if let Ok(name) = std::env::var(OWNER) {
        wait_to_be_killed(&name);
    }
    let name = name("killed");
    let this = std::env::current_exe().expect("a program");
    let mut owner = Command::new(this)
        .args(["--exact", "lifetimes::a_killed_owner_leaves_nothing", "--nocapture"])
        .env(OWNER, &name)
        .stdout(Stdio::piped())
        .spawn()
        .expect("an owner");
    let mut lines = BufReader::new(owner.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("a line").ends_with("the lab is up")));
    let spaces = namespaces(&Lab::open(&name).expect("it is there"));
    assert!(!spaces.is_empty());
    owner.kill().expect("SIGKILL");
    owner.wait().expect("dead");
    assert_gone(&name, &spaces);
}

/// The owner of a lab, in the process that plays it.
fn wait_to_be_killed(name: &str) -> ! {
    let _lab = Lab::builder(name).host("kvm1", Release::Bookworm).up().expect("a lab");
    println!("the lab is up");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_lab_that_cannot_be_built_leaves_nothing() {
    let name = name("broken");
    let missing = Lab::builder(&name).host("kvm1", Release::Bookworm).bin_dir("/nonexistent").up();
    assert!(missing.is_err());
    assert_gone(&name, &BTreeSet::new());
    assert!(Lab::builder(&name).host("no spaces", Release::Bookworm).up().is_err());
    assert!(Lab::builder("../x").up().is_err());
}

#[test]
fn a_command_ends_as_its_program_ended_and_dies_when_killed() {
    let lab = Lab::builder(&name("command")).host("kvm1", Release::Bookworm).up().expect("a lab");
    let host = lab.host("kvm1");
    assert_eq!(host.output(&["sh", "-c", "exit 7"]).expect("sh").status.code(), Some(7));
    assert_eq!(host.output(&["sh", "-c", "kill -9 $$"]).expect("sh").status.signal(), Some(9));
    assert_eq!(host.output(&["/no/such/program"]).expect("none").status.code(), Some(127));
    assert_eq!(host.run(&["hostname"]).expect("hostname"), "kvm1\n");
    assert_eq!(host.run_with_input(&["cat"], b"through").expect("cat"), "through");

    let mut sleeper = host.command("sleep").expect("a command").arg("1000").spawn().expect("a child");
    let sleeps = || host.processes().iter().any(|process| process.name == "sleep");
    while !sleeps() {
        std::thread::yield_now();
    }
    sleeper.kill().expect("SIGKILL");
    sleeper.wait().expect("dead");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while sleeps() {
        assert!(std::time::Instant::now() < deadline, "the program outlives its stand-in");
    }
}
