//! What becomes of the source once the destination has the domain: pure.

use super::{Plan, Role};
use crate::hypervisor::{CopyIdentity, Undefine};
use crate::model::DomainUuid;
use crate::model::definition::Definition;
use crate::model::facts::{DomainFacts, Facts, Sharing, TpmState, is_networked};

impl Plan {
    /// Has a copy of the domain stay on the source under this UUID and a name that none of these is.
    pub fn leave_copy(&mut self, uuid: DomainUuid, definition: &Definition, taken: &[&str]) {
        let plain = format!("{}-copy", self.name);
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        let name = names.find(|name| !taken.contains(&name.as_str())).unwrap_or(plain);
        let macs = (0_u8..).zip(&definition.interfaces).map(|(at, _)| mac(uuid, at)).collect();
        self.copy = Some(CopyIdentity { uuid, name, macs });
    }

    /// The source's images that were copied, with whether each lies below others: those come last.
    #[must_use]
    pub fn source_images(&self) -> Vec<(&str, bool)> {
        let is_base = |role: &Role| matches!(role, Role::Base(_));
        let copied = self.files.copied.iter().map(|disk| (disk.source_path(), false));
        // They were carried the lowest first.
        let carried = self.files.carried.iter().rev().filter(|file| file.role.is_image());
        let carried = carried.map(|file| (file.source_path(), is_base(&file.role)));
        let mut images: Vec<(&str, bool)> = copied.chain(carried).collect();
        images.sort_by_key(|(_, is_base)| *is_base);
        images
    }

    /// What goes with the source's definition. `arrived`: a stopped domain has everything on the destination.
    #[must_use]
    pub fn goes_from_source(&self, arrived: bool) -> Undefine {
        let whole = self.cold && arrived;
        Undefine {
            // A copy goes on with them.
            nvram: self.files.has_nvram() && arrived && self.copy.is_none(),
            snapshots: whole || self.found_twice,
            tpm: self.removes_tpm_state && (whole || !self.cold),
            saved: self.files.has_saved_memory() && whole,
        }
    }

    /// What goes with the destination's definition, where the domain stays at the source; files that were carried go by manifest.
    #[must_use]
    pub fn goes_from_destination(&self) -> Undefine {
        Undefine {
            nvram: false,
            snapshots: self.cold || self.found_twice,
            tpm: self.removes_tpm_state && !self.cold,
            saved: self.files.has_saved_memory(),
        }
    }
}

/// A MAC address of QEMU's range out of a UUID, which is as good as drawn by lot.
fn mac(uuid: DomainUuid, at: u8) -> String {
    let bytes = uuid.0.as_bytes();
    format!("52:54:00:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2].wrapping_add(at))
}

/// Whether the state of an emulated TPM is each host's own. (libvirt, too, takes it for shared where its file system is one of the
/// network.)
pub(super) fn removes_tpm_state(facts: &Facts, domain: &DomainFacts) -> bool {
    let Some(tpm) = domain.definition.tpm.as_ref().filter(|tpm| tpm.backend == "emulator") else {
        return false;
    };
    let place = tpm.path.clone().unwrap_or_else(|| TpmState::usual_place(domain.uuid));
    let seen = facts.source.shell().and_then(|shell| shell.path(&place));
    let is_of_network = seen.is_none_or(|seen| is_networked(&seen.filesystem));
    let files = domain.tpm_state.iter().flat_map(|state| &state.files);
    let sharing = facts.meeting.iter().flat_map(|meeting| &meeting.sharing);
    let shared = sharing.filter(|(_, sharing)| !matches!(sharing, Sharing::Missing)).map(|(path, _)| path);
    let shared: Vec<&String> = shared.collect();
    !is_of_network && !files.into_iter().any(|file| shared.contains(&file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::NewFile;
    use crate::model::definition::Interface;
    use crate::plan::{Carried, CopiedDisk, Files};

    fn plan() -> Plan {
        let file = |role, path: &str| Carried {
            role,
            new: NewFile { path: path.to_owned(), ..NewFile::default() },
            allocated_bytes: 1,
            from: None,
        };
        let of = |name: &str| name.to_owned();
        let files = Files {
            carried: vec![
                file(Role::Base(of("vda")), "/lowest"),
                file(Role::Base(of("vda")), "/low"),
                file(Role::Disk(of("vda")), "/top"),
                file(Role::Nvram, "/nvram"),
                file(Role::SavedMemory, "/saved"),
            ],
            ..Files::default()
        };
        let plan = serde_json::json!({
            "domain": uuid::Uuid::nil(), "name": "web1", "source": "kvm1", "destination": "kvm2", "peer_uri": "",
            "wants_running": false, "cold": true, "persistent": true, "autostart": false, "definition": null,
            "max_downtime_ms": null, "bandwidth_mib_s": null, "tunnelled": false,
        });
        Plan { files, ..serde_json::from_value(plan).expect("a plan of an earlier Ferry is read") }
    }

    #[test]
    fn images_are_removed_from_the_top_down() {
        let mut plan = plan();
        let paths =
            |plan: &Plan| plan.source_images().iter().map(|(path, _)| (*path).to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(&plan), ["/top", "/low", "/lowest"]);
        let new = NewFile { path: "/copied".to_owned(), ..NewFile::default() };
        plan.files.copied =
            vec![CopiedDisk { target: "vdb".to_owned(), new, allocated_bytes: 1, from: None }];
        assert_eq!(paths(&plan)[0], "/copied");
    }

    #[test]
    fn nothing_of_the_sources_goes_before_everything_is_there() {
        let mut plan = plan();
        plan.removes_tpm_state = true;
        assert_eq!(plan.goes_from_source(false), Undefine::default());
        let all = Undefine { nvram: true, snapshots: true, tpm: true, saved: true };
        assert_eq!(plan.goes_from_source(true), all);
        plan.leave_copy(DomainUuid(uuid::Uuid::nil()), &Definition::default(), &[]);
        assert!(!plan.goes_from_source(true).nvram, "the copy has them");
    }

    #[test]
    fn a_copy_has_a_name_and_addresses_of_its_own() {
        let mut plan = plan();
        let interfaces = vec![Interface::default(), Interface::default()];
        let definition = Definition { interfaces, ..Definition::default() };
        let uuid = DomainUuid(uuid::Uuid::from_u128(0xabcd_ffff << 96));
        plan.leave_copy(uuid, &definition, &["web1", "web1-copy", "web1-copy-2"]);
        let copy = plan.copy.expect("a copy");
        assert_eq!(copy.name, "web1-copy-3");
        assert_eq!(copy.macs, ["52:54:00:ab:cd:ff", "52:54:00:ab:cd:00"]);
    }
}
