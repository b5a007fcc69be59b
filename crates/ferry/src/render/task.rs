//! Tasks: listed, in full, under way and at their end.

use api::task::{Location, Outcome, Progress, Task, TaskState};
use uuid::Uuid;

use super::table::{Align, list, table};
use super::{finding, unit, word};

/// The shortest beginning of an id that is shown: in a version 7 UUID, its time in milliseconds.
const SHORT_ID: usize = 13;

/// Tasks, newest first. `now_ms` is the time of day.
pub(crate) fn tasks(mut tasks: Vec<Task>, all: bool, now_ms: u64) -> String {
    if tasks.is_empty() {
        return match all {
            true => "There is no task.".to_owned(),
            false => "No task is under way; `ferry task list --all` shows those that have ended.".to_owned(),
        };
    }
    tasks.sort_by_key(|task| (std::cmp::Reverse(task.created_at_ms), task.id));
    let length = unique_length(&tasks.iter().map(|task| task.id).collect::<Vec<_>>());
    let columns = [
        ("ID", Align::Left),
        ("VM", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("STATE", Align::Left),
        ("PHASE", Align::Left),
        ("LEFT", Align::Right),
        ("TOOK", Align::Right),
        ("STARTED", Align::Left),
    ];
    let rows: Vec<_> = tasks.iter().map(|task| row(task, length, now_ms)).collect();
    table(columns, &rows)
}

fn row(task: &Task, length: usize, now_ms: u64) -> [String; 9] {
    let none = || "-".to_owned();
    let left = task.progress.as_ref().filter(|_| !task.state.is_final()).and_then(left);
    let took = task.ended_at_ms.unwrap_or(now_ms).saturating_sub(task.created_at_ms);
    [
        task.id.to_string()[..length].to_owned(),
        task.vm.clone(),
        task.source.clone(),
        task.destination.clone(),
        word(&task.state),
        word(&task.phase),
        left.map_or_else(none, unit::bytes),
        unit::span(took),
        unit::ago(task.created_at_ms, now_ms),
    ]
}

/// How many characters of these ids tell them apart.
fn unique_length(ids: &[Uuid]) -> usize {
    let mut texts: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    texts.sort();
    let common = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    let longest = texts.windows(2).map(common).max().unwrap_or(0);
    (longest + 1).clamp(SHORT_ID, 36)
}

/// One task in full.
pub(crate) fn task(task: &Task, now_ms: u64) -> String {
    let mut pairs = vec![
        ("task", task.id.to_string()),
        ("kind", word(&task.kind)),
        ("machine", format!("{} ({})", task.vm, task.vm_uuid)),
        ("from", task.source.clone()),
        ("to", task.destination.clone()),
        ("state", word(&task.state)),
        ("phase", word(&task.phase)),
        ("message", task.message.clone()),
        ("cause", task.cause.clone().unwrap_or_default()),
        ("started", unit::ago(task.created_at_ms, now_ms)),
        ("ended", task.ended_at_ms.map(|at_ms| unit::ago(at_ms, now_ms)).unwrap_or_default()),
    ];
    if let Some(progress) = &task.progress {
        pairs.push(("progress", figures(progress)));
    }
    pairs.push(("limit", task.bandwidth_mib_s.map(|mib_s| format!("{mib_s} MiB/s")).unwrap_or_default()));
    if let Some(outcome) = &task.outcome {
        pairs.push(("location", location(task, outcome)));
        pairs.push(("measured", measured(outcome)));
    }
    pairs.push(("found", finding::findings(&task.findings)));
    pairs.push(("choices", choices(task).join("\n")));
    list(&pairs)
}

/// One line for a new phase or state.
pub(crate) fn step(task: &Task) -> String {
    let state = match task.state {
        TaskState::Cancelling => "cancelling".to_owned(),
        _ => word(&task.phase),
    };
    match task.message.is_empty() {
        true => format!("{}: {state}", task.vm),
        false => format!("{}: {state}: {}", task.vm, task.message),
    }
}

/// The figures of a copy, on one line.
pub(crate) fn figures(progress: &Progress) -> String {
    let storage = progress.storage_total_bytes.filter(|total| *total > 0).map(|total| {
        let done = progress.storage_processed_bytes.unwrap_or(0);
        format!("{} of {} of its disks", unit::bytes(done), unit::bytes(total))
    });
    // Before libvirt begins with the memory, and of a stopped one: what is left is not known, and not nothing.
    if !knows_memory(progress) {
        return storage.unwrap_or_default();
    }
    let mut parts = vec![
        format!("{} moved", unit::bytes(progress.memory_processed_bytes)),
        format!("{} left", unit::bytes(progress.memory_remaining_bytes)),
        unit::speed(progress.memory_bytes_s),
        format!("dirty {}", unit::speed(progress.dirty_bytes_s)),
        format!("pass {}", progress.iteration),
    ];
    parts.extend(progress.expected_downtime_ms.map(|ms| format!("pause about {}", unit::span(ms))));
    parts.extend(storage);
    parts.join(", ")
}

/// Whether libvirt has told how much memory there is to move.
fn knows_memory(progress: &Progress) -> bool {
    progress.memory_total_bytes > 0
        && (progress.memory_processed_bytes > 0 || progress.memory_remaining_bytes > 0)
}

/// What is left to move, as far as that is known.
fn left(progress: &Progress) -> Option<u64> {
    let storage = progress.storage_total_bytes.filter(|total| *total > 0);
    let storage = storage.map(|total| total.saturating_sub(progress.storage_processed_bytes.unwrap_or(0)));
    let memory = knows_memory(progress).then_some(progress.memory_remaining_bytes);
    if storage.is_none() && memory.is_none() {
        return None;
    }
    Some(memory.unwrap_or(0).saturating_add(storage.unwrap_or(0)))
}

/// What a task came to: the one summary at its end.
pub(crate) fn summary(task: &Task) -> String {
    let mut lines = vec![task.message.clone()];
    if task.message.is_empty() {
        lines = vec![format!("The migration of {} is {}.", task.vm, word(&task.state))];
    }
    if let Some(cause) = &task.cause {
        lines.push(format!("  cause: {}", cause.replace('\n', "\n         ")));
    }
    if let Some(outcome) = &task.outcome {
        lines.push(format!("  {}: {}", task.vm, location(task, outcome)));
        lines.push(format!("  {}", measured(outcome)));
    }
    if !task.choices.is_empty() {
        lines.push("Decide with one of:".to_owned());
        lines.extend(choices(task).iter().map(|line| format!("  {line}")));
    }
    lines.join("\n")
}

/// What a person can choose from: each command, and below it what that comes to.
fn choices(task: &Task) -> Vec<String> {
    let effect = |command: &String| {
        let offer = task.offers.iter().find(|offer| offer.command == *command)?;
        Some(format!("  {}", offer.effect))
    };
    task.choices.iter().flat_map(|command| [Some(command.clone()), effect(command)]).flatten().collect()
}

fn location(task: &Task, outcome: &Outcome) -> String {
    let place = match outcome.location {
        Location::Source => format!("on {}", task.source),
        Location::Destination => format!("on {}", task.destination),
        Location::Both => format!("copies on both {} and {}", task.source, task.destination),
        Location::Neither => format!("running neither on {} nor on {}", task.source, task.destination),
        Location::Unknown => {
            format!("on {} or {}: one of them does not answer", task.source, task.destination)
        }
    };
    if outcome.memory_lost { format!("{place}; the memory of the running guest is lost") } else { place }
}

fn measured(outcome: &Outcome) -> String {
    let mut parts = vec![format!("total {}", unit::span(outcome.total_ms))];
    parts.extend(outcome.downtime_ms.map(|ms| format!("downtime {}", unit::span(ms))));
    parts.extend(outcome.transferred_bytes.map(|bytes| format!("{} moved", unit::bytes(bytes))));
    parts.extend(outcome.iterations.map(|count| match count {
        1 => "1 pass".to_owned(),
        _ => format!("{count} passes"),
    }));
    parts.join(", ")
}

/// How to go on with a task that is not waited for.
pub(crate) fn left_running(task: &Task) -> String {
    let id = task.id;
    format!(
        "The migration of {} goes on in ferryd.\n  watch it:   ferry task watch {id}\n  cancel it:  ferry task cancel {id}",
        task.vm
    )
}

#[cfg(test)]
mod tests {
    use api::task::{Offer, Phase, Side, TaskKind};

    use super::*;

    fn sample(state: TaskState) -> Task {
        Task {
            id: Uuid::from_u128(0x0198_c0a1_b2c3_7000_8000_0000_0000_0001),
            kind: TaskKind::Migration,
            state,
            phase: Phase::Copy,
            message: "Memory is copied to kvm2.".to_owned(),
            cause: None,
            vm: "web1".to_owned(),
            vm_uuid: Uuid::from_u128(7),
            source: "kvm1".to_owned(),
            destination: "kvm2".to_owned(),
            made: None,
            created_at_ms: 1_000_000,
            updated_at_ms: 1_000_000,
            ended_at_ms: None,
            progress: Some(Progress {
                elapsed_ms: 800,
                memory_processed_bytes: 212 << 20,
                memory_remaining_bytes: 44 << 20,
                memory_total_bytes: 256 << 20,
                memory_bytes_s: 310 << 20,
                dirty_bytes_s: 12 << 20,
                iteration: 2,
                expected_downtime_ms: Some(30),
                ..Progress::default()
            }),
            bandwidth_mib_s: None,
            outcome: None,
            findings: vec![],
            choices: vec![],
            offers: vec![],
        }
    }

    fn done() -> Task {
        let mut task = sample(TaskState::Done);
        task.phase = Phase::Ended;
        task.message = "web1 runs on kvm2.".to_owned();
        task.ended_at_ms = Some(1_002_310);
        task.outcome = Some(Outcome {
            location: Location::Destination,
            total_ms: 2310,
            downtime_ms: Some(23),
            transferred_bytes: Some(268 << 20),
            iterations: Some(2),
            memory_lost: false,
        });
        task
    }

    #[test]
    fn disks_have_figures_of_their_own() {
        let carried = Progress {
            storage_processed_bytes: Some(1 << 30),
            storage_total_bytes: Some(4 << 30),
            ..Progress::default()
        };
        assert_eq!(figures(&carried), "1 GiB of 4 GiB of its disks");
        let mut task = sample(TaskState::Running);
        let progress = task.progress.as_mut().unwrap();
        (progress.storage_processed_bytes, progress.storage_total_bytes) = (Some(1 << 30), Some(4 << 30));
        assert!(figures(progress).ends_with("pause about 30 ms, 1 GiB of 4 GiB of its disks"));
    }

    #[test]
    fn what_is_not_known_yet_is_not_shown_as_nothing() {
        for early in [Progress::default(), Progress { memory_total_bytes: 256 << 20, ..Progress::default() }]
        {
            let mut task = sample(TaskState::Running);
            assert_eq!(figures(&early), "");
            task.progress = Some(early);
            assert!(!tasks(vec![task.clone()], false, 1_030_000).contains("0 B"));
            assert!(!super::task(&task, 1_030_000).contains("progress"));
        }
        let carried = Progress {
            storage_processed_bytes: Some(1 << 30),
            storage_total_bytes: Some(4 << 30),
            ..Progress::default()
        };
        assert_eq!(left(&carried), Some(3 << 30));
    }

    #[test]
    fn figures_and_steps_are_one_line() {
        let task = sample(TaskState::Running);
        assert_eq!(step(&task), "web1: copy: Memory is copied to kvm2.");
        assert_eq!(
            figures(task.progress.as_ref().unwrap()),
            "212 MiB moved, 44 MiB left, 310 MiB/s, dirty 12 MiB/s, pass 2, pause about 30 ms"
        );
        assert_eq!(step(&sample(TaskState::Cancelling)), "web1: cancelling: Memory is copied to kvm2.");
    }

    #[test]
    fn the_newest_task_comes_first() {
        let mut other = sample(TaskState::Running);
        other.id = Uuid::from_u128(0x0198_c0a1_b2c3_7100_8000_0000_0000_0001);
        other.created_at_ms = 1_100_000;
        assert_eq!(
            tasks(vec![done(), other], true, 1_130_000),
            "\
ID                VM    FROM  TO    STATE    PHASE    LEFT     TOOK  STARTED
0198c0a1-b2c3-71  web1  kvm1  kvm2  running  copy   44 MiB  30.00 s  30 s ago
0198c0a1-b2c3-70  web1  kvm1  kvm2  done     ended       -   2.31 s  2 min ago"
        );
        assert!(tasks(vec![], false, 0).contains("--all"));
        assert_eq!(tasks(vec![], true, 0), "There is no task.");
    }

    #[test]
    fn a_summary_says_where_and_how_long() {
        assert_eq!(
            summary(&done()),
            "web1 runs on kvm2.\n  web1: on kvm2\n  total 2.31 s, downtime 23 ms, 268 MiB moved, 2 passes"
        );
    }

    #[test]
    fn a_person_is_told_the_choices() {
        let mut task = done();
        task.state = TaskState::NeedsAttention;
        task.message = "Both hosts have a copy of web1.".to_owned();
        task.cause = Some("error: x".to_owned());
        let command = "ferry task resolve 0198 --keep source".to_owned();
        task.choices = vec![command.clone()];
        let effect = "keeps kvm1: the memory of web1 is lost.".to_owned();
        task.offers = vec![Offer { keep: Side::Source, fenced: false, command, effect }];
        let outcome = task.outcome.as_mut().unwrap();
        *outcome = Outcome {
            location: Location::Both,
            downtime_ms: None,
            transferred_bytes: None,
            iterations: None,
            memory_lost: true,
            ..outcome.clone()
        };
        assert_eq!(
            summary(&task),
            "\
Both hosts have a copy of web1.
  cause: error: x
  web1: copies on both kvm1 and kvm2; the memory of the running guest is lost
  total 2.31 s
Decide with one of:
  ferry task resolve 0198 --keep source
    keeps kvm1: the memory of web1 is lost."
        );
    }

    #[test]
    fn one_task_in_full() {
        assert_eq!(
            task(&done(), 1_130_000),
            "\
task      0198c0a1-b2c3-7000-8000-000000000001
kind      migration
machine   web1 (00000000-0000-0000-0000-000000000007)
from      kvm1
to        kvm2
state     done
phase     ended
message   web1 runs on kvm2.
started   2 min ago
ended     2 min ago
progress  212 MiB moved, 44 MiB left, 310 MiB/s, dirty 12 MiB/s, pass 2, pause about 30 ms
location  on kvm2
measured  total 2.31 s, downtime 23 ms, 268 MiB moved, 2 passes"
        );
    }
}
