//! Disks that go with a machine that is removed: only when asked for, only when nothing else uses them, and only once the machine's
//! definition is gone. What cannot go is told before anything is done.

use super::{ACT_LIMIT, Held, Lifecycle, Refused};
use crate::libvirt::error::HostError;
use crate::libvirt::{act, clone};
use crate::messages::{Message, Text};
use crate::model::TaskId;
use crate::model::clone::place;
use crate::model::definition::{Definition, Disk, Drive};

/// What goes with a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithIt {
    /// Which disks.
    pub disks: Disks,
    /// The variables of its firmware.
    pub nvram: bool,
}

/// Which disks of a machine are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Disks {
    /// None.
    #[default]
    None,
    /// All but media.
    All,
    /// These, by their names in the machine (`vda`).
    These(Vec<String>),
}

impl Disks {
    /// The disks that are meant. Media never are.
    ///
    /// # Errors
    /// Says which one cannot be meant, and why.
    fn of<'d>(&self, definition: &'d Definition) -> Result<Vec<&'d Disk>, Text> {
        let is_medium = |disk: &Disk| matches!(disk.drive, Drive::Cdrom | Drive::Floppy);
        let meant: Vec<&Disk> = match self {
            Self::None => Vec::new(),
            Self::All => definition.disks.iter().filter(|disk| !is_medium(disk)).collect(),
            Self::These(names) => {
                let find = |name: &String| {
                    let found = definition.disks.iter().find(|disk| disk.target == *name);
                    found.ok_or_else(|| Text::from(Message::FERRYWHY0048I { disk: name.as_str().into() }))
                };
                names.iter().map(find).collect::<Result<_, _>>()?
            }
        };
        for disk in &meant {
            let name = Text::from(disk.target.as_str());
            let why = match disk {
                medium if is_medium(medium) => Message::FERRYWHY0049I { disk: name },
                disk if disk.readonly => Message::FERRYWHY0050I { disk: name },
                disk if disk.shareable => Message::FERRYWHY0051I { disk: name },
                _ => continue,
            };
            return Err(why.into());
        }
        Ok(meant)
    }
}

/// Files that are to go.
pub(super) struct Leaving {
    task: TaskId,
    /// With the disk that each is of.
    files: Vec<(String, String)>,
}

impl Lifecycle {
    /// Finds the files that are to go with a machine, and sees that they may.
    pub(super) async fn leaving(&self, held: &Held, disks: &Disks) -> Result<Leaving, Refused> {
        let mut leaving = Leaving { task: TaskId::new(), files: Vec::new() };
        if *disks == Disks::None {
            return Ok(leaving);
        }
        let found = self.find_files(held, disks, &mut leaving).await;
        if found.is_err() {
            leaving.release(held).await;
        }
        found.map(|()| leaving)
    }

    async fn find_files(&self, held: &Held, disks: &Disks, leaving: &mut Leaving) -> Result<(), Refused> {
        let (domain, uuid, task) = (held.vm.domain(), held.vm.listed.uuid, leaving.task);
        // It may be on storage that both see: there it goes on with these disks.
        let elsewhere = self.fleet.members().into_iter().filter(|member| member.name() != held.vm.host);
        for member in elsewhere {
            // No answer is no "absent": it may run there.
            if !member.is_listed() {
                return Err(Refused::Keeps(Message::FERRYWHY0098I { host: member.name().into() }.into()));
            }
            if member.known().iter().any(|vm| vm.listed.uuid == uuid) {
                return Err(Refused::Keeps(Message::FERRYWHY0045I { host: member.name().into() }.into()));
            }
        }
        let link = held.member.link();
        let definition = link
            .long_call_within("definition", ACT_LIMIT, move |connect| act::defined_as(connect, domain))
            .await?;
        for disk in disks.of(&definition).map_err(Refused::Keeps)? {
            let name = || Text::from(disk.target.as_str());
            let cannot = |why| Refused::Keeps(Message::FERRYWHY0046I { disk: name(), why }.into());
            let place = place(disk).map_err(cannot)?;
            let described = place.to_string();
            let path = link
                .long_call_within("find a volume", ACT_LIMIT, move |connect| {
                    clone::path_of(connect, task, &place)
                })
                .await?;
            let path =
                path.ok_or_else(|| cannot(Message::FERRYWHY0047I { place: described.into() }.into()))?;
            leaving.files.push((disk.target.clone(), path));
        }
        match leaving.users(held).await? {
            users if users.is_empty() => Ok(()),
            users => Err(Refused::Keeps(Text::all(users))),
        }
    }
}

impl Leaving {
    /// What else on the host uses the files, in words.
    async fn users(&self, held: &Held) -> Result<Vec<Text>, HostError> {
        let paths: Vec<String> = self.files.iter().map(|(_, path)| path.clone()).collect();
        let users = held.member.hypervisor().users_of(self.task, held.vm.domain(), &paths).await?;
        let disk =
            |path: &String| self.files.iter().find(|(_, own)| own == path).map(|(disk, _)| disk.clone());
        let told = users.into_iter().map(|(path, user)| {
            let disk = disk(&path).unwrap_or_default().into();
            Message::FERRYWHY0052I { disk, path: path.into(), user: user.into() }.into()
        });
        Ok(told.collect())
    }

    /// Removes the files, now that the definition is gone. What somebody began to use meanwhile stays.
    pub(super) async fn go(self, held: &Held) -> Result<(), Refused> {
        if self.files.is_empty() {
            return Ok(());
        }
        let left = match self.users(held).await {
            Ok(users) if users.is_empty() => self.remove(held).await,
            Ok(users) => users,
            Err(error) => {
                vec![Message::FERRYWHY0053I { error: error.to_string().into() }.into()]
            }
        };
        self.release(held).await;
        if left.is_empty() { Ok(()) } else { Err(Refused::Left(Text::all(left))) }
    }

    /// What could not be removed, in words.
    async fn remove(&self, held: &Held) -> Vec<Text> {
        let (host, mut left) = (held.member.hypervisor(), Vec::new());
        for (disk, path) in &self.files {
            if let Err(error) = host.remove_file(self.task, path).await {
                let (disk, path) = (disk.as_str().into(), path.as_str().into());
                left.push(Message::FERRYWHY0054I { disk, path, error: error.to_string().into() }.into());
            }
        }
        left
    }

    /// Takes away the pools that were made to look at the files.
    async fn release(&self, held: &Held) {
        if let Err(error) = held.member.hypervisor().release_pools(self.task).await {
            tracing::warn!(host = held.vm.host, %error, "storage pools made to remove disks stay");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_and_what_is_shared_never_go() {
        let disk = |target: &str| Disk { target: target.to_owned(), ..Disk::default() };
        let own = Definition {
            disks: vec![disk("vda"), Disk { drive: Drive::Cdrom, ..disk("sda") }, disk("vdb")],
            ..Definition::default()
        };
        let names = |disks: Disks| {
            let meant = disks.of(&own)?;
            Ok::<_, Text>(meant.into_iter().map(|disk| disk.target.clone()).collect::<Vec<_>>())
        };
        let these = |name: &str| Disks::These(vec![name.to_owned()]);
        assert_eq!(names(Disks::None), Ok(Vec::new()));
        assert_eq!(names(Disks::All), Ok(vec!["vda".to_owned(), "vdb".to_owned()]));
        assert_eq!(names(these("vdb")), Ok(vec!["vdb".to_owned()]));
        assert!(names(these("sda")).unwrap_err().to_string().contains("sda is a medium"));
        assert!(names(these("vdz")).unwrap_err().to_string().contains("no disk vdz"));
        let shared = Definition {
            disks: vec![disk("vda"), Disk { shareable: true, ..disk("vdb") }],
            ..Definition::default()
        };
        assert!(Disks::All.of(&shared).unwrap_err().to_string().contains("vdb is shared"));
    }
}
