//! `ferry-histories`: plays many histories of faults against the engine, or one of them with everything told.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use simulate::history::play;
use simulate::plant::Plant;
use simulate::run::{Summary, run};

/// Plays seeded histories of faults against Ferry's engine on simulated hosts.
#[derive(Debug, Parser)]
#[command(name = "ferry-histories", version)]
struct Cli {
    /// How many histories.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// Make this mistake on purpose; it must be found, and the histories end when it is.
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<Plant>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play the one history of the seed, and tell all of it.
    #[arg(long)]
    trace: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let mut out = std::io::stdout().lock();
    if cli.trace {
        let report = play(cli.seed, cli.plant, true)?;
        for line in &report.trace {
            writeln!(out, "{line}")?;
        }
        let verdict = report.violation.as_deref().unwrap_or("held");
        writeln!(out, "seed {}: {verdict}", cli.seed)?;
        return Ok(if report.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let summary = run(cli.seed, cli.count, cli.plant, cli.plant.is_some())?;
    if cli.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        write!(out, "{}", table(&summary))?;
    }
    // A planted mistake is there to be found.
    let good = (summary.violations > 0) == cli.plant.is_some();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(summary: &Summary) -> String {
    let ended = summary.ended;
    let mut lines = vec![
        ("histories", summary.histories.to_string()),
        ("a minute", summary.per_minute.to_string()),
        ("simulated hours", summary.simulated_hours.to_string()),
        ("faults", summary.faults.to_string()),
        ("done", ended.done.to_string()),
        ("failed", ended.failed.to_string()),
        ("cancelled", ended.cancelled.to_string()),
        ("left to a person", ended.needs_attention.to_string()),
        ("violations", summary.violations.to_string()),
    ];
    if let Some(seed) = summary.first_failing_seed {
        lines.push(("first failing seed", seed.to_string()));
    }
    for kind in &summary.kinds {
        lines.push(("", format!("{} times, first with seed {}: {}", kind.count, kind.seed, kind.violation)));
    }
    lines.iter().map(|(name, value)| format!("{name:<20}{value}\n")).collect()
}
