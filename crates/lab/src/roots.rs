//! The Debian roots below the machines' overlays: made once by `mmdebstrap`, kept in a cache, never written again.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::release::Release;
use crate::say::say;
use crate::state::{cache_dir, lock};
use crate::{mirror, sys};

/// What a host needs. The controller uses the same root and starts less of it.
const PACKAGES: &[&str] = &[
    "curl",
    "iproute2",
    "iputils-ping",
    "libvirt-clients",
    "libvirt-daemon-system",
    "netcat-openbsd",
    "openssh-client",
    "openssh-server",
    "ovmf",
    "procps",
    "qemu-system-x86",
    "qemu-utils",
    "rsync",
    "sqlite3",
    "swtpm",
    "swtpm-tools",
];

/// Where a root keeps the guest's kernel and its modules.
pub(crate) const KERNEL_DIR: &str = "usr/lib/ferry-lab";

/// Root's password in every machine of a lab: there must be a login to be had with a password.
pub const ROOT_PASSWORD: &str = "lab";

/// Runs inside `mmdebstrap` with the new root as its argument, while apt still knows its sources.
///
/// - Host keys made by the package would be the same on every host.
/// - The kernel of the test guest is unpacked, not installed.
/// - libvirt's own network wants a DHCP server and a firewall, which no test needs.
const CUSTOMIZE: &str = r#"
set -eu
root=$1
rm -f "$root"/etc/ssh/ssh_host_*
rm -f "$root"/etc/libvirt/qemu/networks/autostart/*
echo root:PASSWORD | chroot "$root" chpasswd
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
work=$root/tmp/kernel
mkdir -p "$work" "$root/KERNEL_DIR/modules"
chmod 0777 "$work"
(cd "$work" && apt-get download "$package" && dpkg-deb -x ./*.deb .)
cp "$work"/boot/vmlinuz-* "$root/KERNEL_DIR/vmlinuz"
for name in virtio virtio_ring virtio_pci virtio_pci_legacy_dev virtio_pci_modern_dev virtio_blk virtio_net \
	virtio_balloon failover net_failover button evdev; do
	find "$work" -name "$name.ko*" -exec cp {} "$root/KERNEL_DIR/modules/" \;
done
for file in "$root/KERNEL_DIR"/modules/*.xz; do
	test ! -e "$file" || xz -d "$file"
done
rm -rf "$work"
"#;

/// The root of a release, made now if the cache has none. Others that want it meanwhile wait.
pub(crate) fn ensure(release: Release) -> Result<PathBuf> {
    let cache = cache_dir();
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let name = format!("{release}-{:016x}", fingerprint());
    let (root, making) = (cache.join(&name), cache.join(format!("{name}.making")));
    if root.is_dir() {
        return Ok(root);
    }
    let _lock = lock(&cache.join(format!("{name}.lock")))?;
    if root.is_dir() {
        return Ok(root);
    }
    if making.exists() {
        // Left by a build that was killed: we hold its lock, so it is nobody's.
        fs::remove_dir_all(&making).context("an unfinished root cannot be removed")?;
    }
    say(&format!("making the {release} root (once, about a minute)"));
    make(release, &making)?;
    fs::rename(&making, &root)?;
    Ok(root)
}

/// Changes when a root made from this source would be another one.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    (PACKAGES, CUSTOMIZE, ROOT_PASSWORD, mirror::MARK).hash(&mut hasher);
    hasher.finish()
}

fn make(release: Release, directory: &Path) -> Result<()> {
    let log = directory.with_extension("log");
    let script = directory.with_extension("sh");
    let text = CUSTOMIZE.replace("PASSWORD", ROOT_PASSWORD).replace("KERNEL_DIR", KERNEL_DIR);
    fs::write(&script, format!("#!/bin/sh\n{text}"))?;
    let mut command = Command::new("mmdebstrap");
    command.arg("--variant=minbase").arg(format!("--include={}", PACKAGES.join(",")));
    command.arg(format!("--customize-hook=sh {} \"$1\"", script.display()));
    command.args(mirror::apt_options()).args(keyring(release)?);
    command.arg(release.suite()).arg(directory).arg(mirror::uri()?);
    let output = fs::File::create(&log)?;
    command.stdin(std::process::Stdio::null()).stdout(output.try_clone()?).stderr(output);
    sys::die_with_parent(&mut command);
    let status = command.status().context("mmdebstrap cannot be started: run tools/prepare")?;
    if !status.success() {
        let _ = fs::remove_dir_all(directory);
        bail!("mmdebstrap failed ({status}); the end of {}:\n{}", log.display(), tail(&log, 15));
    }
    fs::remove_file(&log)?;
    fs::remove_file(&script)?;
    Ok(())
}

/// A machine whose keyring is older than the release gets the newest one of its own archive, unpacked beside the
/// roots: nothing is installed.
fn keyring(release: Release) -> Result<Vec<OsString>> {
    let file = format!("debian-archive-{release}-stable.gpg");
    if Path::new("/usr/share/keyrings").join(&file).exists() {
        return Ok(Vec::new());
    }
    let directory = cache_dir().join("keyring");
    let keyrings = directory.join("usr/share/keyrings");
    if !keyrings.join(&file).exists() {
        fs::create_dir_all(&directory)?;
        let fetch = "apt-get download debian-archive-keyring && dpkg-deb -x debian-archive-keyring_*.deb .";
        let status = Command::new("sh").args(["-c", fetch]).current_dir(&directory).status()?;
        if !status.success() {
            bail!("this machine's keyring does not know {release}, and a newer one could not be fetched");
        }
    }
    let mut option = OsString::from("--keyring=");
    option.push(keyrings);
    Ok(vec![option])
}

/// The last lines of a log, for a message.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
