//! A plan in words, for who asks what a migration will do: pure.

use api::finding::Finding;
use api::task::PostCopy;
use api::plan::{Manner, PlanReport, PlannedFile, PlannedStep};

use super::{Carried, CopiedDisk, Plan, Rewrite, Role};
use crate::hypervisor::NewFile;

const POST_COPY: &str = "switch to post-copy: the guest goes on at the destination, and what it has rewritten meanwhile follows";

impl Plan {
    /// Everything that it will do.
    #[must_use]
    pub fn report(&self, findings: Vec<Finding>) -> PlanReport {
        let call =
            if self.post_copy == Some(PostCopy::Now) { self.post_copy_call() } else { self.call() };
        let manner = match (self.cold, self.wants_running) {
            (true, _) => Manner::Stopped,
            (false, true) => Manner::Running,
            (false, false) => Manner::Paused,
        };
        let live = |known: Vec<String>| if self.cold { Vec::new() } else { known };
        let mut parameters = Vec::new();
        if !self.cold {
            parameters
                .extend(call.bandwidth_mib_s.map(|mib_s| ("bandwidth".to_owned(), format!("{mib_s} MiB/s"))));
            let disks = call.copied_disks.iter();
            parameters.extend(disks.map(|disk| ("migrate_disks".to_owned(), disk.clone())));
            parameters.extend(self.rewritten_parameters());
        }
        PlanReport {
            vm: self.name.clone(),
            vm_uuid: self.domain.0,
            source: self.source.clone(),
            destination: self.destination.clone(),
            manner,
            steps: self.steps(),
            libvirt_flags: live(call.flag_names().into_iter().map(str::to_owned).collect()),
            libvirt_parameters: parameters,
            creates: self.creates(),
            removes: self.removes(),
            leaves: self.leaves(),
            definition_diff: self.definition_diff.clone(),
            findings,
        }
    }

    /// Those that give the destination another definition; the documents themselves the diff tells.
    fn rewritten_parameters(&self) -> Vec<(String, String)> {
        let unnamed = Rewrite { name: None, ..self.rewrite.clone() };
        let mut parameters = Vec::new();
        parameters
            .extend(self.rewrite.name.as_ref().map(|name| ("destination_name".to_owned(), name.clone())));
        let mut document = |name: &str, what: &str| parameters.push((name.to_owned(), what.to_owned()));
        if !unnamed.is_empty() {
            document("destination_xml", "as it runs, rewritten");
        }
        if !self.rewrite.is_empty() && self.persistent {
            document("persistent_xml", "its definition, rewritten");
        }
        parameters
    }

    fn creates(&self) -> Vec<PlannedFile> {
        let files = &self.files;
        let planned = |role: Role, new: &NewFile, copy_bytes, carried, from: Option<&String>| PlannedFile {
            role: role.describe(),
            path: new.path.clone(),
            format: new.format.clone(),
            capacity_bytes: new.capacity_bytes,
            copy_bytes,
            base: new.base.as_ref().map(|(path, _)| path.clone()),
            carried,
            from: from.cloned(),
            temporary: files.temporary.contains(&new.path),
        };
        let carried = files.carried.iter().map(|file| {
            planned(file.role.clone(), &file.new, file.allocated_bytes, true, file.from.as_ref())
        });
        let copied = files.copied.iter().map(|disk| {
            let role = Role::Disk(disk.target.clone());
            planned(role, &disk.new, disk.allocated_bytes, false, disk.from.as_ref())
        });
        let flattened = files.flattened.iter().map(|disk| {
            planned(Role::Disk(disk.target.clone()), &disk.new, disk.allocated_bytes, false, Some(&disk.from))
        });
        carried.chain(copied).chain(flattened).collect()
    }

    fn removes(&self) -> Vec<String> {
        let mut removes = Vec::new();
        if !self.cold {
            removes.push(format!("the QEMU of {} on {}", self.name, self.source));
        }
        if self.persistent {
            removes.push(format!("the definition of {} on {}", self.name, self.source));
        }
        let nvram = self.files.carried.iter().filter(|file| file.role == Role::Nvram);
        removes.extend(nvram.map(|file| format!("{} on {}", file.new.path, self.source)));
        removes
    }

    fn leaves(&self) -> Vec<String> {
        let stays =
            self.files.carried.iter().filter(|file| file.role != Role::Nvram).map(Carried::source_path);
        stays.chain(self.files.copied.iter().map(CopiedDisk::source_path)).map(str::to_owned).collect()
    }

    fn steps(&self) -> Vec<PlannedStep> {
        let (source, destination, name) = (&self.source, &self.destination, &self.name);
        let there = self.name_there();
        let mut steps = Vec::new();
        let mut step = |host: &String, what: String| steps.push(PlannedStep { host: host.clone(), what });
        if self.autostart {
            step(source, "clear autostart, so that nothing boots a second copy".to_owned());
        }
        for file in &self.files.carried {
            step(
                destination,
                format!(
                    "make {} ({}), carry it over, and read it again there",
                    file.new.path,
                    file.role.describe()
                ),
            );
        }
        for disk in &self.files.copied {
            step(
                destination,
                format!("make an empty {} image {} for {}", disk.new.format, disk.new.path, disk.target),
            );
        }
        for disk in &self.files.flattened {
            let (from, to) = (&disk.from, &disk.new.path);
            step(
                destination,
                format!("make {to}, one image of {from} and what lies below it, and compare them"),
            );
        }
        if !self.files.temporary.is_empty() {
            step(destination, format!("remove {} again", self.files.temporary.join(", ")));
        }
        if self.cold {
            step(destination, format!("define {there}, with what libvirt knows of its snapshots"));
        } else if self.post_copy == Some(PostCopy::Now) {
            step(source, format!("have libvirt send all memory of {name} to {destination} once"));
            step(source, POST_COPY.to_owned());
        } else {
            let to = self.place_there();
            step(source, format!("have libvirt send {name} to {to}, where it arrives paused"));
            if self.post_copy == Some(PostCopy::WhenStuck) {
                step(source, format!("should the copy not converge, stop it and begin anew: {POST_COPY}"));
            }
            step(source, "prove that its QEMU has ended".to_owned());
            if self.wants_running {
                step(destination, format!("let {there} run"));
            }
        }
        if self.persistent {
            step(source, format!("make sure that the definition of {name} is gone"));
        }
        if self.autostart {
            step(destination, "set autostart as it was".to_owned());
        }
        steps
    }
}
