//! A virtual machine arrives under another name, on other networks, patched, and with the files that its new host has elsewhere.

mod support;

use api::plan::PlanReport;
use api::problem::Code;
use api::task::{Location, Task, TaskState};
use api::vm::VmState;
use lab::{Expect, GuestSpec, Host};
use serde_json::json;
use support::World;
use support::guest::{Guest, TOO_SLOW, busy, quiet};
use support::images::sh;
use support::tasks::is_midway;

/// An address of the source's alone.
const OWN_ADDRESS: &str = "10.99.99.1";
/// A password of a screen: it goes along, and is shown nowhere.
const SECRET: &str = "s3cretpw";

/// A network of this name over the bridge that the hosts of a lab have.
fn network(host: &Host, name: &str) {
    let xml = format!("<network><name>{name}</name><forward mode='bridge'/><bridge name='br0'/></network>");
    let define = ["virsh", "-q", "-c", "qemu:///system", "net-define", "/dev/stdin"];
    host.run_with_input(&define, xml.as_bytes()).expect("a network");
    host.virsh(&["net-start", name]).expect("it starts");
}

/// A guest on the network `old`, whose screen listens on an address of kvm1's.
fn on_the_old_network(name: &str) -> GuestSpec {
    let mut spec = quiet(name);
    spec.extra_devices = format!(
        "<interface type='network'><mac address='52:54:00:0a:0b:0c'/><source network='old'/><model type='virtio'/>\
         <rom enabled='no'/></interface><graphics type='vnc' autoport='yes' listen='{OWN_ADDRESS}' passwd='{SECRET}'/>\
         <video><model type='vga'/></video>"
    );
    spec
}

/// Both documents that libvirt has of a domain: as it runs, and its definition.
fn documents(host: &Host, name: &str) -> [String; 2] {
    let dump = |more: &[&str]| host.virsh(&[&["dumpxml", name], more].concat()).expect("its XML");
    [dump(&[]), dump(&["--inactive"])]
}

fn names(host: &Host) -> Vec<String> {
    let list = host.virsh(&["list", "--all", "--name"]).expect("a list");
    list.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn is_defined(host: &Host, name: &str) -> bool {
    host.disk_path(format!("/etc/libvirt/qemu/{name}.xml")).exists()
}

/// What was found, but for what is said of the releases.
fn codes(task: &Task) -> Vec<&str> {
    let codes = task.findings.iter().map(|finding| finding.code.as_str());
    codes.filter(|code| !code.ends_with("-older")).collect()
}

/// It is on kvm2 under its new name alone, in both documents, and nowhere under the old one.
#[track_caller]
fn assert_renamed(world: &World, guest: &Guest) {
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    assert_eq!((names(&kvm1), names(&kvm2)), (Vec::<String>::new(), vec!["shop".to_owned()]));
    assert!(is_defined(&kvm2, "shop") && !is_defined(&kvm2, "web1") && !is_defined(&kvm1, "web1"));
    for xml in documents(&kvm2, "shop") {
        assert!(xml.contains("<name>shop</name>") && xml.contains(&guest.spec.uuid), "{xml}");
        assert!(xml.contains("network='new'") && !xml.contains("network='old'"), "{xml}");
        assert!(xml.contains("listen='0.0.0.0'") && !xml.contains(OWN_ADDRESS), "{xml}");
        assert!(xml.contains("<title>Shop</title>"), "the patch: {xml}");
    }
    let secret = kvm2.virsh(&["dumpxml", "--security-info", "--inactive", "shop"]).expect("its definition");
    assert!(secret.contains(SECRET), "the screen's password went along");
}

#[test]
fn one_that_runs_arrives_renamed_on_another_network_and_comes_home_stopped() {
    let world = World::mixed("mapped");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    network(&kvm1, "old");
    network(&kvm2, "new");
    sh(&kvm1, &format!("ip address add {OWN_ADDRESS}/32 dev lo"));
    let mut guest = world.boot(on_the_old_network("web1"), "kvm1");
    world.may_be_called(&mut guest, "shop");

    // What does not fit is told, each by its own word, and nothing is begun.
    let said = world.ferry(&["migrate", "web1", "--to", "kvm2"]).ended(3);
    said.says("network-missing").says("listen-address-missing");
    world
        .ferry(&["migrate", "web1", "--to", "kvm2", "--network", "lan=new"])
        .ended(2)
        .says("web1 has no network lan: it has old");
    assert!(world.tasks().is_empty());

    let screen = format!("{OWN_ADDRESS}=0.0.0.0");
    let patch = "<diff><add sel='/domain/uuid' pos='after'><title>Shop</title></add></diff>";
    world.machine().write("/tmp/title.xml", patch.as_bytes()).expect("a patch");
    let mapped = ["--network", "old=new", "--graphics-listen", &screen, "--rename", "shop"];
    let mapped =
        [&["migrate", "web1", "--to", "kvm2"], &mapped[..], &["--xml-patch", "/tmp/title.xml"]].concat();
    let planned = world.ferry(&[&mapped[..], &["--plan", "--json"]].concat()).succeeded();
    assert!(!planned.stdout.contains(SECRET), "{planned:#?}");
    let plan: PlanReport = planned.json();
    let diff = plan.definition_diff.expect("a diff");
    for line in [
        "-  <name>web1</name>",
        "+  <name>shop</name>",
        "<title>Shop</title>",
        "+      <source network='new'",
    ] {
        assert!(diff.contains(line), "{line}: {diff}");
    }
    let parameters: Vec<&str> = plan.libvirt_parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(parameters, ["destination_name", "destination_xml", "persistent_xml"]);
    assert!(world.tasks().is_empty(), "a plan is no task");

    let task: Task = world.ferry_json(&mapped);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    assert!(task.message.contains("web1 runs on kvm2 as shop"), "{task:#?}");
    assert_renamed(&world, &guest);
    world.assert_well(&guest, Expect::Running, "kvm2");

    comes_home_stopped(&world);
}

fn comes_home_stopped(world: &World) {
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    kvm2.virsh(&["destroy", "shop"]).expect("it is stopped");
    world.wait_listed("it is not stopped", |vm| vm.name == "shop" && vm.state == VmState::Shutoff);
    let mapped = ["--network", "new=old", "--rename", "web1"];
    let task: Task = world.ferry_json(&[&["migrate", "shop", "--to", "kvm1"], &mapped[..]].concat());
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    assert!(task.message.contains("is stopped, as it was, on kvm1 as web1"), "{task:#?}");
    assert_eq!((names(&kvm1), names(&kvm2)), (vec!["web1".to_owned()], Vec::<String>::new()));
    let [_, xml] = documents(&kvm1, "web1");
    assert!(xml.contains("<name>web1</name>") && xml.contains("network='old'"), "{xml}");
    assert!(xml.contains("<title>Shop</title>") && !xml.contains("network='new'"), "{xml}");
    assert!(is_defined(&kvm1, "web1") && !is_defined(&kvm2, "shop"));
}

#[test]
fn a_renamed_move_that_does_not_come_off_leaves_nothing_of_the_new_name() {
    let world = World::mixed("mapundo");
    let kvm2 = world.host("kvm2");
    let guest = world.boot(busy("web1"), "kvm1");
    let renamed = ["web1", "--to", "kvm2", "--rename", "shop", "--bandwidth", TOO_SLOW];
    let migrating = world.begin_migrate(&renamed);
    world.wait_task(migrating.task, "a later pass", is_midway);
    assert_eq!(names(&kvm2), ["shop"], "that is what libvirt calls it there");
    world.ferry(&["task", "cancel", &migrating.task.to_string()]).succeeded();
    migrating.end().ended(4);
    assert_eq!(names(&kvm2), Vec::<String>::new());
    assert!(!is_defined(&kvm2, "shop"));
    world.assert_well(&guest, Expect::Running, "kvm1");

    // A guest that runs cannot have another number of processors there.
    let patch = "<diff><replace sel='/domain/vcpu/text()'>2</replace></diff>";
    world.machine().write("/tmp/vcpus.xml", patch.as_bytes()).expect("a patch");
    let patched = ["migrate", "web1", "--to", "kvm2", "--xml-patch"];
    world.ferry(&[&patched[..], &["/tmp/vcpus.xml"]].concat()).ended(2).says("the patch changes vcpu");
    // What only libvirt finds ends it before a copy.
    let patch = "<diff><replace sel='/domain/devices/serial/target/@port'>3</replace></diff>";
    world.machine().write("/tmp/port.xml", patch.as_bytes()).expect("a patch");
    let renamed = ["/tmp/port.xml", "--rename", "shop"];
    let task: Task = world.ferry(&[&["--json"], &patched[..], &renamed].concat()).ended(1).json();
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (TaskState::Failed, Some(Location::Source)), "{task:#?}");
    assert_eq!(names(&kvm2), Vec::<String>::new());
    world.assert_well(&guest, Expect::Running, "kvm1");
}

#[test]
fn a_name_that_is_taken_is_told_and_one_that_is_free_is_used() {
    let world = World::pair("mapname");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    for host in ["kvm1", "kvm2"] {
        let spec = GuestSpec::new("box").expect("a spec");
        world.define_stopped(host, &spec.to_xml(), "box");
    }
    let there = ["migrate", "box", "--from", "kvm1", "--to", "kvm2"];
    world.ferry(&there).ended(3).says("name-taken");
    let wrong = json!({"vm": "box", "source": "kvm1", "destination": "kvm2", "rename": "a/b"});
    let problem = world.post("/api/v1/migrations", &wrong).problem();
    assert_eq!((problem.code, problem.field.as_deref()), (Code::BadValue, Some("rename")));
    world.ferry(&[&there[..], &["--rename", "crate"]].concat()).succeeded();
    let mut found = names(&kvm2);
    found.sort_unstable();
    assert_eq!((names(&kvm1), found), (Vec::<String>::new(), vec!["box".to_owned(), "crate".to_owned()]));
}

#[test]
fn a_medium_that_only_the_source_has_is_left_there() {
    let world = World::pair("eject");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    sh(&kvm1, "truncate -s 1M /var/lib/libvirt/images/d.iso");
    let mut spec = quiet("g1");
    spec.extra_devices = "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>\
                          <source file='/var/lib/libvirt/images/d.iso'/><target dev='sda' bus='sata'/><readonly/></disk>"
        .to_owned();
    let guest = world.boot(spec, "kvm1");
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).ended(3).says("medium-missing").says("--eject sda");
    let wrong = json!({"vm": "g1", "destination": "kvm2", "eject": ["vda"]});
    let problem = world.post("/api/v1/migrations", &wrong).problem();
    assert_eq!((problem.code, problem.field.as_deref()), (Code::BadValue, Some("eject")));
    assert!(problem.detail.contains("it has sda"), "{problem:?}");

    let report = world.ferry(&["check", "g1", "--to", "kvm2", "--eject", "sda", "--come-back"]);
    report.succeeded().says("medium-ejected");
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--eject", "sda"]);
    assert_eq!((task.state, codes(&task)), (TaskState::Done, vec!["medium-ejected"]), "{task:#?}");
    world.assert_well(&guest, Expect::Running, "kvm2");
    for xml in documents(&kvm2, "g1") {
        assert!(xml.contains("device='cdrom'") && !xml.contains("d.iso"), "{xml}");
    }
    assert!(kvm1.disk_path("/var/lib/libvirt/images/d.iso").exists(), "the medium stays");
}

#[test]
fn what_the_destination_has_elsewhere_is_found_there() {
    let world = World::mixed("elsewhere");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    sh(
        &kvm1,
        "mkdir -p /opt/qemu /opt/firmware
         ln -s /usr/bin/qemu-system-x86_64 /opt/qemu/qemu-system-x86_64
         cp /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/OVMF/OVMF_VARS_4M.fd /opt/firmware",
    );
    let with_own_qemu = |spec: &GuestSpec| spec.to_xml().replace("/usr/bin/qemu-", "/opt/qemu/qemu-");
    let running = quiet("running");
    world.define_stopped("kvm1", &with_own_qemu(&running), "running");
    let log = world.lab.watch_guest("running").expect("a log");
    kvm1.virsh(&["start", "running"]).expect("it starts");
    log.wait_ready("kvm1", support::tasks::MOVES_WITHIN).expect("it boots");
    let task: Task = world.ferry_json(&["migrate", "running", "--to", "kvm2"]);
    assert_eq!((task.state, codes(&task)), (TaskState::Done, vec!["emulator-mapped"]), "{task:#?}");
    log.wait_next_tick("kvm2", support::SOON).expect("it runs on");
    for xml in documents(&kvm2, "running") {
        assert!(xml.contains("<emulator>/usr/bin/qemu-system-x86_64</emulator>"), "{xml}");
    }

    let firmware = "hvm</type><loader readonly='yes' type='pflash'>/opt/firmware/OVMF_CODE_4M.fd</loader>\
                    <nvram template='/opt/firmware/OVMF_VARS_4M.fd'/>";
    let stopped = GuestSpec::new("stopped").expect("a spec");
    let xml = with_own_qemu(&stopped).replacen("hvm</type>", firmware, 1);
    world.define_stopped("kvm1", &xml, "stopped");
    let task: Task = world.ferry_json(&["migrate", "stopped", "--to", "kvm2"]);
    let found = ["emulator-mapped", "firmware-mapped"];
    assert_eq!((task.state, codes(&task)), (TaskState::Done, found.to_vec()), "{task:#?}");
    let [_, xml] = documents(&kvm2, "stopped");
    for path in
        ["/usr/bin/qemu-system-x86_64", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"]
    {
        assert!(xml.contains(path), "{path}: {xml}");
    }
    assert!(!xml.contains("/opt/qemu") && !xml.contains("/opt/firmware"), "{xml}");
}
