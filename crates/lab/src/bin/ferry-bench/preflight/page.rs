//! The table, for people and for the documents.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Figures, Row};

impl Figures {
    fn words(&self) -> String {
        format!(
            "{} situations: {} false go, {} false stop, the cause missed in {}; {} of {} remedies worked, {} of them by the \
             report's own commands, the others by hand after its words.\n\
             The checks took {:.0} ms (median; four disks, two interfaces, over ssh), {:.2} times the slowest question among them; \
             a host whose cable is out was told after {:.0} ms.\n",
            self.situations,
            self.false_go,
            self.false_stop,
            self.causes_missed,
            self.remedies_worked,
            self.remedies_tried,
            self.remedies_by_command,
            self.median_ms,
            self.ratio_to_slowest_question,
            self.unreachable_ms
        )
    }
}

pub(super) fn table(figures: &Figures, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str(&format!("{}\n", row.line()));
    }
    text + "\n" + &figures.words()
}

/// Writes both files.
pub(super) fn write(directory: &Path, figures: &Figures, rows: &[Row]) -> Result<()> {
    let data = serde_json::json!({ "figures": figures, "rows": rows });
    fs::write(directory.join("preflight.json"), serde_json::to_string_pretty(&data)? + "\n")?;
    fs::write(directory.join("preflight.md"), page(figures, rows))?;
    Ok(())
}

fn page(figures: &Figures, rows: &[Row]) -> String {
    let mut text = format!(
        "# The checks against what really happens\n\n\
         Written by `./bench preflight --write docs`; the same rows are in `preflight.json`. Each situation was built on real \
         hosts (kvm1 and kvm2 with Debian 12, kvm3 with Debian 13), `ferry check` was asked, and `virsh migrate --live --p2p` \
         was tried: with `--unsafe` where Ferry has proven that the disks are shared, as Ferry itself does. Where it did not get \
         through, the remedy that the report names was carried out (its command; by hand where it is told in words, or where its \
         command needs what a machine of the lab does not have: a package archive, systemd, a firewall), the checks were asked \
         again, and it was tried again.\n\n{}\n\
         What takes special hardware, or a host that is a whole machine (huge pages, NUMA, passed-through devices, block devices \
         with a WWN, launch security, virtiofs, vhost-user, Open vSwitch, network filters, clocks that differ, other \
         architectures), is checked on facts in the unit tests instead. An image that a running domain of the destination writes \
         to cannot be built either: QEMU's own lock keeps the second from starting.\n\n\
         | subject | situation | from, to | report | codes | virsh | verdict | remedy |\n|---|---|---|---|---|---|---|---|\n",
        figures.words()
    );
    for row in rows {
        let remedy = match (row.remedy, row.remedy_worked) {
            (Some(how), Some(true)) => format!("{how}: moved"),
            (Some(how), _) => format!("{how}: did not help"),
            _ => String::new(),
        };
        let said = row.virsh.replace('|', "\\|");
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {}, {} | {} | {} | {} | {} | {} |",
            row.subject,
            row.situation,
            row.from,
            row.to,
            row.report,
            row.codes.join(", "),
            said,
            row.verdict,
            remedy
        );
    }
    text
}
