use super::*;
use crate::model::definition::{CharacterDevice, Filesystem, Graphics, HostDevice, SharedMemory};
use crate::model::facts::{BlockJob, Namesake, Occupied};
use Severity::{Blocker, Note, Warning};

fn namesake(facts: &mut Facts, name: &str, uuid: u128) {
    let uuid = DomainUuid(Uuid::from_u128(uuid));
    reception(facts).namesakes = vec![Namesake { name: name.to_owned(), uuid, active: false }];
}

const NVRAM: &str = "/nvram/web1.fd";

fn nvram(facts: &mut Facts, sharing: Sharing) {
    domain(facts).sight.state = VmState::Shutoff;
    defined(facts).firmware.nvram = Some(NVRAM.to_owned());
    meeting(facts).sharing.push((NVRAM.to_owned(), sharing));
}

#[test]
fn of_the_domain() {
    assert_found(&[
        ("vm-gone", Blocker, |facts| {
            facts.domain = None;
            (facts.reception, facts.meeting) = (None, None);
        }),
        ("nvram-stays", Blocker, |facts| {
            domain(facts).sight.state = VmState::Shutoff;
            defined(facts).firmware.nvram = Some("/nvram/web1.fd".to_owned());
        }),
        ("nvram-carried", Note, |facts| {
            nvram(facts, Sharing::Missing);
            source(facts).shell.as_mut().unwrap().paths.insert(NVRAM.to_owned(), file("ext4"));
        }),
        ("nvram-taken", Blocker, |facts| nvram(facts, Sharing::Different("another file".to_owned()))),
        ("vm-state", Blocker, |facts| domain(facts).sight.state = VmState::Crashed),
        ("job-active", Blocker, |facts| domain(facts).sight.job = true),
        ("name-taken", Blocker, |facts| namesake(facts, "web1", 9)),
        ("uuid-taken", Blocker, |facts| namesake(facts, "old", 7)),
        ("title-taken", Warning, |facts| {
            defined(facts).title = Some("Shop".to_owned());
            let title = Some("Shop".to_owned());
            reception(facts).occupied =
                vec![Occupied { domain: "old1".to_owned(), title, ..Occupied::default() }];
        }),
        ("no-spice", Blocker, |facts| facts.wanted.graphics_uri = Some("spice://kvm2".to_owned())),
        ("no-spice", Blocker, |facts| {
            screen(facts).kind = "spice".to_owned();
            screen(facts).port = None;
            facts.wanted.graphics_uri = Some("spice://kvm2".to_owned());
            domain(facts).sight.state = VmState::Shutoff;
        }),
        ("checkpoints", Warning, |facts| domain(facts).checkpoints = vec!["monday".to_owned()]),
        ("block-job-active", Blocker, |facts| {
            let job = BlockJob { target: "vda".to_owned(), kind: "copy".to_owned() };
            domain(facts).block_jobs = vec![job];
        }),
        ("not-responding", Blocker, |facts| domain(facts).not_responding = Some("broken".to_owned())),
        ("guest-agent-absent", Note, |facts| {
            defined(facts).character_devices = vec![CharacterDevice {
                device: "channel".to_owned(),
                kind: "unix".to_owned(),
                target: Some("org.qemu.guest_agent.0".to_owned()),
                state: Some("disconnected".to_owned()),
                ..CharacterDevice::default()
            }];
        }),
    ]);
}

#[test]
fn the_name_that_is_looked_for_is_the_new_one() {
    let mut facts = good();
    arriving(&mut facts).name = "web2".to_owned();
    namesake(&mut facts, "web2", 9);
    let found = check(&facts);
    assert_eq!((found.len(), found[0].code.as_str()), (1, "name-taken"), "{found:#?}");
    assert!(found[0].message.contains("the name web2"), "{found:#?}");
}

#[test]
fn a_screen_listens_there_on_what_it_is_given() {
    let mut facts = good();
    screen(&mut facts).listen = Some("10.0.0.1".to_owned());
    assert_eq!(codes(&facts), ["listen-address-missing"]);
    arriving(&mut facts).graphics[0].listen = Some("10.0.0.2".to_owned());
    assert_eq!(check(&facts), []);
}

#[test]
fn on_the_same_machine_the_domain_is_no_namesake_of_itself() {
    let mut facts = good();
    destination(&mut facts).uuid = Uuid::from_u128(1);
    namesake(&mut facts, "web1", 7);
    assert_eq!(codes(&facts), ["same-host"]);
}

fn line(facts: &mut Facts, kind: &str, path: &str, mode: Option<&str>) {
    defined(facts).character_devices = vec![CharacterDevice {
        device: "serial".to_owned(),
        kind: kind.to_owned(),
        path: Some(path.to_owned()),
        mode: mode.map(str::to_owned),
        ..CharacterDevice::default()
    }];
}

fn screen(facts: &mut Facts) -> &mut Graphics {
    defined(facts).graphics = vec![Graphics {
        kind: "vnc".to_owned(),
        port: Some(5907),
        listen: Some("127.0.0.1".to_owned()),
        ..Graphics::default()
    }];
    &mut defined(facts).graphics[0]
}

#[test]
fn of_its_devices() {
    assert_found(&[
        ("device-of-host", Warning, |facts| {
            domain(facts).sight.state = VmState::Shutoff;
            let kind = "usb".to_owned();
            defined(facts).host_devices = vec![HostDevice { kind, ..HostDevice::default() }];
        }),
        ("character-port-taken", Blocker, |facts| {
            defined(facts).character_devices = vec![CharacterDevice {
                device: "serial".to_owned(),
                kind: "tcp".to_owned(),
                listens_on: Some(("0.0.0.0".to_owned(), 4555)),
                ..CharacterDevice::default()
            }];
            there(facts).ports_taken = vec![4555];
        }),
        ("device-passed-through", Blocker, |facts| {
            defined(facts).host_devices = vec![HostDevice {
                kind: "pci".to_owned(),
                what: "0000:01:00.0".to_owned(),
                ..HostDevice::default()
            }];
        }),
        ("device-unplugged", Note, |facts| {
            let mut paired = defined(facts).interfaces[0].clone();
            (paired.link, paired.teaming) = (Link::HostDevice, Some("transient".to_owned()));
            defined(facts).interfaces.push(paired);
        }),
        ("character-device-missing", Blocker, |facts| {
            line(facts, "dev", "/dev/ttyS7", None);
            missing_there(facts, "/dev/ttyS7");
        }),
        ("character-device-missing", Blocker, |facts| {
            line(facts, "unix", "/run/app/sock", Some("connect"));
            missing_there(facts, "/run/app/sock");
        }),
        ("directory-missing", Blocker, |facts| {
            line(facts, "file", "/var/log/guests/web1.log", None);
            missing_there(facts, "/var/log/guests/web1.log");
            missing_there(facts, "/var/log/guests");
        }),
        ("smartcard-of-host", Blocker, |facts| {
            line(facts, "host", "/x", None);
            defined(facts).character_devices[0].device = "smartcard".to_owned();
        }),
        ("filesystem-virtiofs", Blocker, |facts| filesystem(facts, "virtiofs")),
        ("filesystem-9p", Warning, |facts| filesystem(facts, "path")),
        ("shared-memory", Blocker, |facts| {
            let (name, model) = ("bus".to_owned(), "ivshmem-plain".to_owned());
            defined(facts).shared_memories = vec![SharedMemory { name, model, role: None }];
        }),
        ("listen-address-missing", Blocker, |facts| screen(facts).listen = Some("10.0.0.1".to_owned())),
        ("screen-port-taken", Blocker, |facts| {
            screen(facts);
            there(facts).ports_taken = vec![22, 5907];
        }),
        ("rng-source-missing", Blocker, |facts| {
            defined(facts).rng_files = vec!["/dev/hwrng".to_owned()];
            missing_there(facts, "/dev/hwrng");
        }),
        ("boot-file-missing", Blocker, |facts| {
            defined(facts).boot_files = vec!["/boot/vmlinuz".to_owned()];
            missing_there(facts, "/boot/vmlinuz");
        }),
        ("memory-file-missing", Blocker, |facts| {
            defined(facts).memory_devices = vec![("nvdimm".to_owned(), Some("/nv".to_owned()))];
            missing_there(facts, "/nv");
        }),
        ("vsock-taken", Blocker, |facts| {
            defined(facts).vsock_cid = Some(5);
            let occupied = Occupied {
                domain: "old1".to_owned(),
                active: true,
                vsock_cid: Some(5),
                ..Occupied::default()
            };
            reception(facts).occupied = vec![occupied];
        }),
        ("qemu-arguments", Warning, |facts| defined(facts).qemu_arguments = vec!["-snapshot".to_owned()]),
    ]);
}

fn filesystem(facts: &mut Facts, driver: &str) {
    let driver = driver.to_owned();
    defined(facts).filesystems =
        vec![Filesystem { driver, source: "/srv".to_owned(), target: "srv".to_owned() }];
}

#[test]
fn a_screen_with_a_port_of_its_own_choice_finds_one() {
    let mut facts = good();
    screen(&mut facts).auto_port = true;
    there(&mut facts).ports_taken = vec![5907];
    assert_eq!(check(&facts), []);
}

#[test]
fn what_libvirt_makes_for_itself_is_not_looked_for() {
    let mut facts = good();
    let path = "/var/lib/libvirt/qemu/channel/target/domain-3-web1/org.qemu.guest_agent.0";
    line(&mut facts, "unix", path, Some("bind"));
    missing_there(&mut facts, path);
    assert_eq!(check(&facts), []);
}

#[test]
fn clients_of_a_spice_screen_are_sent_on() {
    let mut facts = good();
    screen(&mut facts).kind = "spice".to_owned();
    facts.wanted.graphics_uri = Some("spice://kvm2".to_owned());
    assert!(!codes(&facts).contains(&"no-spice".to_owned()));
}
