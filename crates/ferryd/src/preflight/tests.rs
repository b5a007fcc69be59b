use api::vm::VmState;
use uuid::Uuid;

use super::*;
use crate::model::DomainUuid;
use crate::model::domain::{DomainSight, Reason};
use crate::model::facts::{DomainFacts, HostFacts, HostKnowledge, Namesake, PassedThrough};

fn host(name: &str, number: u128) -> HostFacts {
    HostFacts {
        name: name.to_owned(),
        uuid: Uuid::from_u128(number),
        hostname: name.to_owned(),
        hypervisor: "QEMU".to_owned(),
        architecture: "x86_64".to_owned(),
        domain_types: vec!["kvm".to_owned(), "qemu".to_owned()],
    }
}

fn good() -> Facts {
    Facts {
        source: HostKnowledge::Known(host("kvm1", 1)),
        destination: HostKnowledge::Known(host("kvm2", 2)),
        domain: Some(DomainFacts {
            uuid: DomainUuid(Uuid::from_u128(7)),
            name: "web1".to_owned(),
            sight: DomainSight {
                state: VmState::Running,
                reason: Reason::Other,
                persistent: true,
                autostart: false,
                job: false,
            },
            domain_type: "kvm".to_owned(),
            architecture: "x86_64".to_owned(),
            persistent_xml: None,
            passed_through: Vec::new(),
        }),
        namesakes: Vec::new(),
        destination_peer_uri: Some("qemu+ssh://root@kvm2/system".to_owned()),
    }
}

fn codes(facts: &Facts) -> Vec<String> {
    check(facts).into_iter().map(|finding| finding.code).collect()
}

fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = good();
    change(&mut facts);
    facts
}

fn domain(facts: &mut Facts) -> &mut DomainFacts {
    facts.domain.as_mut().unwrap()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert!(check(&good()).is_empty());
    assert!(check(&with(|facts| domain(facts).sight.state = VmState::Paused)).is_empty());
}

#[test]
fn each_reason_is_found() {
    let destination = |change: fn(&mut HostFacts)| {
        with(|facts| {
            let HostKnowledge::Known(host) = &mut facts.destination else { unreachable!() };
            change(host);
        })
    };
    for (expected, facts) in [
        ("same-host", destination(|host| host.uuid = Uuid::from_u128(1))),
        ("hypervisor-differs", destination(|host| host.hypervisor = "Xen".to_owned())),
        ("architecture-differs", destination(|host| host.architecture = "aarch64".to_owned())),
        ("domain-type-missing", destination(|host| host.domain_types = vec!["qemu".to_owned()])),
        ("no-peer-uri", with(|facts| facts.destination_peer_uri = None)),
        ("vm-gone", with(|facts| facts.domain = None)),
        ("vm-stopped", with(|facts| domain(facts).sight.state = VmState::Shutoff)),
        ("vm-state", with(|facts| domain(facts).sight.state = VmState::Crashed)),
        ("job-active", with(|facts| domain(facts).sight.job = true)),
        (
            "device-passed-through",
            with(|facts| {
                domain(facts).passed_through = vec![PassedThrough { what: "pci 0000:01:00.0".to_owned() }]
            }),
        ),
    ] {
        assert_eq!(codes(&facts), [expected]);
        assert!(forbids(&check(&facts)), "{expected}");
        let finding = &check(&facts)[0];
        assert!(!finding.evidence.is_empty() && finding.remedy.is_some(), "{expected} helps");
    }
}

#[test]
fn a_taken_name_and_a_taken_uuid_are_told_apart() {
    let other = |name: &str, uuid: u128, active| Namesake {
        name: name.to_owned(),
        uuid: DomainUuid(Uuid::from_u128(uuid)),
        active,
    };
    assert_eq!(codes(&with(|facts| facts.namesakes = vec![other("web1", 9, true)])), ["name-taken"]);
    assert_eq!(codes(&with(|facts| facts.namesakes = vec![other("old", 7, false)])), ["uuid-taken"]);
}

#[test]
fn on_the_same_machine_the_domain_is_no_namesake_of_itself() {
    let facts = with(|facts| {
        facts.destination = HostKnowledge::Known(host("kvm1", 1));
        let uuid = DomainUuid(Uuid::from_u128(7));
        facts.namesakes = vec![Namesake { name: "web1".to_owned(), uuid, active: true }];
    });
    assert_eq!(codes(&facts), ["same-host"]);
}

#[test]
fn everything_is_reported_together() {
    let facts = with(|facts| {
        domain(facts).sight.job = true;
        domain(facts).sight.state = VmState::Shutoff;
        facts.destination = HostKnowledge::Unreachable {
            name: "kvm2".to_owned(),
            code: "host-refused".to_owned(),
            message: "kvm2 refuses connections.".to_owned(),
            evidence: "Connection refused".to_owned(),
            remedy: "Start sshd.".to_owned(),
        };
    });
    assert_eq!(codes(&facts), ["host-refused", "vm-stopped", "job-active"]);
}
