//! The guest of a cell: what was there before, and whether all is well with it.

use std::cell::RefCell;
use std::time::Duration;

use lab::{DiskSpec, Expect, GuestLog, GuestSpec, Host, Oracle};

use super::{DESTINATION, GUEST, SOURCE, sides};
use crate::support::World;
use crate::support::images::{disk, sh, sum};

/// A guest boots under TCG in seconds, on a machine that does other things meanwhile in more.
pub(super) const BOOTS_WITHIN: Duration = Duration::from_secs(120);

/// The guest of a cell.
pub(crate) struct Subject {
    pub(crate) spec: GuestSpec,
    pub(crate) log: GuestLog,
    oracle: Oracle,
    /// Images that go along: on the destination they are new.
    images: &'static [&'static str],
    /// It was there, and has left them there when it moved on.
    were_there: std::cell::Cell<bool>,
    /// What the images come to, of one that does not run.
    sums: RefCell<Vec<String>>,
}

/// The guest's own disk, and one beside it that takes long to copy.
const IMAGES: &[&str] = &["/var/lib/libvirt/images/g1.qcow2", BALLAST];
/// The image that takes long to copy: raw, and all of it is written.
pub(super) const BALLAST: &str = "/var/lib/libvirt/images/ballast.raw";
const BALLAST_MIB: u32 = 48;
const DISK_MIB: u32 = 64;

fn make_ballast(host: &Host) {
    sh(host, &format!("dd if=/dev/urandom of={BALLAST} bs=1M count={BALLAST_MIB} status=none"));
}

impl Subject {
    /// Starts it on the source.
    pub(crate) fn started(world: &World, spec: GuestSpec) -> Self {
        let log = world.lab.watch_guest(&spec.name).expect("a log");
        world.lab.start_guest(&spec, SOURCE).expect("it starts");
        log.wait_ready(SOURCE, BOOTS_WITHIN).expect("it boots");
        let oracle = Oracle::before(&world.lab, &spec).expect("a look before");
        Self { spec, log, oracle, images: &[], were_there: false.into(), sums: RefCell::default() }
    }

    /// The same for one with disks that only the source has. `cache` is how they are cached, in libvirt's words.
    pub(crate) fn started_with_disks(world: &World, mut spec: GuestSpec, cache: &str) -> Self {
        make_ballast(&world.host(SOURCE));
        spec.disk = Some(DiskSpec { cache: cache.to_owned(), ..DiskSpec::in_pool(GUEST, DISK_MIB) });
        spec.extra_devices = disk(BALLAST, "raw", "vdb").replace("cache='none'", &format!("cache='{cache}'"));
        Self { images: IMAGES, ..Self::started(world, spec) }
    }

    /// One with disks that only the source has, and that does not run.
    pub(crate) fn stopped_with_disks(world: &World, mut spec: GuestSpec) -> Self {
        let source = world.host(SOURCE);
        make_ballast(&source);
        let (own, data) = (IMAGES[0], "write -q -P 7 1M 3M");
        sh(&source, &format!("qemu-img create -q -f qcow2 {own} {DISK_MIB}M; qemu-io -c '{data}' {own}"));
        spec.disk = Some(DiskSpec::qcow2(own, None));
        spec.extra_devices = disk(BALLAST, "raw", "vdb");
        let log = world.lab.watch_guest(&spec.name).expect("a log");
        world.define_stopped(SOURCE, &spec.to_xml(), &spec.name);
        if spec.autostart {
            source.virsh(&["autostart", &spec.name]).expect("it is set");
        }
        let oracle = Oracle::before(&world.lab, &spec).expect("a look before");
        let (images, sums) = (IMAGES, RefCell::default());
        let subject = Self { spec, log, oracle, images, were_there: false.into(), sums };
        subject.sums.replace(subject.sums_on(&source));
        subject
    }

    /// From now on its own disk is to be as it is now on the source.
    pub(super) fn take_sum_of_its_disk(&self, world: &World) {
        let [disk, ..] = self.images else { unreachable!("it has one") };
        self.sums.borrow_mut()[0] = sum(&world.host(SOURCE), disk);
    }

    fn sums_on(&self, host: &Host) -> Vec<String> {
        self.images.iter().map(|image| sum(host, image)).collect()
    }

    /// Its images on a host are what they were, bit for bit.
    #[track_caller]
    pub(super) fn assert_images(&self, host: &Host) {
        assert_eq!(self.sums_on(host), *self.sums.borrow(), "{}", host.name());
    }

    /// Takes away the images that were left on a host, which bar the way back to it.
    pub(super) fn clear_the_way(&self, world: &World, to: &str) {
        self.were_there.set(to == SOURCE);
        for image in self.images {
            world.host(to).run(&["rm", "-f", image]).expect("it is removed");
        }
    }

    /// Images that were made for it on the destination, where it did not come. (Those of a host that it has left stay.)
    pub(super) fn left_over(&self, world: &World) -> Option<String> {
        let host = world.host(DESTINATION);
        let left = self.images.iter().any(|image| host.disk_path(image).exists());
        (left && !self.were_there.get()).then(|| format!("{DESTINATION} (images)"))
    }

    /// The oracle finds nothing wrong; where it runs, it runs on `owner`.
    #[track_caller]
    pub(crate) fn assert_well(&self, world: &World, expect: Expect, owner: Option<&str>) {
        let mut oracle = self.oracle.clone();
        let there = owner == Some(DESTINATION) || self.were_there.get();
        if there || sides::has_definition(&world.host(DESTINATION)) {
            self.images.iter().for_each(|image| oracle.allow(DESTINATION, *image));
        }
        let verdict = oracle.verdict(&world.lab, &self.log, expect).expect("a verdict");
        let now = sides::Sides::of(world);
        assert_eq!((verdict.violations.as_slice(), verdict.owner.as_deref()), (&[][..], owner), "{now}");
    }
}
