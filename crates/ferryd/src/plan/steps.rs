//! What a migration does, step by step, in words: pure.

use api::plan::PlannedStep;
use api::task::PostCopy;

use super::Plan;

const POST_COPY: &str =
    "switch to post-copy: the guest goes on at the destination, and what it has rewritten meanwhile follows";

/// Steps that are told, in their order.
struct Steps(Vec<PlannedStep>);

impl Steps {
    fn add(&mut self, host: &str, what: impl Into<String>) {
        self.0.push(PlannedStep { host: host.to_owned(), what: what.into() });
    }
}

impl Plan {
    /// All that is done, on which host.
    pub(super) fn steps(&self) -> Vec<PlannedStep> {
        let mut steps = Steps(Vec::new());
        self.prepared(&mut steps);
        self.sent(&mut steps);
        self.settled(&mut steps);
        steps.0
    }

    /// The limit of the bandwidth that Ferry keeps to itself; libvirt's is a parameter.
    fn limit_in_words(&self) -> String {
        self.bandwidth_mib_s.map_or_else(String::new, |mib_s| format!(" (at most {mib_s} MiB/s)"))
    }

    fn prepared(&self, steps: &mut Steps) {
        let (source, destination, name) = (&self.source, &self.destination, &self.name);
        if self.autostart {
            steps.add(source, "clear autostart, so that nothing boots a second copy");
        }
        if self.snapshots_aside {
            steps
                .add(source, format!("have libvirt forget the snapshots of {name}, or it would not move it"));
        }
        if !self.files.is_empty() {
            let both = "over directories in which no storage pool is, transient ones are made for the while (ferry-…)";
            steps.add(&format!("{source} and {destination}"), both);
        }
        for file in &self.files.carried {
            steps.add(
                destination,
                format!(
                    "make {} ({}), carry it over{}, and read it again there",
                    file.new.path,
                    file.role.describe(),
                    self.limit_in_words()
                ),
            );
        }
        for disk in &self.files.copied {
            steps.add(
                destination,
                format!("make an empty {} image {} for {}", disk.new.format, disk.new.path, disk.target),
            );
        }
        for disk in &self.files.flattened {
            let (from, to) = (&disk.from, &disk.new.path);
            steps.add(
                destination,
                format!("make {to}, one image of {from} and what lies below it, and compare them"),
            );
        }
        if !self.files.temporary.is_empty() {
            steps.add(destination, format!("remove {} again", self.files.temporary.join(", ")));
        }
    }

    fn sent(&self, steps: &mut Steps) {
        let (source, destination, name) = (&self.source, &self.destination, &self.name);
        let there = self.name_there();
        if self.cold {
            let with = if self.snapshots_dropped { "without" } else { "with" };
            steps.add(destination, format!("define {there}, {with} what libvirt knows of its snapshots"));
        } else if self.post_copy == Some(PostCopy::Now) {
            steps.add(source, format!("have libvirt send all memory of {name} to {destination} once"));
            steps.add(source, POST_COPY);
        } else {
            let to = self.place_there();
            let how = self.transport.describe();
            let how = if how.is_empty() { how } else { format!(" {how},") };
            steps.add(source, format!("have libvirt send {name} to {to},{how} where it arrives paused"));
            if let Some(ms) = self.max_downtime_ms {
                steps.add(source, format!("let {name} stand for {ms} ms at most while the last of it goes over (virDomainMigrateSetMaxDowntime)"));
            }
            if self.post_copy == Some(PostCopy::WhenStuck) {
                steps.add(
                    source,
                    format!("should the copy not converge, stop it and begin anew with VIR_MIGRATE_POSTCOPY: {POST_COPY}"),
                );
            }
            steps.add(source, "prove that its QEMU has ended");
            if self.wants_running {
                steps.add(destination, format!("let {there} run"));
            }
        }
    }

    fn settled(&self, steps: &mut Steps) {
        let (source, destination, name) = (&self.source, &self.destination, &self.name);
        if let Some(copy) = &self.copy {
            steps.add(
                source,
                format!("define a copy of {name}, {}, under a UUID and MAC addresses of its own", copy.name),
            );
        }
        if self.persistent {
            steps.add(source, format!("make sure that the definition of {name} is gone"));
        }
        if self.autostart {
            steps.add(destination, "set autostart as it was");
        }
        if self.snapshots_aside && !self.snapshots_dropped {
            steps.add(destination, format!("make the snapshots of {name} known to libvirt"));
        }
        if self.deletes_source_disks && !self.source_images().is_empty() {
            steps.add(source, "remove the images that were copied, once it is proven to be there");
        }
    }
}
