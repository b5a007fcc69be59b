//! Test guests: small machines whose PID 1 is `ferry-guest`.

use anyhow::{Context, Result};

use crate::serial;
use crate::{Lab, random_uuid};

/// The newest machine type that every release of the lab has.
const MACHINE: &str = "pc-q35-7.2";
/// The least that QEMU adds to memory: it rounds up to this.
const ODD_BYTES: u64 = 8192;
/// A CPU that TCG of every release can be without any host's features.
const CPU: &str = "qemu64";

/// A disk of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// Path in the host, or in every host where the storage is shared.
    pub path: String,
    /// `qcow2` or `raw`.
    pub format: String,
    /// Size; `None` when the image is there already.
    pub create_mib: Option<u32>,
    /// UUID of the secret that it is encrypted with (LUKS).
    pub luks_secret: Option<String>,
    /// How its host caches it, in libvirt's words.
    pub cache: String,
}

impl DiskSpec {
    /// An image of its own in the pool `default`, made when the guest is started.
    pub fn in_pool(guest: &str, size_mib: u32) -> Self {
        Self::qcow2(format!("/var/lib/libvirt/images/{guest}.qcow2"), Some(size_mib))
    }

    /// An image of this path, made when the guest is started where its size is given.
    pub fn qcow2(path: impl Into<String>, create_mib: Option<u32>) -> Self {
        Self {
            path: path.into(),
            format: "qcow2".to_owned(),
            create_mib,
            luks_secret: None,
            cache: "none".to_owned(),
        }
    }
}

/// A test guest. Make one with [`GuestSpec::new`], change what matters to the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSpec {
    /// Name of the domain.
    pub name: String,
    /// UUID of the domain.
    pub uuid: String,
    /// Memory of the machine.
    pub memory_mib: u32,
    /// Virtual processors.
    pub vcpus: u32,
    /// Patterned memory that is written once and checked for ever.
    pub region_mib: u32,
    /// How fast that is checked.
    pub verify_mib_s: u32,
    /// Working set that is checked and rewritten for ever.
    pub work_mib: u32,
    /// How fast that is rewritten.
    pub dirty_mib_s: u32,
    /// Time between two ticks on the serial line.
    pub tick_ms: u32,
    /// A disk that is written and read back.
    pub disk: Option<DiskSpec>,
    /// Whether it has a network interface on `br0`.
    pub nic: bool,
    /// Whether it is defined; otherwise it is transient.
    pub persistent: bool,
    /// Whether it is started when its host boots.
    pub autostart: bool,
    /// XML of further devices, put in as it is.
    pub extra_devices: String,
    /// More of what it boots by: its firmware.
    pub extra_os: String,
    /// CPU model.
    pub cpu: String,
    /// Machine type.
    pub machine: String,
    /// Further words for the kernel command line.
    pub extra_cmdline: String,
    /// Whether its memory is of a size in which QEMU 7.2 finds every page that was rewritten: for guests whose copy takes several
    /// passes, or is begun more than once. Its definition has arguments for QEMU then.
    ///
    /// TCG of that release loses pages otherwise: where memory begins and ends at a multiple of 64 pages, the bitmap of rewritten pages
    /// is read and cleared word by word, and the vCPU, whose TLB still calls those pages dirty, goes on writing to them without
    /// marking them anew until something flushes its TLB (`cpu_physical_memory_sync_dirty_bitmap` of QEMU; newer releases flush it).
    /// `pti=on` flushes often, and so makes the loss rare; with 8 KiB more of memory there is none, because then every page is
    /// tested, and flushed, by itself.
    pub every_page_counts: bool,
}

impl GuestSpec {
    /// An idle guest of 256 MiB, persistent, without disk and network.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            uuid: random_uuid()?,
            memory_mib: 256,
            vcpus: 1,
            region_mib: 8,
            verify_mib_s: 8,
            work_mib: 0,
            dirty_mib_s: 0,
            tick_ms: 20,
            disk: None,
            nic: false,
            persistent: true,
            autostart: false,
            extra_devices: String::new(),
            extra_os: String::new(),
            cpu: CPU.to_owned(),
            machine: MACHINE.to_owned(),
            extra_cmdline: String::new(),
            every_page_counts: false,
        })
    }

    /// The domain's definition.
    pub fn to_xml(&self) -> String {
        let Self { name, uuid, memory_mib, vcpus, cpu, machine, extra_os, .. } = self;
        let (cmdline, devices) = (self.kernel_command_line(), self.devices());
        let (namespace, arguments) = self.arguments();
        format!(
            "<domain type='qemu'{namespace}>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>{extra_os}
    <kernel>/opt/ferry/guest/vmlinuz</kernel>
    <initrd>/opt/ferry/guest/initrd.img</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>{cpu}</model></cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
{devices}  </devices>
{arguments}</domain>
"
        )
    }

    /// Memory of an odd size, past libvirt, which rounds up to whole MiB: the attribute and the element with the arguments.
    fn arguments(&self) -> (&'static str, String) {
        if !self.every_page_counts {
            return ("", String::new());
        }
        let bytes = u64::from(self.memory_mib) * 1024 * 1024 + ODD_BYTES;
        let arguments = [
            "-object",
            &format!("memory-backend-ram,id=odd.ram,size={bytes}"),
            "-m",
            &format!("size={bytes}b"),
            "-machine",
            "memory-backend=odd.ram",
        ];
        let arguments: String = arguments.map(|value| format!("<qemu:arg value='{value}'/>")).concat();
        (
            " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
            format!("  <qemu:commandline>{arguments}</qemu:commandline>\n"),
        )
    }

    /// `pti=on`: without it TCG of QEMU 7.2 loses dirty pages and the guest panics. `panic=0`: a panic stays on
    /// the screen, that is in the log, instead of becoming a fresh boot. `no_timer_check`: without it a boot on a starved host ends
    /// in a panic, because ten ticks of the timer did not come in time. The words after them only save time: self-tests and
    /// relocation at boot, and the clock watchdog, which takes a starved host for a bad clock.
    fn kernel_command_line(&self) -> String {
        let mut words = format!(
            "console=ttyS0 quiet loglevel=4 pti=on panic=0 oops=panic no_timer_check \
             cryptomgr.notests=1 edd=off audit=0 nokaslr tsc=reliable \
             ferry.region_mib={} ferry.verify_mib_s={} ferry.work_mib={} ferry.dirty_mib_s={} ferry.tick_ms={}",
            self.region_mib, self.verify_mib_s, self.work_mib, self.dirty_mib_s, self.tick_ms
        );
        if self.disk.is_some() {
            words.push_str(" ferry.disk=/dev/vda");
        }
        if !self.extra_cmdline.is_empty() {
            words.push_str(&format!(" {}", self.extra_cmdline));
        }
        words
    }

    fn devices(&self) -> String {
        let mut xml = String::new();
        if let Some(disk) = &self.disk {
            let luks = disk.luks_secret.as_ref().map_or_else(String::new, |uuid| {
                format!("<encryption format='luks'><secret type='passphrase' uuid='{uuid}'/></encryption>")
            });
            xml.push_str(&format!(
                "    <disk type='file' device='disk'><driver name='qemu' type='{}' cache='{}'/>\
                 <source file='{}'>{luks}</source><target dev='vda' bus='virtio'/></disk>\n",
                disk.format, disk.cache, disk.path
            ));
        }
        if self.nic {
            xml.push_str(
                "    <interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>\n",
            );
        }
        let log = serial::path_of(&self.name);
        xml.push_str(&format!(
            "    <serial type='file'><source path='{log}' append='on'/><target port='0'/></serial>\n"
        ));
        xml.push_str(&self.extra_devices);
        xml
    }
}

impl Lab {
    /// Makes the guest's disk if it has none yet, defines it (or not) and starts it. Returns when libvirt says that
    /// it runs; that it ticks is for [`crate::GuestLog::wait_next_tick`] to see.
    pub fn start_guest(&self, spec: &GuestSpec, host: &str) -> Result<()> {
        let host = self.host(host);
        if let Some(disk) = &spec.disk
            && let Some(size_mib) = disk.create_mib
        {
            let size = format!("{size_mib}M");
            host.run(&["qemu-img", "create", "-q", "-f", &disk.format, &disk.path, &size])?;
        }
        let verb = if spec.persistent { "define" } else { "create" };
        let virsh = ["virsh", "-q", "-c", "qemu:///system", verb, "/dev/stdin"];
        host.run_with_input(&virsh, spec.to_xml().as_bytes()).context("the guest's definition")?;
        if spec.persistent {
            host.virsh(&["start", &spec.name])?;
        }
        if spec.autostart {
            host.virsh(&["autostart", &spec.name])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_boots_with_page_table_isolation() {
        let spec = GuestSpec::new("g").expect("a spec");
        assert!(spec.to_xml().contains(" pti=on "));
    }

    #[test]
    fn memory_of_an_odd_size_is_told_to_qemu_itself() {
        let mut spec = GuestSpec::new("g").expect("a spec");
        assert!(!spec.to_xml().contains("qemu:"));
        (spec.memory_mib, spec.every_page_counts) = (1, true);
        let xml = spec.to_xml();
        assert!(xml.contains("size=1056768b") && xml.contains("id=odd.ram,size=1056768'"), "{xml}");
    }

    #[test]
    fn a_disk_and_a_nic_appear_when_asked_for() {
        let mut spec = GuestSpec::new("g").expect("a spec");
        assert!(!spec.to_xml().contains("<disk") && !spec.to_xml().contains("<interface"));
        spec.disk = Some(DiskSpec::in_pool("g", 64));
        spec.nic = true;
        assert!(spec.to_xml().contains("/var/lib/libvirt/images/g.qcow2"));
        assert!(spec.to_xml().contains("ferry.disk=/dev/vda") && spec.to_xml().contains("bridge='br0'"));
    }
}
