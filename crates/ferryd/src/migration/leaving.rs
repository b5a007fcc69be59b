//! What becomes of the source once the destination has the domain: the copy that stays there, and the images that are removed.
//!
//! | log entry | says | a crash in the middle leaves |
//! |---|---|---|
//! | [`COPY`] | a copy's definition is about to be written on the source, beside the domain's own, which goes next | perhaps the copy: it is written again, which changes nothing; where the domain stays at the source it is removed |
//! | [`TAKE_BACK`] | a copy's definition is about to go again | perhaps the copy: it is removed |
//! | [`DELETE`] | an image on the source is about to be removed, with what it is known by | perhaps the image: it is removed if it is still that |

use std::collections::BTreeMap;

use api::task::{Location, Side};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::copy::Copy;
use super::knowledge::Came;
use super::outcome::Ending;
use super::steps::Work;
use crate::hypervisor::{FileIdentity, Snapshot, Undefine};
use crate::libvirt::error::HostError;
use crate::plan::Carried;
use crate::store::LogEntry;
use crate::task::Stop;

/// Name of the log entry for a copy's definition.
pub(super) const COPY: &str = "leave-copy";
/// Name of the log entry for a copy's definition that goes again.
const TAKE_BACK: &str = "take-back-copy";
/// Name of the log entry for an image that is removed from the source.
pub(super) const DELETE: &str = "delete-source-disk";

/// The intent to remove an image from the source.
#[derive(Debug, Serialize, Deserialize)]
struct Deleting {
    path: String,
    identity: FileIdentity,
}

/// What has become of the source's definition and images.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// A copy's definition may be on the source.
    copy_intended: bool,
    /// It is there, or it was given up.
    copy_settled: bool,
    /// Images that may have been removed, by what they were known by then.
    deleting: BTreeMap<String, FileIdentity>,
    /// All that was to be done at the end was done, or tried.
    settled: bool,
    /// What a person is told of it.
    told: Vec<String>,
}

impl Leaving {
    /// What the log says.
    pub(super) fn of(log: &[LogEntry]) -> Self {
        let mut leaving = Self::default();
        for entry in log {
            let came = entry.result.clone().and_then(|came| serde_json::from_value::<Came>(came).ok());
            match entry.step.as_str() {
                COPY => {
                    leaving.copy_intended |= !matches!(came, Some(Came::NotSent));
                    leaving.copy_settled |= matches!(came, Some(Came::Done));
                }
                DELETE if !matches!(came, Some(Came::NotSent)) => {
                    if let Ok(Deleting { path, identity }) = serde_json::from_value(entry.intent.clone()) {
                        leaving.deleting.insert(path, identity);
                    }
                }
                _ => {}
            }
        }
        leaving
    }

    /// Something else that a person is told.
    pub(super) fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    /// The account of the end, and what there is to say of this.
    pub(super) fn added_to(&self, message: String) -> String {
        self.told.iter().fold(message, |message, told| format!("{message} {told}"))
    }
}

impl Work {
    /// The snapshots that the destination's libvirt is told of.
    pub(super) async fn snapshots_to_carry(&self) -> Result<Vec<Snapshot>, HostError> {
        if self.plan.snapshots_dropped {
            return Ok(Vec::new());
        }
        self.source.snapshots(self.plan.domain, true).await
    }

    /// The source's definition is about to go, and a copy of it is to stay.
    pub(super) fn must_leave_copy(&self) -> bool {
        self.plan.copy.is_some() && !self.leaving.copy_settled
    }

    /// Writes the copy's definition. It is read from the source's own, with its passwords: so it comes before that goes. False where it
    /// is to be tried again later.
    pub(super) async fn leave_copy(&mut self) -> Result<bool, Stop> {
        let (Some(copy), looked) = (self.plan.copy.clone(), Instant::now()) else { return Ok(true) };
        let seq = self.handle.intend(COPY, &copy).await?;
        if looked.elapsed() > self.timing.stale {
            self.handle.came_to(COPY, seq, &Came::NotSent).await?;
            return Ok(true);
        }
        self.leaving.copy_intended = true;
        let result = self.source.define_copy(self.plan.domain, &copy).await;
        self.handle.came_to(COPY, seq, &Came::to(&result)).await?;
        let Err(error) = result else {
            self.leaving.copy_settled = true;
            return Ok(true);
        };
        self.note_failure(COPY, &error);
        if error.is_broken_connection() {
            return Ok(false);
        }
        if self.plan.cold && !self.know.undefine_source_intended {
            // Nothing has gone yet: the domain stays where it is, as it was.
            self.know.arrived = false;
        } else {
            self.leaving.copy_settled = true;
            let from = &self.plan.source;
            let told =
                format!("A copy could not be left on {from} ({}); its disks are there.", error.cause());
            self.leaving.told.push(told);
        }
        Ok(true)
    }

    /// At the end: what was done for a domain that does not leave is undone, and the images of one that has left go. Once; what could
    /// not be done is told, and is no failure of the migration.
    pub(super) async fn see_to_the_source(&mut self, ending: Ending, destination: Copy) -> Result<(), Stop> {
        if std::mem::replace(&mut self.leaving.settled, true) {
            return Ok(());
        }
        match ending.location {
            Location::Source => self.take_back_copy().await?,
            Location::Destination => {
                self.tell_of_copy();
                if self.plan.deletes_source_disks {
                    self.delete_source_disks(ending, destination).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn take_back_copy(&mut self) -> Result<(), Stop> {
        let copy = self.plan.copy.clone().filter(|_| self.leaving.copy_intended);
        let (Some(copy), looked) = (copy, Instant::now()) else { return Ok(()) };
        let seq = self.handle.intend(TAKE_BACK, &copy).await?;
        // Its UUID is known to nobody but this task.
        let result = if looked.elapsed() > self.timing.stale {
            Err(HostError::timed_out(&self.plan.source, "undefine", self.timing.stale))
        } else {
            self.source.undefine(copy.uuid, Undefine::default()).await
        };
        self.handle.came_to(TAKE_BACK, seq, &Came::to(&result)).await?;
        if let Err(error) = result {
            let from = &self.plan.source;
            self.leaving.told.push(format!(
                "The definition of a copy, {}, is left on {from} ({}): virsh undefine --keep-nvram {} there.",
                copy.name,
                error.cause(),
                copy.uuid
            ));
        }
        Ok(())
    }

    fn tell_of_copy(&mut self) {
        let Some(copy) = &self.plan.copy else { return };
        let from = &self.plan.source;
        if self.leaving.copy_settled && self.leaving.told.is_empty() {
            self.leaving.told.push(format!("A copy of it stays on {from}, stopped, as {}.", copy.name));
        } else if !self.leaving.copy_settled {
            self.leaving.told.push(format!("No copy was left on {from}; its disks are there."));
        }
    }

    async fn delete_source_disks(&mut self, ending: Ending, destination: Copy) -> Result<(), Stop> {
        let images = self.plan.source_images();
        let images: Vec<(String, bool)> =
            images.into_iter().map(|(path, is_base)| (path.to_owned(), is_base)).collect();
        let paths: Vec<String> = images.iter().map(|(path, _)| path.clone()).collect();
        let to = &self.plan.destination;
        let proven = match destination {
            Copy::Running(_) => true,
            Copy::Paused(_) => !self.plan.wants_running,
            Copy::Off(_) => self.plan.cold,
            _ => false,
        };
        let id = self.handle.id();
        let users = if ending.memory_lost || !proven {
            Err(format!("{} was not seen on {to} as it was", self.plan.name))
        } else if ending.owed == Some(Side::Source) {
            Err("the host does not answer".to_owned())
        } else {
            let asked = self.source.users_of(id, self.plan.domain, &paths).await;
            asked.map_err(|error| format!("what uses it could not be found out: {}", error.cause()))
        };
        let mut stayed = Vec::new();
        for (path, is_base) in images {
            let used = match &users {
                Err(why) => Some(why.clone()),
                Ok(users) => users.iter().find(|(of, _)| *of == path).map(|(_, by)| format!("used by {by}")),
            };
            let why = match used {
                Some(why) => Some(why),
                None if is_base && !stayed.is_empty() => Some("an image over it stayed".to_owned()),
                None => self.delete_source_disk(&path).await?,
            };
            stayed.extend(why.map(|why| format!("{path} ({why})")));
        }
        if !stayed.is_empty() {
            tracing::warn!(migration.id = %id, host = self.plan.source, ?stayed, "images were not removed");
            let told = format!("On {} stayed: {}.", self.plan.source, stayed.join("; "));
            self.leaving.told.push(told);
        }
        Ok(())
    }

    /// Removes an image from the source; why it stays, where it does.
    async fn delete_source_disk(&mut self, path: &str) -> Result<Option<String>, Stop> {
        const CHANGED: &str = "it has changed since it was copied";
        let id = self.handle.id();
        let looked = Instant::now();
        let identity = match self.source.identity(id, path).await {
            Ok(Some(identity)) => identity,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error.cause())),
        };
        let of_path = |file: &&Carried| file.source_path() == path;
        let carried = self.plan.files.carried.iter().find(of_path);
        let carried = carried.and_then(|file| self.seen_then(file)).flatten();
        let before = self.leaving.deleting.get(path);
        if carried.is_some_and(|seen| seen != identity.sight) || before.is_some_and(|seen| *seen != identity)
        {
            return Ok(Some(CHANGED.to_owned()));
        }
        let deleting = Deleting { path: path.to_owned(), identity };
        let seq = self.handle.intend(DELETE, &deleting).await?;
        // What is there now is what the intent says, or it stays.
        let again = self.source.identity(id, path).await;
        if looked.elapsed() > self.timing.stale || again != Ok(Some(identity)) {
            self.handle.came_to(DELETE, seq, &Came::NotSent).await?;
            return Ok(Some(match again {
                Err(error) => error.cause(),
                Ok(Some(now)) if now == identity => "the host was slow to answer".to_owned(),
                Ok(_) => CHANGED.to_owned(),
            }));
        }
        let result = self.source.remove_file(id, path).await;
        self.handle.came_to(DELETE, seq, &Came::to(&result)).await?;
        Ok(result.err().map(|error| error.cause()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::FileSight;
    use serde_json::{Value, json};

    fn entry(step: &str, intent: Value, came: Option<Came>) -> LogEntry {
        let result = came.map(|came| serde_json::to_value(came).expect("JSON"));
        LogEntry { seq: 1, at_ms: 0, generation: 1, step: step.to_owned(), intent, result }
    }

    #[test]
    fn what_the_log_says_is_known_again() {
        let identity = FileIdentity { node: Some((1, 2)), sight: FileSight::default() };
        let deleting = |path: &str| {
            let deleting = Deleting { path: path.to_owned(), identity };
            serde_json::to_value(deleting).expect("JSON")
        };
        let log = [
            entry(COPY, json!({}), Some(Came::NotSent)),
            entry(DELETE, deleting("/a"), None),
            entry(DELETE, deleting("/b"), Some(Came::NotSent)),
        ];
        let leaving = Leaving::of(&log);
        assert!(!leaving.copy_intended, "nothing was sent");
        assert_eq!(leaving.deleting, BTreeMap::from([("/a".to_owned(), identity)]));
        let leaving = Leaving::of(&[entry(COPY, json!({}), None)]);
        assert!(leaving.copy_intended && !leaving.copy_settled, "it is written again");
        assert!(Leaving::of(&[entry(COPY, json!({}), Some(Came::Done))]).copy_settled);
    }
}
