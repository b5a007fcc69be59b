//! How a clone is made: each part is a copy of the original's, and the original must not change meanwhile.

use async_trait::async_trait;
use tokio::sync::mpsc;
use virt::connect::Connect;

use crate::hypervisor::{CopyIdentity, FileSight, NewFile, Span};
use crate::libvirt::clone::{self, Copied};
use crate::libvirt::error::{HostError, LibvirtError, VOLUME_EXISTS};
use crate::lifecycle::making::{CALL_LIMIT, Fault, Made, Maker, Recipe, Site, Words};
use crate::model::TaskId;
use crate::model::clone::{ClonePlan, Part};

/// Makes clones: the runner of their tasks.
pub type Cloner = Maker<ClonePlan>;

#[async_trait]
impl Recipe for ClonePlan {
    type Part = Part;
    const STEPS: (&'static str, &'static str) = ("clone-copy", "clone-define");

    fn host(&self) -> &str {
        &self.host
    }

    fn identity(&self) -> &CopyIdentity {
        &self.identity
    }

    fn parts(&self) -> Vec<Part> {
        self.parts.clone()
    }

    fn words(&self) -> Words {
        let (name, made) = (&self.name, &self.identity.name);
        Words {
            under_way: format!("{name} is being cloned as {made}"),
            parts: "the disks are copied",
            done: format!("{name} is cloned: {made} is on {}", self.host),
            not: format!("{name} is not cloned"),
        }
    }

    /// Copies a part, and sees that nobody wrote to it meanwhile.
    async fn make(&self, part: &Part, site: &mut Site) -> Result<Option<Made>, Fault> {
        let before = sight(site, part).await?;
        let Some(path) = copy(site, part).await? else { return Ok(None) };
        if sight(site, part).await? != before {
            return Err(Fault::Failed(format!("{} was written to while it was copied", part.original)));
        }
        Ok(Some(Made { path, bytes: before.map_or(0, |seen| seen.allocated_bytes) }))
    }

    fn define(&self, connect: &Connect, _task: TaskId, made: &[(Part, String)]) -> Result<(), LibvirtError> {
        clone::define(connect, self, made)
    }

    fn remove(connect: &Connect, task: TaskId, part: &Part) -> Result<(), LibvirtError> {
        clone::remove_part(connect, task, part)
    }
}

/// The path of the copy; none where there is nothing to copy.
async fn copy(site: &mut Site, part: &Part) -> Result<Option<String>, Fault> {
    let (task, own, link) = (site.handle.id(), part.clone(), site.member.link());
    // As long as it takes: libvirt cannot be asked to stop.
    let copying = link.long_call("copy a volume", move |connect| clone::copy_part(connect, task, &own)).await;
    match copying {
        Ok(Copied::Whole(path)) => Ok(Some(path)),
        Ok(Copied::Nothing) => Ok(None),
        Ok(Copied::NoRoom { pool, needed_bytes, available_bytes }) => {
            let evidence = format!("{needed_bytes} bytes are needed, {available_bytes} are free");
            Err(Fault::NoRoom(format!("the storage pool {pool}"), evidence))
        }
        Ok(Copied::ByBytes { from, into }) => carry(site, &from, &into).await.map(Some),
        Err(error) if error.libvirt_code() == Some(VOLUME_EXISTS) => Err(Fault::Foreign(error.cause())),
        Err(error) if error.is_no_room() => {
            Err(Fault::NoRoom(format!("where {} is", part.original), error.cause()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Carries a file byte by byte.
async fn carry(site: &mut Site, from: &str, into: &NewFile) -> Result<String, Fault> {
    let (task, host) = (site.handle.id(), site.member.hypervisor());
    host.make_file(task, into).await?;
    let span = Span { offset: 0, length: into.capacity_bytes };
    let (sink, pieces) = mpsc::channel(4);
    let tenure = site.handle.tenure();
    let both = async {
        let write = host.write_file(task, &into.path, span, pieces, tenure);
        tokio::join!(host.read_file(task, from, span, sink), write)
    };
    let mut wishes = site.handle.wishes();
    let cancelled = async {
        // An error: the engine is gone, and this with it.
        let _ = wishes.wait_for(|wish| wish.cancel).await;
    };
    tokio::select! {
        (read, written) = both => { read?; written?; }
        () = cancelled => return Err(Fault::Cancelled),
    }
    Ok(into.path.clone())
}

async fn sight(site: &Site, part: &Part) -> Result<Option<FileSight>, HostError> {
    let (task, original) = (site.handle.id(), part.original.clone());
    let link = site.member.link();
    let look = link.long_call_within("look at a volume", CALL_LIMIT, move |connect| {
        clone::part_sight(connect, task, &original)
    });
    look.await
}
