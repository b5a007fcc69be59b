//! What the tests of the lab share.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Lab, LabBuilder, Release};

/// A guest boots under TCG in seconds, on a machine that does other things meanwhile in more.
pub(crate) const BOOTS_WITHIN: Duration = Duration::from_secs(120);

/// A lab of this test alone, with a host of each release.
pub(crate) fn mixed(test: &str) -> LabBuilder {
    Lab::builder(&name(test)).host("kvm1", Release::Bookworm).host("kvm2", Release::Trixie)
}

/// A name that no other test run uses.
pub(crate) fn name(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// Namespaces of all machines of a lab.
pub(crate) fn namespaces(lab: &Lab) -> BTreeSet<PathBuf> {
    let machines = lab.state().expect("a state").machines;
    let inits = machines.iter().filter_map(|machine| machine.init);
    inits
        .flat_map(|init| namespaces_of(init.pid))
        .collect::<BTreeSet<_>>()
        .difference(&own())
        .cloned()
        .collect()
}

fn own() -> BTreeSet<PathBuf> {
    namespaces_of(std::process::id() as i32)
}

fn namespaces_of(pid: i32) -> BTreeSet<PathBuf> {
    let kinds = ["mnt", "net", "pid", "uts", "ipc"];
    kinds.iter().filter_map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()).collect()
}

/// What is left of a lab: processes in its namespaces or with its mark, mounts, directories. Zombies do not count:
/// they hold nothing and wait for the machine's own PID 1.
pub(crate) fn leftovers(name: &str, namespaces: &BTreeSet<PathBuf>) -> Vec<String> {
    let mut found = Vec::new();
    let mark = format!("FERRY_LAB_MARK=/run/ferry-lab/{name}");
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse::<i32>().ok()) else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let marked = environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
        if marked || !namespaces_of(pid).is_disjoint(namespaces) {
            found.push(format!("process {pid}"));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    found.extend(mounts.lines().filter(|line| line.contains(name)).map(str::to_owned));
    for root in ["/run/ferry-lab", "/var/lib/ferry-lab"] {
        let directory = Path::new(root).join(name);
        found.extend(directory.exists().then(|| directory.display().to_string()));
    }
    found
}

/// Waits until nothing is left, and fails when that takes too long.
pub(crate) fn assert_gone(name: &str, namespaces: &BTreeSet<PathBuf>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = leftovers(name, namespaces);
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left over: {found:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
