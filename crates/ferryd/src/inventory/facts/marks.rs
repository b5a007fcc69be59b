//! Marks next to images: whether two hosts see the same directory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::questions::{Stopwatch, run};
use crate::inventory::member::Member;
use crate::libvirt::link::Link;
use crate::libvirt::survey::{self, Sought};
use crate::model::mark;
use crate::ssh::Session;
use crate::ssh::scripts;

/// Marks next to the domain's images on the source, by which the destination shows that it sees the same place: files, made by a
/// host's shell or, where it offers none, by its storage pools.
pub(super) struct Marks {
    session: Option<Arc<Session>>,
    link: Arc<Link>,
    name: String,
    directories: Vec<String>,
    written: Mutex<bool>,
}

/// What was seen of the marks on the other host.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By directory, whether the mark is there.
    pub(super) seen: BTreeMap<String, bool>,
    /// Paths of volumes there, where its pools were asked.
    pub(super) volumes: BTreeSet<String>,
}

impl Marks {
    pub(super) fn new(source: &Member, directories: Vec<String>) -> Self {
        Self {
            session: source.session(),
            link: source.link().clone(),
            name: mark::new_name(),
            directories,
            written: Mutex::new(false),
        }
    }

    fn written(&self) -> std::sync::MutexGuard<'_, bool> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes them: for each directory whether that could be done.
    pub(super) async fn write(&self, watch: &Stopwatch) -> Option<BTreeMap<String, Result<(), String>>> {
        const QUESTION: &str = "marks next to images";
        if self.directories.is_empty() {
            return None;
        }
        *self.written() = true;
        let (name, directories) = (self.name.clone(), self.directories.clone());
        let Some(session) = &self.session else {
            let place = self.link.long_call_within("marks", watch.left(), move |connect| {
                Ok(survey::place_marks(connect, &name, &directories))
            });
            return watch.time(self.link.host(), QUESTION, place).await.ok();
        };
        let script = scripts::write_marks(&name, &directories);
        let output = watch.time(self.link.host(), QUESTION, session.run(&script, watch.left())).await.ok()?;
        scripts::parse_marked(&output.stdout)
    }

    /// Looks for them on the other host.
    pub(super) async fn find(&self, host: &Member, watch: &Stopwatch) -> Option<Found> {
        const QUESTION: &str = "marks seen";
        if self.directories.is_empty() {
            return None;
        }
        if host.session().is_some() {
            let script = scripts::find_marks(&self.name, &self.directories);
            let seen = scripts::parse_marks_found(&run(host, QUESTION, &script, watch).await?)?;
            return Some(Found { seen, volumes: BTreeSet::new() });
        }
        let (name, directories) = (self.name.clone(), self.directories.clone());
        let seek = host.link().long_call_within("marks", watch.left(), move |connect| {
            Ok(survey::seek_marks(connect, &name, &directories))
        });
        let sought = watch.time(host.name(), QUESTION, seek).await.ok()?;
        let mut found = Found::default();
        for (directory, Sought { seen, volumes }) in sought {
            found.seen.insert(directory, seen);
            found.volumes.extend(volumes);
        }
        Some(found)
    }

    /// Removes them, beside whatever goes on.
    pub(super) fn remove(&self) {
        /// Nobody waits for it, and a host that does not answer has them for as long.
        const LIMIT: Duration = Duration::from_secs(30);
        if !std::mem::take(&mut *self.written()) {
            return;
        }
        let (name, directories, link) = (self.name.clone(), self.directories.clone(), self.link.clone());
        let session = self.session.clone();
        tokio::spawn(async move {
            let removed = match session {
                Some(session) => {
                    let script = scripts::remove_marks(&name, &directories);
                    session.run(&script, LIMIT).await.map(drop).map_err(|error| error.to_string())
                }
                None => {
                    let remove = link.long_call_within("marks", LIMIT, move |connect| {
                        survey::remove_marks(connect, &name, &directories);
                        Ok(())
                    });
                    remove.await.map_err(|error| error.to_string())
                }
            };
            if let Err(error) = removed {
                tracing::warn!(host = link.host(), %error, "marks next to images were not removed; a later check there removes them");
            }
        });
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        self.remove();
    }
}
