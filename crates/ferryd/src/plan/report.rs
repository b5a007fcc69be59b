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
            let transport = call.transport.parameters();
            parameters
                .extend(transport.iter().map(|(name, value)| (name.name().to_owned(), value.to_string())));
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
        let nvram = self.files.carried.iter().filter(|file| file.role == Role::Nvram);
        removes.extend(nvram.map(|file| format!("{} on {}", file.new.path, self.source)));
        removes
    }

    fn leaves(&self) -> Vec<String> {
        let stays =
            self.files.carried.iter().filter(|file| file.role != Role::Nvram).map(|file| &file.new.path);
        stays.chain(self.files.copied.iter().map(|disk| &disk.new.path)).cloned().collect()
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
            step(destination, format!("define {name}, with what libvirt knows of its snapshots"));
        } else {
            let how = self.transport.describe();
            let how = if how.is_empty() { how } else { format!(" {how},") };
            step(source, format!("have libvirt send {name} to {destination},{how} where it arrives paused"));
            step(source, "prove that its QEMU has ended".to_owned());
            if self.wants_running {
                step(destination, format!("let {name} run"));
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
