//! The row that a cell leaves in the table of a run, where one is written (`FERRY_FAULT_TABLE`).

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use serde::Serialize;

use super::cell::Cell;
use super::sides::Sides;

/// Names the file that rows are added to, one JSON object a line.
const TABLE: &str = "FERRY_FAULT_TABLE";

#[derive(Serialize)]
struct Row<'a> {
    fault: &'a str,
    moment: String,
    mode: &'a str,
    verdict: &'a str,
    source_state: &'a str,
    destination_state: &'a str,
    seconds: f64,
}

/// A row that says "broken" until the cell has held; written when it is dropped, however the cell ends.
pub(crate) struct Record {
    cell: Cell,
    began: Instant,
    sides: Option<Sides>,
    held: bool,
}

impl Record {
    pub(crate) fn begin(cell: Cell) -> Self {
        Self { cell, began: Instant::now(), sides: None, held: false }
    }

    /// What both sides said when the fault was struck.
    pub(crate) fn saw(&mut self, sides: &Sides) {
        self.sides = Some(sides.clone());
    }

    /// Everything held.
    pub(crate) fn held(mut self) {
        self.held = true;
    }

    fn row(&self) -> String {
        let states = self.sides.as_ref().map(|sides| (sides.source.as_str(), sides.destination.as_str()));
        let (source_state, destination_state) = states.unwrap_or(("not reached", "not reached"));
        let row = Row {
            fault: self.cell.fault.name(),
            moment: format!("{:?}", self.cell.moment),
            mode: self.cell.mode.name(),
            verdict: if self.held { "held" } else { "broken" },
            source_state,
            destination_state,
            seconds: (self.began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        };
        serde_json::to_string(&row).expect("a row is JSON")
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let row = self.row();
        println!("{row}");
        let Some(path) = std::env::var_os(TABLE) else { return };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        // One write for the whole line: rows of tests that run side by side do not mix.
        let written = file.and_then(|mut file| file.write_all(format!("{row}\n").as_bytes()));
        if let Err(error) = written {
            println!("the row is not in {}: {error}", path.display());
        }
    }
}
