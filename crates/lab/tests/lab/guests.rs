//! Guests on real libvirt and QEMU: they boot, tick, move between releases, and the oracle tells right from wrong.

use std::time::{Duration, Instant};

use crate::support::{BOOTS_WITHIN, mixed};
use lab::{DiskSpec, Expect, GuestSpec, Lab, Oracle};

const MOVES_WITHIN: Duration = Duration::from_secs(60);

fn migrate(lab: &Lab, guest: &str, from: &str, to: &str) {
    let uri = format!("qemu+ssh://{to}/system");
    let flags = ["--live", "--p2p", "--persistent", "--undefinesource"];
    lab.host(from).virsh(&[&["migrate"], &flags[..], &[guest, &uri]].concat()).expect("the guest moves");
}

#[test]
fn a_guest_moves_from_bookworm_to_trixie_and_back_unharmed() {
    let lab = mixed("moves").up().expect("a lab");
    let mut spec = GuestSpec::new("g1").expect("a spec");
    (spec.work_mib, spec.dirty_mib_s, spec.nic) = (8, 4, true);
    let log = lab.watch_guest("g1").expect("a log");
    lab.start_guest(&spec, "kvm1").expect("the guest starts");
    log.wait_ready("kvm1", BOOTS_WITHIN).expect("the guest boots on bookworm");
    let oracle = Oracle::before(&lab, &spec).expect("a look before");

    for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1")] {
        let start = Instant::now();
        migrate(&lab, "g1", from, to);
        log.wait_next_tick(to, MOVES_WITHIN).expect("it ticks at the destination");
        let verdict = oracle.verdict(&lab, &log, Expect::Running).expect("a verdict");
        assert_eq!((verdict.violations.as_slice(), verdict.owner.as_deref()), (&[][..], Some(to)));
        assert!(log.largest_gap_ms_since(start) < 10_000.0);
    }
    assert_eq!(log.boots().len(), 1, "moved, not booted again");
}

#[test]
fn a_guest_with_a_disk_writes_it_and_reads_it_back() {
    let lab = mixed("disk").up().expect("a lab");
    let mut spec = GuestSpec::new("g1").expect("a spec");
    spec.disk = Some(DiskSpec::in_pool("g1", 32));
    let log = lab.watch_guest("g1").expect("a log");
    lab.start_guest(&spec, "kvm2").expect("the guest starts");
    log.wait_ready("kvm2", BOOTS_WITHIN).expect("the guest boots on trixie");
    log.wait_checked("kvm2", MOVES_WITHIN).expect("it checks its memory");
    let blocks = log.last_tick().and_then(|tick| tick.disk_blocks).expect("it counts blocks");
    assert!(blocks > 0);
    log.check_unharmed().expect("no error");

    // The power button is obeyed.
    lab.host("kvm2").virsh(&["shutdown", "g1", "--mode", "acpi"]).expect("the button");
    let deadline = Instant::now() + MOVES_WITHIN;
    while lab.host("kvm2").pid_of_qemu(&spec.uuid).is_some() {
        assert!(Instant::now() < deadline, "the guest does not switch off");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_oracle_sees_a_second_copy_a_leftover_and_a_lost_guest() {
    let lab = mixed("oracle").up().expect("a lab");
    let spec = GuestSpec::new("g1").expect("a spec");
    let log = lab.watch_guest("g1").expect("a log");
    lab.start_guest(&spec, "kvm1").expect("the guest starts");
    log.wait_ready("kvm1", BOOTS_WITHIN).expect("the guest boots");
    let mut oracle = Oracle::before(&lab, &spec).expect("a look before");
    oracle.ticks_within = Duration::from_secs(2);
    let says = |expect, part: &str| {
        let verdict = oracle.verdict(&lab, &log, expect).expect("a verdict");
        assert!(verdict.violations.iter().any(|text| text.contains(part)), "{part}: {verdict:?}");
    };

    lab.start_guest(&spec, "kvm2").expect("the second copy starts");
    log.wait_ready("kvm2", BOOTS_WITHIN).expect("the second copy boots");
    says(Expect::Running, "QEMU runs on [\"kvm1\", \"kvm2\"]");
    says(Expect::Running, "it ticks on kvm2");
    lab.host("kvm2").virsh(&["destroy", "g1"]).expect("it stops");
    says(Expect::Running, "is defined on");
    lab.host("kvm2").virsh(&["undefine", "g1"]).expect("it goes");
    lab.host("kvm2").write("/var/lib/libvirt/images/partial.qcow2", b"x").expect("a file");
    says(Expect::Running, "partial.qcow2 is new on kvm2");
    lab.host("kvm1").virsh(&["suspend", "g1"]).expect("it pauses");
    says(Expect::Running, "does not tick on kvm1");
    lab.host("kvm1").virsh(&["destroy", "g1"]).expect("it stops");
    says(Expect::Running, "expected Running, but QEMU runs on []");
}
