//! What libvirt keeps of a stopped domain in files beside its definition: the state of its emulated TPM, and saved memory.

use super::questions::{Stopwatch, run};
use crate::inventory::member::Member;
use crate::model::facts::{DomainFacts, TpmState};
use crate::ssh::scripts;

/// Adds to a stopped domain what is kept beside its definition; what could not be looked at is noted.
pub(super) async fn read(host: &Member, domain: &mut DomainFacts, watch: &Stopwatch) {
    if domain.is_active() {
        return;
    }
    let tpm = domain.definition.tpm.as_ref().filter(|tpm| tpm.backend == "emulator");
    let place = tpm.map(|tpm| tpm.path.clone().unwrap_or_else(|| TpmState::usual_place(domain.uuid)));
    let saved = domain.saved.as_ref().map(|saved| saved.path.clone());
    if place.is_none() && saved.is_none() {
        return;
    }
    let unread = if host.uri().path() != "/system" {
        Some("it is kept by a user's own libvirt (a session)")
    } else if host.session().is_none() {
        Some("the host offers no shell to look by")
    } else {
        None
    };
    let found = if unread.is_none() {
        let script = scripts::kept(place.as_deref(), saved.as_deref());
        let output = run(host, "what is kept beside its definition", &script, watch).await;
        output.and_then(|output| scripts::parse_kept(&output))
    } else {
        None
    };
    let why = || unread.unwrap_or("the host's shell did not tell").to_owned();
    domain.tpm_state = place.map(|place| match &found {
        Some(found) => TpmState { place, files: found.tpm_files.clone(), unread: found.tpm_unread.clone() },
        None => TpmState { place, files: Vec::new(), unread: Some(why()) },
    });
    if let Some(saved) = &mut domain.saved {
        match found.and_then(|found| found.saved) {
            Some(Ok(compressed_by)) => saved.compressed_by = compressed_by,
            Some(Err(told)) => saved.unread = Some(told),
            None => saved.unread = Some(why()),
        }
    }
}
