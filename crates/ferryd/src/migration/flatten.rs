//! Disks of a stopped domain that become one image: after the image and what lies below it have been carried, the destination makes
//! one of them, compares the two, and what it was made of goes again.
//!
//! | step | a crash in the middle leaves |
//! |---|---|
//! | an empty image is made where the disk is to be, by manifest | the image: it is removed and made anew |
//! | it is filled and compared | the same |
//! | that it has arrived is noted, as of a file that is carried | nothing |
//! | what it was made of is removed, by manifest | some of it: the rest is removed |

use tokio::time::Instant;

use super::carry::Halt;
use super::steps::Work;
use crate::plan::{Carried, FlattenedDisk};

impl Work {
    fn is_made_one(&self, disk: &FlattenedDisk) -> bool {
        let whole = |until: u64| until == disk.new.capacity_bytes;
        self.made(&disk.new.path).is_some_and(|made| whole(made.until) && made.there.is_some())
    }

    /// Whether there are such disks, and all of them are one image by now.
    pub(super) fn is_flattened(&self) -> bool {
        let disks = &self.plan.files.flattened;
        !disks.is_empty() && disks.iter().all(|disk| self.is_made_one(disk))
    }

    /// Makes each of them one image, and removes what they were made of.
    pub(super) async fn flatten(&mut self) -> Result<(), Halt> {
        let files = &self.plan.files;
        let (disks, temporary) = (files.flattened.clone(), files.temporary.clone());
        let is_temporary = |file: &&Carried| temporary.contains(&file.new.path);
        let parts: Vec<Carried> = files.carried.iter().filter(is_temporary).cloned().collect();
        for disk in disks {
            if !self.is_made_one(&disk) {
                self.make_one(&disk).await?;
            }
        }
        for part in parts {
            // From here on only the log knows what the source's file was.
            self.unchanged(&part).await?;
            let made = self.made(&part.new.path).cloned();
            self.remove(&part.new.path).await?.map_err(Halt::Failed)?;
            self.spent.extend(made);
        }
        Ok(())
    }

    async fn make_one(&mut self, disk: &FlattenedDisk) -> Result<(), Halt> {
        let (target, to) = (disk.target.clone(), self.plan.destination.clone());
        let message = format!("making one image of {target} on {to}");
        self.handle.update(|task| task.message = message).await?;
        let since = Instant::now();
        loop {
            self.go_on_only_if_stopped().await?;
            // One that an earlier try has begun to fill goes first.
            self.make(&disk.new, None).await?;
            let mut wishes = self.handle.wishes();
            let id = self.handle.id();
            let called_off = async { wishes.wait_for(|wish| wish.cancel).await.is_ok() };
            let made = tokio::select! {
                biased;
                true = called_off => return Err(Halt::CalledOff),
                made = self.destination.flatten_file(id, &disk.from, &disk.new) => made,
            };
            match made {
                Ok(()) => break,
                Err(error) => self.wait_for_hosts(error, since).await?,
            }
        }
        let path = &disk.new.path;
        let there = self.see(&self.destination, path).await?;
        self.note_arrived(path, disk.new.capacity_bytes, there).await?;
        Ok(())
    }
}
