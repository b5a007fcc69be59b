use api::task::PostCopy;

use super::*;
use crate::model::ConnectFailure;
use Severity::{Blocker, Note, Warning};

#[test]
fn of_the_two_machines() {
    assert_found(&[
        ("hypervisor-differs", Blocker, |facts| destination(facts).hypervisor = "Xen".to_owned()),
        ("architecture-differs", Blocker, |facts| destination(facts).architecture = "aarch64".to_owned()),
        ("domain-type-missing", Blocker, |facts| {
            destination(facts).domain_types = vec!["qemu".to_owned()];
            // What libvirt then says of the machine is no news.
            reception(facts).machine = Some(Err("no".to_owned()));
        }),
        ("qemu-older", Warning, |facts| source(facts).hypervisor_version = 10_000_013),
        ("libvirt-older", Warning, |facts| source(facts).libvirt_version = 11_003_000),
        ("clocks-differ", Warning, |facts| there(facts).clock_offset_ms = Some(-5_000)),
        ("memory-exceeds-host", Blocker, |facts| defined(facts).memory_bytes = 64 * GIB),
        ("host-not-looked-at", Warning, |facts| {
            if let HostKnowledge::Known(host) = &mut facts.destination {
                host.shell_silent = true;
            }
        }),
        ("memory-limit", Blocker, |facts| there(facts).daemon_address_space_bytes = Some(2 * GIB)),
        ("memory-short", Warning, |facts| there(facts).memory_available_bytes = Some(3 * GIB)),
        ("memory-short", Warning, |facts| reception(facts).memory_arriving_bytes = 14 * GIB),
        ("memory-short", Blocker, |facts| {
            there(facts).memory_available_bytes = Some(3 * GIB);
            defined(facts).memory_backing.locked = true;
        }),
        ("memory-overcommitted", Note, |facts| reception(facts).memory_promised_bytes = 30 * GIB),
        ("huge-pages-short", Blocker, |facts| {
            defined(facts).memory_backing.huge_pages_kib = vec![2048];
            there(facts).huge_pages_free = [(2048, 100)].into();
        }),
        ("huge-pages-short", Blocker, |facts| {
            defined(facts).memory_backing.huge_pages_kib = vec![1_048_576];
            there(facts).huge_pages_free = [(2048, 10_000)].into();
        }),
        ("locked-memory-limit", Warning, |facts| {
            there(facts).daemon_locked_memory_limit_bytes = Some(GIB);
            defined(facts).memory_backing.locked = true;
        }),
        ("lock-managers-differ", Warning, |facts| there(facts).lock_manager = Some("lockd".to_owned())),
        ("processors-fewer", Warning, |facts| {
            (defined(facts).vcpus, defined(facts).vcpus_max) = (16, 16);
        }),
        ("processors-too-many", Blocker, |facts| defined(facts).vcpus_max = 500),
        ("pinned-cpus-missing", Blocker, |facts| {
            defined(facts).placement.pinned = vec![("vcpu 0".to_owned(), "12".to_owned())];
        }),
        ("pinned-cpus-fewer", Warning, |facts| {
            defined(facts).placement.pinned = vec![("the emulator".to_owned(), "6-12".to_owned())];
        }),
        ("numa-nodes-missing", Blocker, |facts| {
            defined(facts).placement.numa_nodes = Some("1".to_owned());
        }),
        ("label-model-missing", Blocker, |facts| {
            defined(facts).fixed_labels = vec![("apparmor".to_owned(), "libvirt-x".to_owned())];
        }),
    ]);
}

#[test]
fn of_one_machine_only_that_is_said() {
    let mut facts = good();
    destination(&mut facts).uuid = Uuid::from_u128(1);
    (facts.reception, facts.meeting) = (None, None);
    assert_eq!(codes(&facts), ["same-host"]);
}

#[test]
fn a_host_that_does_not_answer_is_told_by_its_failure() {
    let mut facts = good();
    facts.destination = HostKnowledge::Unreachable {
        name: "kvm2".to_owned(),
        code: "host-refused".to_owned(),
        message: "kvm2 refuses connections.".to_owned(),
        evidence: "Connection refused".to_owned(),
        remedy: "Start sshd.".to_owned(),
    };
    (facts.reception, facts.meeting) = (None, None);
    assert_eq!(codes(&facts), ["host-refused"]);
}

#[test]
fn memory_is_enough_where_huge_pages_are() {
    let mut facts = good();
    defined(&mut facts).memory_backing.huge_pages_kib = vec![2048];
    there(&mut facts).huge_pages_free = [(2048, 2048)].into();
    there(&mut facts).memory_available_bytes = Some(GIB);
    assert_eq!(check(&facts), []);
}

fn login(facts: &mut Facts, failure: ConnectFailure) {
    meeting(facts).login = Some(Login::Fails { failure, said: "what ssh said".to_owned() });
}

#[test]
fn of_the_way_between_them() {
    assert_found(&[
        ("no-peer-uri", Blocker, |facts| facts.destination_peer_uri = None),
        ("peer-name-unknown", Blocker, |facts| meeting(facts).peer.as_mut().unwrap().addresses.clear()),
        ("peer-name-loopback", Blocker, |facts| {
            meeting(facts).peer.as_mut().unwrap().addresses = vec!["127.0.1.1".to_owned()];
        }),
        ("peer-login-denied", Blocker, |facts| login(facts, ConnectFailure::Denied)),
        ("peer-host-key-unknown", Blocker, |facts| login(facts, ConnectFailure::HostKeyUnknown)),
        ("peer-host-key-changed", Blocker, |facts| login(facts, ConnectFailure::HostKeyChanged)),
        ("peer-unreachable", Blocker, |facts| login(facts, ConnectFailure::Refused)),
        ("peer-no-libvirt", Blocker, |facts| {
            meeting(facts).login = Some(Login::NoLibvirt("no socket".to_owned()));
        }),
        ("hostname-unknown", Blocker, |facts| meeting(facts).hostname.as_mut().unwrap().addresses.clear()),
        ("hostname-loopback", Blocker, |facts| {
            meeting(facts).hostname.as_mut().unwrap().addresses = vec!["127.0.1.1".to_owned()];
        }),
        ("hostname-localhost", Blocker, |facts| {
            meeting(facts).hostname.as_mut().unwrap().name = "localhost.localdomain".to_owned();
        }),
        ("migration-port-shut", Blocker, |facts| {
            let (address, said) = ("10.0.0.2".to_owned(), "no answer".to_owned());
            meeting(facts).port = Some(PortProbe::Shut { port: 49215, address, said });
        }),
        ("migration-ports-taken", Blocker, |facts| meeting(facts).port = Some(PortProbe::NoneFree)),
        ("migration-port-unprobed", Note, |facts| meeting(facts).port = None),
        ("ssh-few-sessions", Note, |facts| there(facts).ssh_max_startups = Some(2)),
    ]);
}

#[test]
fn through_libvirts_own_connection_no_port_is_needed() {
    let mut facts = good();
    facts.wanted.tunnelled = true;
    let shut = PortProbe::Shut { port: 1, address: String::new(), said: String::new() };
    meeting(&mut facts).port = Some(shut);
    meeting(&mut facts).hostname.as_mut().unwrap().addresses.clear();
    assert_eq!(check(&facts), []);
}

#[test]
fn who_is_not_let_in_gets_the_very_line() {
    let mut facts = good();
    login(&mut facts, ConnectFailure::Denied);
    let remedy = check(&facts).remove(0).remedy.unwrap();
    assert_eq!(remedy.host.as_deref(), Some("kvm2"));
    assert!(remedy.command.unwrap().contains("echo 'ssh-ed25519 AAAA root@host' >> ~/.ssh/authorized_keys"));
    source(&mut facts).shell.as_mut().unwrap().root_key = None;
    let remedy = check(&facts).remove(0).remedy.unwrap();
    assert_eq!(remedy.host.as_deref(), Some("kvm1"));
    assert!(remedy.command.unwrap().starts_with("ssh-keygen "));
}

#[test]
fn of_the_processor_and_the_machine() {
    assert_found(&[
        ("cpu-features-missing", Blocker, |facts| {
            reception(facts).cpu =
                Some(CpuVerdict::Missing { features: vec!["clwb".to_owned()], said: "no clwb".to_owned() });
        }),
        ("cpu-not-compared", Note, |facts| {
            reception(facts).cpu = Some(CpuVerdict::Unknown("why".to_owned()))
        }),
        ("cpu-host-passthrough", Warning, |facts| {
            defined(facts).cpu.mode = Some("host-passthrough".to_owned());
        }),
        ("machine-type-missing", Blocker, |facts| {
            reception(facts).machine = Some(Err("the machine 'pc-q35-10.0' is not supported".to_owned()));
        }),
        ("definition-refused", Blocker, |facts| {
            reception(facts).refused = Some("unsupported configuration: sound model 'virtio'".to_owned());
        }),
        ("emulator-missing", Blocker, |facts| {
            defined(facts).emulator = Some("/usr/libexec/qemu-kvm".to_owned());
            missing_there(facts, "/usr/libexec/qemu-kvm");
        }),
        ("emulator-mapped", Note, |facts| {
            defined(facts).emulator = Some("/usr/libexec/qemu-kvm".to_owned());
            missing_there(facts, "/usr/libexec/qemu-kvm");
            qemu_at(facts, "/usr/bin/qemu-system-x86_64");
        }),
        ("firmware-mapped", Note, |facts| {
            firmware_at(facts, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/edk2/x64/OVMF_CODE.4m.fd", GIB);
        }),
        // Of another size, which the guest's flash memory has not.
        ("firmware-missing", Blocker, |facts| {
            firmware_at(facts, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd", 5);
        }),
        ("firmware-missing", Blocker, |facts| {
            defined(facts).firmware.loader = Some("/ovmf.fd".to_owned());
            missing_there(facts, "/ovmf.fd");
        }),
        ("nvram-template-missing", Blocker, |facts| {
            defined(facts).firmware.nvram_template = Some("/vars.fd".to_owned());
            missing_there(facts, "/vars.fd");
        }),
        ("secure-boot-missing", Blocker, |facts| {
            defined(facts).firmware.secure = true;
            let Some(Ok(machine)) = &mut reception(facts).machine else { unreachable!("it is offered") };
            machine.loaders = vec!["/ovmf.fd".to_owned()];
        }),
        ("swtpm-missing", Blocker, |facts| {
            emulated_tpm(facts);
            there(facts).swtpm = None;
        }),
        ("swtpm-older", Warning, |facts| {
            emulated_tpm(facts);
            there(facts).swtpm = Some("TPM emulator version 0.6.3, Copyright".to_owned());
        }),
        ("tpm-passed-through", Blocker, |facts| {
            emulated_tpm(facts);
            defined(facts).tpm.as_mut().unwrap().backend = "passthrough".to_owned();
        }),
        ("launch-security", Blocker, |facts| defined(facts).launch_security = Some("sev".to_owned())),
        ("device-not-offered", Blocker, |facts| {
            defined(facts).graphics = vec![crate::model::definition::Graphics {
                kind: "spice".to_owned(),
                auto_port: true,
                ..Default::default()
            }];
        }),
        ("nvram-present", Note, |facts| {
            defined(facts).firmware.nvram = Some("/nvram/web1".to_owned());
            there(facts).paths.insert("/nvram/web1".to_owned(), file("ext4"));
        }),
        ("bandwidth-limited", Note, |facts| facts.wanted.bandwidth_mib_s = Some(10)),
        ("post-copy-risk", Warning, |facts| facts.wanted.post_copy = Some(PostCopy::WhenStuck)),
    ]);
}

fn qemu_at(facts: &mut Facts, path: &str) {
    let Some(Ok(machine)) = &mut reception(facts).machine else { unreachable!("it is offered") };
    machine.emulator = Some(path.to_owned());
}

/// Its firmware is at another path there, and of this size.
fn firmware_at(facts: &mut Facts, here: &str, other: &str, size_bytes: u64) {
    defined(facts).firmware.loader = Some(here.to_owned());
    source(facts).shell.as_mut().unwrap().paths.insert(here.to_owned(), file("ext4"));
    missing_there(facts, here);
    there(facts).paths.insert(other.to_owned(), PathFacts { size_bytes, ..file("ext4") });
}

fn emulated_tpm(facts: &mut Facts) {
    defined(facts).tpm =
        Some(crate::model::definition::Tpm { backend: "emulator".to_owned(), ..Default::default() });
}

#[test]
fn what_variables_are_made_from_may_be_elsewhere() {
    let (here, other) = ("/opt/OVMF_VARS_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd");
    let mut facts = good();
    firmware_at(&mut facts, here, other, GIB);
    let firmware = &mut defined(&mut facts).firmware;
    firmware.nvram_template = firmware.loader.take();
    assert_eq!(check(&facts), []);
    let mapped = crate::plan::host_files(&facts);
    assert_eq!(mapped.get(here).map(String::as_str), Some(other));
    // Where it is where it was, nothing is mapped.
    there(&mut facts).paths.insert(here.to_owned(), file("ext4"));
    assert!(crate::plan::host_files(&facts).is_empty());
}

#[test]
fn the_same_processor_may_be_passed_on() {
    let mut facts = good();
    defined(&mut facts).cpu.mode = Some("host-passthrough".to_owned());
    domain(&mut facts).host_model = Some("<cpu>EPYC</cpu>".to_owned());
    let Some(Ok(machine)) = &mut reception(&mut facts).machine else { unreachable!("it is offered") };
    machine.host_model = Some("<cpu>EPYC</cpu>".to_owned());
    assert_eq!(check(&facts), []);
}

#[test]
fn post_copy_has_its_risk_and_its_conditions() {
    let mut facts = good();
    facts.wanted.post_copy = Some(PostCopy::Now);
    there(&mut facts).userfaultfd = Some(true);
    assert_eq!(codes(&facts), ["post-copy-risk"]);
    there(&mut facts).userfaultfd = Some(false);
    assert_eq!(codes(&facts), ["post-copy-risk", "post-copy-not-allowed"]);
    // A stopped one has no memory.
    domain(&mut facts).sight.state = VmState::Shutoff;
    assert_eq!(codes(&facts), Vec::<String>::new());
}
