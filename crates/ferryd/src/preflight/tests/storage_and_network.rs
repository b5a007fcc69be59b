use super::*;
use crate::model::definition::{Backing, Drive, NetworkHost, NetworkSource, SecretReference, SecretUse, Tpm};
use crate::model::facts::{DiskImage, Occupied, PoolFacts, ServerProbe};
use Severity::{Blocker, Note, Warning};

fn sharing(facts: &mut Facts, sharing: Sharing) {
    meeting(facts).sharing = vec![(IMAGE.to_owned(), sharing)];
}

fn nbd(facts: &mut Facts, host: NetworkHost) {
    let source = NetworkSource { protocol: "nbd".to_owned(), name: "web1".to_owned(), hosts: vec![host] };
    disk(facts).source = Source::Network(source);
}

const BASE: &str = "/images/base.raw";

fn base(facts: &mut Facts, sharing: Sharing) {
    let source = Source::File(BASE.to_owned());
    disk(facts).backing = vec![Backing { source, ..Backing::default() }];
    meeting(facts).sharing.push((BASE.to_owned(), sharing));
}

/// Its image is on the source alone, and of a kind that is copied.
pub(super) fn only_here(facts: &mut Facts) {
    sharing(facts, Sharing::Missing);
    source(facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), file("ext4"));
    disk(facts).format = Some("qcow2".to_owned());
    let image = DiskImage {
        target: "vda".to_owned(),
        capacity_bytes: 20 * GIB,
        allocation_bytes: 5 * GIB,
        physical_bytes: GIB,
    };
    domain(facts).images = vec![image];
    there(facts)
        .paths
        .insert(IMAGE.to_owned(), PathFacts { mounted_from: "/dev/vdb".to_owned(), ..file("ext4") });
    there(facts).paths.get_mut(IMAGE).unwrap().kind = PathKind::Missing;
}

fn free(facts: &mut Facts, bytes: u64) {
    only_here(facts);
    there(facts).paths.get_mut(IMAGE).unwrap().free_bytes = bytes;
}

#[test]
fn what_lies_below_a_copied_image_must_be_the_same() {
    let mut facts = good();
    only_here(&mut facts);
    base(&mut facts, Sharing::Different("another file".to_owned()));
    disk(&mut facts).backing[0].format = Some("raw".to_owned());
    assert_eq!(codes(&facts), ["backing-missing", "disk-copied"]);
    let mut stopped = facts.clone();
    domain(&mut stopped).sight.state = VmState::Shutoff;
    assert_eq!(codes(&stopped), ["backing-missing", "disk-copied"]);
    domain(&mut stopped).definition.disks[0].backing.clear();
    domain(&mut stopped).chains_unread = vec![("vda".to_owned(), "no qemu-img".to_owned())];
    let found = check(&stopped);
    assert_eq!((found[0].code.as_str(), found[0].severity), ("chain-unread", Blocker));
}

#[test]
fn there_must_be_room_for_what_is_copied() {
    let found = |bytes| {
        let mut facts = good();
        free(&mut facts, bytes);
        codes(&facts)
    };
    assert_eq!(found(30 * GIB), ["disk-copied"]);
    assert_eq!(found(10 * GIB), ["space-tight", "disk-copied"]);
    assert_eq!(found(4 * GIB), ["space-short", "disk-copied"]);
}

fn cdrom(facts: &mut Facts) -> &mut Disk {
    missing_there(facts, "/iso/debian.iso");
    defined(facts).disks.push(Disk {
        target: "sda".to_owned(),
        drive: Drive::Cdrom,
        readonly: true,
        source: Source::File("/iso/debian.iso".to_owned()),
        ..Disk::default()
    });
    defined(facts).disks.last_mut().unwrap()
}

fn other(facts: &mut Facts, active: bool) -> &mut Occupied {
    reception(facts).occupied.push(Occupied { domain: "old1".to_owned(), active, ..Occupied::default() });
    reception(facts).occupied.last_mut().unwrap()
}

#[test]
fn of_its_drives() {
    assert_found(&[
        ("disk-not-shared", Blocker, |facts| sharing(facts, Sharing::Missing)),
        ("disk-not-shared", Blocker, |facts| sharing(facts, Sharing::Different("another file".to_owned()))),
        ("sharing-unproven", Warning, |facts| sharing(facts, Sharing::Unknown("read-only".to_owned()))),
        ("sharing-unproven", Blocker, |facts| {
            sharing(facts, Sharing::Unknown("no serial number".to_owned()));
            disk(facts).source = Source::Block(IMAGE.to_owned());
        }),
        // libvirt would refuse it.
        ("sharing-unproven", Blocker, |facts| {
            sharing(facts, Sharing::Unknown("read-only".to_owned()));
            source(facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), file("ext4"));
        }),
        // libvirt is not asked.
        ("sharing-unproven", Blocker, |facts| {
            sharing(facts, Sharing::Unknown("no shell".to_owned()));
            domain(facts).sight.state = VmState::Shutoff;
            source(facts).shell = None;
        }),
        ("sharing-unproven", Blocker, |facts| {
            sharing(facts, Sharing::Unknown("read-only".to_owned()));
            domain(facts).sight.state = VmState::Shutoff;
        }),
        // A replica of it is mounted there.
        ("sharing-unproven", Blocker, |facts| {
            sharing(facts, Sharing::Unknown("read-only".to_owned()));
            let other = PathFacts { mounted_from: "other:/a".to_owned(), ..file("nfs4") };
            destination(facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), other);
        }),
        ("sharing-unproven", Blocker, |facts| base(facts, Sharing::Unknown("read-only".to_owned()))),
        ("sharing-vouched", Note, |facts| {
            base(facts, Sharing::Unknown("read-only".to_owned()));
            facts.wanted.shared.push("vda".to_owned());
        }),
        ("sharing-vouched", Note, |facts| {
            sharing(facts, Sharing::Unknown("read-only".to_owned()));
            facts.wanted.shared.push("vda".to_owned());
        }),
        ("sharing-refuted", Blocker, |facts| {
            sharing(facts, Sharing::Different("another file".to_owned()));
            facts.wanted.shared.push("vda".to_owned());
        }),
        ("disk-copied", Note, |facts| {
            only_here(facts);
            facts.wanted.shared.push("vda".to_owned());
        }),
        ("sharing-refuted", Blocker, |facts| {
            sharing(facts, Sharing::Missing);
            facts.wanted.shared.push("vda".to_owned());
        }),
        ("sharing-proven", Note, |facts| {
            source(facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), file("ext4"));
        }),
        ("disk-copied", Note, only_here),
        ("disk-copied", Note, |facts| {
            only_here(facts);
            domain(facts).sight.state = VmState::Shutoff;
        }),
        ("disk-not-shared", Blocker, |facts| {
            only_here(facts);
            facts.wanted.tunnelled = true;
        }),
        ("disk-not-shared", Blocker, |facts| {
            only_here(facts);
            disk(facts).shareable = true;
        }),
        ("disk-copied", Note, |facts| {
            only_here(facts);
            disk(facts).readonly = true;
        }),
        // It lies on a file system of the network, which is not mounted there.
        ("disk-not-shared", Blocker, |facts| {
            only_here(facts);
            source(facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), file("nfs4"));
        }),
        // What lies below it cannot be named by the new image.
        ("disk-not-shared", Blocker, |facts| {
            only_here(facts);
            disk(facts).backing =
                vec![Backing { source: Source::Other("nbd://x".to_owned()), ..Backing::default() }];
        }),
        ("disk-missing", Blocker, |facts| {
            disk(facts).readonly = true;
            source(facts).shell = None;
            sharing(facts, Sharing::Missing);
        }),
        ("backing-carried", Note, |facts| {
            base(facts, Sharing::Missing);
            source(facts).shell.as_mut().unwrap().paths.insert(BASE.to_owned(), file("ext4"));
        }),
        ("backing-missing", Blocker, |facts| base(facts, Sharing::Missing)),
        ("backing-copied", Warning, |facts| {
            base(facts, Sharing::Different("another file".to_owned()));
            source(facts).shell.as_mut().unwrap().paths.insert(BASE.to_owned(), file("ext4"));
            there(facts).paths.insert(BASE.to_owned(), file("ext4"));
        }),
        ("chain-unread", Warning, |facts| {
            domain(facts).sight.state = VmState::Shutoff;
            domain(facts).chains_unread = vec![("vda".to_owned(), "no qemu-img".to_owned())];
        }),
        ("disk-source-missing", Blocker, |facts| {
            source(facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), PathFacts::default());
            meeting(facts).sharing.clear();
        }),
        ("disk-server-unreachable", Blocker, |facts| {
            nbd(facts, NetworkHost::Tcp { name: "store".to_owned(), port: Some(10809) });
            let (server, reached) = ("store".to_owned(), Err("10.0.0.9: refused".to_owned()));
            meeting(facts).servers = vec![ServerProbe { server, port: 10809, reached }];
        }),
        ("disk-server-local", Blocker, |facts| {
            nbd(facts, NetworkHost::Tcp { name: "localhost".to_owned(), port: None });
        }),
        ("disk-socket-missing", Blocker, |facts| {
            nbd(facts, NetworkHost::Unix("/run/nbd.sock".to_owned()));
            missing_there(facts, "/run/nbd.sock");
        }),
        ("pool-missing", Blocker, |facts| {
            disk(facts).source = Source::Volume { pool: "fast".to_owned(), volume: "web1".to_owned() };
        }),
        ("pool-inactive", Blocker, |facts| {
            disk(facts).source = Source::Volume { pool: "fast".to_owned(), volume: "web1".to_owned() };
            let pool = PoolFacts { name: "fast".to_owned(), active: false, ..PoolFacts::default() };
            reception(facts).pools = vec![pool];
        }),
        ("medium-missing", Blocker, |facts| cdrom(facts).startup_policy = None),
        ("medium-ejected", Note, |facts| {
            cdrom(facts).startup_policy = None;
            let mut arriving = defined(facts).clone();
            arriving.disks.last_mut().unwrap().source = Source::Empty;
            domain(facts).arriving = Some(arriving);
        }),
        ("medium-dropped", Note, |facts| cdrom(facts).startup_policy = Some("optional".to_owned())),
        ("secret-missing", Blocker, |facts| {
            let reference = SecretReference::Uuid(Uuid::from_u128(9));
            disk(facts).secrets =
                vec![SecretUse { kind: "passphrase".to_owned(), reference: reference.clone() }];
            reception(facts).secrets_missing = vec![reference];
        }),
        ("disk-transient", Blocker, |facts| disk(facts).transient = true),
        ("disk-of-host", Blocker, |facts| disk(facts).source = Source::Other("nvme".to_owned())),
        ("disk-reservations", Warning, |facts| disk(facts).reservations = true),
        ("disk-in-use", Blocker, |facts| other(facts, true).paths = vec![IMAGE.to_owned()]),
        ("disk-in-use", Warning, |facts| other(facts, false).paths = vec![IMAGE.to_owned()]),
        ("disk-cache-unsafe", Warning, |facts| disk(facts).cache = Some("unsafe".to_owned())),
        ("disk-cached", Blocker, |facts| {
            disk(facts).cache = Some("writeback".to_owned());
            source(facts).hypervisor_version = 3_001_000;
        }),
        ("disk-errors", Warning, |facts| {
            domain(facts).disk_errors = vec![("vda".to_owned(), "no space".to_owned())];
        }),
    ]);
}

#[test]
fn a_volume_is_judged_by_its_path() {
    let mut facts = good();
    disk(&mut facts).source = Source::Volume { pool: "fast".to_owned(), volume: "web1".to_owned() };
    let pool = PoolFacts { name: "fast".to_owned(), active: true, ..PoolFacts::default() };
    reception(&mut facts).pools = vec![pool];
    domain(&mut facts).volume_paths = vec![("vda".to_owned(), IMAGE.to_owned())];
    assert_eq!(check(&facts), []);
    sharing(&mut facts, Sharing::Missing);
    assert_eq!(codes(&facts), ["disk-not-shared"]);
}

#[test]
fn what_is_only_read_may_be_a_copy() {
    let mut facts = good();
    disk(&mut facts).readonly = true;
    sharing(&mut facts, Sharing::Different("another file".to_owned()));
    assert_eq!(check(&facts), []);
}

#[test]
fn libvirt_is_told_only_what_is_known_of_every_disk() {
    let mut facts = good();
    assert!(!sharing_proven(&facts), "libvirt knows NFS by itself");
    source(&mut facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), file("ext4"));
    assert!(sharing_proven(&facts));
    let second = Disk { target: "vdb".to_owned(), source: Source::File("/b".to_owned()), ..Disk::default() };
    defined(&mut facts).disks.push(second);
    assert!(!sharing_proven(&facts));
    meeting(&mut facts).sharing.push(("/b".to_owned(), Sharing::Unknown("no shell".to_owned())));
    assert!(!sharing_proven(&facts));
    facts.wanted.shared.push("vdb".to_owned());
    assert!(sharing_proven(&facts), "by the word of who asks");
    assert!(!needs_no_source(&facts, facts.domain.as_ref().unwrap()), "which is no proof");
    for seen in [Sharing::Missing, Sharing::Different("another".to_owned())] {
        meeting(&mut facts).sharing[1].1 = seen;
        assert!(!sharing_proven(&facts));
    }
}

#[test]
fn what_somebody_vouches_for_is_named() {
    let mut facts = good();
    base(&mut facts, Sharing::Unknown("read-only".to_owned()));
    facts.wanted.shared.push("vda".to_owned());
    let told = |facts: &Facts| {
        let finding = check(facts).remove(0);
        assert_eq!(finding.code, "sharing-vouched");
        assert!(finding.evidence.contains(BASE), "{finding:?}");
        finding.message.contains("--unsafe")
    };
    assert!(!told(&facts), "libvirt takes NFS for shared by itself");
    source(&mut facts).shell.as_mut().unwrap().paths.insert(IMAGE.to_owned(), file("ext4"));
    let finding = check(&facts).into_iter().find(|finding| finding.code == "sharing-vouched").unwrap();
    assert!(finding.message.contains("--unsafe"), "{finding:?}");
    disk(&mut facts).source = Source::Block(IMAGE.to_owned());
    assert!(!told(&facts), "of devices libvirt does not ask");
}

#[test]
fn only_one_that_has_nothing_of_its_own_on_the_source_needs_no_source() {
    let needs_no_source = |facts: &Facts| needs_no_source(facts, facts.domain.as_ref().unwrap());
    assert!(needs_no_source(&good()));
    let not: [fn(&mut Facts); 5] = [
        |facts| sharing(facts, Sharing::Unknown("no shell".to_owned())),
        |facts| sharing(facts, Sharing::Missing),
        |facts| defined(facts).firmware.nvram = Some("/nvram".to_owned()),
        |facts| defined(facts).tpm = Some(Tpm::default()),
        |facts| domain(facts).sight.state = VmState::Shutoff,
    ];
    for change in not {
        let mut facts = good();
        change(&mut facts);
        assert!(!needs_no_source(&facts), "{:?}", facts.domain);
    }
}

#[test]
fn a_base_that_is_carried_first_is_no_reason_for_libvirt_to_refuse() {
    let mut facts = good();
    for path in [IMAGE, BASE] {
        source(&mut facts).shell.as_mut().unwrap().paths.insert(path.to_owned(), file("ext4"));
    }
    base(&mut facts, Sharing::Different("another file".to_owned()));
    assert!(!sharing_proven(&facts));
    meeting(&mut facts).sharing[1].1 = Sharing::Missing;
    assert!(sharing_proven(&facts), "it is there when libvirt looks");
}

fn on_network(facts: &mut Facts, name: &str, portgroup: Option<&str>) {
    defined(facts).interfaces[0].link =
        Link::Network { name: name.to_owned(), portgroup: portgroup.map(str::to_owned) };
    let lan = NetworkFacts {
        name: "lan".to_owned(),
        forward: Some("bridge".to_owned()),
        ..NetworkFacts::default()
    };
    domain(facts).networks = vec![lan];
}

#[test]
fn what_it_is_connected_to_there_is_what_counts() {
    let mut facts = good();
    on_network(&mut facts, "dmz", None);
    domain(&mut facts).networks[0].name = "dmz".to_owned();
    assert_eq!(codes(&facts), ["network-missing"]);
    let remedy = check(&facts).remove(0).remedy.unwrap();
    assert!(remedy.text.contains("--network"), "{remedy:?}");
    // Of another kind than on the source: it was asked for.
    arriving(&mut facts).interfaces[0].link = Link::Network { name: "lan".to_owned(), portgroup: None };
    reception(&mut facts).networks[0].forward = Some("nat".to_owned());
    assert_eq!(check(&facts), []);
}

#[test]
fn of_its_interfaces() {
    assert_found(&[
        ("network-missing", Blocker, |facts| on_network(facts, "dmz", None)),
        // As it is to be on the destination.
        ("network-missing", Blocker, |facts| {
            arriving(facts).interfaces[0].link = Link::Network { name: "dmz".to_owned(), portgroup: None };
        }),
        ("network-inactive", Blocker, |facts| {
            arriving(facts).interfaces[0].link = Link::Network { name: "lan".to_owned(), portgroup: None };
            reception(facts).networks[0].active = false;
        }),
        ("bridge-missing", Blocker, |facts| {
            arriving(facts).interfaces[0].link = Link::Bridge("br7".to_owned());
        }),
        ("mtu-smaller", Warning, |facts| {
            arriving(facts).interfaces[0].link = Link::Bridge("br7".to_owned());
            there(facts)
                .bridges
                .insert("br7".to_owned(), BridgeFacts { kind: "bridge".to_owned(), mtu: Some(1400) });
        }),
        ("network-inactive", Blocker, |facts| {
            on_network(facts, "lan", None);
            reception(facts).networks[0].active = false;
        }),
        ("portgroup-missing", Warning, |facts| on_network(facts, "lan", Some("office"))),
        ("network-differs", Warning, |facts| {
            on_network(facts, "lan", None);
            reception(facts).networks[0].forward = Some("nat".to_owned());
        }),
        ("network-private", Note, |facts| {
            on_network(facts, "lan", None);
            domain(facts).networks[0].forward = Some("nat".to_owned());
            reception(facts).networks[0].forward = Some("nat".to_owned());
        }),
        ("bridge-missing", Blocker, |facts| {
            defined(facts).interfaces[0].link = Link::Bridge("br7".to_owned());
        }),
        ("bridge-of-other-kind", Blocker, |facts| {
            defined(facts).interfaces[0].virtual_port = Some("openvswitch".to_owned());
        }),
        ("interface-missing", Blocker, |facts| {
            defined(facts).interfaces[0].link = Link::Direct("eth7".to_owned());
        }),
        ("vhost-user-socket-missing", Blocker, |facts| {
            defined(facts).interfaces[0].link = Link::VhostUser("/run/vhost.sock".to_owned());
            missing_there(facts, "/run/vhost.sock");
        }),
        ("vlan-unsupported", Blocker, |facts| defined(facts).interfaces[0].vlans = vec![42]),
        ("filter-missing", Blocker, |facts| reception(facts).filters_missing = vec!["no-spoof".to_owned()]),
        ("mac-taken", Warning, |facts| other(facts, true).macs = vec![MAC.to_owned()]),
        ("mac-taken", Note, |facts| other(facts, false).macs = vec![MAC.to_owned()]),
        ("mtu-smaller", Warning, |facts| defined(facts).interfaces[0].mtu = Some(9000)),
    ]);
}

#[test]
fn post_copy_goes_with_no_copied_disk() {
    let mut facts = good();
    only_here(&mut facts);
    facts.wanted.post_copy = Some(api::task::PostCopy::WhenStuck);
    assert_eq!(codes(&facts), ["post-copy-with-disks", "post-copy-risk", "disk-copied"]);
}
