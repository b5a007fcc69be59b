//! What the checks before a migration say, as a whole.

use api::finding::{Finding, Severity};
use api::preflight::{Report, Verdict};

use super::finding::findings;
use super::table::{Align, table};
use super::unit;

/// One destination, in full: whether it goes stands first.
pub(crate) fn report(report: &Report) -> String {
    let mut parts = vec![headline(report)];
    parts.extend(told(report));
    if let Some(home) = &report.come_back {
        parts.push(String::new());
        parts.push(format!("The way home, after a reboot on {}:", home.source));
        parts.push(headline(home));
        parts.extend(told(home));
    }
    parts.join("\n")
}

fn told(report: &Report) -> Option<String> {
    (!report.findings.is_empty()).then(|| findings(&report.findings))
}

fn headline(report: &Report) -> String {
    let Report { vm, source, destination, took_ms, .. } = report;
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (verdict, why) = match report.verdict {
        Verdict::Go => ("GO", counted(count(Severity::Warning), "warning")),
        Verdict::NoGo => ("NO-GO", counted(count(Severity::Blocker), "blocker")),
    };
    format!("{verdict}: {vm} from {source} to {destination}, {why} ({took_ms} ms)")
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// All destinations, a line each, the best first.
pub(crate) fn reports(reports: &[Report]) -> String {
    let Some(first) = reports.first() else {
        return "There is no other host; `ferry host add NAME URI` registers one.".to_owned();
    };
    let columns = [
        ("HOST", Align::Left),
        ("VERDICT", Align::Left),
        ("BLOCKERS", Align::Right),
        ("WARNINGS", Align::Right),
        ("FREE MEMORY", Align::Right),
        ("FIRST FINDING", Align::Left),
    ];
    let rows: Vec<_> = reports
        .iter()
        .map(|report| {
            let count = |severity| {
                report.findings.iter().filter(|finding| finding.severity == severity).count().to_string()
            };
            let gravest = report.findings.iter().max_by_key(|finding| finding.severity);
            [
                report.destination.clone(),
                verdict(report),
                count(Severity::Blocker),
                count(Severity::Warning),
                report.memory_available_bytes.map_or_else(|| "-".to_owned(), unit::bytes),
                gravest.map(summary).unwrap_or_default(),
            ]
        })
        .collect();
    let hint = format!("`ferry check {} --to HOST` tells all of one host.", first.vm);
    format!("{} on {}:\n{}\n\n{hint}", first.vm, first.source, table(columns, &rows))
}

/// Whether it goes; and back, where that was asked.
fn verdict(report: &Report) -> String {
    let word = |report: &Report| if report.verdict == Verdict::Go { "GO" } else { "NO-GO" };
    match &report.come_back {
        Some(home) => format!("{}, back {}", word(report), word(home)),
        None => word(report).to_owned(),
    }
}

fn summary(finding: &Finding) -> String {
    format!("{} [{}]", finding.message, finding.code)
}

#[cfg(test)]
mod tests {
    use api::finding::Remedy;

    use super::*;

    fn finding(severity: Severity, code: &str, subject: &str, message: &str) -> Finding {
        let remedy = Remedy {
            text: "Start it.".to_owned(),
            command: Some("virsh net-start lan".to_owned()),
            host: Some("kvm2".to_owned()),
        };
        Finding {
            code: code.to_owned(),
            severity,
            subject: subject.to_owned(),
            message: message.to_owned(),
            evidence: "the values".to_owned(),
            remedy: (severity == Severity::Blocker).then_some(remedy),
            cost: (severity == Severity::Note).then(|| "up to 3 s a pass".to_owned()),
        }
    }

    fn sample(destination: &str, verdict: Verdict, findings: Vec<Finding>) -> Report {
        Report {
            vm: "web1".to_owned(),
            vm_uuid: uuid::Uuid::nil(),
            source: "kvm1".to_owned(),
            destination: destination.to_owned(),
            verdict,
            findings,
            memory_available_bytes: Some(8 << 30),
            took_ms: 212,
            questions: Vec::new(),
            come_back: None,
        }
    }

    fn blocked() -> Report {
        let lan = finding(
            Severity::Blocker,
            "network-inactive",
            "52:54:00:11:22:33",
            "The network lan of kvm2 is not active.",
        );
        let older = finding(Severity::Warning, "qemu-older", "kvm2", "kvm2 has an older QEMU than kvm1.");
        sample("kvm2", Verdict::NoGo, vec![lan, older])
    }

    #[test]
    fn whether_it_goes_stands_first() {
        assert_eq!(
            report(&blocked()),
            "\
NO-GO: web1 from kvm1 to kvm2, 1 blocker (212 ms)
blocker: 52:54:00:11:22:33: The network lan of kvm2 is not active. [network-inactive]
  seen: the values
  remedy: Start it.
    on kvm2: virsh net-start lan
warning: kvm2: kvm2 has an older QEMU than kvm1. [qemu-older]
  seen: the values"
        );
        assert_eq!(
            report(&sample("kvm3", Verdict::Go, Vec::new())),
            "GO: web1 from kvm1 to kvm3, no warning (212 ms)"
        );
    }

    #[test]
    fn the_way_home_is_told_after_it() {
        let mut there = sample(
            "kvm3",
            Verdict::Go,
            vec![finding(Severity::Note, "bandwidth-limited", "web1", "It takes a while.")],
        );
        there.come_back =
            Some(Box::new(Report { source: "kvm3".to_owned(), destination: "kvm1".to_owned(), ..blocked() }));
        assert_eq!(
            report(&there),
            "\
GO: web1 from kvm1 to kvm3, no warning (212 ms)
note: web1: It takes a while. [bandwidth-limited]
  seen: the values
  costs: up to 3 s a pass

The way home, after a reboot on kvm3:
NO-GO: web1 from kvm3 to kvm1, 1 blocker (212 ms)
blocker: 52:54:00:11:22:33: The network lan of kvm2 is not active. [network-inactive]
  seen: the values
  remedy: Start it.
    on kvm2: virsh net-start lan
warning: kvm2: kvm2 has an older QEMU than kvm1. [qemu-older]
  seen: the values"
        );
    }

    #[test]
    fn all_destinations_are_a_table() {
        assert_eq!(
            reports(&[sample("kvm3", Verdict::Go, Vec::new()), blocked()]),
            "\
web1 on kvm1:
HOST  VERDICT  BLOCKERS  WARNINGS  FREE MEMORY  FIRST FINDING
kvm3  GO              0         0        8 GiB
kvm2  NO-GO           1         1        8 GiB  The network lan of kvm2 is not active. [network-inactive]

`ferry check web1 --to HOST` tells all of one host."
        );
        assert!(reports(&[]).starts_with("There is no other host"));
    }
}
