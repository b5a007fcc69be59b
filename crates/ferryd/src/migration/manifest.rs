//! What a task has made on its destination, by what its log says: by that it is gone on with, and by that it is removed.
//!
//! | log entry | says | a crash in the middle leaves |
//! |---|---|---|
//! | [`MAKE`] | a file is about to be made where, right before, nothing was | perhaps the file: it is this task's, removed and made anew |
//! | [`MADE`] | by which inode and time of birth a file that was made is known, where the host offers a shell | the file, known by less |
//! | [`CARRIED`] | a file is there up to a byte, and was read again there; where carrying went on after a break, all of it is compared before its last byte is noted | nothing |
//! | [`REMOVE`] | a file that [`MAKE`] names is about to be removed | perhaps the file: it is removed |

use serde::{Deserialize, Serialize};

use super::knowledge::Came;
use super::outcome::Action;
use crate::hypervisor::{FileSight, Hypervisor, NewFile};
use crate::libvirt::error::HostError;
use crate::model::TaskId;
use crate::store::LogEntry;

/// Name of the log entry for a file that is made.
pub(super) const MAKE: &str = "make-file";
/// Name of the log entry for what a file that was made is known by.
pub(super) const MADE: &str = "made-file";
/// Name of the log entry for a file that has arrived up to a byte.
pub(super) const CARRIED: &str = "carry-file";
/// Name of the log entry for a file that is removed.
pub(super) const REMOVE: &str = "remove-file";

/// The intent to make a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Making {
    pub(super) file: NewFile,
    /// The source's, as it was then: it must not change while it is carried. None of one that QEMU fills.
    #[serde(default)]
    pub(super) seen: Option<FileSight>,
}

/// A file was made, and is this one.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) path: String,
    /// Inode and time of birth.
    pub(super) node: (u64, u64),
}

/// A file has arrived up to here.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Arrived {
    pub(super) path: String,
    pub(super) until: u64,
    /// What was seen of it there.
    #[serde(default)]
    pub(super) there: Option<FileSight>,
}

/// A file that this task has made, or may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) file: NewFile,
    /// The host said that it is made.
    pub(super) sure: bool,
    /// Inode and time of birth, where the host told: another file of its path is not it.
    pub(super) node: Option<(u64, u64)>,
    /// The source's, when it was made.
    pub(super) seen: Option<FileSight>,
    /// Up to where it has arrived.
    pub(super) until: u64,
    /// What was seen of it then, where it had arrived.
    pub(super) there: Option<FileSight>,
    /// What was seen of it when it was about to be removed, where it is not known what came of that.
    pub(super) going: Option<FileSight>,
}

/// A file that was just made, and nothing written into, takes up no more than this.
const NOTHING_YET_BYTES: u64 = 4 << 20;

impl Made {
    /// One that is about to be made.
    pub(super) fn perhaps(file: NewFile, seen: Option<FileSight>) -> Self {
        Self { file, sure: false, node: None, seen, until: 0, there: None, going: None }
    }

    /// Its path.
    pub(super) fn path(&self) -> &str {
        &self.file.path
    }

    /// Removes it from its host. One of which it is not known whether it was made (the answer was lost) may be somebody else's that
    /// came right then: it is removed only while there is nothing in it. One that had arrived whole is removed only as it arrived.
    pub(super) async fn remove_from(&self, host: &dyn Hypervisor, task: TaskId) -> Result<(), HostError> {
        if self.is_there(host, task).await?.is_some() {
            host.remove_file(task, self.path()).await
        } else {
            Ok(())
        }
    }

    /// What is seen of it on its host; none where it is not there, or what is there is not known to be it.
    pub(super) async fn is_there(
        &self,
        host: &dyn Hypervisor,
        task: TaskId,
    ) -> Result<Option<FileSight>, HostError> {
        let (seen, node) = match self.node {
            None => (host.file(task, self.path()).await?, None),
            Some(_) => match host.identity(task, self.path()).await? {
                Some(identity) => (Some(identity.sight), identity.node),
                None => (None, None),
            },
        };
        let Some(seen) = seen else { return Ok(None) };
        // What had arrived whole and is not as it was then has been used by somebody since.
        let used = self.until == self.file.capacity_bytes && self.there.is_some_and(|there| there != seen);
        let replaced = self.node.is_some() && node.is_some() && self.node != node;
        let another = replaced || self.going.is_some_and(|going| going != seen);
        if used || another || (!self.sure && seen.allocated_bytes > NOTHING_YET_BYTES) {
            tracing::warn!(task.id = %task, host = host.name(), path = self.path(), "what is there is not what this task left there, and stays");
            return Ok(None);
        }
        Ok(Some(seen))
    }
}

/// What a task's log says it has made on the destination, and not removed.
pub(super) fn made(log: &[LogEntry]) -> Vec<Made> {
    let mut all: Vec<Made> = Vec::new();
    for entry in log {
        let came = entry.result.clone().and_then(|came| serde_json::from_value::<Came>(came).ok());
        match entry.step.as_str() {
            MAKE if !matches!(came, Some(Came::Refused(_) | Came::NotSent)) => {
                if let Ok(Making { file, seen }) = serde_json::from_value(entry.intent.clone()) {
                    let sure = matches!(came, Some(Came::Done));
                    all.retain(|made| made.path() != file.path);
                    all.push(Made { sure, ..Made::perhaps(file, seen) });
                }
            }
            MADE => {
                if let Ok(Known { path, node }) = serde_json::from_value(entry.intent.clone()) {
                    let of_path = all.iter_mut().filter(|made| made.path() == path);
                    of_path.for_each(|made| made.node = Some(node));
                }
            }
            CARRIED => {
                if let Ok(Arrived { path, until, there }) = serde_json::from_value(entry.intent.clone()) {
                    let of_path = all.iter_mut().filter(|made| made.path() == path);
                    of_path.for_each(|made| (made.until, made.there) = (until, there));
                }
            }
            REMOVE => {
                if let Ok(Arrived { path, there, .. }) = serde_json::from_value(entry.intent.clone()) {
                    let of_path = all.iter_mut().filter(|made| made.path() == path);
                    match came {
                        Some(Came::Done) => all.retain(|made| made.path() != path),
                        Some(Came::NotSent) => {}
                        // Perhaps it is gone, and what is there by now another's: it is known by what it was then.
                        _ => of_path.for_each(|made| made.going = there),
                    }
                }
            }
            _ => {}
        }
    }
    all
}

/// What its log says it has made on the destination and removed again, as it was when it was made: what the source's file was then
/// still counts.
pub(super) fn spent(log: &[LogEntry]) -> Vec<Made> {
    let (mut all, there): (Vec<Made>, _) = (Vec::new(), made(log));
    for entry in log.iter().filter(|entry| entry.step == MAKE) {
        if let Ok(Making { file, seen }) = serde_json::from_value(entry.intent.clone()) {
            all.retain(|made| made.path() != file.path);
            all.push(Made::perhaps(file, seen));
        }
    }
    all.retain(|one| there.iter().all(|made| made.path() != one.path()));
    all
}

/// Whether the files of a task may be removed from the destination once the domain is at the source: not after its copy there may
/// have run, for then they may hold what is nowhere else.
pub(super) fn may_go(log: &[LogEntry]) -> bool {
    !log.iter().any(|entry| entry.step == Action::ResumeDestination.name())
}
