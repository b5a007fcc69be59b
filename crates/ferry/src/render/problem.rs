//! Errors that `ferryd` reports.

use api::problem::{Code, Problem};

use super::finding;

/// A problem in full: what happened, the cause, what is in the way, everything the checks found, what to do.
pub(crate) fn problem(problem: &Problem) -> String {
    let mut lines = vec![format!("{} [{}]", problem.detail, problem.code.as_str())];
    if let Some(field) = &problem.field {
        lines.push(format!("  field: {field}"));
    }
    if let Some(cause) = &problem.cause {
        lines.push(format!("  cause: {}", cause.replace('\n', "\n         ")));
    }
    if let Some(fingerprint) = &problem.fingerprint {
        lines.push(format!("  fingerprint: {fingerprint}"));
    }
    if let Some(task) = problem.task {
        lines.push(format!("  the task: ferry task watch {task}"));
    }
    if problem.code == Code::AmbiguousVm {
        lines.push("  say which one: --from HOST with migrate, --host HOST with vm show".to_owned());
    }
    if !problem.findings.is_empty() {
        lines.push(finding::findings(&problem.findings));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_all_there_is_to_say() {
        let mut sample =
            Problem::new(Code::AlreadyMigrating, "web1 is being moved already").field("vm").cause("x\ny");
        sample.task = Some(uuid::Uuid::from_u128(1));
        assert_eq!(
            problem(&sample),
            "\
web1 is being moved already [already-migrating]
  field: vm
  cause: x
         y
  the task: ferry task watch 00000000-0000-0000-0000-000000000001"
        );
    }
}
