//! A plan in words, for who asks what a migration will do: pure.

use api::finding::Finding;
use api::plan::{Manner, PlanReport, PlannedFile};
use api::task::PostCopy;

use super::{Plan, Rewrite, Role};
use crate::hypervisor::NewFile;

impl Plan {
    /// Everything that it will do.
    #[must_use]
    pub fn report(&self, findings: Vec<Finding>) -> PlanReport {
        let call = if self.post_copy == Some(PostCopy::Now) { self.post_copy_call() } else { self.call() };
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
            let after = call.bandwidth_mib_s.filter(|_| call.post_copy);
            parameters.extend(after.map(|mib_s| ("bandwidth.postcopy".to_owned(), format!("{mib_s} MiB/s"))));
            let transport = call.transport.parameters();
            parameters
                .extend(transport.iter().map(|(name, value)| (name.name().to_owned(), value.to_string())));
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
        // (libvirt copies those of a guest that runs, and takes none away.)
        let nvram_stays = self.files.nvram_stays.as_ref();
        if self.copy.is_some() && (self.files.has_nvram() || nvram_stays.is_some()) {
            leaves.push("the variables of its firmware, for the copy".to_owned());
        } else if let Some(path) = nvram_stays {
            leaves.push(format!("{path}, the variables of its firmware: the destination has its own"));
        }
        if !self.deletes_source_disks {
            leaves.extend(self.source_images().into_iter().map(|(path, _)| path.to_owned()));
        }
        leaves
    }
}
