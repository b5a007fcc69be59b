//! What can be changed of a domain where it is.

/// What shall be changed of a domain; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Its name.
    pub name: Option<String>,
    /// Its title; an empty one is none.
    pub title: Option<String>,
    /// Its description; an empty one is none.
    pub description: Option<String>,
    /// Whether it starts with its host.
    pub autostart: Option<bool>,
    /// The memory it has.
    pub memory_mib: Option<u64>,
    /// The most it may have.
    pub max_memory_mib: Option<u64>,
    /// The virtual CPUs it has.
    pub vcpus: Option<u32>,
    /// The most it may have.
    pub max_vcpus: Option<u32>,
    /// Users that may use it through the inherited interface.
    pub users: Option<Vec<String>>,
    /// Groups that may.
    pub groups: Option<Vec<String>>,
}

/// One of the things that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Its title.
    Title,
    /// Its description.
    Description,
    /// Users and groups.
    Access,
    /// Whether it starts with its host.
    Autostart,
    /// The most memory it may have.
    MaxMemory,
    /// The memory it has.
    Memory,
    /// The most virtual CPUs it may have.
    MaxVcpus,
    /// The virtual CPUs it has.
    Vcpus,
    /// Its name.
    Name,
}

impl Change {
    /// Its name, as it stands in the inherited interface.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Description => "description",
            Self::Access => "users and groups",
            Self::Autostart => "autostart",
            Self::MaxMemory => "maxmemory",
            Self::Memory => "memory",
            Self::MaxVcpus => "maxvcpus",
            Self::Vcpus => "vcpus",
            Self::Name => "name",
        }
    }
}

impl Changes {
    /// The changes in the order in which they are made: the most before what may not be more, the name, which libvirt is most
    /// likely to refuse, last.
    #[must_use]
    pub fn wanted(&self) -> Vec<Change> {
        let all = [
            (Change::Title, self.title.is_some()),
            (Change::Description, self.description.is_some()),
            (Change::Access, self.users.is_some() || self.groups.is_some()),
            (Change::Autostart, self.autostart.is_some()),
            (Change::MaxMemory, self.max_memory_mib.is_some()),
            (Change::Memory, self.memory_mib.is_some()),
            (Change::MaxVcpus, self.max_vcpus.is_some()),
            (Change::Vcpus, self.vcpus.is_some()),
            (Change::Name, self.name.is_some()),
        ];
        all.into_iter().filter_map(|(change, wanted)| wanted.then_some(change)).collect()
    }

    /// Those of them that libvirt makes only while the domain is stopped.
    #[must_use]
    pub fn only_when_stopped(&self) -> Vec<Change> {
        let stopped = |change: &Change| matches!(change, Change::MaxMemory | Change::MaxVcpus | Change::Name);
        self.wanted().into_iter().filter(stopped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_raised_first_and_the_name_changes_last() {
        let changes = Changes {
            name: Some("b".to_owned()),
            memory_mib: Some(512),
            max_memory_mib: Some(1024),
            groups: Some(Vec::new()),
            ..Changes::default()
        };
        assert_eq!(changes.wanted(), [Change::Access, Change::MaxMemory, Change::Memory, Change::Name]);
        assert_eq!(changes.only_when_stopped(), [Change::MaxMemory, Change::Name]);
        assert!(Changes::default().wanted().is_empty());
    }
}
