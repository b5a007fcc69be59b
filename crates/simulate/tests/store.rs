//! The store in memory keeps what every store of Ferry's must: the same suite as the real ones.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;

use ferryd::store::Store;
use simulate::mem_store::MemStore;

#[path = "../../ferryd/tests/store/suite.rs"]
mod suite;

/// One test per check of the suite.
macro_rules! suite {
    ($($check:ident,)*) => { $(
        #[tokio::test]
        async fn $check() {
            let store: Arc<dyn Store> = Arc::new(MemStore::default());
            suite::$check(store).await;
        }
    )* };
}

suite! {
    hosts_are_kept_by_name,
    a_task_is_stored_whole_with_its_first_event,
    one_task_at_a_time_per_domain,
    two_creations_at_once_make_one_task,
    tasks_are_filtered_and_newest_first,
    only_free_tasks_can_be_claimed,
    two_leases_at_once_make_one_holder,
    an_old_generation_cannot_write,
    an_ended_task_takes_no_update,
    the_log_keeps_intents_and_results_in_order,
    a_cancellation_is_noted_while_the_task_lasts,
    a_limit_is_noted_while_the_task_lasts,
    a_decision_is_noted_only_where_one_is_needed,
    events_are_in_order_and_resumable,
    events_written_at_once_are_all_numbered,
    only_old_events_of_ended_tasks_are_pruned,
    debts_are_kept_until_they_are_settled,
}
