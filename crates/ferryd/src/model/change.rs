//! What can be changed of a domain where it is.

use super::definition::Definition;

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

/// More than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// Memory.
    Memory {
        /// What it would have.
        memory_mib: u64,
        /// What it may have.
        most_mib: u64,
    },
    /// Virtual CPUs.
    Vcpus,
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

    /// Whether the domain with this definition would not have more than it may have afterwards. (Memory that grows by itself takes what it
    /// may have along, of a domain that is stopped.)
    ///
    /// # Errors
    /// What it would have too much of.
    pub fn fit(&self, definition: &Definition) -> Result<(), TooMuch> {
        let mib = |bytes: u64| bytes >> 20;
        let memory_mib = self.memory_mib.unwrap_or(mib(definition.current_memory_bytes));
        if let Some(most_mib) = self.max_memory_mib.filter(|most| *most < memory_mib) {
            return Err(TooMuch::Memory { memory_mib, most_mib });
        }
        let asked = self.vcpus.is_some() || self.max_vcpus.is_some();
        let vcpus = self.vcpus.unwrap_or(definition.vcpus);
        if asked && vcpus > self.max_vcpus.unwrap_or(definition.vcpus_max) {
            return Err(TooMuch::Vcpus);
        }
        Ok(())
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
    use crate::libvirt::xml;

    #[test]
    fn what_would_be_more_than_may_be_is_seen_before_anything_is_changed() {
        let xml = "<domain type='kvm'><name>a</name><uuid>a24f5045-dc32-425b-af7c-5802b16591a6</uuid>\
                   <memory unit='MiB'>512</memory><currentMemory unit='MiB'>256</currentMemory><vcpu current='1'>2</vcpu>\
                   <os><type>hvm</type></os></domain>";
        let definition = xml::definition(xml).unwrap();
        let vcpus = |vcpus, max_vcpus| Changes { vcpus, max_vcpus, ..Changes::default() }.fit(&definition);
        assert_eq!(vcpus(Some(2), None), Ok(()));
        assert_eq!(vcpus(Some(4), None), Err(TooMuch::Vcpus));
        assert_eq!(vcpus(Some(4), Some(4)), Ok(()));
        assert_eq!(vcpus(Some(4), Some(3)), Err(TooMuch::Vcpus));
        let memory = |memory_mib, max_memory_mib| {
            Changes { memory_mib, max_memory_mib, ..Changes::default() }.fit(&definition)
        };
        assert_eq!(memory(Some(1024), None), Ok(()), "it grows, and what it may have with it");
        assert_eq!(memory(None, Some(256)), Ok(()));
        assert_eq!(memory(None, Some(128)), Err(TooMuch::Memory { memory_mib: 256, most_mib: 128 }));
        assert_eq!(memory(Some(100), Some(128)), Ok(()));
        assert_eq!(Changes::default().fit(&definition), Ok(()));
    }

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
