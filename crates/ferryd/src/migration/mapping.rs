//! What of a request says how the definition is another one on the destination: read, and held against the domain. Pure.

mod hardware;

use std::collections::{BTreeMap, BTreeSet};

use api::preflight::PreflightRequest;
use api::problem::{Code, Problem};
use api::task::MigrationRequest;

use super::bad_value;
use crate::model::definition::{Definition, Drive, Link};
use crate::model::facts::{DomainFacts, Facts, Wanted};
use crate::plan::{Patch, Rewrite, RewriteError, rewrite};

/// Longest name: libvirt keeps a definition in a file called after it.
const NAME_LIMIT_BYTES: usize = 240;

/// A mapping of names.
type Names = BTreeMap<String, String>;

/// The definition as a migration is to change it.
///
/// # Errors
/// A value that cannot be used, whatever the domain is.
pub(super) fn of_migration(request: &MigrationRequest) -> Result<Rewrite, Problem> {
    let maps = [&request.network, &request.bridge, &request.graphics_listen];
    asked(maps, &request.eject, request.rename.as_deref(), request.xml_patch.as_deref())
}

/// The same for a check.
///
/// # Errors
/// As [`of_migration`].
pub(super) fn of_check(request: &PreflightRequest) -> Result<Rewrite, Problem> {
    let maps = [&request.network, &request.bridge, &request.graphics_listen];
    asked(maps, &request.eject, request.rename.as_deref(), request.xml_patch.as_deref())
}

/// Where SPICE clients are sent to, as libvirt reads it (`qemuMigrationDstGraphicsRelocate` takes a scheme of libvirt's kinds of screens, and
/// sends the clients of none but SPICE).
///
/// # Errors
/// A value that cannot be used.
pub(super) fn graphics_uri_fits(uri: Option<&str>) -> Result<(), Problem> {
    let Some(uri) = uri else { return Ok(()) };
    let fits = uri.starts_with("spice://")
        && uri.len() <= 256
        && uri.parse::<axum::http::Uri>().is_ok_and(|uri| {
            let host = uri.host().is_some_and(|host| !host.is_empty());
            let port = uri.authority().is_some_and(|authority| {
                let after = authority.as_str().strip_prefix(uri.host().unwrap_or_default()).unwrap_or("?");
                after.is_empty() || authority.port_u16().is_some_and(|port| port > 0)
            });
            host && port
        });
    if fits {
        return Ok(());
    }
    Err(bad_value("graphics_uri", "graphics_uri must be spice://HOST[:PORT][?tlsPort=PORT].".to_owned()))
}

fn asked(
    maps: [&Names; 3],
    eject: &[String],
    rename: Option<&str>,
    patch: Option<&str>,
) -> Result<Rewrite, Problem> {
    let [networks, bridges, graphics_listen] = maps;
    for (field, map) in [("network", networks), ("bridge", bridges), ("graphics_listen", graphics_listen)] {
        map.iter().try_for_each(|(old, new)| word(field, old).and(word(field, new)))?;
    }
    eject.iter().try_for_each(|drive| word("eject", drive))?;
    rename.map(name).transpose()?;
    let unreadable = |error: crate::plan::PatchError| bad_value("xml_patch", sentence(&error));
    Ok(Rewrite {
        name: rename.map(str::to_owned),
        networks: networks.clone(),
        bridges: bridges.clone(),
        graphics_listen: graphics_listen.clone(),
        eject: eject.iter().cloned().collect(),
        patch: patch.map(Patch::read).transpose().map_err(unreadable)?,
        ..Rewrite::default()
    })
}

/// The name of a network or bridge, or an address.
fn word(field: &str, word: &str) -> Result<(), Problem> {
    if word.is_empty() || word.len() > 256 || word.chars().any(char::is_control) {
        let detail = format!("Names in {field} are of 1 to 256 bytes, without control characters.");
        return Err(bad_value(field, detail));
    }
    Ok(())
}

/// libvirt takes no slash in a name, and keeps the definition in a file of that name.
fn name(name: &str) -> Result<(), Problem> {
    let unfit = name.chars().any(|c| c.is_control() || c == '/') || name.starts_with(['-', '.']);
    if name.trim().is_empty() || name.trim() != name || name.len() > NAME_LIMIT_BYTES || unfit {
        let detail = format!(
            "rename must be a name of 1 to {NAME_LIMIT_BYTES} bytes without `/`, control characters and space around it, that \
             begins neither with `-` nor with `.`."
        );
        return Err(bad_value("rename", detail));
    }
    Ok(())
}

fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// What was asked for fits the domain, where that is known: what is mapped it has, the patch applies to each of its documents, and saved
/// memory finds what it was saved with.
///
/// # Errors
/// Names what does not fit, and what the domain has.
pub(super) fn fits_domain(asked: &Rewrite, facts: &Facts) -> Result<(), Problem> {
    let Some(domain) = &facts.domain else { return Ok(()) };
    fits(asked, domain)?;
    fits_saved_memory(&facts.wanted, asked, domain)
}

fn fits(asked: &Rewrite, domain: &DomainFacts) -> Result<(), Problem> {
    if asked.is_empty() {
        return Ok(());
    }
    let definitions = || std::iter::once(&domain.definition).chain(&domain.next_start);
    let all = |of: fn(&Definition) -> Vec<&str>| definitions().flat_map(of).collect::<BTreeSet<&str>>();
    let vm = &domain.name;
    known("network", "network", asked.networks.keys(), &all(networks), vm)?;
    known("bridge", "bridge", asked.bridges.keys(), &all(bridges), vm)?;
    known("graphics_listen", "screen that listens on", asked.graphics_listen.keys(), &all(addresses), vm)?;
    known("eject", "CD-ROM or floppy drive", asked.eject.iter(), &all(drives), vm)?;
    let documents = [Some(&domain.xml), domain.migratable_xml.as_ref(), domain.persistent_xml.as_ref()];
    documents.into_iter().flatten().try_for_each(|xml| applies(asked, xml))?;
    domain.migratable_xml.as_ref().map_or(Ok(()), |xml| keeps_hardware(asked, xml, &domain.name))
}

/// What goes on from saved memory goes on as it was saved: under its name, on its networks and disks.
fn fits_saved_memory(wanted: &Wanted, asked: &Rewrite, domain: &DomainFacts) -> Result<(), Problem> {
    let changes = !asked.is_empty() || !wanted.storage.is_empty() || wanted.flatten;
    if domain.saved.is_none() || !changes {
        return Ok(());
    }
    let detail = format!(
        "{} goes on from saved memory, and so as it was saved: under its name, with its networks and disks where they were. Start it first \
         (virsh start), or give its saved memory up (virsh managedsave-remove). Nothing was changed.",
        domain.name
    );
    Err(bad_value("vm", detail))
}

/// A guest that runs keeps the machine that it runs on.
fn keeps_hardware(asked: &Rewrite, xml: &str, vm: &str) -> Result<(), Problem> {
    let changed = hardware::changed(xml, &rewrite(xml, asked).map_err(unfit)?);
    if changed.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "{vm} runs, and keeps its virtual hardware while it moves: the patch changes {}. Move it stopped, or leave that out of the \
         patch. Nothing was changed.",
        changed.join(", ")
    );
    Err(bad_value("xml_patch", detail))
}

fn known<'a>(
    field: &str,
    what: &str,
    mut asked: impl Iterator<Item = &'a String>,
    has: &BTreeSet<&str>,
    vm: &str,
) -> Result<(), Problem> {
    let Some(unknown) = asked.find(|old| !has.contains(old.as_str())) else { return Ok(()) };
    let has: Vec<&str> = has.iter().copied().collect();
    let has = if has.is_empty() { "it has none".to_owned() } else { format!("it has {}", has.join(", ")) };
    Err(bad_value(field, format!("{vm} has no {what} {unknown}: {has}. Nothing was changed.")))
}

fn networks(definition: &Definition) -> Vec<&str> {
    let linked = definition.interfaces.iter().filter_map(|interface| match &interface.link {
        Link::Network { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let listened = definition.graphics.iter().filter_map(|screen| screen.listen_network.as_deref());
    linked.chain(listened).collect()
}

fn bridges(definition: &Definition) -> Vec<&str> {
    let linked = definition.interfaces.iter().filter_map(|interface| match &interface.link {
        Link::Bridge(name) => Some(name.as_str()),
        _ => None,
    });
    linked.collect()
}

fn addresses(definition: &Definition) -> Vec<&str> {
    definition.graphics.iter().filter_map(|screen| screen.listen.as_deref()).collect()
}

fn drives(definition: &Definition) -> Vec<&str> {
    let removable = definition.disks.iter().filter(|disk| matches!(disk.drive, Drive::Cdrom | Drive::Floppy));
    removable.map(|disk| disk.target.as_str()).collect()
}

fn applies(asked: &Rewrite, xml: &str) -> Result<(), Problem> {
    let Some(patch) = &asked.patch else { return rewrite(xml, asked).map(drop).map_err(unfit) };
    let mapped = rewrite(xml, &Rewrite { patch: None, ..asked.clone() }).map_err(unfit)?;
    let patched = rewrite(&mapped, &Rewrite { patch: Some(patch.clone()), ..Rewrite::default() });
    let files = |xml: &str| crate::libvirt::xml::definition(xml).ok().map(|read| files_of(&read));
    if files(&mapped) == files(&patched.map_err(unfit)?) {
        return Ok(());
    }
    let detail = "The patch changes where the data of a disk, or the variables of the firmware, are: those are moved to where \
                  they are now, and the definition would lead elsewhere. Leave that out of the patch. Nothing was changed.";
    Err(bad_value("xml_patch", detail.to_owned()))
}

/// Where a domain keeps its data.
fn files_of(definition: &Definition) -> BTreeSet<String> {
    let disks = definition.disks.iter().map(|disk| format!("{}: {}", disk.target, disk.source.describe()));
    disks.chain(definition.firmware.nvram.clone()).collect()
}

/// The problem of a definition that cannot be rewritten.
pub(super) fn unfit(error: RewriteError) -> Problem {
    match &error {
        RewriteError::Patch(_) => {
            bad_value("xml_patch", format!("{} Nothing was changed.", sentence(&error)))
        }
        RewriteError::Broken(_) => {
            Problem::new(Code::BadValue, format!("{} Nothing was changed.", sentence(&error)))
        }
        RewriteError::NotXml(_) | RewriteError::NotADomain => {
            Problem::new(Code::Internal, format!("{} Nothing was changed.", sentence(&error)))
        }
    }
}

#[cfg(test)]
mod tests;
