//! Every check on facts: what makes it speak, and that it is silent where nothing is wrong.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod domain_and_devices;
mod hosts_and_access;
mod kept_and_left;
mod places;
mod storage_and_network;
mod transport;
mod way_home;

use api::vm::VmState;
use uuid::Uuid;

use super::*;
use crate::model::DomainUuid;
use crate::model::definition::{Cpu, Definition, Disk, Interface, Link, Source};
use crate::model::domain::{DomainSight, Reason};
use crate::model::facts::{
    BridgeFacts, CpuVerdict, DomainFacts, HostFacts, HostKnowledge, Login, MachineSupport, Meeting,
    NetworkFacts, NumaNode, PathFacts, PathKind, PortProbe, Reception, Resolved, Sharing, ShellFacts,
    SshPlace, TransportFacts, Wanted,
};

const GIB: u64 = 1 << 30;
const IMAGE: &str = "/images/web1.qcow2";
const MAC: &str = "52:54:00:11:22:33";

fn file(filesystem: &str) -> PathFacts {
    PathFacts {
        kind: PathKind::File,
        size_bytes: GIB,
        filesystem: filesystem.to_owned(),
        free_bytes: 100 * GIB,
        ..PathFacts::default()
    }
}

fn shell(address: &str) -> ShellFacts {
    let bridge = BridgeFacts { kind: "bridge".to_owned(), mtu: Some(1500) };
    ShellFacts {
        clock_offset_ms: Some(0),
        memory_and_swap_bytes: Some(32 * GIB),
        memory_available_bytes: Some(16 * GIB),
        daemon_address_space_bytes: Some(u64::MAX),
        bridges: [("br0".to_owned(), bridge), ("eth0".to_owned(), BridgeFacts::default())].into(),
        addresses: vec!["127.0.0.1".to_owned(), address.to_owned()],
        paths: [(IMAGE.to_owned(), file("nfs4"))].into(),
        swtpm: Some("TPM emulator version 0.7.1, Copyright".to_owned()),
        ssh_max_startups: Some(10),
        root_key: Some("ssh-ed25519 AAAA root@host".to_owned()),
        ..ShellFacts::default()
    }
}

fn host(name: &str, number: u128) -> HostKnowledge {
    HostKnowledge::Known(Box::new(HostFacts {
        name: name.to_owned(),
        uuid: Uuid::from_u128(number),
        hostname: name.to_owned(),
        hypervisor: "QEMU".to_owned(),
        architecture: "x86_64".to_owned(),
        domain_types: vec!["kvm".to_owned(), "qemu".to_owned()],
        libvirt_version: 9_000_000,
        hypervisor_version: 7_002_022,
        cpus: 8,
        memory_bytes: 32 * GIB,
        numa_nodes: vec![NumaNode { id: 0, cpus: (0..8).collect(), page_sizes_kib: vec![4, 2048] }],
        security_model: None,
        shell: Some(shell(&format!("10.0.0.{number}"))),
        shell_silent: false,
    }))
}

fn definition() -> Definition {
    Definition {
        name: "web1".to_owned(),
        uuid: Uuid::from_u128(7),
        domain_type: "kvm".to_owned(),
        architecture: "x86_64".to_owned(),
        machine: "pc-q35-7.2".to_owned(),
        memory_bytes: 4 * GIB,
        current_memory_bytes: 4 * GIB,
        vcpus: 2,
        vcpus_max: 2,
        cpu: Cpu { model: Some("Skylake".to_owned()), xml: Some("<cpu/>".to_owned()), ..Cpu::default() },
        disks: vec![Disk {
            target: "vda".to_owned(),
            bus: "virtio".to_owned(),
            source: Source::File(IMAGE.to_owned()),
            ..Disk::default()
        }],
        interfaces: vec![Interface {
            mac: MAC.to_owned(),
            link: Link::Bridge("br0".to_owned()),
            ..Interface::default()
        }],
        ..Definition::default()
    }
}

/// Facts in which nothing is wrong.
fn good() -> Facts {
    let sight = DomainSight {
        state: VmState::Running,
        reason: Reason::Other,
        persistent: true,
        autostart: false,
        job: false,
        run: None,
    };
    let there = |name: &str| Some(Resolved { name: name.to_owned(), addresses: vec!["10.0.0.2".to_owned()] });
    Facts {
        source: host("kvm1", 1),
        destination: host("kvm2", 2),
        domain: Some(DomainFacts::new(DomainUuid(Uuid::from_u128(7)), definition(), sight)),
        reception: Some(Reception {
            machine: Some(Ok(MachineSupport {
                vcpus_max: Some(288),
                devices: [("graphics.type".to_owned(), vec!["vnc".to_owned()])].into(),
                ..MachineSupport::default()
            })),
            cpu: Some(CpuVerdict::Fits),
            networks: vec![NetworkFacts {
                name: "lan".to_owned(),
                active: true,
                forward: Some("bridge".to_owned()),
                ..NetworkFacts::default()
            }],
            ..Reception::default()
        }),
        meeting: Some(Meeting {
            ssh: Some(SshPlace { word: "root@kvm2".to_owned(), key_name: "kvm2".to_owned() }),
            peer: there("kvm2"),
            hostname: there("kvm2"),
            login: Some(Login::Works),
            port: Some(PortProbe::Open(49215)),
            sharing: vec![(IMAGE.to_owned(), Sharing::Shared("a mark".to_owned()))],
            servers: Vec::new(),
        }),
        destination_peer_uri: Some("qemu+ssh://root@kvm2/system".to_owned()),
        wanted: Wanted::default(),
        transport: TransportFacts::default(),
    }
}

fn source(facts: &mut Facts) -> &mut HostFacts {
    let HostKnowledge::Known(host) = &mut facts.source else { unreachable!("it is known") };
    host
}

fn destination(facts: &mut Facts) -> &mut HostFacts {
    let HostKnowledge::Known(host) = &mut facts.destination else { unreachable!("it is known") };
    host
}

fn there(facts: &mut Facts) -> &mut ShellFacts {
    destination(facts).shell.as_mut().unwrap()
}

fn domain(facts: &mut Facts) -> &mut DomainFacts {
    facts.domain.as_mut().unwrap()
}

fn defined(facts: &mut Facts) -> &mut Definition {
    &mut domain(facts).definition
}

/// What it is to be on the destination.
fn arriving(facts: &mut Facts) -> &mut Definition {
    let domain = domain(facts);
    let as_it_is = domain.definition.clone();
    domain.arriving.get_or_insert(as_it_is)
}

fn disk(facts: &mut Facts) -> &mut Disk {
    &mut defined(facts).disks[0]
}

fn reception(facts: &mut Facts) -> &mut Reception {
    facts.reception.as_mut().unwrap()
}

fn meeting(facts: &mut Facts) -> &mut Meeting {
    facts.meeting.as_mut().unwrap()
}

fn missing_there(facts: &mut Facts, path: &str) {
    there(facts).paths.insert(path.to_owned(), PathFacts::default());
}

fn codes(facts: &Facts) -> Vec<String> {
    let codes: Vec<String> = check(facts).into_iter().map(|finding| finding.code).collect();
    for code in &codes {
        assert!(codes::CODES.contains(&code.as_str()), "{code} is missing in preflight/codes.rs");
    }
    codes
}

/// A change of good facts, and what is found then.
type Case = (&'static str, Severity, fn(&mut Facts));

/// Each change makes one check speak, and no other; what it says helps.
#[track_caller]
fn assert_found(cases: &[Case]) {
    for (code, severity, change) in cases {
        let mut facts = good();
        change(&mut facts);
        let found = check(&facts);
        assert_eq!(codes(&facts), [*code], "{found:#?}");
        let finding = &found[0];
        assert_eq!(finding.severity, *severity, "{code}");
        assert!(!finding.evidence.is_empty() && !finding.subject.is_empty(), "{finding:#?}");
        assert!(finding.message.ends_with('.') || finding.message.ends_with("--unsafe)."), "{finding:#?}");
        assert!(finding.severity == Severity::Note || finding.remedy.is_some(), "{finding:#?}");
    }
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(check(&good()), []);
    let mut paused = good();
    domain(&mut paused).sight.state = VmState::Paused;
    assert_eq!(check(&paused), []);
}

#[test]
fn everything_is_reported_together_the_gravest_first() {
    let mut facts = good();
    domain(&mut facts).sight.job = true;
    domain(&mut facts).definition.title = Some("Shop".to_owned());
    there(&mut facts).clock_offset_ms = Some(9_000);
    missing_there(&mut facts, IMAGE);
    meeting(&mut facts).sharing = vec![(IMAGE.to_owned(), Sharing::Missing)];
    assert_eq!(codes(&facts), ["disk-not-shared", "job-active", "clocks-differ"]);
    assert!(forbids(&check(&facts)));
}

#[test]
fn warnings_can_be_ignored_and_blockers_cannot() {
    let mut facts = good();
    there(&mut facts).clock_offset_ms = Some(9_000);
    domain(&mut facts).sight.job = true;
    let mut findings = check(&facts);
    let named = |code: &str| vec![code.to_owned()];
    assert_eq!(ignore(&mut findings, &named("job-active")), Err("job-active".to_owned()));
    assert_eq!(findings.len(), 2, "nothing is left out then");
    assert_eq!(ignore(&mut findings, &named("clocks-differ")), Ok(()));
    assert_eq!(findings.len(), 1);
}

#[test]
fn without_shells_what_libvirt_says_is_checked_still() {
    let mut facts = good();
    source(&mut facts).shell = None;
    destination(&mut facts).shell = None;
    let meeting = meeting(&mut facts);
    (meeting.login, meeting.port, meeting.peer, meeting.hostname) = (None, None, None, None);
    meeting.sharing = vec![(IMAGE.to_owned(), Sharing::Unknown("no shell".to_owned()))];
    assert_eq!(codes(&facts), ["sharing-unproven"]);
    reception(&mut facts).cpu =
        Some(CpuVerdict::Missing { features: vec!["avx512f".to_owned()], said: "no avx512f".to_owned() });
    assert_eq!(codes(&facts), ["cpu-features-missing", "sharing-unproven"]);
}
