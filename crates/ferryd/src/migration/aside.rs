//! What libvirt knows of a running domain's snapshots: set aside for the way, because libvirt moves no running domain that has some
//! (`qemuMigrationSrcIsAllowed`), and made known at the end to the libvirt that has the domain.
//!
//! | log entry | says | a crash in the middle leaves |
//! |---|---|---|
//! | [`TAKE`] | the source's libvirt is about to forget them; the entry holds all of them | some or all forgotten: all are made known again |
//! | [`GIVE`] | a libvirt is about to be told of them | some known: all are told again, which changes nothing |
//!
//! The log holds them without the passwords of screens that their definitions may have. Those are kept in memory only: after a
//! restart in between, the snapshots come back without them.

use api::task::Location;
use serde_json::json;
use tokio::time::Instant;

use super::knowledge::Came;
use super::outcome::Ending;
use super::steps::Work;
use crate::hypervisor::Snapshot;
use crate::libvirt::error::HostError;
use crate::store::LogEntry;
use crate::task::Stop;

/// Name of the log entry for snapshots that are about to be forgotten.
pub(super) const TAKE: &str = "set-snapshots-aside";
/// Name of the log entry for snapshots that are about to be made known.
const GIVE: &str = "make-snapshots-known";

/// Snapshots on the way.
#[derive(Debug, Default)]
pub(super) struct Aside {
    snapshots: Vec<Snapshot>,
    /// All that can be done with them was done.
    settled: bool,
    /// Since when a libvirt is to be told of them.
    trying_since: Option<Instant>,
}

impl Aside {
    /// What the log says.
    pub(super) fn of(log: &[LogEntry]) -> Self {
        let mut aside = Self::default();
        for entry in log.iter().filter(|entry| entry.step == TAKE) {
            let came = entry.result.clone().and_then(|came| serde_json::from_value::<Came>(came).ok());
            if !matches!(came, Some(Came::NotSent)) {
                aside.snapshots = serde_json::from_value(entry.intent.clone()).unwrap_or_default();
            }
        }
        aside
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect();
        names.join(", ")
    }
}

impl Work {
    /// Has the source's libvirt forget them, where that was planned.
    pub(super) async fn set_snapshots_aside(&mut self) -> Result<Result<(), HostError>, Stop> {
        if !self.plan.snapshots_aside {
            return Ok(Ok(()));
        }
        let (domain, looked) = (self.plan.domain, Instant::now());
        let whole = self.source.snapshots(domain, true).await;
        let (whole, bare) = match (whole, self.source.snapshots(domain, false).await) {
            (Ok(whole), Ok(bare)) => (whole, bare),
            (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
        };
        if bare.is_empty() {
            return Ok(Ok(()));
        }
        // Who takes the task up again may find some of them forgotten already.
        let before = std::mem::take(&mut self.aside.snapshots);
        let names: Vec<String> = bare.iter().map(|snapshot| snapshot.name.clone()).collect();
        self.aside.snapshots = merged(before.clone(), whole);
        self.know.source_touched = true;
        let seq = self.handle.intend(TAKE, &merged(before, bare)).await?;
        if looked.elapsed() > self.timing.stale {
            self.handle.came_to(TAKE, seq, &Came::NotSent).await?;
            return Ok(Err(HostError::timed_out(&self.plan.source, "snapshots", self.timing.stale)));
        }
        let result = self.source.forget_snapshots(domain, &names).await;
        self.handle.came_to(TAKE, seq, &Came::to(&result)).await?;
        Ok(result)
    }

    /// At the end: makes them known where the domain is. False where that is to be tried again after another look at both hosts.
    pub(super) async fn make_snapshots_known(&mut self, ending: Ending) -> Result<bool, Stop> {
        if self.aside.snapshots.is_empty() || self.aside.settled {
            return Ok(true);
        }
        let there = ending.location == Location::Destination;
        if there && self.plan.snapshots_dropped {
            self.aside.settled = true;
            return Ok(true);
        }
        let snapshots = match (ending.location, self.snapshots_there()) {
            (Location::Source, _) => self.aside.snapshots.clone(),
            (Location::Destination, Ok(snapshots)) => snapshots,
            (Location::Destination, Err(why)) => return Ok(self.not_known(&why)),
            _ => return Ok(self.not_known("where it is is not known")),
        };
        let (host, name) = if there {
            (self.destination.clone(), &self.plan.destination)
        } else {
            (self.source.clone(), &self.plan.source)
        };
        let looked = Instant::now();
        let seq = self.handle.intend(GIVE, &json!({ "host": name })).await?;
        if looked.elapsed() > self.timing.stale {
            self.handle.came_to(GIVE, seq, &Came::NotSent).await?;
            return Ok(false);
        }
        let result = host.redefine_snapshots(self.plan.domain, &snapshots).await;
        self.handle.came_to(GIVE, seq, &Came::to(&result)).await?;
        let Err(error) = result else {
            self.aside.settled = true;
            return Ok(true);
        };
        let since = *self.aside.trying_since.get_or_insert(looked);
        let no_answer = error.libvirt_code().is_none() || error.is_broken_connection();
        if no_answer && since.elapsed() < self.timing.patience {
            return Ok(false);
        }
        Ok(self.not_known(&error.cause()))
    }

    /// As the destination is to have them.
    fn snapshots_there(&self) -> Result<Vec<Snapshot>, String> {
        super::define::snapshots(&self.plan.rewrite, self.aside.snapshots.clone())
            .map_err(|error| error.to_string())
    }

    /// It is no failure of the migration, and told. Nothing is left to be tried.
    fn not_known(&mut self, why: &str) -> bool {
        self.aside.settled = true;
        let told = format!(
            "libvirt does not know its snapshots any more: {} ({why}); they are still in its images (qemu-img snapshot -l).",
            self.aside.names()
        );
        tracing::warn!(migration.id = %self.handle.id(), domain.uuid = %self.plan.domain, told);
        self.leaving.tell(told);
        true
    }
}

/// What was known, as it is seen now, and what else is seen; each still after the one it builds on.
fn merged(known: Vec<Snapshot>, seen: Vec<Snapshot>) -> Vec<Snapshot> {
    let (again, new): (Vec<_>, Vec<_>) =
        seen.into_iter().partition(|now| known.iter().any(|before| before.name == now.name));
    let as_seen =
        |before: Snapshot| again.iter().find(|now| now.name == before.name).cloned().unwrap_or(before);
    known.into_iter().map(as_seen).chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, to_value};

    fn entry(intent: Value, came: Option<Came>) -> LogEntry {
        let result = came.map(|came| to_value(came).expect("JSON"));
        LogEntry { seq: 1, at_ms: 0, generation: 1, step: TAKE.to_owned(), intent, result }
    }

    #[test]
    fn what_an_earlier_try_has_had_forgotten_is_not_lost() {
        let snapshot =
            |name: &str, xml: &str| Snapshot { name: name.to_owned(), xml: xml.to_owned(), current: false };
        let known = vec![snapshot("a", "bare"), snapshot("b", "bare")];
        let seen = vec![snapshot("b", "whole"), snapshot("c", "whole")];
        let all = [snapshot("a", "bare"), snapshot("b", "whole"), snapshot("c", "whole")];
        assert_eq!(merged(known, seen), all);
    }

    #[test]
    fn what_may_have_been_forgotten_is_known_from_the_log() {
        let snapshot = Snapshot { name: "a".to_owned(), xml: "<domainsnapshot/>".to_owned(), current: true };
        let intent = to_value([&snapshot]).expect("JSON");
        for came in [None, Some(Came::Done), Some(Came::Failed("no answer".to_owned()))] {
            let aside = Aside::of(&[entry(intent.clone(), came)]);
            assert_eq!(aside.snapshots, std::slice::from_ref(&snapshot));
        }
        assert!(Aside::of(&[entry(intent, Some(Came::NotSent))]).snapshots.is_empty(), "nothing was sent");
        assert!(Aside::of(&[]).snapshots.is_empty());
    }
}
