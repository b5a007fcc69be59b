//! Where a test stands when it does not end: the runner ends it then, and nothing would tell what it waited for.

use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Before the runner's shortest limit for a test on real hosts (300 s).
const TOLD_AFTER: Duration = Duration::from_secs(270);
const ARGUMENTS_SHOWN: usize = 300;

/// As long as it is kept, a test that takes too long tells what runs.
pub(super) struct Standstill {
    _kept: Sender<()>,
}

impl Standstill {
    pub(super) fn watched() -> Self {
        let (kept, gone) = channel();
        std::thread::spawn(move || tell_unless(&gone));
        Self { _kept: kept }
    }
}

fn tell_unless(gone: &Receiver<()>) {
    if gone.recv_timeout(TOLD_AFTER) == Err(RecvTimeoutError::Timeout) {
        println!("the test has not ended after {} s; what runs, newest last:", TOLD_AFTER.as_secs());
        let own = std::process::id();
        for pid in pids(&format!("/proc/{own}/task")) {
            let place = format!("/proc/{own}/task/{pid}");
            println!(
                "  a thread of the test waits in {}, system call {}",
                read(&place, "wchan"),
                read(&place, "syscall")
            );
        }
        pids("/proc").into_iter().filter_map(described).for_each(|line| println!("  {line}"));
    }
}

fn pids(directory: &str) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

fn read(place: &str, file: &str) -> String {
    fs::read(format!("{place}/{file}")).map_or_else(
        |error| error.to_string(),
        |text| String::from_utf8_lossy(&text).replace('\0', " ").trim().to_owned(),
    )
}

/// Its place in the tree, where it waits and what it was started as. The kernel's own have no arguments.
fn described(pid: u32) -> Option<String> {
    let place = format!("/proc/{pid}");
    let arguments: String = read(&place, "cmdline").chars().take(ARGUMENTS_SHOWN).collect();
    let stat = read(&place, "stat");
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let (state, parent) = (fields.first()?, fields.get(1)?);
    let threads: Vec<String> = pids(&format!("{place}/task"))
        .iter()
        .map(|task| read(&format!("{place}/task/{task}"), "wchan"))
        .collect();
    (!arguments.is_empty()).then(|| format!("{pid} of {parent} {state} [{}] {arguments}", threads.join(" ")))
}
