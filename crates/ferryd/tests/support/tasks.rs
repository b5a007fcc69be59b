//! Waiting for what tasks tell, by their events.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use api::client::Item;
use api::task::{Phase, Task, TaskQuery};
use uuid::Uuid;

use super::process::spawn;
use super::{Said, World};

/// A migration of a test guest takes seconds, on a machine that does other things meanwhile more.
pub(crate) const MOVES_WITHIN: Duration = Duration::from_secs(90);

/// A ferryd that is to die at a step of a migration comes to it.
pub(crate) const DIES_WITHIN: Duration = Duration::from_secs(60);

/// A `ferry migrate` that waits for its task.
pub(crate) struct Migrating {
    child: Child,
    asked: String,
    /// The task's id.
    pub(crate) task: Uuid,
}

impl Migrating {
    /// Waits for the command's end.
    pub(crate) fn end(self) -> Said {
        let output = self.child.wait_with_output().expect("ferry ends");
        Said { asked: self.asked, ..Said::from(output) }
    }
}

/// Memory is being copied, and figures of it are known.
pub(crate) fn is_copying(task: &Task) -> bool {
    task.phase == Phase::Copy
        && task.progress.as_ref().is_some_and(|progress| progress.memory_processed_bytes > 0)
}

/// What was copied first is being copied again: the middle of a migration.
pub(crate) fn is_midway(task: &Task) -> bool {
    is_copying(task) && task.progress.as_ref().is_some_and(|progress| progress.iteration >= 2)
}

/// There is nothing more to wait for.
pub(crate) fn is_settled(task: &Task) -> bool {
    task.state.is_settled()
}

/// Where `FERRYD_DIE_AT` lets ferryd die in a step (`perform:AfterIntent`): right before and after each write of the log.
pub(crate) const POINTS: [&str; 4] = ["BeforeIntent", "AfterIntent", "BeforeResult", "AfterResult"];

impl World {
    /// Begins `ferry migrate` with these arguments and waits until its task exists.
    pub(crate) fn begin_migrate(&self, arguments: &[&str]) -> Migrating {
        let known: BTreeSet<Uuid> = self.tasks().iter().map(|task| task.id).collect();
        let line = [&["timeout", "-k", "5", "120", "ferry", "migrate"], arguments].concat();
        let child = spawn(self.machine(), &line);
        let is_new = |task: &Task| !known.contains(&task.id);
        let task =
            self.first_event(None, MOVES_WITHIN, is_new).unwrap_or_else(|| panic!("no task of {line:?}"));
        Migrating { child, asked: line.join(" "), task: task.id }
    }

    /// Migrates, has ferryd die at a moment of that (`perform:AfterIntent`), starts it again, and waits for the task's end.
    #[track_caller]
    pub(crate) fn migrate_with_a_death(&self, vm: &str, from: &str, to: &str, moment: &str) -> Task {
        self.migrate_with_a_death_as(from, moment, &["migrate", vm, "--to", to])
    }

    /// The same for a whole `ferry migrate VM …`.
    #[track_caller]
    pub(crate) fn migrate_with_a_death_as(&self, from: &str, moment: &str, asked: &[&str]) -> Task {
        self.migrate_with_a_death_and(from, moment, asked, || {})
    }

    /// The same, with something happening while ferryd is away.
    #[track_caller]
    pub(crate) fn migrate_with_a_death_and(
        &self,
        from: &str,
        moment: &str,
        asked: &[&str],
        meanwhile: impl FnOnce(),
    ) -> Task {
        self.restart_ferryd_with(&[("FERRYD_DIE_AT", moment)]);
        self.wait_listed("it is not known", |listed| listed.name == asked[1] && listed.host == from);
        let task: Task = self.ferry_json(&[asked, &["--detach"]].concat());
        self.wait_ferryd_ends(DIES_WITHIN);
        self.write_back();
        meanwhile();
        self.start_ferryd();
        self.wait_settled(task.id)
    }

    /// What was written is written back by the file systems, as it would be by itself within some seconds: with that a file may take up
    /// a block more, and nobody has written to it.
    fn write_back(&self) {
        for host in ["kvm1", "kvm2"] {
            // What goes away meanwhile (a guest that ends takes its own files along) need not be written back.
            let files =
                "find /var/lib/libvirt /srv -xdev -type f -size +0 -exec sync {} + 2>/dev/null || true";
            self.host(host).run(&["sh", "-c", files]).expect("written back");
        }
    }

    /// Every task, newest first.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        self.block_on(self.client().tasks(&TaskQuery::default())).expect("the tasks")
    }

    /// A task as it is now.
    pub(crate) fn task(&self, id: Uuid) -> Task {
        self.block_on(self.client().task(id)).expect("the task")
    }

    /// Waits until a task was once as wanted; its past counts.
    #[track_caller]
    pub(crate) fn wait_task(&self, id: Uuid, what: &str, wanted: impl Fn(&Task) -> bool) -> Task {
        self.wait_task_within(MOVES_WITHIN, id, what, wanted)
    }

    /// The same, where it takes as long as something has patience.
    #[track_caller]
    pub(crate) fn wait_task_within(
        &self,
        limit: Duration,
        id: Uuid,
        what: &str,
        wanted: impl Fn(&Task) -> bool,
    ) -> Task {
        let found = self.first_event(Some(id), limit, wanted);
        found.unwrap_or_else(|| panic!("{what}: not within {limit:?}; now {:#?}", self.task(id)))
    }

    /// Waits until a task has ended, or needs a person.
    #[track_caller]
    pub(crate) fn wait_settled(&self, id: Uuid) -> Task {
        self.wait_task(id, "it does not end", is_settled)
    }

    fn first_event(&self, of: Option<Uuid>, limit: Duration, wanted: impl Fn(&Task) -> bool) -> Option<Task> {
        let mut events = self.client().events(of, 0);
        self.block_on(async {
            let found = async {
                loop {
                    if let Item::Event(event) = events.next().await.expect("events")
                        && wanted(&event.task)
                    {
                        return event.task;
                    }
                }
            };
            tokio::time::timeout(limit, found).await.ok()
        })
    }
}
