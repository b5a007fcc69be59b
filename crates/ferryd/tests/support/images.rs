//! Images of test machines, and what is in them.

use lab::Host;

use super::{SOON, World, until};

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

const GATE: &str = "/run/held-qemu-img";

/// Holds the next `qemu-img` that makes an image on a host, libvirt's, where it has made it: what waits for it is in the middle of its
/// work then.
pub(crate) struct HeldImage<'a>(&'a Host);

impl<'a> HeldImage<'a> {
    /// Puts a stand-in in the place of the program. Only the first one of all is held.
    #[track_caller]
    pub(crate) fn on(host: &'a Host) -> Self {
        let stand_in = format!(
            "#!/bin/sh\n\
             /usr/bin/qemu-img.own \"$@\" || exit\n\
             case $1 in create|convert) ;; *) exit 0 ;; esac\n\
             mv {GATE}/free {GATE}/held 2>/dev/null || exit 0\n\
             exec cat {GATE}/held\n"
        );
        sh(
            host,
            &format!("mkdir {GATE} && mkfifo {GATE}/free && mv /usr/bin/qemu-img /usr/bin/qemu-img.own"),
        );
        host.write("/usr/bin/qemu-img", stand_in.as_bytes()).expect("a stand-in");
        sh(host, "chmod 755 /usr/bin/qemu-img");
        Self(host)
    }

    /// Waits until it is held.
    #[track_caller]
    pub(crate) fn wait(&self) {
        until(SOON, "no image is made", || {
            self.0.path(format!("{GATE}/held")).expect("it is on").exists().then_some(())
        });
    }

    /// Lets it go on.
    #[track_caller]
    pub(crate) fn let_go(self) {
        sh(self.0, &format!(": >{GATE}/held"));
    }
}
