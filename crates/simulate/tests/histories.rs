//! The engine survives its histories, and a mistake planted in them is found.

use api::task::{Location, TaskState};
use simulate::history::{play, play_scenario};
use simulate::plant::Plant;
use simulate::run::run;
use simulate::scenario::{Fault, Noise, Scenario, Trigger, What};
use simulate::world::DESTINATION;

#[test]
fn two_thousand_histories_hold() {
    let summary = run(1, 2_000, None, false).expect("histories are played");
    assert_eq!(summary.histories, 2_000);
    assert_eq!(summary.violations, 0, "{:#?}", summary.kinds);
    // They are worth something only if much happens in them.
    assert!(summary.faults > 2_000, "{summary:?}");
    let ended = summary.ended;
    assert!(ended.done > 500 && ended.failed > 200 && ended.cancelled > 20, "{ended:?}");
    assert!(ended.needs_attention > 0 && ended.other == 0, "{ended:?}");
}

#[test]
fn every_planted_mistake_is_found() {
    for plant in Plant::ALL {
        let summary = run(1, 10_000, Some(plant), true).expect("histories are played");
        assert!(summary.violations > 0, "{plant:?} was not found in {} histories", summary.histories);
        let seed = summary.first_failing_seed.expect("a history failed");
        let right = play(seed, None, false).expect("a history is played");
        assert_eq!(right.violation, None, "seed {seed} fails without {plant:?} too");
    }
}

/// The destination was let run, and then goes out of sight for longer than anybody waits. A person, who cannot know that it runs, keeps
/// the source; when the destination is seen again, in use, that decision ends nothing.
#[test]
fn a_decision_does_not_outlive_what_the_person_saw() {
    let out_of_sight =
        Fault { trigger: Trigger::Intent(2, 50), what: What::ControlCut(DESTINATION, Some(200_000)) };
    for seed in 1..=50 {
        let scenario = Scenario {
            shell: true,
            persistent: true,
            autostart: false,
            wants_running: true,
            cold: false,
            files: false,
            copy: false,
            deletes: false,
            direct: false,
            post_copy: None,
            follow_ms: 0,
            copy_ms: 1_000,
            switch_ms: 100,
            windows_ms: [20; 3],
            max_downtime_ms: None,
            controllers: 1,
            noise: Noise::default(),
            faults: vec![out_of_sight],
            person_after: Some(5_000),
            person_keeps_source: true,
            again: false,
            hasty: false,
        };
        let report = play_scenario(scenario, seed, None, false).expect("a history");
        assert_eq!(report.violation, None, "seed {seed}");
        let location = report.outcome.map(|outcome| outcome.location);
        assert_eq!(
            (report.state, location),
            (Some(TaskState::Done), Some(Location::Destination)),
            "seed {seed}"
        );
    }
}
