//! What PID 1 does that no other program does for it: mounts, kernel modules, the power button.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{process, thread};

use rustix::mount::{MountFlags, mount};
use rustix::system::RebootCommand;

use crate::report::Report;

/// Names of the module files in `/modules`, one a line, each after those it depends on.
const MODULE_ORDER: &str = "/modules/order";
const NICENESS: i32 = 10;
/// Linux input events of a 64-bit kernel: two words of time, type, code, value.
const EVENT_BYTES: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// Mounts what every program expects; what failed is returned, for there is no serial line yet.
pub(crate) fn mount_basics() -> Vec<String> {
    let places = [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")];
    let mut problems = Vec::new();
    for (kind, place) in places {
        let _ = fs::create_dir(place);
        if let Err(error) = mount(kind, place, kind, MountFlags::empty(), None) {
            problems.push(format!("mount {place}: {error}"));
        }
    }
    problems
}

/// Loads the modules that the initramfs carries, in its order.
pub(crate) fn load_modules() -> Vec<String> {
    let order = fs::read_to_string(MODULE_ORDER).unwrap_or_default();
    order.lines().filter_map(|name| load_module(name).err()).collect()
}

fn load_module(name: &str) -> Result<(), String> {
    let file =
        File::open(Path::new("/modules").join(name)).map_err(|error| format!("module {name}: {error}"))?;
    match rustix::system::finit_module(&file, c"", 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(format!("module {name}: {error}")),
    }
}

/// A number that no other boot has. The kernel makes one of its own at each boot.
pub(crate) fn random_id() -> u64 {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    digits.get(..16).and_then(|half| u64::from_str_radix(half, 16).ok()).unwrap_or(0)
}

/// Puts the calling thread behind the ticks.
pub(crate) fn lower_priority() {
    // On Linux this is a property of the thread. Without it ticks are late, which shows; nothing else is lost.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// Waits for the power button and switches the machine off.
pub(crate) fn obey_power_button(report: &Report) {
    let mut readers = Vec::new();
    for path in input_devices() {
        readers.push(thread::spawn(move || wait_for_power_key(&path)));
    }
    loop {
        if readers.iter().any(thread::JoinHandle::is_finished) {
            report.line("S poweroff");
            rustix::fs::sync();
            let _ = rustix::system::reboot(RebootCommand::PowerOff);
            process::exit(0);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn input_devices() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev/input").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("event")).collect()
}

/// Returns when the power key goes down; a device that cannot be read is waited for in vain.
fn wait_for_power_key(path: &Path) {
    let mut event = [0_u8; EVENT_BYTES];
    if let Ok(mut device) = File::open(path) {
        while device.read_exact(&mut event).is_ok() {
            let kind = u16::from_le_bytes([event[16], event[17]]);
            let code = u16::from_le_bytes([event[18], event[19]]);
            if kind == EV_KEY && code == KEY_POWER && event[20] == 1 {
                return;
            }
        }
    }
    loop {
        thread::park();
    }
}
