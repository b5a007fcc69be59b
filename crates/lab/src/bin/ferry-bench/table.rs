//! The table of the matrix of faults, from the rows that a run of it left.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The rows, one JSON object a line.
    #[arg(long)]
    rows: PathBuf,
    /// The directory to write faults.json and faults.md to.
    #[arg(long, default_value = "docs")]
    to: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    mode: String,
    fault: String,
    moment: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Row {
    fault: String,
    moment: String,
    mode: String,
    verdict: String,
    source_state: String,
    destination_state: String,
    seconds: f64,
}

impl Row {
    fn key(&self) -> Key {
        Key { mode: self.mode.clone(), fault: self.fault.clone(), moment: self.moment.clone() }
    }
}

/// Writes both files; false when a cell was broken.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let text = fs::read_to_string(&options.rows).with_context(|| options.rows.display().to_string())?;
    let mut cells = BTreeMap::new();
    for line in text.lines() {
        let row: Row = serde_json::from_str(line).with_context(|| line.to_owned())?;
        // A cell that ran twice counts as broken if it ever was.
        let broken_before = cells.get(&row.key()).is_some_and(|before: &Row| before.verdict == "broken");
        if !broken_before {
            cells.insert(row.key(), row);
        }
    }
    let rows: Vec<Row> = cells.into_values().collect();
    if rows.is_empty() {
        bail!("there is no row in {}", options.rows.display());
    }
    fs::write(options.to.join("faults.json"), serde_json::to_string_pretty(&rows)? + "\n")?;
    fs::write(options.to.join("faults.md"), page(&rows))?;
    Ok(rows.iter().all(|row| row.verdict == "held"))
}

fn page(rows: &[Row]) -> String {
    let held = rows.iter().filter(|row| row.verdict == "held").count();
    let longest = rows.iter().map(|row| row.seconds).fold(0.0, f64::max);
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    let mut text = format!(
        "# Faults, struck in the middle of real migrations\n\n\
         Written by `ferry-bench fault-table` from the rows that runs of the tests left; the same rows are in `faults.json`, \
         and a cell that one of them saw broken counts as broken. A cell is a fault at \
         a moment of a migration between two hosts with libvirt and QEMU. It has *held* when an oracle that shares no code \
         with Ferry found exactly one running copy, unharmed, one definition, autostart as it was and nothing left over (of a \
         domain that does not run: its images on one host, bit for bit); when the task said what the oracle found; and \
         when the same domain migrated again.\n\n\
         {held} of {} cells held; a cell that is not listed was not run. Together {total:.0} s, the longest {longest:.0} s.\n\n\
         T0 prepare, T1 first pass, T2 later passes, T3 stop-and-copy, T4 source done, T5 destination done and its reply \
         held, T6 confirm pending, T7 source gone and destination paused, P post-copy with memory still to follow, D a disk of \
         a running guest on its way, S one of a domain that does not run.\n\n\
         | fault | moment | mode | verdict | source at the fault | destination | s |\n|---|---|---|---|---|---|---:|\n",
        rows.len()
    );
    for row in rows {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {:.0} |\n",
            row.fault,
            row.moment,
            row.mode,
            row.verdict,
            row.source_state,
            row.destination_state,
            row.seconds
        ));
    }
    text
}
