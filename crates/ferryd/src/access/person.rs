//! Who somebody is, and which virtual machines that lets them use.

use std::sync::Arc;

use super::Account;
use crate::inventory::known::Known;

/// What somebody may do at all. The words are the inherited interface's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Use the virtual machines that list them.
    User,
}

impl Role {
    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }
}

/// Somebody who has logged in, as they were then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user's name.
    pub name: String,
    /// Names of the user's groups.
    pub groups: Vec<String>,
    /// What the user may do.
    pub role: Role,
}

impl Person {
    /// Root and the members of these groups are administrators. (Kimchi asked sudo whether the user may run everything; that is what
    /// membership in such a group says on the systems that have them.)
    #[must_use]
    pub fn new(account: Account, admin_groups: &[String]) -> Self {
        let is_admin = account.uid == 0 || account.groups.iter().any(|group| admin_groups.contains(group));
        let role = if is_admin { Role::Admin } else { Role::User };
        Self { name: account.name, groups: account.groups, role }
    }
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Somebody whom the permissions of the Unix socket let in: an administrator.
    AtSocket,
    /// Somebody who has logged in.
    Person(Arc<Person>),
}

impl Caller {
    /// Whether the caller may do everything.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        match self {
            Self::AtSocket => true,
            Self::Person(person) => person.role == Role::Admin,
        }
    }

    /// Whether the caller may use this virtual machine: administrators all of them, others those that list them or a group of theirs.
    /// One whose definition is not known yet lists nobody.
    #[must_use]
    pub fn may_use(&self, vm: &Known) -> bool {
        let Self::Person(person) = self else { return true };
        let listed = || {
            let access = &vm.definition.as_ref()?.access;
            let by_group = access.groups.iter().any(|group| person.groups.contains(group));
            Some(by_group || access.users.contains(&person.name))
        };
        self.is_admin() || listed() == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libvirt::survey::Listed;
    use crate::libvirt::xml;

    fn known(access: &str) -> Known {
        let xml = format!(
            "<domain type='kvm'><name>vm1</name><uuid>a24f5045-dc32-425b-af7c-5802b16591a6</uuid><memory>1</memory>
             <metadata><k:metadata xmlns:k='https://github.com/kimchi-project/kimchi'><access>{access}</access></k:metadata>
             </metadata><os><type arch='x86_64'>hvm</type></os></domain>"
        );
        let definition = xml::definition(&xml).unwrap();
        let listed = Listed {
            uuid: definition.uuid,
            name: definition.name.clone(),
            state: api::vm::VmState::Running,
            persistent: true,
            autostart: false,
            vcpus: 1,
            max_memory_bytes: 1,
            memory_bytes: 1,
            cpu_time_ns: 0,
        };
        Known {
            host: "a".to_owned(),
            here: false,
            listed,
            definition: Some(Arc::new(definition)),
            figures: Default::default(),
        }
    }

    fn caller(name: &str, uid: u32, groups: &[&str]) -> Caller {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let account = Account { name: name.to_owned(), uid, groups };
        Caller::Person(Arc::new(Person::new(account, &["sudo".to_owned(), "wheel".to_owned()])))
    }

    #[test]
    fn a_machine_is_for_administrators_and_those_it_lists() {
        let joes = known("<user>joe</user><group>shop</group>");
        let nobodys = known("");
        for (caller, his, any) in [
            (Caller::AtSocket, true, true),
            (caller("root", 0, &["root"]), true, true),
            (caller("ann", 1000, &["ann", "wheel"]), true, true),
            (caller("joe", 1001, &["joe"]), true, false),
            (caller("eve", 1002, &["eve", "shop"]), true, false),
            (caller("eve", 1002, &["eve"]), false, false),
            (caller("shop", 1003, &["joe"]), false, false),
            (caller("root", 1004, &[]), false, false),
        ] {
            assert_eq!(caller.may_use(&joes), his, "{caller:?}");
            assert_eq!(caller.may_use(&nobodys), any, "{caller:?}");
            assert_eq!(caller.may_use(&Known { definition: None, ..joes.clone() }), any, "{caller:?}");
        }
    }
}
