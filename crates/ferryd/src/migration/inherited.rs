//! Migrations as the inherited contract asks for them: the destination is a machine's name or address.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use api::host::HostRequest;
use api::problem::{Code, Problem};
use api::task::{MigrationRequest, Task};
use zeroize::Zeroizing;

use super::{Migrations, transport_fits};
use crate::access::Caller;
use crate::inventory::Refusal;
use crate::inventory::member::Member;
use crate::plan::transport::Options;
use crate::ssh::{SshTarget, Transport, UriError};

/// A migration as the inherited contract asks for it: the destination is a machine's name or address, not a registered
/// host.
#[derive(Clone, PartialEq, Eq)]
pub struct InheritedRequest {
    /// The virtual machine's name.
    pub vm: String,
    /// The destination's host name or address, or the name it is registered under.
    pub remote_host: String,
    /// Whom to log in as; none means `root`.
    pub user: Option<String>,
    /// That user's password, used once to put Ferry's own key on the destination; wiped when dropped.
    pub password: Option<Zeroizing<String>>,
    /// Send the memory through libvirt's own encrypted connection.
    pub secure: bool,
    /// Send the memory by RDMA.
    pub rdma: bool,
}

impl std::fmt::Debug for InheritedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InheritedRequest")
            .field("vm", &self.vm)
            .field("remote_host", &self.remote_host)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("secure", &self.secure)
            .field("rdma", &self.rdma)
            .finish()
    }
}

impl Migrations {
    /// The same as [`Migrations::start`] for a request of the inherited contract, which somebody makes who may not use every machine:
    /// finds the registered host that `remote_host` means, or registers one.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn start_inherited(&self, request: InheritedRequest, caller: &Caller) -> Result<Task, Problem> {
        let mut wanted = MigrationRequest {
            vm: request.vm.clone(),
            secure: request.secure,
            rdma: request.rdma,
            ..MigrationRequest::default()
        };
        // Before anything is registered for it: what makes no sense, or means an unknown virtual machine, changes nothing.
        transport_fits(&Options::from(&wanted))?;
        wanted.source = self.source(&request.vm, caller).await?;
        wanted.destination = self.destination(&request).await?;
        self.start_for(wanted, caller).await
    }

    /// The host of the virtual machine that is meant by a name which several hosts list; none where one alone does.
    async fn source(&self, name: &str, caller: &Caller) -> Result<Option<String>, Problem> {
        match self.fleet.known_as(name).filter(|_| self.fleet.copies_of(name) > 1) {
            Some(vm) => {
                self.allowed(caller, vm.domain(), name)?;
                self.not_moving(vm.domain(), name).await?;
                Ok(Some(vm.host))
            }
            // By its name alone: a UUID is none there.
            None => {
                let vm = self.fleet.known_as(name).ok_or_else(|| self.fleet.unknown_vm(name))?;
                self.allowed(caller, vm.domain(), name)?;
                Ok(None)
            }
        }
    }

    /// The registered name of the machine that `remote_host` leads to.
    async fn destination(&self, request: &InheritedRequest) -> Result<String, Problem> {
        let remote_host = &request.remote_host;
        let registered = match self.fleet.member(remote_host) {
            Some(member) => Some(member),
            None => self.registered_at(remote_host).await,
        };
        if let Some(member) = registered {
            self.may_log_in(request, &member).await?;
            return Ok(member.name().to_owned());
        }
        let user = request.user.as_deref().unwrap_or("root");
        let target = SshTarget::new(Some(user), remote_host, None).map_err(|error| {
            let field = if error == UriError::User { "user" } else { "remote_host" };
            Problem::new(Code::BadValue, error.to_string()).field(field)
        })?;
        let host = HostRequest {
            name: remote_host.clone(),
            uri: format!("qemu+ssh://{target}/system"),
            peer_uri: None,
            migrate_via: None,
            password: request.password.as_ref().map(|password| password.to_string()),
            fingerprint: None,
        };
        match self.fleet.try_register(host).await {
            Ok(host) => Ok(host.name),
            // Another name or address of a machine that is known: that machine is meant.
            Err(Refusal::SameMachine { registered_as, .. }) => Ok(registered_as),
            Err(Refusal::Problem(problem)) => Err(problem),
        }
    }

    /// Whether whoever the request names can log in to a host that is registered with another user's login: it is that login that
    /// carries the machine, but who names somebody is told if they are not let in, as it was.
    async fn may_log_in(&self, request: &InheritedRequest, member: &Member) -> Result<(), Problem> {
        let (Transport::Ssh(known), Some(user)) = (member.uri().transport(), request.user.as_deref()) else {
            return Ok(());
        };
        if known.user().unwrap_or("root") == user {
            return Ok(());
        }
        let target = SshTarget::new(Some(user), known.host(), known.port())
            .map_err(|error| Problem::new(Code::BadValue, error.to_string()).field("user"))?;
        let host = HostRequest {
            // It is that machine's key that has to be known.
            name: member.name().to_owned(),
            uri: format!("qemu+ssh://{target}/system"),
            peer_uri: None,
            migrate_via: None,
            password: request.password.as_ref().map(|password| password.to_string()),
            fingerprint: None,
        };
        self.fleet.try_login(&host).await
    }

    /// The member whose URI names this machine, or, for an address of this very machine, the local one.
    async fn registered_at(&self, remote_host: &str) -> Option<Arc<Member>> {
        let members = self.fleet.members();
        let named = members.iter().find(|member| member.uri().host() == Some(remote_host));
        if let Some(member) = named {
            return Some(member.clone());
        }
        let local = members.iter().find(|member| matches!(member.uri().transport(), Transport::Local))?;
        let name = remote_host.to_owned();
        let here = tokio::task::spawn_blocking(move || leads_here(&name));
        // A resolver that hangs says nothing.
        let here = tokio::time::timeout(self.limit, here).await.ok()?.ok()?;
        here.then(|| local.clone())
    }
}

/// Whether a name or address leads to this machine: only an address of its own can be bound to.
fn leads_here(host: &str) -> bool {
    let own = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    match host.parse::<IpAddr>() {
        Ok(address) => own(address),
        Err(_) => (host, 0u16).to_socket_addrs().is_ok_and(|mut found| found.any(|found| own(found.ip()))),
    }
}

#[cfg(test)]
mod tests {
    use super::leads_here;

    #[test]
    fn own_addresses_are_recognised() {
        assert!(leads_here("127.0.0.1"));
        assert!(leads_here("127.1.2.3"));
        assert!(leads_here("localhost"));
        assert!(!leads_here("192.0.2.1"), "an address of no machine");
    }
}
