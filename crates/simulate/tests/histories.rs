//! The engine survives its histories, and a mistake planted in them is found.

use simulate::history::play;
use simulate::plant::Plant;
use simulate::run::run;

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
