//! What moving a machine with its disk costs: Ferry against `virsh migrate --copy-storage-all` (it runs) and against `qemu-img convert`
//! with `rsync -S` (it is stopped), the same image over the same limited link, in turn: time, and bytes that left the source.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use lab::{Host, Lab, Release};
use serde::Serialize;

use crate::controller::{Controller, Reach, peer_uri};
use crate::figures::{Spread, tenth, thousandth};

const DOMAIN: &str = "box";
const UUID: &str = "c0000000-0000-4000-8000-0000000000d1";
const IMAGE: &str = "/var/lib/libvirt/images/box.qcow2";
/// What the guest sees of the disk, and what of it is written.
const CAPACITY_MIB: u64 = 2048;
const WRITTEN_MIB: u64 = CAPACITY_MIB / 4;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many moves by each tool, in each manner.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The hosts' links, in Mbit/s each way.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate_mbit: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Name of the lab.
    #[arg(long, default_value = "bench-storage")]
    lab: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Tool {
    FerryStopped,
    ConvertAndRsync,
    FerryLive,
    VirshCopyStorage,
}

impl Tool {
    const ALL: [Self; 4] =
        [Self::FerryStopped, Self::ConvertAndRsync, Self::FerryLive, Self::VirshCopyStorage];

    fn is_live(self) -> bool {
        matches!(self, Self::FerryLive | Self::VirshCopyStorage)
    }
}

/// What a tool took.
#[derive(Debug, Serialize)]
struct Row {
    tool: Tool,
    ms: Spread,
    /// Bytes that left the source's link, over what the image takes up.
    wire_over_allocated: f64,
}

/// All that is reported; of two manners the worse one counts.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    rounds: u32,
    rate_mbit: u32,
    wire_over_allocated: f64,
    time_over_best_peer: f64,
    bytes_over_best_peer: f64,
    rows: Vec<Row>,
}

/// Measures and reports; false where the goal was not met.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let bench = Bench::begin(options)?;
    let mut measured: Vec<(Tool, f64, f64)> = Vec::new();
    for round in 0..options.rounds {
        for tool in Tool::ALL {
            let (ms, wire) = bench.measure(tool)?;
            eprintln!(
                "ferry-bench: round {} of {}: {tool:?}: {ms:.0} ms, {wire:.3} of the image",
                round + 1,
                options.rounds
            );
            measured.push((tool, ms, wire));
        }
    }
    let row = |tool: Tool| -> Result<Row> {
        let of = |value: fn(&(Tool, f64, f64)) -> f64| {
            Spread::of(measured.iter().filter(|it| it.0 == tool).map(value)).context("nothing was measured")
        };
        let mut wires: Vec<f64> = measured.iter().filter(|it| it.0 == tool).map(|it| it.2).collect();
        wires.sort_by(f64::total_cmp);
        Ok(Row { tool, ms: of(|it| it.1)?, wire_over_allocated: thousandth(wires[wires.len() / 2]) })
    };
    let rows = Tool::ALL.into_iter().map(row).collect::<Result<Vec<_>>>()?;
    let report = Report::of(options, rows);
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(report.meets_its_goal())
}

struct Bench {
    // Dropped in this order: the controller's processes live in the lab.
    _controller: Controller,
    lab: Lab,
    allocated_bytes: f64,
}

impl Bench {
    fn begin(options: &Options) -> Result<Self> {
        eprintln!("ferry-bench: bringing up the lab {}", options.lab);
        let lab = Lab::builder(&options.lab)
            .host("kvm1", Release::Bookworm)
            .host("kvm2", Release::Bookworm)
            .up()?;
        let source = lab.host("kvm1");
        let make = format!(
            "head -c {WRITTEN_MIB}M /dev/urandom >/var/tmp/data && qemu-img create -q -f qcow2 {IMAGE} {CAPACITY_MIB}M && \
             qemu-io -c 'write -q -s /var/tmp/data 100M {WRITTEN_MIB}M' {IMAGE} && rm /var/tmp/data && du -B1 {IMAGE} | cut -f1"
        );
        let allocated_bytes = source.run(&["sh", "-ec", &make])?.trim().parse().context("a size")?;
        let controller = Controller::start(&lab, Reach::Shell)?;
        for name in ["kvm1", "kvm2"] {
            lab.host(name).rate(Some(options.rate_mbit))?;
        }
        Ok(Self { _controller: controller, lab, allocated_bytes })
    }

    /// Has a tool move it to kvm2, and takes it back by hand: time, and what left the source over what the image takes up.
    fn measure(&self, tool: Tool) -> Result<(f64, f64)> {
        let (source, destination) = (self.lab.host("kvm1"), self.lab.host("kvm2"));
        let xml = format!(
            "<domain type='qemu'><name>{DOMAIN}</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
             <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>\
             <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='{IMAGE}'/>\
             <target dev='vda' bus='virtio'/></disk><controller type='usb' model='none'/></devices></domain>"
        );
        source.run_with_input(&["virsh", "-q", "define", "/dev/stdin"], xml.as_bytes())?;
        if tool.is_live() {
            source.virsh(&["start", DOMAIN])?;
        }
        self.wait_known(if tool.is_live() { "running" } else { "shutoff" })?;
        let peer = peer_uri("kvm2");
        let copied = format!(
            "qemu-img convert -O qcow2 {IMAGE} /var/tmp/copy && rsync -S /var/tmp/copy root@kvm2:{IMAGE} && rm /var/tmp/copy"
        );
        let (host, words): (Host, Vec<&str>) = match tool {
            Tool::FerryStopped | Tool::FerryLive => {
                (self.lab.controller(), vec!["ferry", "migrate", UUID, "--to", "kvm2"])
            }
            Tool::ConvertAndRsync => (self.lab.host("kvm1"), vec!["sh", "-ec", &copied]),
            Tool::VirshCopyStorage => {
                let flags = [
                    "virsh",
                    "migrate",
                    "--live",
                    "--p2p",
                    "--persistent",
                    "--undefinesource",
                    "--copy-storage-all",
                ];
                (self.lab.host("kvm1"), flags.into_iter().chain([DOMAIN, peer.as_str()]).collect())
            }
        };
        let (sent, began) = (sent_bytes(&source)?, Instant::now());
        let output = host.output(&words)?;
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        let wire = (sent_bytes(&source)? - sent) / self.allocated_bytes;
        if !output.status.success() {
            bail!("{tool:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        for host in [&source, &destination] {
            let away = format!(
                "virsh -q destroy {DOMAIN} 2>/dev/null; virsh -q undefine {DOMAIN} 2>/dev/null; true"
            );
            host.run(&["sh", "-c", &away])?;
        }
        destination.run(&["rm", IMAGE])?;
        // Its libvirt would not make a volume that it still knows.
        destination.virsh(&["pool-refresh", "default"])?;
        Ok((ms, wire))
    }

    fn wait_known(&self, state: &str) -> Result<()> {
        let look = format!("ferry --json vm list | grep -q '\"state\": *\"{state}\"'");
        self._controller.until(&["sh", "-c", &look], std::time::Duration::from_secs(30)).map(drop)
    }
}

/// What the host has sent over its link so far.
fn sent_bytes(host: &Host) -> Result<f64> {
    let sum = "cat /sys/class/net/eth0/statistics/tx_bytes";
    host.run(&["sh", "-c", sum])?.trim().parse().context("a number of bytes")
}

/// What may go over the wire at most, over what the image takes up.
const MOST_OVER_ALLOCATED: f64 = 1.05;

impl Report {
    /// At or below the best of the others in time and bytes.
    fn meets_its_goal(&self) -> bool {
        self.time_over_best_peer <= 1.0
            && self.bytes_over_best_peer <= 1.0
            && self.wire_over_allocated <= MOST_OVER_ALLOCATED
    }

    fn of(options: &Options, rows: Vec<Row>) -> Self {
        let of = |tool: Tool| rows.iter().find(|row| row.tool == tool);
        let pairs = [(Tool::FerryStopped, Tool::ConvertAndRsync), (Tool::FerryLive, Tool::VirshCopyStorage)];
        let worst = |ratio: &dyn Fn(&Row, &Row) -> f64| {
            let ratios = pairs.iter().filter_map(|(ferry, peer)| Some(ratio(of(*ferry)?, of(*peer)?)));
            thousandth(ratios.fold(0.0, f64::max))
        };
        Self {
            bench: "storage",
            rounds: options.rounds,
            rate_mbit: options.rate_mbit,
            wire_over_allocated: worst(&|ferry, _| ferry.wire_over_allocated),
            time_over_best_peer: worst(&|ferry, peer| ferry.ms.median / peer.ms.median),
            bytes_over_best_peer: worst(&|ferry, peer| ferry.wire_over_allocated / peer.wire_over_allocated),
            rows,
        }
    }

    fn table(&self) -> String {
        let mut text = format!(
            "A qcow2 image of {CAPACITY_MIB} MiB, {WRITTEN_MIB} MiB of it written, over {} Mbit/s, {} rounds, in turn\n\n{:<20}{:>10}{:>10}{:>10}{:>22}\n",
            self.rate_mbit, self.rounds, "s", "min", "median", "max", "bytes over allocated"
        );
        for row in &self.rows {
            let seconds = |ms: f64| tenth(ms / 1000.0);
            text.push_str(&format!(
                "{:<20}{:>10}{:>10}{:>10}{:>22}\n",
                format!("{:?}", row.tool),
                seconds(row.ms.min),
                seconds(row.ms.median),
                seconds(row.ms.max),
                row.wire_over_allocated
            ));
        }
        text.push_str(&format!(
            "\nthe worse of both manners: wire over allocated {}, time over best peer {}, bytes over best peer {}\n",
            self.wire_over_allocated, self.time_over_best_peer, self.bytes_over_best_peer
        ));
        text
    }
}
