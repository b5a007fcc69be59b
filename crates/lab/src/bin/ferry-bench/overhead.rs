//! What Ferry's checks, log and hand-over cost: `ferry migrate` against `virsh migrate`, the same idle guest, both started the
//! same way on the controller.
//!
//! The tools alternate as A B, B A, A B …: each pair begins where the last one ended, so that over two pairs each tool goes
//! each way once, and comes first once.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{GuestLog, GuestSpec, Host, Lab, Release};
use serde::Serialize;

use crate::controller::{Controller, Reach, peer_uri};
use crate::figures::{Spread, tenth, thousandth};

const GUEST: &str = "web1";
const BOOTS_WITHIN: Duration = Duration::from_secs(180);
const TICKS_WITHIN: Duration = Duration::from_secs(60);
/// Between two moves: the guest ticks undisturbed, and what the last move left (processes, connections) has ended.
const REST: Duration = Duration::from_millis(700);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many moves by each tool, besides one uncounted pair before them.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pairs: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Debian release of both hosts.
    #[arg(long, default_value = "bookworm")]
    release: Release,
    /// Reach the hosts by libvirt's TCP transport: Ferry then has no shell there, and hands over by libvirt's events alone.
    #[arg(long)]
    no_shell: bool,
    /// Name of the lab.
    #[arg(long, default_value = "bench-overhead")]
    lab: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Ferry,
    Virsh,
}

/// One measured move.
#[derive(Debug)]
struct Move {
    tool: Tool,
    total_ms: f64,
    pause_ms: f64,
}

/// All that is reported.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    pairs: u32,
    /// Median of ferry over median of virsh.
    ratio_median: f64,
    /// How much longer the guest is silent with ferry, medians.
    pause_extra_ms_median: f64,
    ferry_ms: Spread,
    virsh_ms: Spread,
    ferry_pause_ms: Spread,
    virsh_pause_ms: Spread,
    /// Errors the guest found, ticks on two hosts.
    guest_errors: usize,
    /// Whether Ferry had a shell on the hosts.
    shell: bool,
    guest_memory_mib: u32,
    hosts: String,
    /// How ferry and ferryd were built.
    build: &'static str,
}

/// Measures and reports; false when the guest was harmed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let bench = Bench::begin(options)?;
    let mut moves = Vec::new();
    for pair in 0..=options.pairs {
        // A B, B A: who came second comes first in the next pair.
        let order = if pair % 2 == 0 { [Tool::Ferry, Tool::Virsh] } else { [Tool::Virsh, Tool::Ferry] };
        let measured = [bench.measure(order[0], 0)?, bench.measure(order[1], 1)?];
        let told: Vec<String> = measured
            .iter()
            .map(|it| format!("{:?} {:.0} ms, pause {:.0} ms", it.tool, it.total_ms, it.pause_ms))
            .collect();
        let label =
            if pair == 0 { "uncounted".to_owned() } else { format!("pair {pair} of {}", options.pairs) };
        eprintln!("ferry-bench: {label}: {}", told.join("; "));
        if pair > 0 {
            moves.extend(measured);
        }
    }
    let report = bench.report(options, &moves)?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(report.guest_errors == 0)
}

struct Bench {
    // Dropped in this order: the controller's processes live in the lab.
    _controller: Controller,
    log: GuestLog,
    spec: GuestSpec,
    reach: Reach,
    lab: Lab,
}

impl Bench {
    fn begin(options: &Options) -> Result<Self> {
        let reach = if options.no_shell { Reach::EventsOnly } else { Reach::Shell };
        eprintln!("ferry-bench: bringing up the lab {}", options.lab);
        let lab =
            Lab::builder(&options.lab).host("kvm1", options.release).host("kvm2", options.release).up()?;
        let spec = GuestSpec::new(GUEST)?;
        let log = lab.watch_guest(GUEST)?;
        lab.start_guest(&spec, "kvm1")?;
        let controller = Controller::start(&lab, reach)?;
        log.wait_ready("kvm1", BOOTS_WITHIN)?;
        Ok(Self { _controller: controller, log, spec, reach, lab })
    }

    /// Has a tool move the guest: there when it is the first of its pair, back when the second.
    fn measure(&self, tool: Tool, place: usize) -> Result<Move> {
        let (from, to) = if place == 0 { ("kvm1", "kvm2") } else { ("kvm2", "kvm1") };
        self.log.wait_next_tick(from, TICKS_WITHIN)?;
        thread::sleep(REST);
        let mut command = self.command(tool, from, to, &self.lab.controller())?;
        let begin = Instant::now();
        let output = command.output().context("the tool cannot be started")?;
        let total_ms = begin.elapsed().as_secs_f64() * 1000.0;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("{tool:?} from {from} to {to}: {}\n{}", output.status, String::from_utf8_lossy(&said));
        }
        // The gap ends with the first tick at the destination; one more, and it is in the log.
        for _ in 0..2 {
            self.log.wait_next_tick(to, TICKS_WITHIN)?;
        }
        Ok(Move { tool, total_ms, pause_ms: self.log.largest_gap_ms_since(begin) })
    }

    fn command(&self, tool: Tool, from: &str, to: &str, controller: &Host) -> Result<Command> {
        let (source, peer) = (self.reach.uri(from), peer_uri(to));
        let words: Vec<&str> = match tool {
            Tool::Ferry => vec!["ferry", "migrate", GUEST, "--to", to],
            Tool::Virsh => {
                let flags = ["--live", "--p2p", "--persistent", "--undefinesource"];
                let head = ["virsh", "-c", &source, "migrate"];
                head.into_iter().chain(flags).chain([GUEST, &peer]).collect()
            }
        };
        let mut command = controller.command(words[0])?;
        command.args(&words[1..]).stdin(Stdio::null());
        Ok(command)
    }

    fn report(&self, options: &Options, moves: &[Move]) -> Result<Report> {
        let owner = self.lab.host("kvm1");
        self.log.wait_checked(owner.name(), TICKS_WITHIN)?;
        let spread = |tool: Tool, value: fn(&Move) -> f64| {
            Spread::of(moves.iter().filter(|it| it.tool == tool).map(value)).context("nothing was measured")
        };
        let (ferry_ms, virsh_ms) =
            (spread(Tool::Ferry, |it| it.total_ms)?, spread(Tool::Virsh, |it| it.total_ms)?);
        let (ferry_pause_ms, virsh_pause_ms) =
            (spread(Tool::Ferry, |it| it.pause_ms)?, spread(Tool::Virsh, |it| it.pause_ms)?);
        let errors = self.log.errors();
        let doubled = self.log.doubled();
        for error in &errors {
            eprintln!("ferry-bench: the guest found: {error}");
        }
        Ok(Report {
            bench: "overhead",
            pairs: options.pairs,
            ratio_median: thousandth(ferry_ms.median / virsh_ms.median),
            pause_extra_ms_median: tenth(ferry_pause_ms.median - virsh_pause_ms.median),
            ferry_ms,
            virsh_ms,
            ferry_pause_ms,
            virsh_pause_ms,
            guest_errors: errors.len() + doubled.len() + usize::from(self.log.panicked()),
            shell: self.reach == Reach::Shell,
            guest_memory_mib: self.spec.memory_mib,
            hosts: versions(&owner)?,
            build: if cfg!(debug_assertions) { "dev" } else { "release" },
        })
    }
}

/// libvirt and QEMU of a host, on one line.
pub(crate) fn versions(host: &Host) -> Result<String> {
    let text = host.virsh(&["version"])?;
    let after = |label: &str| text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim);
    let library = after("Using library:").unwrap_or("libvirt");
    Ok(format!("{library}, {}", after("Running hypervisor:").unwrap_or("QEMU")))
}

impl Report {
    fn table(&self) -> String {
        let row = |what: &str, spread: &Spread| {
            format!("{what:<22}{:>12.1}{:>12.1}{:>12.1}\n", spread.min, spread.median, spread.max)
        };
        let reach = if self.shell { "ssh" } else { "libvirt's events only" };
        let mut text = format!(
            "An idle guest of {} MiB, {} pairs, alternated; hosts with {}, reached by {reach}; {} build\n\n",
            self.guest_memory_mib, self.pairs, self.hosts, self.build
        );
        text.push_str(&format!("{:<22}{:>12}{:>12}{:>12}\n", "ms", "min", "median", "max"));
        text.push_str(&row("ferry migrate", &self.ferry_ms));
        text.push_str(&row("virsh migrate", &self.virsh_ms));
        text.push_str(&row("pause with ferry", &self.ferry_pause_ms));
        text.push_str(&row("pause with virsh", &self.virsh_pause_ms));
        text.push_str(&format!(
            "\nratio of the medians {:.3}; pause {:+.1} ms; errors found by the guest {}\n",
            self.ratio_median, self.pause_extra_ms_median, self.guest_errors
        ));
        text
    }
}
