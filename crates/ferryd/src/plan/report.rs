//! A plan in words, for who asks what a migration will do: pure.

use api::finding::Finding;
use api::plan::{Manner, PlanReport, PlannedFile, PlannedStep};

use super::{Plan, Role};

impl Plan {
    /// Everything that it will do.
    #[must_use]
    pub fn report(&self, findings: Vec<Finding>) -> PlanReport {
        let call = self.call();
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
            findings,
        }
    }

    fn creates(&self) -> Vec<PlannedFile> {
        let carried = self
            .files
            .carried
            .iter()
            .map(|file| (file.role.describe(), &file.new, file.allocated_bytes, true));
        let copied =
            self.files.copied.iter().map(|disk| {
                (Role::Disk(disk.target.clone()).describe(), &disk.new, disk.allocated_bytes, false)
            });
        let planned = carried.chain(copied).map(|(role, new, copy_bytes, carried)| PlannedFile {
            role,
            path: new.path.clone(),
            format: new.format.clone(),
            capacity_bytes: new.capacity_bytes,
            copy_bytes,
            base: new.base.as_ref().map(|(path, _)| path.clone()),
            carried,
        });
        planned.collect()
    }

    fn removes(&self) -> Vec<String> {
        let mut removes = Vec::new();
        if !self.cold {
            removes.push(format!("the QEMU of {} on {}", self.name, self.source));
        }
        if self.persistent {
            removes.push(format!("the definition of {} on {}", self.name, self.source));
        }
        if self.removes_tpm_state && !self.cold {
            removes.push(format!("the state of its TPM on {}", self.source));
        }
        let stays_with_copy = |role: &Role| self.copy.is_some() && *role == Role::Nvram;
        let beside = self.files.carried.iter().filter(|file| !file.role.is_image());
        let beside = beside.filter(|file| !stays_with_copy(&file.role));
        removes.extend(beside.map(|file| format!("{} on {}", file.new.path, self.source)));
        if self.deletes_source_disks {
            let images = self.source_images();
            let if_unused = "unless something else uses it, or it has changed by then";
            removes.extend(images.iter().map(|(path, _)| format!("{path} on {}, {if_unused}", self.source)));
        }
        removes
    }

    fn leaves(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        if let Some(copy) = &self.copy {
            leaves.push(format!(
                "a copy of {}, stopped, as {}, under a UUID and MAC addresses of its own, without autostart and snapshots",
                self.name, copy.name
            ));
        }
        if self.copy.is_some() && self.files.has_nvram() {
            leaves.push("the variables of its firmware, for the copy".to_owned());
        }
        if !self.deletes_source_disks {
            leaves.extend(self.source_images().into_iter().map(|(path, _)| path.to_owned()));
        }
        leaves
    }

    fn steps(&self) -> Vec<PlannedStep> {
        let (source, destination, name) = (&self.source, &self.destination, &self.name);
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
        if self.cold {
            let with = if self.snapshots_dropped { "without" } else { "with" };
            step(destination, format!("define {name}, {with} what libvirt knows of its snapshots"));
        } else {
            step(source, format!("have libvirt send {name} to {destination}, where it arrives paused"));
            step(source, "prove that its QEMU has ended".to_owned());
            if self.wants_running {
                step(destination, format!("let {name} run"));
            }
        }
        if let Some(copy) = &self.copy {
            step(
                source,
                format!("define a copy of {name}, {}, under a UUID and MAC addresses of its own", copy.name),
            );
        }
        if self.persistent {
            step(source, format!("make sure that the definition of {name} is gone"));
        }
        if self.autostart {
            step(destination, "set autostart as it was".to_owned());
        }
        if self.deletes_source_disks && !self.source_images().is_empty() {
            step(source, "remove the images that were copied, once it is proven to be there".to_owned());
        }
        steps
    }
}
