//! The command line of `ferry-lab`.
#![allow(clippy::print_stderr)]

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::furnish::PATH;
use crate::guest::{DiskSpec, GuestSpec};
use crate::state::Places;
use crate::{Daemon, Lab, NotRoot, Release, Target, boot, enter, helper, lab, net};

const USAGE: u8 = 2;

/// Hosts on one machine: brings up machines with libvirt in namespaces, with a network between them, and lets
/// things happen to them.
#[derive(Debug, Parser)]
#[command(name = "ferry-lab", version)]
struct Arguments {
    /// Name of the lab.
    #[arg(long, global = true, default_value = "lab")]
    lab: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring a lab up and leave it running.
    Up {
        /// A host and its Debian release; may be given several times.
        #[arg(long = "host", value_name = "NAME=RELEASE", value_parser = parse_host,
              default_values = ["kvm1=bookworm", "kvm2=bookworm"])]
        hosts: Vec<(String, Release)>,
        /// Directory that appears as /opt/ferry/bin everywhere [default: where ferry-lab lies]
        #[arg(long)]
        bin: Option<PathBuf>,
    },
    /// Take a lab down; nothing of it stays.
    Down,
    /// Run a command in a host (or "controller").
    In {
        host: String,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Take the power of a host away.
    Kill { host: String },
    /// Switch a host on.
    Boot { host: String },
    /// Pull the cable of a host.
    Cut { host: String },
    /// Put the cable of a host back.
    Join { host: String },
    /// Limit the link of a host, in megabits per second each way; "off" lifts the limit.
    Rate { host: String, mbit: String },
    /// Stop libvirtd, sshd or qemu:GUEST without ending it.
    Freeze { host: String, target: Target },
    /// Let something frozen go on.
    Thaw { host: String, target: Target },
    /// End a daemon in order.
    Stop { host: String, daemon: Daemon },
    /// Start a daemon.
    Start { host: String, daemon: Daemon },
    /// Kill a daemon with SIGKILL and start it again.
    Restart { host: String, daemon: Daemon },
    /// Test guests.
    #[command(subcommand)]
    Guest(GuestVerb),
    /// Print the serial log of a guest on a host.
    Serial { host: String, guest: String },
    /// Tell what is up.
    Status {
        /// Print the whole state as JSON.
        #[arg(long)]
        json: bool,
    },
    #[command(hide = true, name = "_keeper")]
    Keeper,
    #[command(hide = true, name = "_switch")]
    Switch,
    #[command(hide = true, name = "_boot")]
    BootMachine { host: String },
    #[command(hide = true, name = "_init")]
    Init { host: String },
    #[command(hide = true, name = "_enter")]
    Enter {
        #[arg(long)]
        bound: bool,
        init: i32,
        #[arg(last = true)]
        command: Vec<String>,
    },
    #[command(hide = true, name = "_net")]
    Net {
        process: i32,
        #[arg(last = true)]
        command: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum GuestVerb {
    /// Define and start a guest.
    Start(GuestOptions),
    /// Print the XML of a guest.
    Xml(GuestOptions),
    /// List the guests of all hosts.
    List,
}

#[derive(Debug, clap::Args)]
struct GuestOptions {
    host: String,
    name: String,
    #[arg(long)]
    uuid: Option<String>,
    #[arg(long, default_value_t = 256)]
    memory_mib: u32,
    #[arg(long, default_value_t = 1)]
    vcpus: u32,
    /// Patterned memory that is checked for ever.
    #[arg(long, default_value_t = 8)]
    region_mib: u32,
    /// Memory that is rewritten all the time.
    #[arg(long, default_value_t = 0)]
    work_mib: u32,
    /// How fast it is rewritten.
    #[arg(long, default_value_t = 0)]
    dirty_mib_s: u32,
    #[arg(long, default_value_t = 20)]
    tick_ms: u32,
    /// Give it a disk of this size in the default pool.
    #[arg(long)]
    disk_mib: Option<u32>,
    /// Give it a network interface on br0.
    #[arg(long)]
    nic: bool,
    /// Do not define it, only start it.
    #[arg(long)]
    transient: bool,
    /// Start it when the host boots.
    #[arg(long)]
    autostart: bool,
    /// CPU model.
    #[arg(long)]
    cpu: Option<String>,
}

/// Parses the arguments, acts, and turns the result into an exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match act(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferry-lab: {error:#}");
            if error.is::<NotRoot>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn act(arguments: Arguments) -> Result<()> {
    let name = arguments.lab.as_str();
    crate::require_root()?;
    match arguments.verb {
        Verb::Up { hosts, bin } => up(name, hosts, bin),
        Verb::Down => Lab::down(name),
        Verb::Status { json } => status(name, json),
        Verb::Guest(verb) => guest(&Lab::open(name)?, verb),
        Verb::Keeper => lab::run_keeper(&Places::of(name)?),
        Verb::Switch => net::run_switch(),
        Verb::BootMachine { host } => boot::run_boot(&Places::of(name)?, &host),
        Verb::Init { host } => boot::run_init(&Places::of(name)?, &host),
        Verb::Enter { bound, init, command } => enter::run(init, bound, &command),
        Verb::Net { process, command } => net::exec_in_network(process, &command),
        other => on_host(&Lab::open(name)?, other),
    }
}

fn on_host(lab: &Lab, verb: Verb) -> Result<()> {
    match verb {
        Verb::In { host, command } => inside(lab, &host, &command),
        Verb::Kill { host } => lab.host(&host).kill(),
        Verb::Boot { host } => lab.host(&host).boot(),
        Verb::Cut { host } => lab.host(&host).cut(),
        Verb::Join { host } => lab.host(&host).join(),
        Verb::Rate { host, mbit } => lab.host(&host).rate(parse_rate(&mbit)?),
        Verb::Freeze { host, target } => lab.host(&host).freeze(target),
        Verb::Thaw { host, target } => lab.host(&host).thaw(target),
        Verb::Stop { host, daemon } => lab.host(&host).stop_daemon(daemon),
        Verb::Start { host, daemon } => lab.host(&host).start_daemon(daemon),
        Verb::Restart { host, daemon } => lab.host(&host).restart_daemon(daemon),
        Verb::Serial { host, guest } => serial(lab, &host, &guest),
        _ => unreachable!("handled before"),
    }
}

fn up(name: &str, hosts: Vec<(String, Release)>, bin: Option<PathBuf>) -> Result<()> {
    let mut builder = Lab::builder(name);
    for (host, release) in hosts {
        builder = builder.host(&host, release);
    }
    if let Some(directory) = bin {
        builder = builder.bin_dir(directory);
    }
    // Until it is released the lab is bound to this process: Ctrl-C takes down what is up so far.
    builder.up()?.release()?;
    status(name, false)
}

/// Becomes the program in the host, with the terminal it was called from.
fn inside(lab: &Lab, host: &str, command: &[String]) -> Result<()> {
    let init = lab.host(host).init()?;
    let mut enter = Command::new(helper::program()?);
    enter.args(["_enter", &init.pid.to_string(), "--"]).args(command).env_clear();
    enter.envs([("PATH", PATH), ("HOME", "/root"), ("USER", "root"), ("LANG", "C.UTF-8")]);
    let kept = std::env::vars_os().filter(|(key, _)| {
        let key = key.to_string_lossy();
        key == "TERM" || key.starts_with("FERRY_") || key.starts_with("RUST_") || key == "NO_COLOR"
    });
    enter.envs(kept);
    Err(enter.exec()).context("entering the host")
}

fn serial(lab: &Lab, host: &str, guest: &str) -> Result<()> {
    let path = lab.host(host).disk_path(crate::serial::path_of(guest));
    let text = std::fs::read(&path).with_context(|| format!("{guest} has written nothing on {host}"))?;
    std::io::Write::write_all(&mut std::io::stdout(), &text)?;
    Ok(())
}

fn guest(lab: &Lab, verb: GuestVerb) -> Result<()> {
    match verb {
        GuestVerb::Start(options) => {
            let spec = spec(&options)?;
            lab.start_guest(&spec, &options.host)?;
            println!("{} is started on {} ({})", spec.name, options.host, spec.uuid);
            Ok(())
        }
        GuestVerb::Xml(options) => {
            println!("{}", spec(&options)?.to_xml());
            Ok(())
        }
        GuestVerb::List => {
            for host in lab.hosts()? {
                let list = host.virsh(&["list", "--all"]).unwrap_or_else(|error| format!("{error:#}\n"));
                println!("{}:\n{}", host.name(), list.trim_end());
            }
            Ok(())
        }
    }
}

fn spec(options: &GuestOptions) -> Result<GuestSpec> {
    let mut spec = GuestSpec::new(&options.name)?;
    if let Some(uuid) = &options.uuid {
        spec.uuid.clone_from(uuid);
    }
    if let Some(cpu) = &options.cpu {
        spec.cpu.clone_from(cpu);
    }
    (spec.memory_mib, spec.vcpus) = (options.memory_mib, options.vcpus);
    (spec.region_mib, spec.work_mib) = (options.region_mib, options.work_mib);
    (spec.dirty_mib_s, spec.tick_ms) = (options.dirty_mib_s, options.tick_ms);
    spec.disk = options.disk_mib.map(|size_mib| DiskSpec::in_pool(&options.name, size_mib));
    (spec.nic, spec.persistent, spec.autostart) = (options.nic, !options.transient, options.autostart);
    Ok(spec)
}

fn status(name: &str, json: bool) -> Result<()> {
    let Some(state) = Places::of(name)?.read()? else {
        println!("there is no lab \"{name}\"");
        return Ok(());
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&state)?);
        return Ok(());
    }
    let alive = state.of_this_boot();
    println!("lab {} ({})", state.name, state.bin_dir.display());
    for machine in &state.machines {
        let power = match machine.running().filter(|_| alive) {
            Some(init) => format!("on, PID 1 is {}", init.pid),
            None => "off".to_owned(),
        };
        let cable = if machine.cable_out { ", cable out" } else { "" };
        let rate = machine.rate_mbit.map(|mbit| format!(", {mbit} Mbit/s")).unwrap_or_default();
        println!(
            "  {:<12} {:<9} {:<12} {power}{cable}{rate}",
            machine.name,
            machine.release,
            machine.address()
        );
    }
    Ok(())
}

fn parse_host(text: &str) -> Result<(String, Release)> {
    let (name, release) = text.split_once('=').context("NAME=RELEASE, like kvm1=bookworm")?;
    Ok((name.to_owned(), release.parse()?))
}

fn parse_rate(text: &str) -> Result<Option<u32>> {
    match text {
        "off" => Ok(None),
        number => number.parse().map(Some).context("a number of megabits per second, or off"),
    }
}
