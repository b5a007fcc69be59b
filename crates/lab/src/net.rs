//! The network of a lab: one switch (a bridge in a namespace of its own) and a cable (veth pair) to each machine.
//!
//! The switch is held by a process that does nothing else: when it ends, the kernel takes the bridge away.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{pause, setsid};

use crate::helper;
use crate::process::ProcessId;
use crate::state::{Machine, Places};

/// Burst of the rate limit: what passes in ten milliseconds, but at least one segment as large as the kernel makes.
const BURST_BYTES_MIN: u64 = 128 * 1024;
const BURST_PART_OF_A_SECOND: u64 = 100;
const LATENCY_MS: u32 = 200;

/// Starts the switch and waits until its bridge is up.
pub(crate) fn start_switch(places: &Places) -> Result<ProcessId> {
    let log = File::create(places.run().join("switch.log"))?;
    let mut command = helper::marked(places, "_switch")?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.try_clone()?);
    let mut child = command.spawn().context("the switch cannot be started")?;
    let mut ready = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut ready)?;
    }
    match (ready.trim(), ProcessId::of(child.id() as i32)) {
        ("ready", Some(process)) => Ok(process),
        _ => {
            // Not ready means that it is ending: collect it before telling why.
            let _ = child.wait();
            bail!("the switch did not start: {}", crate::roots::tail(&places.run().join("switch.log"), 5))
        }
    }
}

/// The switch's own process: makes the bridge, says so, and holds the namespace.
pub(crate) fn run_switch() -> Result<()> {
    setsid().context("setsid")?;
    unshare(CloneFlags::CLONE_NEWNET).context("unshare")?;
    // The cables carry IPv4; neighbour discovery of the ports would only be noise.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    ip(
        None,
        "link add switch type bridge forward_delay 0 stp_state 0 mcast_snooping 0\nlink set switch up\n",
    )?;
    println!("ready");
    // The reader waits for the end of this pipe. Standard output becomes the log of the helpers.
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    loop {
        pause();
    }
}

/// Makes the cable of a machine, and the bridge `br0` in it that holds its address and that guests can join. Runs
/// in the machine's new network namespace.
pub(crate) fn plug_in(machine: &Machine, switch: &ProcessId) -> Result<()> {
    let (mac, port, address) = (machine.mac(), machine.port(), machine.address());
    let inside = format!(
        "link set lo up\n\
         link add eth0 address {mac} type veth peer name {port} netns {}\n\
         link add br0 address {mac} type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
         link set eth0 master br0 up\n\
         link set br0 up\n\
         addr add {address}/24 dev br0\n",
        switch.pid
    );
    ip(None, &inside)?;
    ip(Some(switch), &format!("link set {port} master switch up\n"))
}

/// Pulls or puts back the cable, at the switch.
pub(crate) fn set_cable(machine: &Machine, switch: &ProcessId, connected: bool) -> Result<()> {
    let state = if connected { "up" } else { "down" };
    ip(Some(switch), &format!("link set {} {state}\n", machine.port()))
}

/// Takes the cable away for good: both ends are gone when this returns.
pub(crate) fn remove_cable(machine: &Machine, switch: &ProcessId) -> Result<()> {
    ip(Some(switch), &format!("link del {}\n", machine.port()))
}

/// Limits the link in both directions, or lifts the limit.
pub(crate) fn set_rate(
    machine: &Machine,
    init: &ProcessId,
    switch: &ProcessId,
    rate_mbit: Option<u32>,
) -> Result<()> {
    for (place, device) in [(switch, machine.port()), (init, "eth0".to_owned())] {
        // There may be none to remove.
        let _ = tc(place, &["qdisc", "del", "dev", &device, "root"]);
        if let Some(mbit) = rate_mbit {
            let burst = (u64::from(mbit) * 1_000_000 / 8 / BURST_PART_OF_A_SECOND).max(BURST_BYTES_MIN);
            let (rate, burst, latency) =
                (format!("{mbit}mbit"), burst.to_string(), format!("{LATENCY_MS}ms"));
            let bucket = ["root", "tbf", "rate", &rate, "burst", &burst, "latency", &latency];
            tc(place, &[&["qdisc", "add", "dev", &device], &bucket[..]].concat())?;
        }
    }
    Ok(())
}

fn tc(place: &ProcessId, arguments: &[&str]) -> Result<()> {
    let output = helper::in_network_of(place, "tc")?.args(arguments).output().context("tc")?;
    if !output.status.success() {
        bail!("tc {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Runs a batch of `ip` commands here or in the network namespace of a process.
fn ip(place: Option<&ProcessId>, batch: &str) -> Result<()> {
    let mut command = match place {
        Some(process) => helper::in_network_of(process, "ip")?,
        None => Command::new("ip"),
    };
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("ip cannot be started: run tools/prepare")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(batch.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("ip: {}\n{batch}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Becomes `program` in the network namespace of a process, with the machine's own files around it.
pub(crate) fn exec_in_network(pid: i32, program: &[String]) -> Result<()> {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).context("the process is gone")?;
    setns(namespace, CloneFlags::CLONE_NEWNET).context("setns")?;
    let (name, arguments) = program.split_first().context("no program was named")?;
    Err(std::os::unix::process::CommandExt::exec(Command::new(name).args(arguments)).into())
}
