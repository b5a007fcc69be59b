//! Images of test machines, and what is in them.

use lab::Host;

use super::World;

/// Where images lie by default.
pub(crate) const IMAGES: &str = "/var/lib/libvirt/images";

/// The path of an image there.
pub(crate) fn image(name: &str) -> String {
    format!("{IMAGES}/{name}")
}

/// Runs a script on a host; it has to succeed.
#[track_caller]
pub(crate) fn sh(host: &Host, script: &str) -> String {
    host.run(&["sh", "-ec", script]).expect(script)
}

/// What a file comes to.
#[track_caller]
pub(crate) fn sum(host: &Host, path: &str) -> String {
    sh(host, &format!("sha256sum <{path}"))
}

/// What a guest sees of an image, with all that lies below it.
#[track_caller]
pub(crate) fn content(host: &Host, path: &str) -> String {
    let raw = "/var/tmp/content";
    sh(host, &format!("qemu-img convert -U -O raw {path} {raw} && sha256sum <{raw}; rm -f {raw}"))
}

/// A disk of a definition.
pub(crate) fn disk(path: &str, format: &str, target: &str) -> String {
    format!(
        "<disk type='file' device='disk'><driver name='qemu' type='{format}' cache='none'/><source file='{path}'/>\
         <target dev='{target}' bus='virtio'/></disk>"
    )
}

/// The names of what is in a directory of a host, as the host itself sees it.
#[track_caller]
pub(crate) fn listed(host: &Host, directory: &str) -> Vec<String> {
    sh(host, &format!("ls -A {directory}")).lines().map(str::to_owned).collect()
}

/// No storage pool that was made for a task's while is left on any host.
#[track_caller]
pub(crate) fn assert_no_pools(world: &World) {
    for host in world.lab.hosts().expect("the hosts") {
        let pools = host.virsh(&["pool-list", "--all", "--name"]).expect("pools");
        assert!(!pools.contains("ferry-"), "{}: {pools}", host.name());
    }
}
