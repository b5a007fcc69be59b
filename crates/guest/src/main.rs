//! PID 1 of Ferry's test guest.
//!
//! It lives alone in an initramfs and proves, on its serial line, that a migration did not harm the machine it
//! runs in. What it does is set on the kernel command line, see [`settings`]. The lines it prints:
//!
//! | line | meaning |
//! |---|---|
//! | `S boot id=HEX …` | a fresh boot; the id is random, so a boot is told from a continuation |
//! | `S ready` | the patterns are laid down and are being checked from here on |
//! | `S disk …` | what an earlier boot left on the disk |
//! | `S poweroff` | the power button was pressed, the machine stops |
//! | `T 1234 b1f2e3d4c e0 p17 w3 d88` | tick number, boot (first half of its id), errors so far, passes over the region, over the working set, disk blocks written |
//! | `E …` | one damaged page or block, or something that could not be set up |

mod disk;
mod memory;
mod pattern;
mod platform;
mod report;
mod settings;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use report::Report;
use settings::Settings;

fn main() {
    let mut problems = platform::mount_basics();
    let settings = Settings::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let boot_id = platform::random_id();
    let report = Arc::new(Report::open(boot_id));
    report.line(&format!("S boot id={boot_id:016x} {settings}"));
    problems.extend(platform::load_modules());
    for problem in problems {
        report.error(&problem);
    }
    start(&report, &settings);
    tick_for_ever(&report, settings.tick);
}

/// Starts one thread per duty. The ticks stay on the main thread, so that heavy work only slows the work.
fn start(report: &Arc<Report>, settings: &Settings) {
    let (for_memory, plan) = (report.clone(), settings.memory);
    thread::spawn(move || memory::run(&for_memory, plan));
    if let Some(plan) = settings.disk.clone() {
        let for_disk = report.clone();
        report.expect_disk();
        thread::spawn(move || disk::run(&for_disk, &plan));
    }
    let for_button = report.clone();
    thread::spawn(move || platform::obey_power_button(&for_button));
}

/// Prints a tick, then sleeps one interval: never two at once after a pause, so that the gap between two ticks in
/// the log of the host is the pause itself.
fn tick_for_ever(report: &Report, tick: Duration) -> ! {
    let mut number = 0_u64;
    loop {
        report.tick(number);
        number += 1;
        thread::sleep(tick);
    }
}
