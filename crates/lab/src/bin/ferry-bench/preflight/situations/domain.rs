//! The domain itself: its state, its names, what is at work on it.

use super::super::situation::{Situation, disk, image, other_named};

const SHARED: &str = "/srv/shared/s1.img";
/// Lasts until it is ended: whoever wants the backup fetches it.
const BACKUP: &str = "printf %s \"<domainbackup mode='pull'><server transport='unix' socket='/run/backup.sock'/><disks>\
     <disk name='vda' backup='yes' type='file'><scratch file='/srv/shared/scratch.img'/></disk></disks></domainbackup>\" \
     >/tmp/backup.xml && virsh -q backup-begin s1 /tmp/backup.xml";
const OTHER_UUID: &str = "c0000000-0000-4000-8000-000000000004";

fn with_disk(situation: Situation) -> Situation {
    situation.before("kvm1", image("qcow2", SHARED)).devices(disk("vda", "qcow2", "none", SHARED))
}

pub(super) fn all() -> Vec<Situation> {
    [states(), names(), work()].concat()
}

fn states() -> Vec<Situation> {
    vec![
        Situation::go("domain", "paused").shape(|shape| shape.paused = true),
        Situation::go("domain", "transient").shape(|shape| shape.transient = true),
        Situation::go("domain", "set to start with its host").after("kvm1", "virsh -q autostart s1"),
        Situation::go("domain", "stopped").shape(|shape| shape.stopped = true),
        Situation::stop("domain", "its QEMU stands still", "not-responding")
            .after("kvm1", "kill -STOP $(cat /run/libvirt/qemu/s1.pid)")
            .by_hand("kvm1", "kill -CONT $(cat /run/libvirt/qemu/s1.pid)")
            .undo("kvm1", "[ ! -e /run/libvirt/qemu/s1.pid ] || kill -CONT $(cat /run/libvirt/qemu/s1.pid)"),
    ]
}

fn names() -> Vec<Situation> {
    vec![
        Situation::stop("domain", "a stopped domain on the destination has its name", "name-taken")
            .before("kvm2", other_named("s1", OTHER_UUID, "", "", false)),
        Situation::stop("domain", "a running domain on the destination has its name", "name-taken")
            .before("kvm2", other_named("s1", OTHER_UUID, "", "", true))
            .by_hand("kvm2", "virsh -q destroy s1 && virsh -q undefine s1"),
        Situation::stop("domain", "a stopped domain on the destination has its name and UUID", "uuid-taken")
            .before("kvm2", other_named("s1", "@UUID@", "<description>precious</description>", "", false))
            .unharmed("kvm2", "virsh dumpxml s1 | grep -q precious"),
        Situation::stop("domain", "a stopped domain on the destination has its UUID", "uuid-taken")
            .before("kvm2", other_named("other", "@UUID@", "", "", false)),
        Situation::go("domain", "a domain on the destination has its title")
            .shape(|shape| shape.head = "<title>Shop</title>".to_owned())
            .before("kvm2", other_named("other", OTHER_UUID, "<title>Shop</title>", "", false)),
    ]
}

fn work() -> Vec<Situation> {
    vec![
        with_disk(Situation::stop("domain", "a snapshot", "snapshots"))
            .after("kvm1", "virsh -q snapshot-create-as s1 before"),
        with_disk(Situation::stop("domain", "two external snapshots", "snapshots"))
            .after("kvm1", "virsh -q snapshot-create-as s1 'one day' --disk-only --diskspec vda,file=/srv/shared/one.img && virsh -q snapshot-create-as s1 two --disk-only --diskspec vda,file=/srv/shared/two.img"),
        with_disk(Situation::go("domain", "a checkpoint"))
            .after("kvm1", "virsh -q checkpoint-create-as s1 first"),
        with_disk(Situation::stop("domain", "its disk is being copied", "block-job-active"))
            .after("kvm1", "virsh -q blockcopy s1 vda /srv/shared/copy.img --transient-job --bandwidth 1"),
        with_disk(Situation::stop("domain", "a backup of it is being made", "job-active"))
            .after("kvm1", BACKUP)
            .undo("kvm1", "virsh -q domjobabort s1 2>/dev/null; true"),
    ]
}
