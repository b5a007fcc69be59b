//! What stands against a migration: facts are gathered, every check looks at them, and nothing is changed.

use std::sync::Arc;
use std::time::Duration;

use api::preflight::{PreflightRequest, Question, Report, Verdict};
use api::problem::{Code, Problem};
use api::task::{StorageMapping, Task, TaskKind, TaskQuery, TaskState};
use api::vm::Vm;
use futures_util::stream::{self, StreamExt};

use super::wishes::Wishes;
use super::{Migrations, bad_value, mapping, name_fits};
use crate::inventory::facts::{self, Asked, Inquiry};
use crate::inventory::member::Member;
use crate::inventory::unknown_host;
use crate::model::facts::{Facts, LeftImage, Wanted};
use crate::model::{DomainUuid, TaskId};
use crate::plan::{self, Plan, Rewrite};
use crate::preflight;

/// Destinations that are asked at the same time when all registered hosts are: each asks the source as well, which has one shell.
const AT_ONCE: usize = 4;

/// How many of a virtual machine's moves are looked at for what they left.
const MOVES_LOOKED_AT: u32 = 50;

/// What is left of the time limit for making a report of the answers.
const REPORT_TAKES: Duration = Duration::from_millis(100);

impl Migrations {
    /// Everything that stands against moving a virtual machine: to one host, or to each that is registered, the best first.
    ///
    /// # Errors
    /// A problem document where the request makes no sense. A host that does not answer is a finding, and no error.
    pub async fn check(&self, request: &PreflightRequest) -> Result<Vec<Report>, Problem> {
        name_fits("vm", &request.vm)?;
        request.destination.as_ref().map(|name| name_fits("destination", name)).transpose()?;
        ignorable(&request.ignore)?;
        Wishes::from(request).wanted()?;
        let rewrite = &mapping::of_check(request)?;
        let vm = self.find(&request.vm, request.source.as_deref()).await?;
        let (mut reports, has_left) = self.reports(request, rewrite, &vm).await?;
        if has_left {
            // It left that host after the last look at it.
            self.fleet.look_again().await;
            let vm = self.find(&request.vm, request.source.as_deref()).await?;
            (reports, _) = self.reports(request, rewrite, &vm).await?;
        }
        reports.sort_by_cached_key(rank);
        Ok(reports)
    }

    /// A report for each destination, and whether the host that the virtual machine was last seen on does not have it any more.
    async fn reports(
        &self,
        request: &PreflightRequest,
        rewrite: &Rewrite,
        vm: &Vm,
    ) -> Result<(Vec<Report>, bool), Problem> {
        let source = self.member(&vm.host)?;
        let destinations = match &request.destination {
            Some(name) => vec![self.member(name)?],
            None => self.fleet.members().into_iter().filter(|member| member.name() != vm.host).collect(),
        };
        let reports = stream::iter(destinations)
            .map(|destination| self.report(request, rewrite, vm, source.clone(), destination))
            .buffer_unordered(AT_ONCE);
        let reports = reports.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let has_left = reports.iter().any(|(_, has_left)| *has_left);
        Ok((reports.into_iter().map(|(report, _)| report).collect(), has_left))
    }

    /// The report of one destination, and whether the source does not have the virtual machine any more.
    async fn report(
        &self,
        request: &PreflightRequest,
        rewrite: &Rewrite,
        vm: &Vm,
        source: Arc<Member>,
        destination: Arc<Member>,
    ) -> Result<(Report, bool), Problem> {
        let wanted = Wishes::from(request).wanted()?;
        let inquiry = self.inquiry(vm, &source, &destination, wanted, rewrite, true).await?;
        let began = std::time::Instant::now();
        let (facts, asked) = facts::gather(&inquiry).await;
        mapping::fits_domain(rewrite, &facts)?;
        let mut report = described(vm, &facts, asked, began);
        ignore(&mut report, &request.ignore)?;
        if request.come_back && facts.domain.is_some() {
            let began = std::time::Instant::now();
            if let Some((facts, asked)) = facts::gather_way_home(&inquiry, &facts).await {
                let mut home = described(vm, &facts, asked, began);
                ignore(&mut home, &request.ignore)?;
                report.come_back = Some(Box::new(home));
            }
        }
        let has_left = facts.domain.is_none() && facts.source.known().is_some();
        Ok((report, has_left))
    }

    /// What is to be found out for one destination. `fresh`: nothing that was found a moment ago will do.
    pub(super) async fn inquiry<'a>(
        &self,
        vm: &Vm,
        source: &'a Member,
        destination: &'a Member,
        wanted: Wanted,
        rewrite: &'a Rewrite,
        fresh: bool,
    ) -> Result<Inquiry<'a>, Problem> {
        let arriving_bytes = self.arriving_bytes(destination.name(), DomainUuid(vm.uuid)).await?;
        // So that the report is there within the limit, and not only its last answer.
        let limit = self.limit.saturating_sub(REPORT_TAKES).max(self.limit / 2);
        let domain = DomainUuid(vm.uuid);
        let left = self.left_images(destination.name(), vm).await?;
        Ok(Inquiry { source, destination, domain, wanted, rewrite, arriving_bytes, left, limit, fresh })
    }

    /// Memory of other virtual machines on their way to a host.
    async fn arriving_bytes(&self, destination: &str, but: DomainUuid) -> Result<u64, Problem> {
        let active = TaskQuery { active: Some(true), ..TaskQuery::default() };
        let tasks = self.store.tasks(&active, u32::MAX).await.map_err(Problem::from)?;
        let comes = |task: &&Task| task.destination == destination && task.source != destination;
        let on_its_way = tasks.iter().filter(comes).filter(|task| task.vm_uuid != but.0);
        let memory = on_its_way
            .filter_map(|task| self.fleet.find_vm(&task.vm_uuid.to_string(), Some(&task.source)).ok());
        Ok(memory.map(|vm| vm.max_memory_bytes).sum())
    }

    /// Images of the virtual machine that moves from this host have left there, as far as their tasks are still stored, the newest
    /// first.
    async fn left_images(&self, host: &str, vm: &Vm) -> Result<Vec<LeftImage>, Problem> {
        // By its UUID: it may have had another name then.
        let done = TaskQuery {
            vm_uuid: Some(vm.uuid),
            kind: Some(TaskKind::Migration),
            state: Some(TaskState::Done),
            ..TaskQuery::default()
        };
        let tasks = self.store.tasks(&done, MOVES_LOOKED_AT).await.map_err(Problem::from)?;
        let mut left: Vec<LeftImage> = Vec::new();
        for task in tasks.iter().filter(|task| task.source == host) {
            let id = TaskId(task.id);
            let Some(record) = self.store.task(id).await.map_err(Problem::from)? else { continue };
            // One of an earlier Ferry that cannot be read any more tells nothing.
            let Ok(plan) = serde_json::from_value::<Plan>(record.plan) else { continue };
            let images = plan.source_images().into_iter().filter(|_| !plan.deletes_source_disks);
            for path in images.map(|(path, _)| path.to_owned()) {
                if !left.iter().any(|known| known.path == path) {
                    left.push(LeftImage { path, task: Some(id) });
                }
            }
        }
        Ok(left)
    }

    pub(super) fn member(&self, name: &str) -> Result<Arc<Member>, Problem> {
        self.fleet.member(name).ok_or_else(|| unknown_host(name))
    }
}

/// Which report comes first: what can be done, what has the fewest things against it, what has the most room.
fn rank(report: &Report) -> (Verdict, Vec<usize>, std::cmp::Reverse<u64>, String) {
    use api::finding::Severity;
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let counts = [Severity::Blocker, Severity::Warning, Severity::Note].map(count).to_vec();
    let room = std::cmp::Reverse(report.memory_available_bytes.unwrap_or(0));
    (report.verdict, counts, room, report.destination.clone())
}

fn described(vm: &Vm, facts: &Facts, asked: Vec<Asked>, began: std::time::Instant) -> Report {
    let findings = preflight::check(facts);
    let questions = asked.into_iter().map(|asked| Question {
        host: asked.host,
        question: asked.question.to_owned(),
        took_ms: asked.took_ms,
    });
    Report {
        vm: vm.name.clone(),
        vm_uuid: vm.uuid,
        source: facts.source.name().to_owned(),
        destination: facts.destination.name().to_owned(),
        verdict: if preflight::forbids(&findings) { Verdict::NoGo } else { Verdict::Go },
        findings,
        memory_available_bytes: facts.destination.shell().and_then(|shell| shell.memory_available_bytes),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        questions: questions.collect(),
        come_back: None,
    }
}

/// Leaves out what the request names. In a mere check a blocker stays where it is.
fn ignore(report: &mut Report, codes: &[String]) -> Result<(), Problem> {
    preflight::ignore(&mut report.findings, codes).map_err(|code| not_to_be_ignored(&code))
}

/// Places of disks are named as they can be: a disk once, and an image by a plain file name.
pub(super) fn storage_fits(storage: &[StorageMapping]) -> Result<(), Problem> {
    let refuse = |detail: String| Err(bad_value("storage", detail));
    for (at, StorageMapping { disk, pool, volume }) in storage.iter().enumerate() {
        name_fits("storage", disk)?;
        name_fits("storage", pool)?;
        if storage.iter().take(at).any(|other| other.disk == *disk) {
            return refuse(format!("storage names the disk {disk} more than once."));
        }
        let Some(volume) = volume else { continue };
        name_fits("storage", volume)?;
        if volume.contains('/') || matches!(volume.as_str(), "." | "..") {
            return refuse(format!("{volume:?} is no plain file name."));
        }
        if disk == plan::EVERY {
            return refuse("several disks cannot have one name: leave the volume out for *.".to_owned());
        }
    }
    Ok(())
}

/// A disk that is the same on both hosts is named by itself, and is not to be made anew.
pub(super) fn shared_fits(shared: &[String], storage: &[StorageMapping]) -> Result<(), Problem> {
    for disk in shared {
        name_fits("shared", disk)?;
        if disk == plan::EVERY {
            let detail =
                "shared names the disks of which somebody knows it, one by one; * is none.".to_owned();
            return Err(bad_value("shared", detail));
        }
        if storage.iter().any(|mapping| mapping.disk == *disk) {
            let detail = format!(
                "storage has {disk} made anew, and shared says that it is there: they exclude each other."
            );
            return Err(bad_value("shared", detail));
        }
    }
    Ok(())
}

/// What is to be ignored is named by codes that there are: one that was mistyped would be ignored itself.
pub(super) fn ignorable(codes: &[String]) -> Result<(), Problem> {
    let Some((code, nearest)) = codes.iter().find_map(|code| Some((code, preflight::codes::nearest(code)?)))
    else {
        return Ok(());
    };
    let detail = format!("No finding has the code {code:?}; the nearest one is {nearest}.");
    Err(bad_value("ignore", detail))
}

/// The problem of a request to ignore what would fail or do harm.
pub(super) fn not_to_be_ignored(code: &str) -> Problem {
    let detail = format!(
        "{code} is a blocker: the migration would fail or do harm. Only warnings and notes can be ignored."
    );
    Problem::new(Code::BadValue, detail).field("ignore")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(disk: &str, volume: Option<&str>) -> StorageMapping {
        let (disk, volume) = (disk.to_owned(), volume.map(str::to_owned));
        StorageMapping { disk, pool: "fast".to_owned(), volume }
    }

    #[test]
    fn only_codes_that_there_are_can_be_ignored() {
        let refused = |codes: &[&str]| {
            let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
            ignorable(&codes).err().map(|problem| problem.detail)
        };
        assert_eq!(refused(&["clocks-differ", "sharing-proven"]), None);
        let said = refused(&["clocks-differ", "clock-differs"]).unwrap();
        assert_eq!(said, "No finding has the code \"clock-differs\"; the nearest one is clocks-differ.");
    }

    #[test]
    fn a_disk_has_one_place_of_a_plain_name() {
        assert!(storage_fits(&[mapping("vda", Some("a.img")), mapping("*", None)]).is_ok());
        for bad in [
            vec![mapping("vda", None), mapping("vda", None)],
            vec![mapping("vda", Some("../a"))],
            vec![mapping("vda", Some(".."))],
            vec![mapping("*", Some("a.img"))],
            vec![mapping("", None)],
        ] {
            assert!(storage_fits(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_disk_is_the_same_on_both_hosts_or_made_anew() {
        let shared = |disk: &str, storage: &[StorageMapping]| shared_fits(&[disk.to_owned()], storage);
        assert!(shared("vda", &[mapping("vdb", None), mapping("*", None)]).is_ok());
        assert!(shared("vda", &[mapping("vda", None)]).is_err());
        assert!(shared("", &[]).is_err());
        assert!(shared("*", &[]).is_err());
    }
}
