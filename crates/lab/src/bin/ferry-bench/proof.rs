//! What became of a guest that was moved, told by others than Ferry: its own logs, and the hosts' processes.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::Lab;
use serde::Serialize;
use serde_json::Value;

const TICKS_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name of the lab.
    #[arg(long)]
    lab: String,
    /// The host that the guest is on now.
    #[arg(long)]
    on: String,
    /// Name of the guest.
    guest: String,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// One move, as its task tells it.
#[derive(Debug, Serialize)]
struct Move {
    from: String,
    to: String,
    state: String,
    total_ms: u64,
    downtime_ms: u64,
    bytes: u64,
}

/// The whole account.
#[derive(Debug, Serialize)]
struct Account {
    /// Sum over the moves.
    total_ms: u64,
    /// The longest of the moves.
    downtime_ms: u64,
    /// Sum over the moves.
    bytes: u64,
    /// Damaged pages and blocks that the guest found in its memory and disk, and panics of its kernel.
    guest_errors: usize,
    /// Ticks that were written on more than one host: 0 when the guest never ran twice.
    ticks_doubled: usize,
    /// Ticks in all.
    ticks: usize,
    /// How often it booted: 1 when it was moved and not started again.
    boots: usize,
    /// Hosts with a QEMU of the guest.
    running_on: Vec<String>,
    /// The moves, oldest first.
    moves: Vec<Move>,
}

/// Tells the account; false when the guest was harmed or is not where it should be.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let tasks: Vec<Value> = serde_json::from_str(&text).context("the tasks on standard input")?;
    let account = examine(options, &tasks)?;
    if options.json {
        println!("{}", serde_json::to_string(&account)?);
    } else {
        print!("{}", account.text(&options.guest));
    }
    Ok(account.is_well(&options.on))
}

fn examine(options: &Options, tasks: &[Value]) -> Result<Account> {
    let mine = |task: &&Value| task["vm"] == options.guest.as_str();
    // Newest first, as they are listed.
    let tasks: Vec<&Value> = tasks.iter().filter(mine).rev().collect();
    let Some(uuid) = tasks.first().and_then(|task| task["vm_uuid"].as_str()) else {
        bail!("none of the tasks moved {}", options.guest)
    };
    let moves: Vec<Move> = tasks.iter().map(|task| of_task(task)).collect();

    let lab = Lab::open(&options.lab)?;
    let log = lab.watch_guest(&options.guest)?;
    // From now on it checks every page once: what the moves did to any of them has come out then.
    log.wait_checked(&options.on, TICKS_WITHIN)?;
    let on = lab.hosts()?.into_iter().filter(|host| host.pid_of_qemu(uuid).is_some());
    let boots: BTreeSet<String> = log.boots().into_iter().map(|(_, id)| id).collect();
    Ok(Account {
        total_ms: moves.iter().map(|it| it.total_ms).sum(),
        downtime_ms: moves.iter().map(|it| it.downtime_ms).max().unwrap_or(0),
        bytes: moves.iter().map(|it| it.bytes).sum(),
        guest_errors: log.errors().len() + usize::from(log.panicked()),
        ticks_doubled: log.doubled().len(),
        ticks: log.all_ticks().len(),
        boots: boots.len(),
        running_on: on.map(|host| host.name().to_owned()).collect(),
        moves,
    })
}

fn of_task(task: &Value) -> Move {
    let word = |key: &str| task[key].as_str().unwrap_or_default().to_owned();
    let figure = |key: &str| task["outcome"][key].as_u64().unwrap_or(0);
    Move {
        from: word("source"),
        to: word("destination"),
        state: word("state"),
        total_ms: figure("total_ms"),
        downtime_ms: figure("downtime_ms"),
        bytes: figure("transferred_bytes"),
    }
}

impl Account {
    fn is_well(&self, on: &str) -> bool {
        let unharmed = self.guest_errors == 0 && self.ticks_doubled == 0 && self.boots == 1;
        unharmed && self.running_on == [on] && self.moves.iter().all(|it| it.state == "done")
    }

    fn text(&self, guest: &str) -> String {
        let mut text = String::new();
        for it in &self.moves {
            text.push_str(&format!(
                "  {} to {}: {}, {:.2} s, paused {} ms, {:.0} MiB sent\n",
                it.from,
                it.to,
                it.state,
                it.total_ms as f64 / 1000.0,
                it.downtime_ms,
                it.bytes as f64 / f64::from(1 << 20)
            ));
        }
        text.push_str(&format!(
            "  {guest} ticked {} times, booted {}, found {} errors in its memory, and ticked {} times on two hosts at once\n",
            self.ticks,
            if self.boots == 1 { "once".to_owned() } else { format!("{} times", self.boots) },
            self.guest_errors,
            self.ticks_doubled
        ));
        text.push_str(&format!("  its QEMU runs on {}\n", self.running_on.join(" and ")));
        text
    }
}
