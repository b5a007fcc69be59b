//! The machine that QEMU makes: its type, CPU, firmware, TPM and devices.

use super::super::situation::{Situation, image};

const UEFI: &str = "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>\
     <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/s1_VARS.fd</nvram>";
const TPM: &str = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>";

/// A CPU by name instead of the host's.
const NAMED: &str = "s/<cpu mode='host-model'.*/<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64<\\/model><\\/cpu>/";

fn cpu(xml: &str) -> String {
    xml.to_owned()
}

fn away(path: &str) -> String {
    format!("mv {path} {path}.away")
}

fn back(path: &str) -> String {
    format!("[ ! -e {path}.away ] || mv {path}.away {path}")
}

pub(super) fn all() -> Vec<Situation> {
    [processor(), kind(), firmware(), devices()].concat()
}

fn processor() -> Vec<Situation> {
    let newer = "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>\
                 <feature policy='require' name='sha-ni'/></cpu>";
    vec![
        Situation::stop("cpu", "a feature that the older QEMU does not emulate", "cpu-features-missing")
            .between("kvm3", "kvm1")
            .shape(|shape| shape.cpu = cpu(newer))
            .changed_by_hand("/sha-ni/d"),
        Situation::go("cpu", "a feature that the newer QEMU has, too")
            .between("kvm1", "kvm3")
            .shape(|shape| {
                shape.cpu = cpu(
                    "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>\
                     <feature policy='require' name='aes'/></cpu>",
                );
            }),
        Situation::go("cpu", "a named model between hosts alike").shape(|shape| {
            shape.cpu = cpu("<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Nehalem</model></cpu>");
        }),
        Situation::go("cpu", "host-model between hosts alike")
            .shape(|shape| shape.cpu = cpu("<cpu mode='host-model'/>")),
        Situation::stop("cpu", "host-model to a release whose QEMU emulates another CPU", "cpu-features-missing")
            .between("kvm1", "kvm3")
            .shape(|shape| shape.cpu = cpu("<cpu mode='host-model'/>"))
            .changed_by_hand(NAMED),
        Situation::stop("cpu", "host-model to an older release", "cpu-features-missing")
            .between("kvm3", "kvm1")
            .shape(|shape| shape.cpu = cpu("<cpu mode='host-model'/>"))
            .changed_by_hand(NAMED),
        Situation::go("cpu", "maximum between hosts alike")
            .shape(|shape| shape.cpu = cpu("<cpu mode='maximum'/>")),
    ]
}

fn kind() -> Vec<Situation> {
    vec![
        Situation::stop("machine", "a machine type that the older QEMU does not know", "machine-type-missing")
            .between("kvm3", "kvm1")
            .shape(|shape| shape.machine = "pc-q35-10.0")
            .changed_by_hand("s/pc-q35-10.0/pc-q35-7.2/"),
        Situation::go("machine", "an i440fx machine").shape(|shape| shape.machine = "pc-i440fx-7.2"),
        Situation::go("machine", "the emulator is at another path there")
            .shape(|shape| shape.emulator = "/usr/local/bin/qemu-kvm")
            .before("kvm1", "ln -s /usr/bin/qemu-system-x86_64 /usr/local/bin/qemu-kvm")
            .undo("kvm1", "rm -f /usr/local/bin/qemu-kvm")
            .undo("kvm2", "rm -f /usr/local/bin/qemu-kvm"),
        Situation::stop("machine", "a device that only the newer libvirt knows", "definition-refused")
            .between("kvm3", "kvm1")
            .devices("<sound model='virtio'/>")
            .changed_by_hand("/<sound/,/<\\/sound>/d"),
        Situation::stop("machine", "its kernel is not on the destination", "boot-file-missing")
            .shape(|shape| shape.os = "<kernel>/var/lib/libvirt/images/vmlinuz</kernel>".to_owned())
            .before("kvm1", "cp /opt/ferry/guest/vmlinuz /var/lib/libvirt/images/vmlinuz"),
        Situation::go("machine", "arguments handed to QEMU past libvirt").shape(|shape| {
            shape.namespace = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";
            shape.tail = "<qemu:commandline><qemu:arg value='-global'/><qemu:arg value='PIIX4_PM.disable_s3=1'/></qemu:commandline>".to_owned();
        }),
    ]
}

fn firmware() -> Vec<Situation> {
    let code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
    let variables = "/usr/share/OVMF/OVMF_VARS_4M.fd";
    let swtpm = "/usr/bin/swtpm";
    vec![
        Situation::go("machine", "UEFI firmware that both have").shape(|shape| shape.os = UEFI.to_owned()),
        Situation::stop("machine", "its firmware is not on the destination", "firmware-missing")
            .shape(|shape| shape.os = UEFI.to_owned())
            .before("kvm2", away(code))
            .undo("kvm2", back(code)),
        Situation::stop(
            "machine",
            "the template of its NVRAM is not on the destination",
            "nvram-template-missing",
        )
        .shape(|shape| shape.os = UEFI.to_owned())
        .before("kvm2", away(variables))
        .undo("kvm2", back(variables)),
        Situation::go("machine", "an emulated TPM").devices(TPM),
        Situation::stop("machine", "the destination has no swtpm", "swtpm-missing")
            .devices(TPM)
            .before("kvm2", away(swtpm))
            .by_hand("kvm2", back(swtpm))
            .undo("kvm2", back(swtpm)),
    ]
}

fn devices() -> Vec<Situation> {
    let fixed_port =
        |port: u16| format!("<graphics type='vnc' port='{port}' autoport='no' listen='0.0.0.0'/>");
    vec![
        Situation::go("devices", "ordinary ones: screen, balloon, watchdog, input, random numbers").devices(
            "<graphics type='vnc' autoport='yes'/><video><model type='vga'/></video><memballoon model='virtio'/>\
             <watchdog model='i6300esb' action='reset'/><input type='keyboard' bus='virtio'/>\
             <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        ),
        Situation::stop("devices", "the screen listens on an address of the source's", "listen-address-missing")
            .before("kvm1", "ip address add 10.99.99.1/32 dev lo")
            .devices("<graphics type='vnc' autoport='yes' listen='10.99.99.1'/><video><model type='vga'/></video>")
            .changed_by_hand("s/10.99.99.1/0.0.0.0/g")
            .undo("kvm1", "ip address del 10.99.99.1/32 dev lo"),
        Situation::stop("devices", "the screen's fixed port is taken", "screen-port-taken")
            .devices(fixed_port(5977))
            .before("kvm2", super::super::situation::other("c0000000-0000-4000-8000-000000000001", &fixed_port(5977), true))
            .by_hand("kvm2", "virsh -q destroy other"),
        Situation::stop("devices", "a serial line is written to a directory that is not there", "directory-missing")
            .before("kvm1", "mkdir -p /var/log/consoles")
            .devices("<serial type='file'><source path='/var/log/consoles/s1.log'/><target port='0'/></serial>")
            .undo("kvm1", "rm -rf /var/log/consoles")
            .undo("kvm2", "rm -rf /var/log/consoles"),
        Situation::go("devices", "a serial line on a terminal of its own").devices("<serial type='pty'><target port='0'/></serial>"),
        Situation::stop("devices", "a channel connects to a socket that is not there", "character-device-missing")
            .before("kvm1", serve_socket("/run/agent.sock"))
            .devices("<channel type='unix'><source mode='connect' path='/run/agent.sock'/><target type='virtio' name='agent'/></channel>")
            .by_hand("kvm2", serve_socket("/run/agent.sock"))
            .undo("kvm1", CLOSE_SOCKET)
            .undo("kvm2", CLOSE_SOCKET),
        Situation::go("devices", "a guest agent that does not answer").devices(
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
        ),
        Situation::stop("devices", "random numbers come from a device that is not there", "rng-source-missing")
            .before("kvm1", "mknod /dev/hwrng c 1 9")
            .devices("<rng model='virtio'><backend model='random'>/dev/hwrng</backend></rng>")
            .by_hand("kvm2", "mknod /dev/hwrng c 1 9")
            .undo("kvm1", "rm -f /dev/hwrng")
            .undo("kvm2", "rm -f /dev/hwrng"),
        Situation::go("devices", "a directory shared by 9p that nobody has mounted")
            .before("kvm1", "mkdir -p /srv/shared/files")
            .devices("<filesystem type='mount' accessmode='mapped'><source dir='/srv/shared/files'/><target dir='files'/></filesystem>"),
        Situation::stop("devices", "a directory shared by 9p is not on the destination", "directory-missing")
            .before("kvm1", "mkdir -p /srv/files")
            .devices("<filesystem type='mount' accessmode='mapped'><source dir='/srv/files'/><target dir='files'/></filesystem>")
            .undo("kvm1", "rm -rf /srv/files")
            .undo("kvm2", "rm -rf /srv/files"),
        Situation::stop("devices", "memory shared with others on its host", "shared-memory")
            .devices("<shmem name='lane' role='peer'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>")
            .changed_by_hand("/<shmem/,/<\\/shmem>/d"),
        Situation::go("devices", "a memory device added to it").shape(|shape| {
            shape.head = "<maxMemory slots='4' unit='MiB'>512</maxMemory>".to_owned();
            shape.cpu = cpu(
                "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>\
                 <numa><cell id='0' cpus='0' memory='65536' unit='KiB'/></numa></cpu>",
            );
            shape.devices.push_str("<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>");
        }),
        Situation::stop("devices", "a memory device's file is not on the destination", "memory-file-missing")
            .before("kvm1", image("raw", "/var/lib/libvirt/images/pmem") + " && truncate -s 128M /var/lib/libvirt/images/pmem")
            .shape(|shape| {
                shape.head = "<maxMemory slots='4' unit='MiB'>512</maxMemory>".to_owned();
                shape.cpu = cpu(
                    "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model>\
                     <numa><cell id='0' cpus='0' memory='65536' unit='KiB'/></numa></cpu>",
                );
                shape.devices.push_str(
                    "<memory model='nvdimm'><source><path>/var/lib/libvirt/images/pmem</path></source>\
                     <target><size unit='MiB'>128</size><node>0</node></target></memory>",
                );
            })
            .by_hand("kvm2", "truncate -s 128M /var/lib/libvirt/images/pmem"),
    ]
}

/// Something listens on a socket.
fn serve_socket(path: &str) -> String {
    format!(
        "perl -MSocket -e 'unlink \"{path}\"; socket(S, AF_UNIX, SOCK_STREAM, 0) or die; bind(S, sockaddr_un(\"{path}\")) or die $!; \
         listen(S, 9); if (fork) {{ exit }} close STDIN; close STDOUT; close STDERR; \
         open F, \">/run/agent.pid\"; print F $$; close F; push @c, $c while accept($c, S)' \
         && until [ -s /run/agent.pid ]; do sleep 0.1; done"
    )
}

const CLOSE_SOCKET: &str =
    "[ ! -e /run/agent.pid ] || { kill $(cat /run/agent.pid); rm -f /run/agent.pid /run/agent.sock; }";
