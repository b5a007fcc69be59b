//! Snapshots of a domain, as libvirt has them: internal ones, in its images. Whatever changes something looks at the domain first, on
//! the same connection, so that nothing is done to one that moves.

use virt::connect::Connect;
use virt::domain::Domain;
use virt::domain_snapshot::DomainSnapshot;

use super::error::{LibvirtError, NO_SNAPSHOT, OPERATION_INVALID, XML_ERROR};
use super::ffi;
use super::host::{lookup, sight};
use super::xml::{self, XmlError};
use crate::model::DomainUuid;
use crate::model::action::{Objection, in_a_job, is_active};
use crate::model::snapshot::{self, Obstacle, Snapshot};

type Result<T> = std::result::Result<T, LibvirtError>;

/// Why nothing was done to a domain or its snapshots.
#[derive(Debug)]
pub enum Refusal {
    /// It is at work, or in a state in which that means nothing.
    Objection(Objection),
    /// It has no such snapshot.
    Absent,
    /// It has a snapshot of this name.
    Exists,
    /// No snapshot of it can be made.
    Obstacle(Obstacle),
    /// Its memory is saved: it would not fit disks that were gone back.
    SavedMemory,
}

fn unreadable(error: XmlError) -> LibvirtError {
    LibvirtError::of(XML_ERROR, error.to_string())
}

fn find(domain: &Domain, name: &str) -> Result<Option<DomainSnapshot>> {
    found(Domain::lookup_snapshot_by_name(domain, name, 0))
}

fn found(answer: std::result::Result<DomainSnapshot, virt::error::Error>) -> Result<Option<DomainSnapshot>> {
    match answer.map_err(LibvirtError::from) {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(error) if error.code == NO_SNAPSHOT => Ok(None),
        Err(error) => Err(error),
    }
}

/// What libvirt tells of a snapshot; none where it has gone meanwhile.
fn told(snapshot: &DomainSnapshot) -> Result<Option<Snapshot>> {
    let name = snapshot.name()?;
    match snapshot.xml_desc(0).map_err(LibvirtError::from) {
        Ok(text) => xml::snapshot(&name, &text).map(Some).map_err(unreadable),
        Err(error) if error.code == NO_SNAPSHOT => Ok(None),
        Err(error) => Err(error),
    }
}

/// A domain's snapshots, by name, ignoring case.
///
/// # Errors
/// What libvirt says.
pub fn all(connect: &Connect, domain: DomainUuid) -> Result<Vec<Snapshot>> {
    let all = lookup(connect, domain)?.list_all_snapshots(0)?;
    let mut all = all.iter().filter_map(|snapshot| told(snapshot).transpose()).collect::<Result<Vec<_>>>()?;
    all.sort_by_cached_key(|snapshot| (snapshot.name.to_lowercase(), snapshot.name.clone()));
    Ok(all)
}

/// The snapshot of this name.
///
/// # Errors
/// What libvirt says.
pub fn one(connect: &Connect, domain: DomainUuid, name: &str) -> Result<Option<Snapshot>> {
    let snapshot = find(&lookup(connect, domain)?, name)?;
    snapshot.as_ref().map(told).transpose().map(Option::flatten)
}

/// The snapshot that the domain's disks go on from.
///
/// # Errors
/// What libvirt says.
pub fn current(connect: &Connect, domain: DomainUuid) -> Result<Option<Snapshot>> {
    let snapshot = found(lookup(connect, domain)?.current_snapshot(0))?;
    snapshot.as_ref().map(told).transpose().map(Option::flatten)
}

/// What speaks against making a snapshot of this name.
///
/// # Errors
/// What libvirt says.
pub fn refusal(connect: &Connect, domain: DomainUuid, name: &str) -> Result<Option<Refusal>> {
    let domain = lookup(connect, domain)?;
    if in_a_job(&sight(&domain)?) {
        return Ok(Some(Refusal::Objection(Objection::Job)));
    }
    if find(&domain, name)?.is_some() {
        return Ok(Some(Refusal::Exists));
    }
    let definition = xml::definition(&domain.xml_desc(0)?).map_err(unreadable)?;
    Ok(snapshot::obstacle(&definition).map(Refusal::Obstacle))
}

/// Makes a snapshot: of one that runs with its memory, while which it stands still.
///
/// # Errors
/// What libvirt says.
pub fn make(connect: &Connect, domain: DomainUuid, name: &str) -> Result<()> {
    Ok(lookup(connect, domain)?.create_snapshot_xml(&xml::new_snapshot(name), 0).map(drop)?)
}

/// How it stands with a snapshot that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Something is at work on the domain: it may be being made.
    AtWork,
    /// It is there.
    There,
    /// It is not.
    Absent,
}

/// How it stands with a snapshot. libvirt lists one from when it begins to make it, so whether it is at that is asked first. (A domain
/// that is stopped is asked for its job, too: libvirt lets that question wait while it makes a snapshot.)
///
/// # Errors
/// What libvirt says, also that the domain is occupied for long.
pub fn standing(connect: &Connect, domain: DomainUuid, name: &str) -> Result<Standing> {
    let domain = lookup(connect, domain)?;
    match ffi::job_stats(&domain) {
        Ok((0, _)) => {}
        Ok(_) => return Ok(Standing::AtWork),
        // It does not run, and was free to say so.
        Err(error) if error.code == OPERATION_INVALID => {}
        Err(error) => return Err(error),
    }
    Ok(if find(&domain, name)?.is_some() { Standing::There } else { Standing::Absent })
}

/// Deletes a snapshot; those that build on it build on its own parent from then on.
///
/// # Errors
/// What libvirt says.
pub fn delete(connect: &Connect, domain: DomainUuid, name: &str) -> Result<Option<Refusal>> {
    let domain = lookup(connect, domain)?;
    if in_a_job(&sight(&domain)?) {
        return Ok(Some(Refusal::Objection(Objection::Job)));
    }
    let Some(snapshot) = find(&domain, name)? else { return Ok(Some(Refusal::Absent)) };
    snapshot.delete(0)?;
    Ok(None)
}

/// Goes back to a snapshot: the domain is as it was then, also in whether it runs. What was since is lost.
///
/// # Errors
/// What libvirt says.
pub fn revert(connect: &Connect, domain: DomainUuid, name: &str) -> Result<Option<Refusal>> {
    let domain = lookup(connect, domain)?;
    let seen = sight(&domain)?;
    if in_a_job(&seen) {
        return Ok(Some(Refusal::Objection(Objection::Job)));
    }
    let Some(snapshot) = find(&domain, name)? else { return Ok(Some(Refusal::Absent)) };
    if !is_active(seen.state) && domain.has_managed_save(0)? {
        return Ok(Some(Refusal::SavedMemory));
    }
    snapshot.revert(0)?;
    Ok(None)
}
