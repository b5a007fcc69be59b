//! The table, for people and for the documents.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Row;

/// Between these two lines of measurements.md the table stands.
const BEGIN: &str = "<!-- written by ./bench api --write docs -->\n";
const END: &str = "<!-- until here -->\n";

/// A row on one line.
pub(super) fn line(row: &Row) -> String {
    format!(
        "{} machines: {} ms, while one migrates {} ms; {} and {} a second on 1 and 8 connections; {} MB; idle {} % of a core; \
         a change is seen after {} ms",
        row.vms,
        row.list_ms_median,
        row.list_ms_median_while_migrating,
        row.rps_c1,
        row.rps_c8,
        row.rss_mb,
        row.idle_cpu_percent,
        row.freshness_ms
    )
}

/// The table.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = "| machines | ms, median | while one migrates | a second, 1 connection | 8 connections | MB resident | \
                    % of a core, idle | ms until a change is told |\n|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for row in rows {
        text.push_str(&format!(
            "| {} | {} | {} | {:.0} | {:.0} | {} | {} | {:.0} |\n",
            row.vms,
            row.list_ms_median,
            row.list_ms_median_while_migrating,
            row.rps_c1,
            row.rps_c8,
            row.rss_mb,
            row.idle_cpu_percent,
            row.freshness_ms
        ));
    }
    text
}

/// Replaces the table in measurements.md.
pub(super) fn write(directory: &Path, rows: &[Row], hosts: &str) -> Result<()> {
    let path = directory.join("measurements.md");
    let build = if cfg!(debug_assertions) { "dev" } else { "release" };
    let section = format!("`./bench api`, {hosts}, {build} build:\n\n{}", table(rows));
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let written =
        replaced(&text, &section).with_context(|| format!("{} has no place for it", path.display()))?;
    fs::write(&path, written).with_context(|| path.display().to_string())
}

fn replaced(text: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{section}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_in_its_place_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(replaced(&text, "new\n"), Some(format!("a\n{BEGIN}new\n{END}b\n")));
        assert_eq!(replaced("a\n", "new\n"), None);
        let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/measurements.md"));
        assert!(replaced(page, "new\n").is_some(), "measurements.md has a place for it");
    }
}
