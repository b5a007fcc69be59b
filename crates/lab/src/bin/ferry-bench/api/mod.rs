//! What it costs to ask for all machines, as the inherited interface tells them: how long one answer takes, how many come in a
//! second, what `ferryd` takes up meanwhile and while nobody asks, and how soon it tells what was changed beside it.
//!
//! All on one lab: a guest that runs, and as many more machines as are wanted, defined and shut off. `ferryd` is started anew for
//! each number of machines, so that none inherits what another one took up.
//!
//! * `client` – requests over the Unix socket, one after the other on open connections;
//! * `usage` – processor time and memory of processes;
//! * `page` – the table, for people and for the documents;
//! * `goals` – whether what was wanted with 200 machines was met.

mod client;
mod goals;
mod page;
mod usage;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{GuestLog, GuestSpec, Host, Lab, Release};
use serde::Serialize;
use serde_json::{Value, json};

use crate::controller::{Controller, Reach};
use crate::figures::{hundredth, tenth};
use crate::overhead::versions;
use client::{Connection, Load};
use usage::Tree;

const GUEST: &str = "web1";
const HOSTS: [&str; 2] = ["kvm1", "kvm2"];
const LIST: &str = "/plugins/kimchi/vms";
const SOCKET: &str = "/run/ferry/ferry.sock";
const BOOTS_WITHIN: Duration = Duration::from_secs(180);
const KNOWN_WITHIN: Duration = Duration::from_secs(120);
/// What follows a connection (shells are opened, definitions read) has ended by then.
const SETTLES: Duration = Duration::from_secs(5);
/// How long requests are sent for one figure.
const LOAD: Duration = Duration::from_secs(5);
/// Pause between two looks that wait for something.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How often each change is made.
const CHANGES: u32 = 3;
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// To and fro: the guest is where it was afterwards.
const MOVES: usize = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many machines are defined: one row for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 50, 200, 1000],
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    vms: Vec<u32>,
    /// For how many seconds nobody asks, to see what ferryd does then.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    idle_s: u64,
    /// Print one JSON array instead of a table.
    #[arg(long)]
    json: bool,
    /// Write the table into measurements.md in this directory.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Name of the lab.
    #[arg(long, default_value = "bench-api")]
    lab: String,
}

/// What was measured with so many machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    vms: u32,
    /// One connection, one request after the other.
    list_ms_median: f64,
    /// Answers in a second, on one connection.
    rps_c1: f64,
    /// And on eight.
    rps_c8: f64,
    /// Resident memory of ferryd after that, in millions of bytes.
    rss_mb: f64,
    /// Of one core, ferryd with its ssh processes, while nobody asks.
    idle_cpu_percent: f64,
    /// The longest time from the start of a `virsh` that changes something until the list tells it.
    freshness_ms: f64,
    /// While a guest moves to and fro.
    list_ms_median_while_migrating: f64,
}

/// Measures and reports; false when a goal was missed or the guest was harmed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut numbers = options.vms.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let mut bench = Bench::begin(options)?;
    let mut rows = Vec::new();
    for vms in numbers {
        let row = bench.measure(vms, Duration::from_secs(options.idle_s))?;
        eprintln!("ferry-bench: {}", page::line(&row));
        rows.push(row);
    }
    if let Some(directory) = &options.write {
        page::write(directory, &rows, &versions(&bench.lab.host(HOSTS[0]))?)?;
    }
    match options.json {
        true => println!("{}", serde_json::to_string(&rows)?),
        false => print!("{}", page::table(&rows)),
    }
    let (lines, met) = goals::judged(&rows);
    lines.iter().for_each(|line| eprintln!("ferry-bench: {line}"));
    let harm = bench.log.errors().len() + bench.log.doubled().len();
    Ok(met && harm == 0 && !bench.log.panicked())
}

struct Bench {
    // Dropped in this order: the controller's processes live in the lab.
    controller: Controller,
    log: GuestLog,
    lab: Lab,
    /// Machines that are defined, the guest among them.
    defined: u32,
}

impl Bench {
    fn begin(options: &Options) -> Result<Self> {
        eprintln!("ferry-bench: bringing up the lab {}", options.lab);
        let builder = Lab::builder(&options.lab);
        let lab = HOSTS.iter().fold(builder, |lab, host| lab.host(host, Release::Bookworm)).up()?;
        let log = lab.watch_guest(GUEST)?;
        lab.start_guest(&GuestSpec::new(GUEST)?, HOSTS[0])?;
        let controller = Controller::start(&lab, Reach::Shell)?;
        log.wait_ready(HOSTS[0], BOOTS_WITHIN)?;
        Ok(Self { controller, log, lab, defined: 1 })
    }

    fn measure(&mut self, vms: u32, idle: Duration) -> Result<Row> {
        self.define_up_to(vms)?;
        self.controller.restart()?;
        self.wait_known(vms)?;
        thread::sleep(SETTLES);
        // First of all: figures of the guests are read for a while after somebody has asked for them.
        let idle_cpu_percent = hundredth(self.ferryd()?.cpu_percent_during(idle));
        let one = Load::put(&self.socket()?, LIST, 1, LOAD)?;
        let eight = Load::put(&self.socket()?, LIST, 8, LOAD)?;
        let rss_mb = tenth(self.ferryd()?.resident_bytes()? / 1e6);
        let freshness_ms = tenth(self.freshness()?);
        let moving = self.while_migrating()?;
        Ok(Row {
            vms,
            list_ms_median: hundredth(one.median_ms()?),
            rps_c1: tenth(one.per_second()),
            rps_c8: tenth(eight.per_second()),
            rss_mb,
            idle_cpu_percent,
            freshness_ms,
            list_ms_median_while_migrating: hundredth(moving.median_ms()?),
        })
    }

    /// Defines machines on the first host until there are so many.
    fn define_up_to(&mut self, vms: u32) -> Result<()> {
        let host = self.lab.host(HOSTS[0]);
        let mut commands = String::new();
        for number in self.defined..vms {
            let file = format!("/var/tmp/vm{number:05}.xml");
            host.write(&file, definition(&format!("vm{number:05}")).as_bytes())?;
            commands.push_str(&format!("define {file}\n"));
        }
        self.defined = self.defined.max(vms);
        host.run_with_input(&["virsh", "-q", "-c", "qemu:///system"], commands.as_bytes()).map(drop)
    }

    /// Waits until ferryd knows them all, without asking for what the list tells.
    fn wait_known(&self, vms: u32) -> Result<()> {
        let deadline = Instant::now() + KNOWN_WITHIN;
        loop {
            let hosts: Value = serde_json::from_str(
                &self.controller.until(&["ferry", "--json", "host", "list"], KNOWN_WITHIN)?,
            )?;
            let known: u64 =
                hosts.as_array().into_iter().flatten().filter_map(|host| host["vms_total"].as_u64()).sum();
            if known == u64::from(vms) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("ferryd knows {known} of {vms} machines:\n{}", self.controller.log());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn socket(&self) -> Result<PathBuf> {
        self.lab.controller().path(SOCKET)
    }

    /// ferryd and what it has started.
    fn ferryd(&self) -> Result<Tree> {
        Tree::of(self.lab.controller(), "ferryd").context("ferryd does not run")
    }

    /// The longest of several changes.
    fn freshness(&self) -> Result<f64> {
        let host = self.lab.host(HOSTS[0]);
        host.write("/var/tmp/fresh.xml", definition("fresh").as_bytes())?;
        let mut longest = 0.0_f64;
        // Each with what the list tells of the machine then; nothing: that it is gone.
        let changes: [(&str, Option<(&str, Value)>); 6] = [
            ("define /var/tmp/fresh.xml", Some(("/name", json!("fresh")))),
            ("desc fresh --config --title new", Some(("/title", json!("new")))),
            ("autostart fresh", Some(("/autostart", json!(1)))),
            ("setmaxmem fresh 512MiB --config", Some(("/memory/maxmemory", json!(512)))),
            ("setvcpus fresh 4 --maximum --config", Some(("/cpu_info/maxvcpus", json!(4)))),
            ("undefine fresh", None),
        ];
        for _ in 0..CHANGES {
            for (command, told) in &changes {
                longest = longest.max(self.seen_after_ms(&host, command, told.as_ref())?);
            }
        }
        Ok(longest)
    }

    /// How long after the start of this `virsh` the list tells it, in milliseconds.
    fn seen_after_ms(&self, host: &Host, command: &str, told: Option<&(&str, Value)>) -> Result<f64> {
        let mut connection = Connection::open(&self.socket()?)?;
        let begin = Instant::now();
        host.virsh(&command.split(' ').collect::<Vec<_>>())?;
        loop {
            let list: Vec<Value> = serde_json::from_slice(connection.get(LIST)?)?;
            if tells(&list, told) {
                return Ok(begin.elapsed().as_secs_f64() * 1000.0);
            }
            if begin.elapsed() > SEEN_WITHIN {
                bail!("virsh {command}: the list does not tell it");
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks, now and then, while the guest moves to and fro.
    fn while_migrating(&self) -> Result<Load> {
        let mut connection = Connection::open(&self.socket()?)?;
        let mut load = Load::default();
        thread::scope(|scope| {
            let moves = scope.spawn(|| {
                (0..MOVES).try_for_each(|at| {
                    let to = HOSTS[(at + 1) % HOSTS.len()];
                    self.lab.controller().run(&["ferry", "migrate", GUEST, "--to", to]).map(drop)
                })
            });
            while !moves.is_finished() {
                load.ask(&mut connection, LIST)?;
                thread::sleep(LOOK_AGAIN);
            }
            moves.join().unwrap_or_else(|_| bail!("the thread that migrates panicked"))
        })?;
        Ok(load)
    }
}

/// Whether a list tells this of the machine that is changed; nothing: that it is gone.
fn tells(list: &[Value], told: Option<&(&str, Value)>) -> bool {
    let machine = list.iter().find(|machine| machine["name"] == "fresh");
    match told {
        Some((place, value)) => machine.is_some_and(|machine| machine.pointer(place) == Some(value)),
        None => machine.is_none(),
    }
}

/// A machine as people have them: a disk, an interface, a screen.
fn definition(name: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><title>Shop</title><description>One of many</description>\
         <memory unit='MiB'>256</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/></os>\
         <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>\
         <source file='/var/lib/libvirt/images/{name}.qcow2'/><target dev='vda' bus='virtio'/></disk>\
         <interface type='user'><model type='virtio'/></interface><graphics type='vnc' autoport='yes' listen='127.0.0.1'/>\
         </devices></domain>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_what_was_changed() {
        let list = [
            json!({"name": "vm00001", "autostart": 1}),
            json!({"name": "fresh", "memory": {"maxmemory": 512}}),
        ];
        assert!(tells(&list, Some(&("/memory/maxmemory", json!(512)))));
        assert!(!tells(&list, Some(&("/memory/maxmemory", json!(256)))));
        assert!(!tells(&list, Some(&("/autostart", json!(1)))), "that is another one's");
        assert!(!tells(&list, None) && tells(&list[..1], None));
    }
}
