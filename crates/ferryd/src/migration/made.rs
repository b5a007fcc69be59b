//! The files that a task makes on its destination: made where nothing was, known again, and removed. What the log says of them is in
//! `manifest`; how they are filled, in `carry`.

use api::task::{Location, Side};
use tokio::time::Instant;

use super::carry::Halt;
use super::copy::Copy;
use super::knowledge::Came;
use super::manifest::{Arrived, CARRIED, Known, MADE, MAKE, Made, Making, REMOVE};
use super::outcome::Ending;
use super::steps::Work;
use crate::hypervisor::{FileIdentity, FileSight, NewFile};
use crate::libvirt::error::HostError;
use crate::task::Stop;

impl Work {
    /// Storage pools that were made for the while go when they are not needed any more. What fails is done again at the end.
    pub(super) async fn release_pools(&self) -> [bool; 2] {
        let id = self.handle.id();
        let (here, there) = tokio::join!(self.source.release_pools(id), self.destination.release_pools(id));
        for error in [&here, &there].into_iter().filter_map(|result| result.as_ref().err()) {
            tracing::debug!(migration.id = %id, error = %error.cause(), "a storage pool of this task's is still there");
        }
        [here.is_ok(), there.is_ok()]
    }

    pub(super) fn made(&self, path: &str) -> Option<&Made> {
        self.made.iter().find(|made| made.path() == path)
    }

    /// Makes a file where nothing is. What an earlier try may have made goes first: its size may be another's.
    pub(super) async fn make(&mut self, file: &NewFile, seen: Option<FileSight>) -> Result<(), Halt> {
        let id = self.handle.id();
        let since = Instant::now();
        let mut unanswered = false;
        loop {
            if self.made(&file.path).is_some() {
                self.remove(&file.path).await?.map_err(Halt::Failed)?;
            }
            if self.see(&self.destination, &file.path).await?.is_some() {
                let what = format!("{} is there already: nothing was written over it", file.path);
                return Err(Halt::Failed(self.of_destination(what)));
            }
            let looked = Instant::now();
            let making = Making { file: file.clone(), seen };
            let seq = self.handle.intend(MAKE, &making).await?;
            if looked.elapsed() > self.timing.stale {
                self.handle.came_to(MAKE, seq, &Came::NotSent).await?;
                continue;
            }
            self.made.push(Made::perhaps(file.clone(), seen));
            let result = self.destination.make_file(id, file).await;
            let came = match Came::to(&result) {
                // An earlier order of this task's that got no answer may have been carried out by now: it may be that file.
                Came::Refused(why) if unanswered => Came::Failed(why),
                came => came,
            };
            unanswered |= result.as_ref().is_err_and(|error| error.libvirt_code().is_none());
            if matches!(came, Came::Refused(_)) {
                self.made.retain(|made| made.path() != file.path);
            }
            self.handle.came_to(MAKE, seq, &came).await?;
            match result {
                Ok(()) => {
                    let of_path = self.made.iter_mut().filter(|made| made.path() == file.path);
                    of_path.for_each(|made| made.sure = true);
                    return Ok(self.note_identity(&file.path).await?);
                }
                Err(error) => self.wait_for_hosts(error, since).await?,
            }
        }
    }

    /// Stores what a file that was just made is known by, where the host tells; the rest of what is known of it does without.
    async fn note_identity(&mut self, path: &str) -> Result<(), Stop> {
        let identity = self.destination.identity(self.handle.id(), path).await;
        let Ok(Some(FileIdentity { node: Some(node), .. })) = identity else { return Ok(()) };
        let seq = self.handle.intend(MADE, &Known { path: path.to_owned(), node }).await?;
        self.handle.came_to(MADE, seq, &Came::Done).await?;
        self.made.iter_mut().filter(|made| made.path() == path).for_each(|made| made.node = Some(node));
        Ok(())
    }

    pub(super) async fn remove(&mut self, path: &str) -> Result<Result<(), HostError>, Stop> {
        let (id, looked) = (self.handle.id(), Instant::now());
        let Some(made) = self.made(path).cloned() else { return Ok(Ok(())) };
        let there = match made.is_there(self.destination.as_ref(), id).await {
            Ok(Some(seen)) => seen,
            Ok(None) => {
                self.made.retain(|made| made.path() != path);
                return Ok(Ok(()));
            }
            Err(error) => return Ok(Err(error)),
        };
        let going = Arrived { path: path.to_owned(), until: 0, there: Some(there) };
        let seq = self.handle.intend(REMOVE, &going).await?;
        // A controller that stood still since acts on nothing: another may have gone on with the file.
        if looked.elapsed() > self.timing.stale {
            self.handle.came_to(REMOVE, seq, &Came::NotSent).await?;
            return Ok(Err(HostError::timed_out(&self.plan.destination, "remove a file", self.timing.stale)));
        }
        self.made.iter_mut().filter(|made| made.path() == path).for_each(|made| made.going = Some(there));
        let result = self.destination.remove_file(id, path).await;
        if result.is_ok() {
            self.made.retain(|made| made.path() != path);
        }
        self.handle.came_to(REMOVE, seq, &Came::to(&result)).await?;
        Ok(result)
    }

    /// Stores that a file is there up to a byte.
    pub(super) async fn note_arrived(
        &mut self,
        path: &str,
        until: u64,
        there: Option<FileSight>,
    ) -> Result<(), Stop> {
        let seq = self.handle.intend(CARRIED, &Arrived { path: path.to_owned(), until, there }).await?;
        self.handle.came_to(CARRIED, seq, &Came::Done).await?;
        let of_path = self.made.iter_mut().filter(|made| made.path() == path);
        of_path.for_each(|made| (made.until, made.there) = (until, there));
        Ok(())
    }

    /// Where the domain stays at the source, what was made on the destination goes. What cannot be removed now is owed. It is done
    /// once: asked again, it tells what came of that.
    pub(super) async fn clear_away(
        &mut self,
        ending: Ending,
        source: Copy,
        destination: Copy,
    ) -> Result<Ending, Stop> {
        if self.plan.files.is_empty() {
            return Ok(ending);
        }
        if let Some(cleared) = self.cleared.filter(|cleared| cleared.location == ending.location) {
            return Ok(Ending { owed: ending.owed.or(cleared.owed), ..ending });
        }
        let ending = self.clear_away_now(ending, source, destination).await?;
        self.cleared = Some(ending);
        Ok(ending)
    }

    async fn clear_away_now(
        &mut self,
        ending: Ending,
        source: Copy,
        destination: Copy,
    ) -> Result<Ending, Stop> {
        let mut owed = ending.owed;
        // Where it had not begun, nothing here has come to be anybody's, wherever the domain is.
        let stays = ending.location == Location::Source || self.know.not_begun;
        let gone = stays && !self.know.resume_intended;
        let in_use = self.know.not_begun && self.is_used_by_another(destination);
        if gone && owed.is_none() && !in_use && (destination == Copy::Absent || self.know.not_begun) {
            for path in self.made.iter().map(|made| made.path().to_owned()).collect::<Vec<_>>() {
                if let Err(error) = self.remove(&path).await? {
                    tracing::warn!(migration.id = %self.handle.id(), path, error = %error.cause(), "a file is left on the destination; it is tried again");
                    owed = Some(Side::Destination);
                }
            }
        }
        let [here, there] = self.release_pools().await;
        // A source that has been given up is not waited for because of a pool that is none without its libvirtd.
        let left = !there || !(here || gone && source.is_silent());
        if left && owed.is_none() {
            owed = Some(if gone { Side::Destination } else { Side::Source });
        }
        Ok(Ending { owed, ..ending })
    }

    /// Whether somebody runs the domain on the destination, on a definition of their own, and perhaps from the files that were made
    /// there: then they stay, and a person is told.
    fn is_used_by_another(&mut self, destination: Copy) -> bool {
        let runs = matches!(destination, Copy::Running(_) | Copy::Paused(_) | Copy::PausedMigrating(_));
        if runs && !self.made.is_empty() {
            let paths: Vec<&str> = self.made.iter().map(Made::path).collect();
            let told = format!(
                "Somebody runs {} on {}: what was carried there stays ({}).",
                self.plan.name,
                self.plan.destination,
                paths.join(", ")
            );
            self.leaving.tell(told);
        }
        runs
    }
}
