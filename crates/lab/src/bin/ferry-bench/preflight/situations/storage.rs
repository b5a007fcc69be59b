//! Its disks and media.

use super::super::situation::{Situation, disk, image, other};

const SHARED: &str = "/srv/shared/s1.img";
const LOCAL: &str = "/var/lib/libvirt/images/s1.img";
const OTHER_UUID: &str = "c0000000-0000-4000-8000-000000000002";
const SERVER_DOWN: &str = "[ ! -e /run/nbd.pid ] || { kill $(cat /run/nbd.pid); rm -f /run/nbd.pid; }";

fn shared(subject_name: &'static str, format: &str, cache: &str) -> Situation {
    Situation::go("storage", subject_name)
        .before("kvm1", image(format, SHARED))
        .devices(disk("vda", format, cache, SHARED))
}

fn nbd(server: &str) -> String {
    format!(
        "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/><source protocol='nbd' name='vda'>\
         <host name='{server}' port='10809'/></source><target dev='vda' bus='virtio'/></disk>"
    )
}

fn serve() -> String {
    format!(
        "{} && qemu-nbd --fork --persistent --shared=8 -x vda -p 10809 -f raw --pid-file=/run/nbd.pid {SHARED}",
        image("raw", SHARED)
    )
}

fn pool(name: &str) -> String {
    format!("virsh -q pool-define-as {name} dir --target /srv/shared && virsh -q pool-start {name}")
}

fn no_pool(name: &str) -> String {
    format!("virsh -q pool-destroy {name} 2>/dev/null; virsh -q pool-undefine {name} 2>/dev/null; true")
}

fn volume(pool: &str) -> String {
    format!(
        "<disk type='volume' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source pool='{pool}' volume='s1.img'/>\
         <target dev='vda' bus='virtio'/></disk>"
    )
}

fn cdrom(path: &str, policy: &str) -> String {
    format!(
        "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{path}' {policy}/>\
         <target dev='sda' bus='sata'/><readonly/></disk>"
    )
}

pub(super) fn all() -> Vec<Situation> {
    [places(), chains(), servers(), pools(), media(), kinds()].concat()
}

fn places() -> Vec<Situation> {
    vec![
        shared("an image on shared storage, not cached", "qcow2", "none"),
        shared("an image on shared storage, cached by the host", "raw", "writeback"),
        shared("an image on shared storage, never written out by order", "raw", "unsafe"),
        shared("only the destination has a lock manager", "raw", "none")
            .before("kvm2", "echo 'lock_manager = \"lockd\"' >>/etc/libvirt/qemu.conf")
            .undo("kvm2", "sed -i /^lock_manager/d /etc/libvirt/qemu.conf"),
        shared("four images on shared storage", "qcow2", "none")
            .before("kvm1", ["b", "c", "d"].map(|which| image("raw", &format!("/srv/shared/{which}.img"))).join(" && "))
            .devices(["b", "c", "d"].map(|which| disk(&format!("vd{which}"), "raw", "none", &format!("/srv/shared/{which}.img"))).concat()),
        Situation::go("storage", "an image that only the source has")
            .before("kvm1", image("qcow2", LOCAL))
            .devices(disk("vda", "qcow2", "none", LOCAL)),
        Situation::go("storage", "stopped, with an image that only the source has")
            .before("kvm1", image("qcow2", LOCAL))
            .devices(disk("vda", "qcow2", "none", LOCAL))
            .shape(|shape| shape.stopped = true),
        Situation::stop("storage", "an image that only the source has, and no room for it", "space-short")
            .before("kvm1", format!("dd if=/dev/urandom of={LOCAL} bs=1M count=16 status=none"))
            .before("kvm2", "mount -t tmpfs -o size=8M none /var/lib/libvirt/images")
            .devices(disk("vda", "raw", "none", LOCAL))
            .by_hand("kvm2", "mount -o remount,size=64M /var/lib/libvirt/images")
            .undo("kvm2", "umount /var/lib/libvirt/images 2>/dev/null || true"),
        Situation::stop("storage", "an image that only the source has, all through ssh", "disk-not-shared")
            .secure()
            .before("kvm1", image("qcow2", LOCAL))
            .devices(disk("vda", "qcow2", "none", LOCAL))
            .by_hand("kvm1", format!("virsh -q destroy s1; cp {LOCAL} {SHARED}; virsh dumpxml --inactive s1 | sed s,{LOCAL},{SHARED}, >/tmp/changed.xml; virsh -q define /tmp/changed.xml; virsh -q start s1")),
        Situation::stop("storage", "another file under the image's path", "disk-not-shared")
            .before("kvm1", image("qcow2", LOCAL))
            .before("kvm2", image("qcow2", LOCAL))
            .devices(disk("vda", "qcow2", "none", LOCAL))
            .by_hand("kvm1", format!("virsh -q destroy s1; cp {LOCAL} {SHARED}; virsh dumpxml --inactive s1 | sed s,{LOCAL},{SHARED}, >/tmp/changed.xml; virsh -q define /tmp/changed.xml; virsh -q start s1")),
        Situation::stop("storage", "the image was taken away from under it", "disk-source-missing")
            .before("kvm1", image("qcow2", SHARED))
            .devices(disk("vda", "qcow2", "none", SHARED))
            .after("kvm1", format!("mv {SHARED} /srv/shared/elsewhere"))
            .by_hand("kvm1", format!("mv /srv/shared/elsewhere {SHARED}")),
        shared("a stopped domain on the destination has the image, too", "qcow2", "none")
            .before("kvm2", other(OTHER_UUID, &disk("vda", "qcow2", "none", SHARED), false)),
    ]
}

fn chains() -> Vec<Situation> {
    let over = |base: &str| {
        format!("{} && qemu-img create -q -f qcow2 -F qcow2 -b {base} {SHARED}", image("qcow2", base))
    };
    vec![
        Situation::go("storage", "an image over another one, both shared")
            .before("kvm1", over("/srv/shared/base.img"))
            .devices(disk("vda", "qcow2", "none", SHARED)),
        Situation::go("storage", "an image over another one that only the source has")
            .before("kvm1", over("/var/lib/libvirt/images/base.img"))
            .devices(disk("vda", "qcow2", "none", SHARED)),
    ]
}

fn servers() -> Vec<Situation> {
    vec![
        Situation::go("storage", "an image on a server that both reach")
            .before("controller", serve())
            .devices(nbd("controller"))
            .undo("controller", SERVER_DOWN),
        Situation::stop("storage", "the image's server is the source itself", "disk-server-local")
            .before("kvm1", serve())
            .devices(nbd("127.0.0.1"))
            .changed_by_hand("s/127.0.0.1/kvm1/")
            .undo("kvm1", SERVER_DOWN),
        Situation::stop(
            "storage",
            "the destination does not reach the image's server",
            "disk-server-unreachable",
        )
        .before("controller", serve())
        .before("kvm2", "ip rule add ipproto tcp dport 10809 prohibit")
        .devices(nbd("controller"))
        .by_hand("kvm2", "ip rule del ipproto tcp dport 10809 prohibit")
        .undo("kvm2", "ip rule del ipproto tcp dport 10809 prohibit 2>/dev/null || true")
        .undo("controller", SERVER_DOWN),
    ]
}

fn pools() -> Vec<Situation> {
    let with = |situation: Situation| {
        situation
            .before("kvm1", format!("{} && {}", image("qcow2", SHARED), pool("fleet")))
            .devices(volume("fleet"))
            .undo("kvm1", no_pool("fleet"))
            .undo("kvm2", no_pool("fleet"))
    };
    vec![
        with(Situation::go("storage", "a volume of a pool that both have")).before("kvm2", pool("fleet")),
        with(Situation::stop("storage", "the destination does not have the volume's pool", "pool-missing"))
            .by_hand("kvm2", pool("fleet")),
        with(Situation::stop(
            "storage",
            "the volume's pool is not active on the destination",
            "pool-inactive",
        ))
        .before("kvm2", format!("{} && virsh -q pool-destroy fleet", pool("fleet"))),
    ]
}

fn media() -> Vec<Situation> {
    let iso = "/var/lib/libvirt/images/cd.iso";
    let only_read = disk("vdb", "raw", "none", "/var/lib/libvirt/images/tools.img")
        .replace("<target", "<readonly/><target");
    let tools = image("raw", "/var/lib/libvirt/images/tools.img");
    vec![
        Situation::go("storage", "a CD that both have")
            .before("kvm1", image("raw", iso))
            .before("kvm2", image("raw", iso))
            .devices(cdrom(iso, "")),
        Situation::go("storage", "an empty CD drive")
            .devices("<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"),
        Situation::stop("storage", "a CD that only the source has", "medium-missing")
            .before("kvm1", image("raw", iso))
            .devices(cdrom(iso, "")),
        Situation::go("storage", "a CD that only the source has, and that may be missing")
            .before("kvm1", image("raw", iso))
            .devices(cdrom(iso, "startupPolicy='optional'")),
        Situation::go("storage", "a disk that is only read, and only the source has")
            .before("kvm1", tools.clone())
            .devices(only_read.clone()),
        Situation::go("storage", "a disk that is only read, of which each has a copy")
            .before("kvm1", tools.clone())
            .before("kvm2", tools)
            .devices(only_read),
    ]
}

fn kinds() -> Vec<Situation> {
    let secret = "<secret ephemeral='no' private='no'><uuid>c0000000-0000-4000-8000-00000000000e</uuid><usage type='volume'>\
                  <volume>/srv/shared/s1.img</volume></usage></secret>";
    let define = format!(
        "printf %s \"{secret}\" >/tmp/secret.xml && virsh -q secret-define /tmp/secret.xml && printf c2VzYW1l >/tmp/value && \
         virsh -q secret-set-value c0000000-0000-4000-8000-00000000000e --file /tmp/value"
    );
    let forget = "virsh -q secret-undefine c0000000-0000-4000-8000-00000000000e 2>/dev/null || true";
    let encrypted = format!(
        "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='{SHARED}'>\
         <encryption format='luks'><secret type='passphrase' uuid='c0000000-0000-4000-8000-00000000000e'/></encryption></source>\
         <target dev='vda' bus='virtio'/></disk>"
    );
    let make = format!(
        "printf sesame >/tmp/pass && until qemu-img create -q -f luks --object secret,id=s,file=/tmp/pass -o key-secret=s,iter-time=100 {SHARED} 16M 2>/tmp/said; do grep -q 'accurate CPU usage' /tmp/said || exit 1; done"
    );
    vec![
        Situation::go("storage", "an encrypted image whose secret both have")
            .before("kvm1", format!("{define} && {make}"))
            .before("kvm2", define.clone())
            .devices(encrypted.clone())
            .undo("kvm1", forget)
            .undo("kvm2", forget),
        Situation::stop(
            "storage",
            "the destination does not have an encrypted image's secret",
            "secret-missing",
        )
        .before("kvm1", format!("{define} && {make}"))
        .devices(encrypted)
        .by_hand("kvm2", define)
        .undo("kvm1", forget)
        .undo("kvm2", forget),
        Situation::stop("storage", "a disk whose changes are thrown away", "disk-transient")
            .before("kvm1", image("qcow2", SHARED))
            .devices(disk("vda", "qcow2", "none", SHARED).replace("<target", "<transient/><target"))
            .changed_by_hand("/<transient/d"),
        shared("a disk that others may write to as well", "raw", "none")
            .shape(|shape| shape.devices = shape.devices.replace("<target", "<shareable/><target")),
    ]
}
