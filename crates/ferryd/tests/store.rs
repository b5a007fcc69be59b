//! What every database must do for Ferry: one suite of checks over `dyn Store`, and a few that only a file can fail.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod sqlite {
    //! The checks that are about a file on disk.

    use std::path::Path;
    use std::sync::Arc;

    use ferryd::model::{DomainUuid, TaskId};
    use ferryd::store::sqlite::SqliteStore;
    use ferryd::store::{HostRecord, Store, StoreError};
    use serde_json::json;

    use crate::suite::{new_task, with_state};

    pub(crate) async fn open(dir: &Path) -> SqliteStore {
        SqliteStore::open(&dir.join("ferry.db")).await.unwrap()
    }

    /// Runs one statement behind the store's back.
    async fn tamper(dir: &Path, statement: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("ferry.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
    }

    #[tokio::test]
    async fn everything_survives_a_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let new = new_task("web1");
        let id = TaskId(new.task.id);
        let store = open(dir.path()).await;
        store
            .add_host(
                &HostRecord {
                    name: "a".into(),
                    uri: "qemu:///system".into(),
                    peer_uri: None,
                    migrate_via: None,
                },
                1,
            )
            .await
            .unwrap();
        store.create_task(&new).await.unwrap();
        let lease = store.lease(id, "one", 100, 200).await.unwrap().unwrap();
        store.log_intent(&lease, "prepare", &json!({"creates": ["disk"]}), 100).await.unwrap();
        store.update(&lease, &with_state(&new.task, api::task::TaskState::Running)).await.unwrap();
        store.request_cancel(id).await.unwrap();
        store.close().await;

        let store = open(dir.path()).await;
        assert_eq!(store.hosts().await.unwrap().len(), 1);
        let record = store.task(id).await.unwrap().unwrap();
        assert!(record.cancel_requested);
        assert_eq!(record.plan, new.plan);
        assert_eq!(record.task.state, api::task::TaskState::Running);
        assert_eq!(store.log(id).await.unwrap()[0].result, None);
        assert_eq!(store.events_after(0, None, 10).await.unwrap().len(), 2);
        assert_eq!(store.active_task(DomainUuid(new.task.vm_uuid)).await.unwrap(), Some(id));
        assert_eq!(store.lease(id, "two", 199, 300).await.unwrap(), None, "the lease is held still");
        assert_eq!(store.lease(id, "two", 200, 300).await.unwrap().unwrap().generation, 2);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let new = new_task("web1");
        let id = TaskId(new.task.id);
        store.create_task(&new).await.unwrap();
        let lease = store.lease(id, "one", 0, 1).await.unwrap().unwrap();
        store.log_intent(&lease, "prepare", &json!(null), 0).await.unwrap();
        for statement in [
            "UPDATE tasks SET body = '{\"id\": 5'",
            "UPDATE events SET body = 'not json'",
            "UPDATE task_log SET intent = ''",
        ] {
            tamper(dir.path(), statement).await;
        }
        let told = |error: StoreError| match error {
            StoreError::Corrupt { what, .. } => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(told(store.task(id).await.unwrap_err()), format!("task {id}"));
        assert_eq!(told(store.tasks(&Default::default(), 9).await.unwrap_err()), format!("task {id}"));
        assert_eq!(told(store.events_after(0, None, 9).await.unwrap_err()), "event 1");
        assert_eq!(told(store.log(id).await.unwrap_err()), format!("an intent of task {id}"));
        // What can be read stays usable: the task can be claimed and repaired.
        assert_eq!(store.claimable(1).await.unwrap(), [id]);
        store.update(&lease, &new.task).await.unwrap();
        assert_eq!(store.task(id).await.unwrap().unwrap().task, new.task);

        tamper(dir.path(), "UPDATE tasks SET plan = '[', resolve = NULL").await;
        assert_eq!(told(store.task(id).await.unwrap_err()), format!("the plan of task {id}"));
        tamper(dir.path(), "UPDATE tasks SET plan = '{}', resolve = '{\"keep\":\"both\"}'").await;
        assert_eq!(told(store.task(id).await.unwrap_err()), format!("the decision on task {id}"));
    }

    #[tokio::test]
    async fn a_file_of_a_newer_ferry_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).await.close().await;
        tamper(
            dir.path(),
            "INSERT INTO schema_changes (version, description, success, checksum, execution_time) \
             VALUES (9999, 'from the future', 1, x'00', 0)",
        )
        .await;
        let refused = SqliteStore::open(&dir.path().join("ferry.db")).await.unwrap_err();
        assert!(matches!(refused, StoreError::Schema(_)), "{refused:?}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ferry.db"), "x".repeat(8192)).unwrap();
        let refused = SqliteStore::open(&dir.path().join("ferry.db")).await.unwrap_err();
        assert!(matches!(refused, StoreError::Database(_)), "{refused:?}");
    }

    #[tokio::test]
    async fn what_is_written_is_on_the_disk_before_the_answer() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        assert_eq!(store.durability().await.unwrap(), ("wal".to_owned(), 2, 1));
    }

    /// One test per check of the suite.
    macro_rules! suite {
        ($($check:ident,)*) => { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let dir = tempfile::tempdir().unwrap();
                let store: Arc<dyn Store> = Arc::new(open(dir.path()).await);
                crate::suite::$check(store).await;
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
}

#[path = "store/suite.rs"]
mod suite;
