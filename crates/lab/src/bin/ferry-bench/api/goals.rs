//! The goals, and whether they were met.

use super::Row;

/// With so many machines the goals are to be met.
const VMS: u32 = 200;

/// A goal and what was measured.
#[derive(Clone, Debug, PartialEq)]
struct Goal {
    what: &'static str,
    unit: &'static str,
    measured: f64,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(&self) -> bool {
        match self.wanted {
            Wanted::AtMost(most) => self.measured <= most,
            Wanted::AtLeast(least) => self.measured >= least,
        }
    }

    fn line(&self) -> String {
        let (bound, value) = match self.wanted {
            Wanted::AtMost(most) => ("at most", most),
            Wanted::AtLeast(least) => ("at least", least),
        };
        let met = if self.is_met() { "met" } else { "not met" };
        let Self { what, unit, measured, .. } = self;
        format!("{met}: {what}: {measured} {unit}, {bound} {value} wanted")
    }
}

fn goals(row: &Row) -> [Goal; 6] {
    use Wanted::{AtLeast, AtMost};
    let goal = |what, measured, wanted, unit| Goal { what, unit, measured, wanted };
    [
        goal("the list, median", row.list_ms_median, AtMost(5.0), "ms"),
        goal("the same while one migrates", row.list_ms_median_while_migrating, AtMost(5.0), "ms"),
        goal("answers on 8 connections", row.rps_c8, AtLeast(1000.0), "a second"),
        goal("resident memory", row.rss_mb, AtMost(60.0), "MB"),
        goal("processor time while idle", row.idle_cpu_percent, AtMost(0.5), "% of a core"),
        goal("until a change is told", row.freshness_ms, AtMost(1000.0), "ms"),
    ]
}

/// What is to be said of the goals, and whether none was missed. Where they were not measured none was.
pub(super) fn judged(rows: &[Row]) -> (Vec<String>, bool) {
    let Some(row) = rows.iter().find(|row| row.vms == VMS) else {
        return (vec![format!("the goals are those with {VMS} machines, which were not measured")], true);
    };
    let goals = goals(row);
    (goals.iter().map(Goal::line).collect(), goals.iter().all(Goal::is_met))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row that meets every goal, and none by more than nothing.
    fn row() -> Row {
        Row {
            vms: VMS,
            list_ms_median: 5.0,
            rps_c1: 0.0,
            rps_c8: 1000.0,
            rss_mb: 60.0,
            idle_cpu_percent: 0.5,
            freshness_ms: 1000.0,
            list_ms_median_while_migrating: 5.0,
        }
    }

    #[test]
    fn a_goal_that_is_missed_is_told_and_fails() {
        let (lines, met) = judged(&[row()]);
        assert!(met && lines.iter().all(|line| line.starts_with("met: ")), "{lines:?}");
        for (missed, line) in [
            (Row { list_ms_median: 5.01, ..row() }, "not met: the list, median: 5.01 ms, at most 5 wanted"),
            (Row { list_ms_median_while_migrating: 6.0, ..row() }, "not met: the same while one migrates"),
            (
                Row { rps_c8: 999.9, ..row() },
                "not met: answers on 8 connections: 999.9 a second, at least 1000 wanted",
            ),
            (Row { rss_mb: 60.1, ..row() }, "not met: resident memory"),
            (Row { idle_cpu_percent: 0.51, ..row() }, "not met: processor time while idle"),
            (Row { freshness_ms: 1000.1, ..row() }, "not met: until a change is told"),
        ] {
            let (lines, met) = judged(&[Row { vms: 1, ..missed.clone() }, missed]);
            assert!(!met, "{line}");
            let told: Vec<_> = lines.iter().filter(|line| line.starts_with("not met: ")).collect();
            assert!(told.len() == 1 && told[0].starts_with(line), "{told:?}");
        }
    }

    #[test]
    fn other_numbers_of_machines_have_no_goals() {
        let (lines, met) = judged(&[Row { vms: 1000, freshness_ms: 9e9, ..row() }]);
        assert!(met && lines.len() == 1, "{lines:?}");
    }
}
