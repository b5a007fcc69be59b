//! What the checks say against what really happens: situations built on real hosts, `ferry check` asked, `virsh migrate` tried,
//! and where it failed, the remedy carried out and tried again.

mod page;
mod rig;
mod situation;
mod situations;
mod speed;

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use rig::{Reality, Report, Rig};
use situation::Situation;
use speed::Speed;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Only situations whose subject or name contains this.
    #[arg(long)]
    only: Option<String>,
    /// How often the checks' time is taken.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Write the table to preflight.md and preflight.json in this directory.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Name of the lab.
    #[arg(long, default_value = "bench-preflight")]
    lab: String,
}

/// What came of a situation.
#[derive(Clone, Debug, Serialize)]
struct Row {
    subject: &'static str,
    situation: &'static str,
    from: &'static str,
    to: &'static str,
    /// `go` or `no-go`.
    report: &'static str,
    /// Codes of the blockers, or of the warnings where there is none.
    codes: Vec<String>,
    /// `moved`, `moved, with harm`, `hung`, or what libvirt said.
    virsh: String,
    /// `agree`, `false go`, `false stop`.
    verdict: &'static str,
    /// The blocker that was expected is among those told; none where nothing was in the way.
    cause_named: Option<bool>,
    /// How the remedy was carried out, where it was: `its command`, `by hand`.
    remedy: Option<&'static str>,
    /// Whether it moved then.
    remedy_worked: Option<bool>,
}

/// All that is reported.
#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    situations: usize,
    /// Those that could not be built or tried.
    unplayed: usize,
    false_go: usize,
    false_stop: usize,
    causes_missed: usize,
    remedies_tried: usize,
    remedies_worked: usize,
    /// Of those that worked: by the report's own commands; the others were told in words, or cannot be run in a lab.
    remedies_by_command: usize,
    /// Of the checks on warm connections, four disks and two interfaces.
    median_ms: f64,
    /// Median of: the checks' time over that of the slowest question in them.
    ratio_to_slowest_question: f64,
    /// Until a host whose cable is out is told.
    unreachable_ms: f64,
}

/// Builds, asks, tries and reports; false when a verdict was wrong or a remedy did not work.
pub(crate) fn run(options: &Options) -> Result<bool> {
    eprintln!("ferry-bench: bringing up the lab {}", options.lab);
    let rig = Rig::up(&options.lab)?;
    let wanted = |situation: &Situation| {
        let only = options.only.as_deref().unwrap_or_default();
        situation.name.contains(only) || situation.subject.contains(only)
    };
    let situations: Vec<Situation> = situations::all().into_iter().filter(wanted).collect();
    let (mut rows, mut unplayed) = (Vec::new(), 0);
    for (at, situation) in situations.iter().enumerate() {
        let place = format!("{} of {}", at + 1, situations.len());
        match play(&rig, situation) {
            Ok(row) => {
                eprintln!("ferry-bench: {place}: {}", row.line());
                rows.push(row);
            }
            Err(error) => {
                eprintln!("ferry-bench: {place}: \"{}\" could not be played: {error:#}", situation.name);
                unplayed += 1;
                rig.clear(situation)?;
            }
        }
    }
    let speed = speed::measure(&rig, options.times)?;
    let figures = Figures::of(&rows, unplayed, speed);
    if let Some(directory) = &options.write {
        page::write(directory, &figures, &rows)?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", page::table(&figures, &rows));
    }
    let wrong = figures.false_go + figures.false_stop + figures.causes_missed + figures.unplayed;
    Ok(wrong == 0 && figures.remedies_worked == figures.remedies_tried)
}

fn play(rig: &Rig, situation: &Situation) -> Result<Row> {
    rig.build(situation)?;
    let report = rig.check(situation.from, situation.to, situation.secure)?;
    let reality = rig.try_it(situation, &report)?;
    let mut row = Row::of(situation, &report, &reality);
    if !reality.moved() && situation.from != situation.to {
        if reality == Reality::Harm {
            // It is gone from where the remedy would have been carried out.
            rig.clear(situation)?;
            rig.build(situation)?;
        }
        row.remedy = rig.mend(situation, &report)?;
        if row.remedy.is_some() {
            rig.wait_mended()?;
            row.remedy_worked = Some(moves_now(rig, situation)?);
        }
    }
    rig.clear(situation)?;
    Ok(row)
}

/// Whether the checks say go now, and it moves.
fn moves_now(rig: &Rig, situation: &Situation) -> Result<bool> {
    let report = rig.check(situation.from, situation.to, situation.secure)?;
    if !report.go() {
        let left: Vec<&str> = report.blockers().map(|finding| finding.message.as_str()).collect();
        eprintln!("ferry-bench: after the remedy the checks still say: {}", left.join(" "));
        return Ok(false);
    }
    // What was lost before is not lost by this move.
    let situation = Situation { unharmed: Vec::new(), ..situation.clone() };
    let reality = rig.try_it(&situation, &report)?;
    if !reality.moved() {
        eprintln!("ferry-bench: after the remedy: {reality:?}");
    }
    Ok(reality.moved())
}

impl Row {
    fn of(situation: &Situation, report: &Report, reality: &Reality) -> Self {
        let named = |severe: bool| -> Vec<String> {
            let findings: Vec<_> =
                if severe { report.blockers().collect() } else { report.findings.iter().collect() };
            findings.into_iter().map(|finding| finding.code.clone()).collect()
        };
        Self {
            subject: situation.subject,
            situation: situation.name,
            from: situation.from,
            to: situation.to,
            report: if report.go() { "go" } else { "no-go" },
            codes: named(!report.go()),
            virsh: match reality {
                Reality::Moved => "moved".to_owned(),
                Reality::MovedByFerry => "moved, by ferry".to_owned(),
                Reality::Harm => "moved, with harm".to_owned(),
                Reality::Hung => "hung".to_owned(),
                Reality::Refused(said) => said.clone(),
            },
            verdict: match (report.go(), reality.moved()) {
                (true, false) => "false go",
                (false, true) => "false stop",
                _ => "agree",
            },
            cause_named: situation.cause.map(|cause| report.blockers().any(|finding| finding.code == cause)),
            remedy: None,
            remedy_worked: None,
        }
    }

    fn line(&self) -> String {
        let codes =
            if self.codes.is_empty() { String::new() } else { format!(" ({})", self.codes.join(", ")) };
        let remedy = match (self.remedy, self.remedy_worked) {
            (Some(how), Some(true)) => format!("; mended {how}"),
            (Some(how), _) => format!("; NOT mended {how}"),
            _ => String::new(),
        };
        let missed = if self.cause_named == Some(false) { "; CAUSE NOT NAMED" } else { "" };
        format!(
            "{}: {}: {}{codes}; virsh: {}: {}{missed}{remedy}",
            self.subject, self.situation, self.report, self.virsh, self.verdict
        )
    }
}

impl Figures {
    fn of(rows: &[Row], unplayed: usize, speed: Speed) -> Self {
        let verdicts = |verdict: &str| rows.iter().filter(|row| row.verdict == verdict).count();
        Self {
            bench: "preflight",
            situations: rows.len(),
            unplayed,
            false_go: verdicts("false go"),
            false_stop: verdicts("false stop"),
            causes_missed: rows.iter().filter(|row| row.cause_named == Some(false)).count(),
            remedies_tried: rows.iter().filter(|row| row.remedy.is_some()).count(),
            remedies_worked: rows.iter().filter(|row| row.remedy_worked == Some(true)).count(),
            remedies_by_command: rows
                .iter()
                .filter(|row| row.remedy == Some(rig::BY_COMMAND) && row.remedy_worked == Some(true))
                .count(),
            median_ms: speed.median_ms,
            ratio_to_slowest_question: speed.ratio,
            unreachable_ms: speed.unreachable_ms,
        }
    }
}
