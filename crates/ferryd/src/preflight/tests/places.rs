use super::*;
use crate::model::definition::{Backing, Drive, SecretReference, SecretUse};
use crate::model::facts::{DiskImage, PoolFacts};
use Severity::{Blocker, Note, Warning};
use api::task::StorageMapping;

const BASE: &str = "/images/base.raw";

/// Its only disk is asked into the pool `fast`, where there is room and nothing else.
fn asked(facts: &mut Facts) {
    facts.wanted.storage =
        vec![StorageMapping { disk: "vda".to_owned(), pool: "fast".to_owned(), volume: None }];
    reception(facts).pools = vec![PoolFacts {
        name: "fast".to_owned(),
        kind: "dir".to_owned(),
        active: true,
        target: Some("/fast".to_owned()),
        capacity_bytes: 100 * GIB,
        available_bytes: 100 * GIB,
        volumes: Some(Vec::new()),
    }];
    disk(facts).format = Some("qcow2".to_owned());
    domain(facts).images = vec![DiskImage {
        target: "vda".to_owned(),
        capacity_bytes: 20 * GIB,
        allocation_bytes: 5 * GIB,
        physical_bytes: 6 * GIB,
    }];
}

fn pool(facts: &mut Facts) -> &mut PoolFacts {
    &mut reception(facts).pools[0]
}

/// Over another image that both hosts see.
fn over_a_base(facts: &mut Facts) {
    let source = Source::File(BASE.to_owned());
    disk(facts).backing = vec![Backing { source, format: Some("raw".to_owned()), by_place: false }];
    meeting(facts).sharing.push((BASE.to_owned(), Sharing::Shared("a mark".to_owned())));
}

fn stop(facts: &mut Facts) {
    domain(facts).sight.state = VmState::Shutoff;
}

#[test]
fn of_disks_asked_into_a_pool() {
    assert_found(&[
        ("disk-copied", Note, asked),
        ("disk-copied", Note, |facts| {
            asked(facts);
            stop(facts);
        }),
        // Whatever the destination has by the old path.
        ("disk-copied", Note, |facts| {
            asked(facts);
            meeting(facts).sharing[0].1 = Sharing::Different("another file".to_owned());
        }),
        ("disk-copied", Note, |facts| {
            asked(facts);
            disk(facts).source = Source::Block("/dev/vg/web1".to_owned());
            disk(facts).format = Some("raw".to_owned());
        }),
        ("storage-disk-unknown", Blocker, |facts| {
            asked(facts);
            facts.wanted.storage[0].disk = "vdz".to_owned();
        }),
        ("storage-disk-fixed", Blocker, |facts| {
            asked(facts);
            disk(facts).shareable = true;
        }),
        ("storage-disk-fixed", Blocker, |facts| {
            asked(facts);
            disk(facts).drive = Drive::Cdrom;
        }),
        ("storage-pool-missing", Blocker, |facts| {
            asked(facts);
            pool(facts).name = "slow".to_owned();
        }),
        ("storage-pool-inactive", Blocker, |facts| {
            asked(facts);
            pool(facts).active = false;
        }),
        ("storage-pool-kind", Blocker, |facts| {
            asked(facts);
            pool(facts).kind = "logical".to_owned();
        }),
        ("storage-name-taken", Blocker, |facts| {
            asked(facts);
            pool(facts).volumes = Some(vec!["web1.qcow2".to_owned()]);
        }),
        ("storage-disk-stays", Blocker, |facts| {
            asked(facts);
            disk(facts).encryption = Some("luks".to_owned());
        }),
        ("storage-disk-stays", Blocker, |facts| {
            asked(facts);
            luks(facts);
            over_a_base(facts);
            // What lies below it is encrypted as well.
            let again = disk(facts).secrets[0].clone();
            disk(facts).secrets.push(again);
        }),
        // It may name what lies below it by its place.
        ("storage-disk-stays", Blocker, |facts| {
            asked(facts);
            stop(facts);
            over_a_base(facts);
            disk(facts).backing[0].by_place = true;
        }),
        ("secret-empty", Blocker, |facts| {
            let reference = SecretReference::Uuid(Uuid::from_u128(9));
            disk(facts).secrets =
                vec![SecretUse { kind: "passphrase".to_owned(), reference: reference.clone() }];
            reception(facts).secrets_empty = vec![reference];
        }),
    ]);
}

fn luks(facts: &mut Facts) {
    let reference = SecretReference::Uuid(Uuid::from_u128(9));
    disk(facts).encryption = Some("luks".to_owned());
    disk(facts).secrets = vec![SecretUse { kind: "passphrase".to_owned(), reference }];
}

#[test]
fn an_encrypted_disk_is_copied_into_an_encrypted_one() {
    let mut facts = good();
    asked(&mut facts);
    luks(&mut facts);
    assert_eq!(codes(&facts), ["disk-copied-in-clear", "disk-copied"]);
    let plan = crate::plan::files(&facts);
    assert_eq!(plan.copied[0].new.luks, Some(SecretReference::Uuid(Uuid::from_u128(9))));
    let mut over = facts.clone();
    over_a_base(&mut over);
    assert_eq!(codes(&over), ["disk-copied-in-clear", "disk-copied"]);
    let plan = crate::plan::files(&over);
    assert!(plan.copied[0].new.luks.is_some() && plan.copied[0].new.base.is_some(), "{plan:?}");
    // A stopped one is carried as it is.
    stop(&mut facts);
    assert_eq!(codes(&facts), ["disk-copied"]);
    assert_eq!(crate::plan::files(&facts).carried[0].new.luks, None);
}

#[test]
fn a_pool_must_have_room() {
    let mut facts = good();
    asked(&mut facts);
    pool(&mut facts).available_bytes = 10 * GIB;
    let found = check(&facts);
    assert_eq!(
        (codes(&facts).as_slice(), found[0].severity),
        (&["space-tight".to_owned(), "disk-copied".to_owned()][..], Warning)
    );
    pool(&mut facts).available_bytes = GIB;
    assert_eq!(codes(&facts), ["space-short", "disk-copied"]);
}

#[test]
fn no_file_is_made_where_a_pool_is_that_is_not_active() {
    let idle_one = |target: &str| PoolFacts {
        name: "slow".to_owned(),
        kind: "dir".to_owned(),
        target: Some(target.to_owned()),
        ..PoolFacts::default()
    };
    let idle = |facts: &mut Facts, target: &str| reception(facts).pools.push(idle_one(target));
    let mut facts = good();
    storage_and_network::only_here(&mut facts);
    assert_eq!(codes(&facts), ["disk-copied"]);
    idle(&mut facts, "/elsewhere");
    assert_eq!(codes(&facts), ["disk-copied"]);
    let directory = IMAGE.rsplit_once('/').expect("a directory").0;
    idle(&mut facts, directory);
    assert_eq!(codes(&facts), ["pool-inactive", "disk-copied"]);
    stop(&mut facts);
    assert_eq!(codes(&facts), ["pool-inactive", "disk-copied"]);
    reception(&mut facts).pools.iter_mut().for_each(|pool| pool.active = true);
    assert_eq!(codes(&facts), ["disk-copied"]);
    // Of a stopped one they are read in the same way.
    domain(&mut facts).idle_pools = vec![idle_one(directory)];
    assert_eq!(codes(&facts), ["pool-inactive", "disk-copied"]);
    domain(&mut facts).idle_pools.clear();
    // One of another kind does not keep libvirt from making one.
    reception(&mut facts).pools = vec![PoolFacts { kind: "netfs".to_owned(), ..idle_one(directory) }];
    assert_eq!(codes(&facts), ["disk-copied"]);
}

#[test]
fn every_disk_means_those_that_can_be_made_elsewhere() {
    let mut facts = good();
    asked(&mut facts);
    facts.wanted.storage[0].disk = "*".to_owned();
    let cdrom = Disk { target: "sda".to_owned(), drive: Drive::Cdrom, ..Disk::default() };
    defined(&mut facts).disks.push(cdrom);
    assert_eq!(codes(&facts), ["disk-copied"]);
    let plan = crate::plan::files(&facts);
    assert_eq!(plan.copied[0].new.path, "/fast/web1.qcow2");
    assert_eq!(plan.copied[0].source_path(), IMAGE);
    // Two of one name cannot both be there.
    let second = Disk {
        target: "vdb".to_owned(),
        source: Source::File("/other/web1.qcow2".to_owned()),
        ..disk(&mut facts).clone()
    };
    defined(&mut facts).disks.push(second);
    assert_eq!(codes(&facts), ["storage-name-taken", "disk-copied"]);
    // One that is there already is none that is made.
    facts.wanted.shared.push("vdb".to_owned());
    meeting(&mut facts).sharing.push(("/other/web1.qcow2".to_owned(), Sharing::Unknown("?".to_owned())));
    assert_eq!(codes(&facts), ["disk-copied", "sharing-vouched"]);
    facts.wanted.shared.push("vdz".to_owned());
    assert!(codes(&facts).contains(&"storage-disk-unknown".to_owned()));
}

#[test]
fn of_chains_that_become_one_image() {
    assert_found(&[
        ("flatten-nothing", Note, |facts| facts.wanted.flatten = true),
        ("disk-copied", Note, |facts| {
            asked(facts);
            over_a_base(facts);
            facts.wanted.flatten = true;
            // What QEMU copies whole needs nothing below it.
            meeting(facts).sharing[1].1 = Sharing::Different("another file".to_owned());
        }),
        ("disk-copied", Note, |facts| {
            asked(facts);
            over_a_base(facts);
            stop(facts);
            facts.wanted.flatten = true;
        }),
    ]);
    let mut facts = good();
    asked(&mut facts);
    over_a_base(&mut facts);
    stop(&mut facts);
    facts.wanted.flatten = true;
    let plan = crate::plan::files(&facts);
    assert_eq!(plan.carried[0].new.path, "/fast/web1.qcow2.chain");
    assert_eq!(
        (plan.flattened[0].new.path.as_str(), plan.flattened[0].new.base.as_ref()),
        ("/fast/web1.qcow2", None)
    );
    assert_eq!(plan.temporary, ["/fast/web1.qcow2.chain"]);
    domain(&mut facts).snapshots = vec!["first".to_owned()];
    assert_eq!(codes(&facts), ["flatten-impossible", "disk-copied"]);
}

#[test]
fn what_becomes_of_the_image_that_was_copied_is_told() {
    let said = |delete: bool, change: fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        facts.wanted.delete_source_disks = delete;
        let found = check(&facts);
        assert_eq!(codes(&facts), ["disk-copied"]);
        found[0].message.clone()
    };
    for change in [asked, storage_and_network::only_here] {
        assert!(said(false, change).ends_with("The one here stays."), "{}", said(false, change));
        let goes = said(true, change);
        assert!(
            !goes.contains("stays") && goes.contains("removed once web1 was seen to run there"),
            "{goes}"
        );
    }
    let stopped = said(true, |facts| {
        asked(facts);
        stop(facts);
    });
    assert!(stopped.contains("once web1 was seen to be there"), "{stopped}");
}
