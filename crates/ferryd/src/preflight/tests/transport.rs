use std::net::IpAddr;

use api::task::Compression;

use super::*;
use crate::model::facts::{Certificate, HostTransport, QemuOffers};
use Severity::{Blocker, Note, Warning};

const NOW_S: i64 = 1_000_000;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn certificate(name: &str) -> Certificate {
    Certificate {
        subject: format!("CN={name}"),
        issuer: "CN=authority".to_owned(),
        not_before_s: NOW_S - 10,
        not_after_s: NOW_S + 10,
        names: vec![name.to_owned()],
        addresses: Vec::new(),
    }
}

fn side(name: &str, own: &str) -> HostTransport {
    HostTransport {
        addresses: vec![address("127.0.0.1"), address(own), address("10.1.0.2")],
        rdma_devices: vec!["mlx5_0".to_owned()],
        tls_directory: "/etc/pki/qemu".to_owned(),
        authorities: vec![certificate("authority")],
        certificate: Some(certificate(name)),
        key: true,
    }
}

/// A QEMU that was asked, and has this.
fn offers(capabilities: &[&str], multifd_compressions: &[&str]) -> Option<QemuOffers> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some(QemuOffers {
        program: "/usr/bin/qemu-system-x86_64".to_owned(),
        capabilities: owned(capabilities),
        multifd_compressions: owned(multifd_compressions),
    })
}

/// Both hosts were looked at, and have everything.
fn looked_at(facts: &mut Facts) {
    facts.transport = TransportFacts {
        source: Some(side("kvm1", "10.0.0.1")),
        destination: Some(side("kvm2", "10.0.0.2")),
        server_trusted: true,
        client_trusted: true,
        now_s: NOW_S,
        ..TransportFacts::default()
    };
}

fn encrypted(facts: &mut Facts) {
    looked_at(facts);
    facts.wanted.transport.tls = true;
}

fn by_rdma(facts: &mut Facts) {
    looked_at(facts);
    facts.wanted.transport.rdma = true;
    defined(facts).memory_hard_limit = true;
}

fn compressed(facts: &mut Facts, by: Compression) {
    looked_at(facts);
    facts.wanted.transport.compress = Some(by);
    (source(facts).libvirt_version, destination(facts).libvirt_version) = (11_003_000, 11_003_000);
}

fn sent_by(facts: &mut Facts, via: &str) {
    looked_at(facts);
    facts.transport.via = Some(via.parse().unwrap());
}

fn here_of(facts: &mut Facts) -> &mut HostTransport {
    facts.transport.source.as_mut().unwrap()
}

fn there_of(facts: &mut Facts) -> &mut HostTransport {
    facts.transport.destination.as_mut().unwrap()
}

#[test]
fn of_the_way_that_memory_travels() {
    assert_found(&[
        ("transport-unsupported", Blocker, |facts| {
            facts.wanted.transport.compress = Some(Compression::Zstd);
            destination(facts).libvirt_version = 9_004_000;
            source(facts).libvirt_version = 9_003_000;
        }),
        ("transport-unsupported", Blocker, |facts| {
            facts.wanted.transport.compress = Some(Compression::Mt);
            destination(facts).hypervisor_version = 10_000_002;
        }),
        ("transport-unsupported", Blocker, |facts| {
            facts.wanted.transport.zerocopy = true;
            (source(facts).hypervisor_version, destination(facts).hypervisor_version) =
                (7_000_000, 7_001_000);
        }),
        ("transport-unsupported", Blocker, |facts| {
            compressed(facts, Compression::Zstd);
            facts.transport.destination_qemu = offers(&["xbzrle", "multifd"], &["none", "zlib"]);
        }),
        ("transport-unsupported", Blocker, |facts| {
            compressed(facts, Compression::Mt);
            facts.transport.source_qemu = offers(&["xbzrle", "compress"], &[]);
            facts.transport.destination_qemu = offers(&["xbzrle"], &[]);
        }),
        ("via-missing", Blocker, |facts| sent_by(facts, "10.2.0.0/24")),
        ("via-missing", Blocker, |facts| sent_by(facts, "10.1.0.3")),
        ("via-unknown", Blocker, |facts| {
            sent_by(facts, "10.1.0.0/24");
            facts.transport.destination = None;
        }),
        ("rdma-missing", Blocker, |facts| {
            by_rdma(facts);
            there_of(facts).rdma_devices.clear();
        }),
        ("rdma-missing", Blocker, |facts| {
            by_rdma(facts);
            facts.transport.source = None;
        }),
        ("rdma-no-hard-limit", Blocker, |facts| {
            by_rdma(facts);
            defined(facts).memory_hard_limit = false;
        }),
        ("transport-unused", Note, |facts| {
            encrypted(facts);
            facts.transport.destination = Some(HostTransport::default());
            domain(facts).sight.state = VmState::Shutoff;
        }),
    ]);
}

#[test]
fn of_certificates() {
    assert_found(&[
        ("tls-not-looked-at", Warning, |facts| {
            encrypted(facts);
            facts.transport.destination = None;
        }),
        ("tls-certificates-missing", Blocker, |facts| {
            encrypted(facts);
            there_of(facts).key = false;
        }),
        ("tls-certificates-missing", Blocker, |facts| {
            encrypted(facts);
            here_of(facts).certificate = None;
            // Nothing is signed then; one finding is enough.
            facts.transport.client_trusted = false;
        }),
        ("tls-certificates-missing", Blocker, |facts| {
            encrypted(facts);
            here_of(facts).authorities.clear();
            facts.transport.server_trusted = false;
        }),
        ("tls-certificate-expired", Blocker, |facts| {
            encrypted(facts);
            there_of(facts).certificate.as_mut().unwrap().not_after_s = NOW_S - 1;
        }),
        ("tls-certificate-expired", Blocker, |facts| {
            encrypted(facts);
            here_of(facts).authorities[0].not_before_s = NOW_S + 1;
        }),
        ("tls-name-mismatch", Blocker, |facts| {
            encrypted(facts);
            there_of(facts).certificate.as_mut().unwrap().names = vec!["kvm9".to_owned()];
        }),
        ("tls-other-authority", Blocker, |facts| {
            encrypted(facts);
            facts.transport.server_trusted = false;
        }),
        ("tls-other-authority", Blocker, |facts| {
            encrypted(facts);
            facts.transport.client_trusted = false;
        }),
    ]);
}

#[test]
fn what_both_have_is_not_spoken_of() {
    let mut facts = good();
    encrypted(&mut facts);
    let asked = &mut facts.wanted.transport;
    (asked.parallel, asked.compress) = (Some(4), None);
    facts.transport.via = Some("10.1.0.0/24".parse().unwrap());
    assert_eq!(check(&facts), []);
    by_rdma(&mut facts);
    assert_eq!(check(&facts), []);
}

#[test]
fn sent_to_an_address_the_destination_needs_no_name() {
    let mut facts = good();
    meeting(&mut facts).hostname = Some(Resolved { name: "localhost".to_owned(), addresses: Vec::new() });
    assert_eq!(codes(&facts), ["hostname-localhost"]);
    sent_by(&mut facts, "10.1.0.2");
    assert_eq!(check(&facts), []);
}

#[test]
fn with_ferryd_in_between_the_two_libvirts_need_not_meet() {
    let mut facts = good();
    facts.wanted.transport.direct = true;
    facts.destination_peer_uri = None;
    meeting(&mut facts).peer.as_mut().unwrap().addresses.clear();
    meeting(&mut facts).login = Some(Login::Fails {
        failure: crate::model::ConnectFailure::Denied,
        said: "Permission denied".to_owned(),
    });
    assert_eq!(check(&facts), []);
    let (address, said) = ("10.0.0.2".to_owned(), "no answer".to_owned());
    meeting(&mut facts).port = Some(PortProbe::Shut { port: 49215, address, said });
    assert_eq!(codes(&facts), ["migration-port-shut"], "QEMU must reach QEMU all the same");
}

#[test]
fn the_remedy_makes_certificates_for_both() {
    let mut facts = good();
    encrypted(&mut facts);
    facts.transport.address = Some(address("10.1.0.2"));
    there_of(&mut facts).key = false;
    let remedy = check(&facts).remove(0).remedy.unwrap();
    assert_eq!(remedy.command.as_deref(), Some("ferryd tls init --dir /etc/ferry/pki kvm1 kvm2,10.1.0.2"));
}

#[test]
fn a_qemu_that_was_asked_is_believed_whatever_its_version() {
    let mut facts = good();
    compressed(&mut facts, Compression::Zstd);
    source(&mut facts).hypervisor_version = 4_002_000;
    destination(&mut facts).hypervisor_version = 4_002_000;
    assert_eq!(codes(&facts), ["transport-unsupported", "transport-unsupported"]);
    // As a distribution may have brought it to an older one.
    facts.transport.source_qemu = offers(&["xbzrle"], &["none", "zlib", "zstd"]);
    facts.transport.destination_qemu = offers(&["xbzrle"], &["none", "zlib", "zstd"]);
    assert_eq!(check(&facts), []);
}
