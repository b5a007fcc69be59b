//! The files that make a machine of the lab out of a Debian root, laid into the upper layer of its overlay before
//! its first boot.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::state::{LabState, Machine, Places, Role, private_dir};

/// Where a guest's serial log lies in every host. A host sees only its own: a guest that runs twice writes two.
pub(crate) const GUEST_LOG_DIR: &str = "var/log/ferry-guest";

/// Search path of everything that runs in a machine.
pub(crate) const PATH: &str = "/opt/ferry/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// libvirt as root without the confinement that needs a whole system around it; no control groups, which are the
/// machine's; QEMU opens its log files itself, so that no further daemon is needed.
const QEMU_CONF: &str = "security_driver = \"none\"\nuser = \"root\"\ngroup = \"root\"\nnamespaces = []\n\
                         cgroup_controllers = []\nstdio_handler = \"file\"\n";

const POOL: &str = "<pool type='dir'><name>default</name>\
                    <target><path>/var/lib/libvirt/images</path></target></pool>\n";

/// UsePAM stays off: its session modules want a system that is not there.
const SSHD_CONF: &str = "PermitRootLogin yes\nPasswordAuthentication yes\nUsePAM no\nUseDNS no\n\
                         MaxStartups 200\nMaxSessions 200\nLoginGraceTime 60\nPrintMotd no\n\
                         HostKey /etc/ssh/ssh_host_ed25519_key\nSubsystem sftp internal-sftp\n";

/// Furnishes every machine of the lab. They trust each other: one key of root's opens them all.
pub(crate) fn all(places: &Places, state: &LabState) -> Result<()> {
    let keys = places.run().join("keys");
    private_dir(&keys)?;
    let user = keypair(&keys, "root")?;
    let mut known = String::new();
    for machine in &state.machines {
        let host = keypair(&keys, &machine.name)?;
        let public = fs::read_to_string(host.with_extension("pub"))?;
        known.push_str(&format!("{},{} {public}", machine.name, machine.address()));
    }
    for machine in &state.machines {
        let layer = Layer { upper: places.upper(&machine.name), root: machine.root.clone() };
        identity(&layer, state, machine)?;
        secure_shell(&layer, machine, &keys, &user, &known)?;
        if machine.role == Role::Host {
            libvirt(&layer, machine)?;
        }
    }
    Ok(())
}

fn identity(layer: &Layer, state: &LabState, machine: &Machine) -> Result<()> {
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for other in &state.machines {
        hosts.push_str(&format!("{} {}\n", other.address(), other.name));
    }
    let nsswitch = layer.original("etc/nsswitch.conf")?;
    let nsswitch: String = nsswitch
        .lines()
        .map(|line| if line.starts_with("hosts:") { "hosts: files\n".into() } else { format!("{line}\n") })
        .collect();
    layer.write("etc/hosts", 0o644, &hosts)?;
    layer.write("etc/hostname", 0o644, &format!("{}\n", machine.name))?;
    layer.write("etc/nsswitch.conf", 0o644, &nsswitch)?;
    // A resolver that must time out first costs 40 s a migration.
    layer.write("etc/resolv.conf", 0o644, "")?;
    layer.write("etc/machine-id", 0o444, &format!("{}\n", machine.host_uuid.replace('-', "")))
}

fn secure_shell(layer: &Layer, machine: &Machine, keys: &Path, user: &Path, known: &str) -> Result<()> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
    let (host, own) = (keys.join(&machine.name), read(&keys.join(&machine.name).with_extension("pub"))?);
    layer.write("etc/ssh/ssh_host_ed25519_key", 0o600, &read(&host)?)?;
    layer.write("etc/ssh/ssh_host_ed25519_key.pub", 0o644, &own)?;
    layer.write("etc/ssh/sshd_config", 0o644, &format!("{SSHD_CONF}SetEnv PATH={PATH}\n"))?;
    let public = read(&user.with_extension("pub"))?;
    layer.write("root/.ssh/id_ed25519", 0o600, &read(user)?)?;
    layer.write("root/.ssh/id_ed25519.pub", 0o644, &public)?;
    layer.write("root/.ssh/authorized_keys", 0o600, &public)?;
    // Root's own file, not the system's: a test of unknown host keys must be able to name another file.
    layer.write("root/.ssh/known_hosts", 0o600, &format!("{known}localhost,127.0.0.1 {own}"))?;
    fs::set_permissions(layer.upper.join("root/.ssh"), Permissions::from_mode(0o700))?;
    Ok(())
}

fn libvirt(layer: &Layer, machine: &Machine) -> Result<()> {
    let libvirtd =
        format!("host_uuid = \"{}\"\nauth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n", machine.host_uuid);
    layer.write("etc/libvirt/libvirtd.conf", 0o644, &libvirtd)?;
    layer.write("etc/libvirt/qemu.conf", 0o600, QEMU_CONF)?;
    layer.write("etc/libvirt/storage/default.xml", 0o600, POOL)?;
    layer.directory("etc/libvirt/storage/autostart")?;
    layer.directory(GUEST_LOG_DIR)?;
    let link = layer.upper.join("etc/libvirt/storage/autostart/default.xml");
    symlink("/etc/libvirt/storage/default.xml", link).context("autostart of the pool")
}

/// The upper layer of an overlay and the root below it.
struct Layer {
    upper: PathBuf,
    root: PathBuf,
}

impl Layer {
    fn original(&self, path: &str) -> Result<String> {
        let path = self.root.join(path);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    fn write(&self, path: &str, mode: u32, content: &str) -> Result<()> {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent)?;
        }
        let path = self.upper.join(path);
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(())
    }

    /// Makes a directory and its parents. The upper layer's permissions are those that count, so they are taken
    /// over from the root where it has the same directory.
    fn directory(&self, path: &str) -> Result<()> {
        let mut so_far = PathBuf::new();
        for part in Path::new(path).components() {
            so_far.push(part);
            let upper = self.upper.join(&so_far);
            if !upper.exists() {
                fs::create_dir_all(&upper).with_context(|| upper.display().to_string())?;
                let mode =
                    fs::metadata(self.root.join(&so_far)).map_or(0o755, |meta| meta.permissions().mode());
                fs::set_permissions(&upper, Permissions::from_mode(mode & 0o7777))?;
            }
        }
        Ok(())
    }
}

fn keypair(directory: &Path, name: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", &format!("{name}@ferry-lab"), "-f"]).arg(&path);
    let output = command.output().context("ssh-keygen cannot be started: run tools/prepare")?;
    if !output.status.success() {
        bail!("ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(path)
}
