//! Power, cables, bandwidth, daemons.

use std::time::{Duration, Instant};

use crate::support::{BOOTS_WITHIN, mixed};
use lab::{Daemon, Expect, GuestSpec, Host, Oracle, Target};

fn reaches(from: &Host, to: &str) -> bool {
    from.output(&["ping", "-c", "1", "-W", "1", to]).expect("ping runs").status.success()
}

#[test]
fn a_cut_cable_carries_nothing_and_a_limited_one_little() {
    let lab = mixed("cable").up().expect("a lab");
    let (kvm1, kvm2) = (lab.host("kvm1"), lab.host("kvm2"));
    assert!(reaches(&kvm1, "kvm2") && reaches(&lab.controller(), "kvm2"));
    kvm2.cut().expect("cut");
    assert!(!reaches(&kvm1, "kvm2") && reaches(&kvm1, "controller"));
    kvm2.join().expect("join");
    assert!(reaches(&kvm1, "kvm2"));

    kvm1.rate(Some(40)).expect("a limit");
    let start = Instant::now();
    // 10 MB at 40 Mbit/s take 2 s, less what the bucket lets through at once.
    lab.controller().run(&["ssh", "kvm1", "head -c 10000000 /dev/zero"]).expect("bytes");
    assert!(start.elapsed() > Duration::from_millis(1500), "took {:?}", start.elapsed());
    // How fast it is without a limit depends on what else the machine does: that there is none is what counts.
    let limits = || kvm1.run(&["tc", "qdisc", "show", "dev", "eth0"]).expect("tc");
    assert!(limits().contains("tbf"));
    kvm1.rate(None).expect("no limit");
    assert!(!limits().contains("tbf"));
}

#[test]
fn a_frozen_daemon_is_silent_and_a_killed_one_stays_dead() {
    let lab = mixed("daemon").up().expect("a lab");
    let kvm1 = lab.host("kvm1");
    let asks =
        || kvm1.output(&["timeout", "1", "virsh", "-c", "qemu:///system", "list"]).expect("virsh runs");
    kvm1.freeze(Daemon::Libvirtd).expect("freeze");
    assert_eq!(asks().status.code(), Some(124));
    kvm1.thaw(Target::from(Daemon::Libvirtd)).expect("thaw");
    assert!(asks().status.success());
    kvm1.kill_daemon(Daemon::Libvirtd).expect("kill");
    assert_eq!(asks().status.code(), Some(1));
    kvm1.start_daemon(Daemon::Libvirtd).expect("start");
    assert!(asks().status.success());
    kvm1.restart_daemon(Daemon::Sshd).expect("sshd again");
    assert_eq!(lab.host("kvm2").run(&["ssh", "kvm1", "hostname"]).expect("ssh"), "kvm1\n");
}

#[test]
fn after_a_power_loss_disks_are_as_they_were_and_autostart_starts() {
    let lab = mixed("power").up().expect("a lab");
    let kvm1 = lab.host("kvm1");
    let mut spec = GuestSpec::new("g1").expect("a spec");
    spec.autostart = true;
    let log = lab.watch_guest("g1").expect("a log");
    lab.start_guest(&spec, "kvm1").expect("the guest starts");
    log.wait_ready("kvm1", BOOTS_WITHIN).expect("the guest boots");
    let oracle = Oracle::before(&lab, &spec).expect("a look before");
    kvm1.run(&["sh", "-c", "echo kept >/root/note; echo lost >/run/note"]).expect("notes");

    kvm1.kill().expect("power off");
    assert!(!kvm1.is_running() && !reaches(&lab.host("kvm2"), "kvm1"));
    let verdict = oracle.verdict(&lab, &log, Expect::Lost).expect("a verdict");
    assert_eq!(verdict.violations, Vec::<String>::new());

    kvm1.boot().expect("power on");
    assert_eq!(kvm1.read("/root/note").expect("the disk"), "kept\n");
    assert!(kvm1.read("/run/note").is_err());
    let deadline = Instant::now() + BOOTS_WITHIN;
    while log.boots().len() < 2 {
        assert!(Instant::now() < deadline, "autostart did not start the guest");
        std::thread::sleep(Duration::from_millis(20));
    }
}
