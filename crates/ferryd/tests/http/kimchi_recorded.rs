//! That nothing that was recorded or measured of the original is without its test, and no difference without its reason.

use std::fs;
use std::path::Path;

use crate::recorded::{self, DIFFERENCES, DO_NOTHING, ENDS, EXCLUDED, NO_TASK};

const DOCUMENTATION: &str = include_str!("../../../../docs/kimchi.md");

/// The sources of the tests whose files' names begin like this: in the directory of all programs, and in that of this one.
fn sources(begin: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut all = String::new();
    for directory in [tests.clone(), tests.join("http")] {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with(begin) && name.ends_with(".rs") {
                all.push_str(&fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    all
}

#[test]
fn every_exchange_is_replayed_on_real_hosts_or_excluded_with_a_reason() {
    // What several of them replay is shared.
    let (all, sources) = (recorded::all(), sources("real_") + include_str!("../support/kimchi.rs"));
    for name in all.keys() {
        let replayed = sources.contains(&format!("\"{name}\"")) || DO_NOTHING.contains(&name.as_str());
        let excluded = EXCLUDED.iter().any(|(other, why)| other == name && !why.is_empty());
        assert!(replayed != excluded, "{name}: replayed {replayed}, excluded {excluded}");
    }
    for (name, _) in EXCLUDED {
        assert!(all.contains_key(*name), "{name} was not recorded");
    }
    assert_eq!(all.len(), 95, "what was recorded");
}

#[test]
fn every_difference_is_documented() {
    let all = recorded::all();
    let first_column = DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let documented: Vec<&str> = first_column.flat_map(|numbers| numbers.split(", ")).collect();
    let listed = DIFFERENCES.iter().map(|(name, ..)| name).chain(ENDS.iter().map(|(name, ..)| name));
    for name in listed.chain(NO_TASK).chain(EXCLUDED.iter().map(|(name, _)| name)) {
        assert!(all.contains_key(*name), "{name} was not recorded");
        let number = name.split('-').next().unwrap();
        assert!(documented.contains(&number), "{name} is not in docs/kimchi.md");
    }
}

#[test]
fn every_difference_is_one() {
    let all = recorded::all();
    for (name, status, reason) in DIFFERENCES.iter().filter(|(_, _, reason)| !reason.is_empty()) {
        let exchange = &all[*name];
        let recorded = exchange.answer.as_ref().and_then(|answer| answer["reason"].as_str());
        assert!(exchange.status != *status || recorded != Some(reason), "{name} is answered as it was");
    }
    for (name, status, message) in ENDS {
        let recorded = all[*name].answer.as_ref().unwrap();
        assert!(recorded["status"] != **status || recorded["message"] != **message, "{name} ends as it did");
    }
}

#[test]
fn every_fault_of_the_original_has_its_test() {
    let sources = sources("");
    for number in 1..=14 {
        let tests = sources.matches(&format!("fn fault_{number:02}_")).count();
        assert_eq!(tests, 1, "fault {number}");
    }
}
