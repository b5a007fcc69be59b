//! The checks on real hosts: they see what is there, change nothing, and what they let through moves.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::time::Duration;

use api::finding::{Finding, Severity};
use api::plan::PlanReport;
use api::preflight::{Report, Verdict};
use lab::{DiskSpec, Expect, GuestSpec, Host, Release};
use rustix::process::Signal;
use support::guest::quiet;
use support::images::{disk, image, sh};
use support::{SOON, World, until};

/// Where both hosts see the same files.
const SHARED: &str = "/srv/shared/g1.qcow2";
/// Checks of a machine of the lab answer in a fraction of a second; one that stands still costs its limit, 3 s.
const CHECKED_WITHIN: Duration = Duration::from_secs(10);

fn on_shared_storage(name: &str) -> GuestSpec {
    let mut spec = quiet(name);
    spec.disk = Some(DiskSpec::qcow2(SHARED, Some(32)));
    spec.nic = true;
    spec
}

/// The report of the only destination.
fn check(world: &World, arguments: &[&str], exit: i32) -> Report {
    let said = world.ferry(&[&["--json", "check"], arguments].concat()).ended(exit);
    let mut reports: Vec<Report> = said.json();
    assert_eq!(reports.len(), 1, "{reports:#?}");
    reports.remove(0)
}

fn codes(report: &Report) -> Vec<&str> {
    let mut codes: Vec<&str> = report.findings.iter().map(|finding| finding.code.as_str()).collect();
    codes.sort_unstable();
    codes
}

/// Everything of a host that a check could touch: libvirt's objects as it describes them, and the files below its directories and
/// those of its users, with their sizes and times.
fn everything(host: &Host) -> BTreeMap<String, String> {
    const DUMPS: &[(&str, &str)] = &[
        ("list --all --name", "dumpxml"),
        ("list --all --name", "domstate"),
        ("net-list --all --name", "net-dumpxml"),
        ("pool-list --all --name", "pool-dumpxml"),
        ("nwfilter-list --name", "nwfilter-dumpxml"),
    ];
    let mut found = BTreeMap::new();
    for (list, dump) in DUMPS {
        let script = format!(
            "for name in $(virsh -q {list} 2>/dev/null); do echo \"== $name\"; virsh -q {dump} \"$name\"; done"
        );
        found.insert(format!("{list}, {dump}"), host.run(&["sh", "-c", &script]).expect("libvirt tells"));
    }
    // A directory's time tells of marks that came and went.
    let files = "find /etc /root /srv /home /tmp /var/lib/libvirt /var/tmp \\
         \\( -type d -printf '%p %m\\n' \\) -o -printf '%p %s %T@ %m\\n' | sort";
    found.insert("files".to_owned(), host.run(&["sh", "-c", files]).expect("files are listed"));
    found
}

#[test]
fn a_guest_moves_with_its_disk_on_shared_storage_and_the_checks_change_nothing() {
    let world = World::pair("shared");
    let guest = world.boot(on_shared_storage("g1"), "kvm1");
    // It writes to its disk for ever: while it stands, nothing on the hosts changes by itself.
    let kvm1 = world.host("kvm1");
    kvm1.virsh(&["suspend", "g1"]).expect("suspended");
    let hosts = [kvm1.clone(), world.host("kvm2")];
    let before = hosts.each_ref().map(everything);
    let report = check(&world, &["g1", "--to", "kvm2", "--come-back"], 0);
    assert_eq!((report.verdict, codes(&report)), (Verdict::Go, vec!["sharing-proven"]), "{report:#?}");
    let home = report.come_back.as_ref().expect("the way home");
    assert_eq!(home.verdict, Verdict::Go, "{home:#?}");
    // The marks are removed beside the answer.
    until(SOON, "something is not as it was", || {
        let now = hosts.each_ref().map(everything);
        for (before, now) in before.iter().zip(&now) {
            for (what, text) in before {
                let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
                let (was, is) = (lines(text), lines(&now[what]));
                was.symmetric_difference(&is).for_each(|line| println!("{what}: {line}"));
            }
        }
        (now == before).then_some(())
    });
    kvm1.virsh(&["resume", "g1"]).expect("resumed");

    world.ferry(&["migrate", "g1", "--to", "kvm2"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
    world.ferry(&["migrate", "g1", "--to", "kvm1"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm1");
}

#[test]
fn the_way_home_of_a_disk_that_goes_along_is_told_as_it_will_be() {
    let world = World::pair("home");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let path = image("cold.raw");
    sh(&kvm1, &format!("dd if=/dev/urandom of={path} bs=1M count=4 status=none"));
    let mut spec = GuestSpec::new("cold").expect("a spec");
    spec.extra_devices = disk(&path, "raw", "vda");
    world.define_stopped("kvm1", &spec.to_xml(), "cold");
    let there_and_back = ["cold", "--to", "kvm2", "--come-back"];

    // The image stays, and bars the way home.
    let report = check(&world, &there_and_back, 3);
    assert_eq!((report.verdict, codes(&report)), (Verdict::Go, vec!["disk-copied"]), "{report:#?}");
    let home = report.come_back.as_ref().expect("the way home");
    assert_eq!((home.verdict, codes(home)), (Verdict::NoGo, vec!["disk-not-shared"]), "{home:#?}");
    assert!(home.findings[0].message.contains("the image that the move from kvm1 leaves there"), "{home:#?}");
    let report = check(&world, &[&there_and_back[..], &["--delete-source-disks"]].concat(), 0);
    assert!(report.findings[0].message.contains("removed once cold was seen to be there"), "{report:#?}");
    let home = report.come_back.as_ref().expect("the way home");
    assert_eq!((home.verdict, codes(home)), (Verdict::Go, vec!["disk-copied"]), "{home:#?}");

    // What was told came true, and what mends it does.
    world.ferry(&["migrate", "cold", "--to", "kvm2"]).succeeded();
    let report = check(&world, &["cold", "--to", "kvm1"], 3);
    assert_eq!(codes(&report), ["disk-not-shared"], "{report:#?}");
    let found = &report.findings[0];
    assert!(
        found.message.contains("the image that an earlier move left on kvm1 is there by its path (task "),
        "{found:#?}"
    );
    let remedy = found.remedy.as_ref().expect("a remedy");
    assert_eq!(remedy.host.as_deref(), Some("kvm1"));
    sh(&kvm1, remedy.command.as_deref().expect("a command"));
    world.ferry(&["migrate", "cold", "--to", "kvm1", "--delete-source-disks"]).succeeded();
    assert!(!kvm2.disk_path(&path).exists(), "none is left");
    let nonsense = world.ferry(&["check", "cold", "--to", "kvm2", "--ignore", "disk-copid"]).ended(2);
    assert!(nonsense.stderr.contains("the nearest one is disk-copied"), "{}", nonsense.stderr);
}

#[test]
fn everything_that_stands_in_the_way_is_told_at_once_and_what_mends_it_does() {
    let world = World::pair("check");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    kvm1.run(&["sh", "-c", "ip link add br9 type bridge && ip link set br9 up && mkdir -p /srv/consoles"])
        .expect("what only the source has");
    let mut spec = GuestSpec::new("g1").expect("a spec");
    spec.disk = Some(DiskSpec::in_pool("g1", 16));
    spec.extra_devices = "<interface type='bridge'><source bridge='br9'/><model type='virtio'/></interface>\
         <serial type='file'><source path='/srv/consoles/g1'/><target port='1'/></serial>"
        .to_owned();
    world.lab.start_guest(&spec, "kvm1").expect("it starts");
    kvm1.run(&["rm", "/root/.ssh/known_hosts"]).expect("the source knows nobody");

    let report = until(CHECKED_WITHIN, "it does not show", || {
        let said = world.ferry(&["--json", "check", "g1", "--to", "kvm2"]);
        (said.code == Some(3)).then(|| said.json::<Vec<Report>>().remove(0))
    });
    let all = ["bridge-missing", "directory-missing", "disk-copied", "peer-host-key-unknown"];
    assert_eq!((report.verdict, codes(&report)), (Verdict::NoGo, all.to_vec()), "{report:#?}");
    let mended = |finding: &Finding| finding.severity == Severity::Note || finding.remedy.is_some();
    assert!(report.findings.iter().all(mended), "{report:#?}");
    // For people: the verdict, each reason and the commands.
    let said = world.ferry(&["check", "g1", "--to", "kvm2"]).ended(3);
    for part in ["NO-GO", "br9", "mkdir -p /srv/consoles", "ssh -o StrictHostKeyChecking=accept-new"] {
        assert!(said.stdout.contains(part), "{part}: {said:#?}");
    }
    // A migration is refused for the same reasons, and a blocker is not ignored.
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).ended(3);
    world.ferry(&["migrate", "g1", "--to", "kvm2", "--ignore", "bridge-missing"]).ended(2);
    assert!(world.tasks().is_empty(), "what is refused becomes no task");

    for finding in &report.findings {
        let Some(remedy) = finding.remedy.as_ref() else { continue };
        let (Some(command), Some(host)) = (&remedy.command, &remedy.host) else { continue };
        world.host(host).run(&["bash", "-c", command]).expect("the remedy runs");
    }
    let report = check(&world, &["g1", "--to", "kvm2"], 0);
    assert_eq!(codes(&report), ["disk-copied"], "{report:#?}");
    assert!(kvm2.path("/srv/consoles").expect("a path").is_dir());
}

#[test]
fn a_qemu_that_stands_still_is_told_as_that_and_its_host_answers() {
    let world = World::pair("still");
    for name in ["g1", "g2"] {
        world.lab.start_guest(&GuestSpec::new(name).expect("a spec"), "kvm1").expect("it starts");
    }
    until(SOON, "they do not show", || {
        let body = world.get("/api/v1/vms").body;
        (body.contains("\"g1\"") && body.contains("\"g2\"")).then_some(())
    });
    let kvm1 = world.host("kvm1");
    let uuid = kvm1.virsh(&["domuuid", "g1"]).expect("a UUID");
    let qemu = kvm1.pid_of_qemu(uuid.trim()).expect("a QEMU");
    let pid = rustix::process::Pid::from_raw(qemu).expect("a pid");
    rustix::process::kill_process(pid, Signal::STOP).expect("SIGSTOP");
    let report = check(&world, &["g1", "--to", "kvm2"], 3);
    // Its neighbour is checked meanwhile, and moves.
    let neighbour = check(&world, &["g2", "--to", "kvm2"], 0);
    let moved = world.ferry(&["migrate", "g2", "--to", "kvm2"]);
    rustix::process::kill_process(pid, Signal::CONT).expect("SIGCONT");
    assert_eq!(codes(&report), ["not-responding"], "{report:#?}");
    assert_eq!(neighbour.verdict, Verdict::Go, "{neighbour:#?}");
    moved.succeeded();
    until(CHECKED_WITHIN, "it goes on", || {
        let said = world.ferry(&["--json", "check", "g1", "--to", "kvm2"]);
        (said.code == Some(0)).then_some(())
    });
}

/// Hosts that are reached by libvirt's TCP transport alone.
fn without_shells(test: &'static str) -> (World, Vec<Child>) {
    let world = World::of(test).host("kvm1", Release::Bookworm).host("kvm2", Release::Bookworm).up();
    let forwards = ["kvm1", "kvm2"].map(|name| {
        let child = world.host(name).serve_libvirt_by_tcp().expect("ssh starts");
        let (uri, peer) = (format!("qemu+tcp://{name}/system"), format!("qemu+ssh://root@{name}/system"));
        until(SOON, "it listens", || {
            let said = world.ferry(&["host", "add", name, &uri, "--peer-uri", &peer]);
            (said.code == Some(0)).then_some(())
        });
        child
    });
    (world, forwards.into())
}

#[test]
fn without_shells_the_storage_pools_prove_what_is_shared() {
    let (world, mut forwards) = without_shells("pools");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    for host in [&kvm1, &kvm2] {
        host.virsh(&["pool-define-as", "fleet", "dir", "--target", "/srv/shared"]).expect("a pool");
        host.virsh(&["pool-start", "fleet"]).expect("it starts");
    }
    let mut shared = GuestSpec::new("shared").expect("a spec");
    shared.disk = Some(DiskSpec::qcow2(SHARED, Some(16)));
    let mut local = GuestSpec::new("local").expect("a spec");
    local.disk = Some(DiskSpec::in_pool("local", 16));
    for spec in [&shared, &local] {
        world.lab.start_guest(spec, "kvm1").expect("it starts");
    }
    until(SOON, "they do not show", || {
        let body = world.get("/api/v1/vms").body;
        (body.contains("\"shared\"") && body.contains("\"local\"")).then_some(())
    });
    let report = check(&world, &["shared", "--to", "kvm2"], 0);
    assert_eq!(codes(&report), ["sharing-proven"], "{report:#?}");
    let report = check(&world, &["local", "--to", "kvm2"], 0);
    assert_eq!(codes(&report), ["disk-copied"], "{report:#?}");
    let marks = "find /srv/shared /var/lib/libvirt/images -name '.ferry-share-*'";
    until(SOON, "the marks stay", || {
        let left = [&kvm1, &kvm2].map(|host| host.run(&["sh", "-c", marks]).expect("find"));
        left.iter().all(String::is_empty).then_some(())
    });
    world.ferry(&["migrate", "shared", "--to", "kvm2"]).succeeded();
    world.ferry(&["migrate", "local", "--to", "kvm2"]).succeeded();
    assert!(kvm2.disk_path("/var/lib/libvirt/images/local.qcow2").exists(), "it has its disk");
    end(&mut forwards);
}

#[test]
fn without_shells_and_pools_it_is_shared_by_the_word_of_who_asks() {
    let (world, mut forwards) = without_shells("word");
    let mut spec = quiet("shared");
    spec.disk = Some(DiskSpec::qcow2(SHARED, Some(16)));
    let mut local = GuestSpec::new("local").expect("a spec");
    local.disk = Some(DiskSpec::in_pool("local", 16));
    world.lab.start_guest(&local, "kvm1").expect("it starts");
    let guest = world.boot(spec, "kvm1");
    until(SOON, "they do not show", || {
        let body = world.get("/api/v1/vms").body;
        (body.contains("\"shared\"") && body.contains("\"local\"")).then_some(())
    });

    let report = check(&world, &["shared", "--to", "kvm2"], 0);
    assert_eq!(codes(&report), ["sharing-unproven"], "{report:#?}");
    world.ferry(&["migrate", "shared", "--to", "kvm2"]).ended(1).says("without shared storage is unsafe");
    world.assert_well(&guest, Expect::Running, "kvm1");

    let report = check(&world, &["shared", "--to", "kvm2", "--shared", "vda"], 0);
    assert_eq!(codes(&report), ["sharing-vouched"], "{report:#?}");
    let plan: PlanReport =
        world.ferry_json(&["migrate", "shared", "--to", "kvm2", "--shared", "vda", "--plan"]);
    assert!(plan.libvirt_flags.iter().any(|flag| flag == "VIR_MIGRATE_UNSAFE"), "{plan:#?}");
    world.ferry(&["migrate", "shared", "--to", "kvm2", "--shared", "vda"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");

    // What was seen to be missing, or another file, is no matter of somebody's word.
    let report = check(&world, &["local", "--to", "kvm2", "--shared", "vda"], 0);
    assert_eq!(codes(&report), ["disk-copied"], "{report:#?}");
    sh(&world.host("kvm2"), "echo other >/var/lib/libvirt/images/local.qcow2; virsh -q pool-refresh default");
    let report = check(&world, &["local", "--to", "kvm2", "--shared", "vda"], 3);
    assert_eq!(codes(&report), ["sharing-refuted"], "{report:#?}");
    world.ferry(&["migrate", "local", "--to", "kvm2", "--shared", "vda"]).ended(3).says("sharing-refuted");
    end(&mut forwards);
}

fn end(forwards: &mut [Child]) {
    forwards.iter_mut().for_each(|ssh| ssh.kill().and_then(|()| ssh.wait()).map(drop).expect("it ends"));
}
