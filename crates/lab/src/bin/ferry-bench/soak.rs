//! Guests to and fro for as long as one likes, with faults drawn by lot: nothing may be lost, doubled, damaged or left over.
//!
//! Only faults after which no memory may be missing: nothing is struck that alone holds a guest's memory.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{Expect, GuestLog, GuestSpec, Lab, Oracle, Release};
use serde::Serialize;
use serde_json::Value;

use crate::controller::{Controller, Reach};
use crate::strike::{Fault, Lot};

const HOSTS: [&str; 2] = ["kvm1", "kvm2"];
const BOOTS_WITHIN: Duration = Duration::from_secs(180);
/// From the end of the last fault. A person is asked after two minutes without an answer; that would be too late here.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
const CLEAN_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A migration here takes a few seconds: a fault comes within this time after the request.
const STRIKES_WITHIN_MS: u64 = 4000;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many migrations.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    migrations: u32,
    /// What the faults are drawn from; the same number draws the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many guests move at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    guests: u32,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Name of the lab.
    #[arg(long, default_value = "bench-soak")]
    lab: String,
}

/// All that is reported.
#[derive(Debug, Default, Serialize)]
struct Report {
    bench: &'static str,
    seed: u64,
    /// Migrations that were accepted and ended.
    migrations: u32,
    /// Of these, how many moved the guest; the others left it where it was.
    moved: u32,
    /// Faults that were struck.
    faults: u32,
    /// Guests that did not run any more, or had been started again.
    lost: usize,
    /// Ticks on two hosts, or two QEMUs.
    doubled: usize,
    /// Damaged pages that guests found.
    damaged: usize,
    /// Definitions, files and marks where they should not be.
    leftover: usize,
    /// Tasks that said something else than what was found.
    untrue: usize,
    seconds: u64,
}

impl Report {
    fn holds(&self) -> bool {
        self.lost + self.doubled + self.damaged + self.leftover + self.untrue == 0
    }

    fn text(&self) -> String {
        format!(
            "{} migrations in {} s, {} of them moved the guest; {} faults (seed {})\n\
             lost {}, doubled {}, damaged {}, left over {}, untrue {}\n",
            self.migrations,
            self.seconds,
            self.moved,
            self.faults,
            self.seed,
            self.lost,
            self.doubled,
            self.damaged,
            self.leftover,
            self.untrue
        )
    }
}

struct Guest {
    spec: GuestSpec,
    log: GuestLog,
    oracle: Oracle,
    /// Index of the host that has it.
    on: usize,
}

struct Soak {
    // Dropped in this order: the controller's processes live in the lab.
    controller: Controller,
    guests: Vec<Guest>,
    lab: Lab,
    lot: Lot,
    report: Report,
}

/// Runs and reports; false when anything was lost, doubled, damaged, left over or told wrongly.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let begin = Instant::now();
    let mut soak = Soak::begin(options)?;
    while soak.report.migrations < options.migrations && soak.report.holds() {
        soak.round(options.migrations - soak.report.migrations)?;
    }
    let mut report = soak.report;
    report.seconds = begin.elapsed().as_secs();
    match options.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print!("{}", report.text()),
    }
    Ok(report.holds())
}

impl Soak {
    fn begin(options: &Options) -> Result<Self> {
        eprintln!("ferry-bench: bringing up the lab {}", options.lab);
        let builder =
            Lab::builder(&options.lab).host(HOSTS[0], Release::Bookworm).host(HOSTS[1], Release::Trixie);
        let lab = builder.up()?;
        let mut started = Vec::new();
        for number in 1..=options.guests {
            let mut spec = GuestSpec::new(&format!("web{number}"))?;
            spec.memory_mib = 192;
            (spec.work_mib, spec.dirty_mib_s, spec.autostart) = (16, 4, number % 2 == 0);
            spec.every_page_counts = true;
            let log = lab.watch_guest(&spec.name)?;
            lab.start_guest(&spec, HOSTS[0])?;
            started.push((spec, log));
        }
        let controller = Controller::start(&lab, Reach::Shell)?;
        for (_, log) in &started {
            log.wait_ready(HOSTS[0], BOOTS_WITHIN)?;
        }
        let look = |(spec, log): (GuestSpec, GuestLog)| {
            let oracle = Oracle::before(&lab, &spec)?;
            Ok(Guest { spec, log, oracle, on: 0 })
        };
        let mut guests = started.into_iter().map(look).collect::<Result<Vec<_>>>()?;
        // Each guest's definition comes and goes; to the others it is no leftover.
        let names: Vec<String> = guests.iter().map(|guest| guest.spec.name.clone()).collect();
        for guest in &mut guests {
            for (host, name) in HOSTS.iter().flat_map(|host| names.iter().map(move |name| (host, name))) {
                guest.oracle.allow(host, format!("/etc/libvirt/qemu/{name}.xml"));
                guest.oracle.allow(host, format!("/etc/libvirt/qemu/autostart/{name}.xml"));
            }
        }
        let report = Report { bench: "soak", seed: options.seed, ..Report::default() };
        Ok(Self { controller, guests, lab, lot: Lot(options.seed), report })
    }

    /// Every guest (at most `most`) is asked to move; in most rounds a fault comes in between.
    fn round(&mut self, most: u32) -> Result<()> {
        let fault = Fault::drawn(&mut self.lot);
        let delay = Duration::from_millis(self.lot.below(STRIKES_WITHIN_MS));
        let most = usize::try_from(most)?.min(self.guests.len());
        let mut tasks = Vec::new();
        for index in 0..most {
            tasks.push((index, self.request(index)?));
        }
        let from = HOSTS[self.guests[0].on];
        let to = HOSTS[1 - self.guests[0].on];
        thread::sleep(delay);
        let ids: Vec<&str> = tasks.iter().map(|(_, id)| id.as_str()).collect();
        fault.strike(&self.lab, &mut self.controller, from, to, &ids)?;
        self.report.faults += u32::from(fault != Fault::None);
        for (index, id) in &tasks {
            let task = self.wait_final(id)?;
            self.judge(*index, &task, fault, delay)?;
        }
        Ok(())
    }

    fn request(&self, index: usize) -> Result<String> {
        let guest = &self.guests[index];
        let command =
            ["ferry", "--json", "migrate", &guest.spec.name, "--to", HOSTS[1 - guest.on], "--detach"];
        let said = self.controller.until(&command, CLEAN_WITHIN)?;
        let task: Value = serde_json::from_str(&said)?;
        task["id"].as_str().map(str::to_owned).context("a task has an id")
    }

    fn wait_final(&self, id: &str) -> Result<Value> {
        let deadline = Instant::now() + ENDS_WITHIN;
        loop {
            let said = self.controller.until(&["ferry", "--json", "task", "show", id], CLEAN_WITHIN)?;
            let task: Value = serde_json::from_str(&said)?;
            if matches!(task["state"].as_str(), Some("done" | "failed" | "cancelled")) {
                return Ok(task);
            }
            if Instant::now() > deadline {
                bail!("a task does not end: {task:#}\n{}", self.controller.log());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Compares what the task says with what is there.
    fn judge(&mut self, index: usize, task: &Value, fault: Fault, delay: Duration) -> Result<()> {
        let guest = &mut self.guests[index];
        let told = match task["outcome"]["location"].as_str() {
            Some("source") => Some(guest.on),
            Some("destination") => Some(1 - guest.on),
            _ => None,
        };
        let hosts = HOSTS.map(|host| self.lab.host(host));
        let qemus =
            |guest: &Guest| hosts.iter().filter(|host| host.pid_of_qemu(&guest.spec.uuid).is_some()).count();
        let deadline = Instant::now() + CLEAN_WITHIN;
        // What is left on a host that did not answer is removed when it does.
        let verdict = loop {
            let verdict = guest.oracle.verdict(&self.lab, &guest.log, Expect::Running)?;
            if verdict.holds() || Instant::now() > deadline {
                break verdict;
            }
        };
        let owner = verdict.owner.as_deref().and_then(|owner| HOSTS.iter().position(|host| *host == owner));
        let lost = owner.is_none() || guest.log.boots().len() != 1;
        let doubled = guest.log.doubled().len() + qemus(guest).saturating_sub(1);
        let damaged = guest.log.errors().len() + usize::from(guest.log.panicked());
        self.report.lost += usize::from(lost);
        self.report.doubled += doubled;
        self.report.damaged += damaged;
        if !lost && doubled + damaged == 0 {
            self.report.leftover += verdict.violations.len();
        }
        let done = task["state"] == "done";
        let untrue =
            told != owner || task["outcome"]["memory_lost"] == true || done != (owner != Some(guest.on));
        self.report.untrue += usize::from(untrue);
        self.report.migrations += 1;
        self.report.moved += u32::from(done);
        eprintln!(
            "ferry-bench: {} of {}: {fault:?} after {} ms: {}",
            guest.spec.name,
            self.report.migrations,
            delay.as_millis(),
            task["message"].as_str().unwrap_or_default()
        );
        if !verdict.holds() || untrue {
            eprintln!("ferry-bench: {:#?}\n{task:#}\n{}", verdict.violations, self.controller.log());
        }
        guest.on = owner.unwrap_or(guest.on);
        Ok(())
    }
}
