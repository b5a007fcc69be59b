//! What the checks found.

use api::finding::{Finding, Severity};

/// Findings, the weightiest first, each with what it was seen by and what mends it.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    sorted.into_iter().map(finding).collect::<Vec<_>>().join("\n")
}

fn finding(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Blocker => "blocker",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut lines = vec![format!("{severity}: {}: {} [{}]", finding.subject, finding.message, finding.code)];
    if !finding.evidence.is_empty() {
        lines.push(format!("  seen: {}", finding.evidence.replace('\n', "\n        ")));
    }
    if let Some(cost) = &finding.cost {
        lines.push(format!("  costs: {cost}"));
    }
    if let Some(remedy) = &finding.remedy {
        lines.push(format!("  remedy: {}", remedy.text.replace('\n', "\n          ")));
        if let Some(command) = &remedy.command {
            let place = remedy.host.as_deref().map_or_else(|| "here".to_owned(), |host| format!("on {host}"));
            lines.push(format!("    {place}: {command}"));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use api::finding::Remedy;

    use super::*;

    #[test]
    fn the_weightiest_comes_first_and_in_full() {
        let sample = |severity, code: &str, evidence: &str, remedy: Option<Remedy>| Finding {
            code: code.to_owned(),
            severity,
            subject: "kvm2".to_owned(),
            message: "something is the matter".to_owned(),
            evidence: evidence.to_owned(),
            remedy,
            cost: None,
        };
        let here = Remedy {
            text: "Undefine it.".to_owned(),
            command: Some("virsh undefine web1".to_owned()),
            host: None,
        };
        let there = Remedy { host: Some("kvm2".to_owned()), ..here.clone() };
        let list = [
            sample(Severity::Note, "n", "", None),
            sample(Severity::Blocker, "b", "1 and 2", Some(there)),
            sample(Severity::Warning, "w", "1 and 2", Some(here)),
            sample(Severity::Blocker, "c", "1 and 2", None),
        ];
        assert_eq!(
            findings(&list),
            "\
blocker: kvm2: something is the matter [b]
  seen: 1 and 2
  remedy: Undefine it.
    on kvm2: virsh undefine web1
blocker: kvm2: something is the matter [c]
  seen: 1 and 2
warning: kvm2: something is the matter [w]
  seen: 1 and 2
  remedy: Undefine it.
    here: virsh undefine web1
note: kvm2: something is the matter [n]"
        );
    }
}
