//! What libvirt keeps of a stopped domain in files beside its definition.

use crate::model::DomainUuid;
use crate::model::definition::Definition;

/// Where libvirt's system daemon keeps the states of emulated TPMs, a directory for each domain (by its UUID).
pub const TPM_STATES: &str = "/var/lib/libvirt/swtpm";
/// Where it keeps saved memory, a file for each domain (by its name).
pub const SAVES: &str = "/var/lib/libvirt/qemu/save";

/// The state of an emulated TPM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TpmState {
    /// Where it is: a directory, or (where the definition says so) a file.
    pub place: String,
    /// Its files; none where the domain has not been started yet.
    pub files: Vec<String>,
    /// Why it could not be looked at.
    pub unread: Option<String>,
}

impl TpmState {
    /// The place where libvirt keeps that of a domain, unless its definition names another.
    #[must_use]
    pub fn usual_place(domain: DomainUuid) -> String {
        format!("{TPM_STATES}/{domain}")
    }
}

/// Memory of a domain that was saved (`virDomainManagedSave`), and is loaded at its next start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedMemory {
    /// The file it is in.
    pub path: String,
    /// What it was saved with: the domain as it ran, and will run.
    pub definition: Option<Definition>,
    /// The program that libvirt needs to read it, where it is compressed.
    pub compressed_by: Option<String>,
    /// Why it could not be looked at.
    pub unread: Option<String>,
}

impl SavedMemory {
    /// Where libvirt keeps that of a domain of this name.
    #[must_use]
    pub fn usual_path(name: &str) -> String {
        format!("{SAVES}/{name}.save")
    }
}
