//! How a host becomes a registered one: its key is trusted, a login exists, libvirt answers, and it is a machine of its own.

use crate::model::HostName;
use crate::model::facts::HostFacts;
use crate::model::transport::Via;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use api::host::{Host, HostRequest};
use api::problem::{Code, Problem};
use api::vm::VmQuery;

use super::Fleet;
use super::facts::failure_code;
use super::member::Member;
use crate::libvirt::error::HostError;
use crate::libvirt::host::failure_of;
use crate::ssh::{
    ConnectFailure, Endpoint, HostKey, LibvirtUri, LoginError, ReachError, Secret, Shell, Transport, Trust,
    install_key,
};
use crate::store::{HostRecord, StoreError};

/// How long a login by password may take: sshd takes its time over a wrong one.
const PASSWORD_LIMIT: Duration = Duration::from_secs(15);

/// Why a host was not registered.
#[derive(Debug)]
pub enum Refusal {
    /// The same machine is registered already.
    SameMachine {
        /// Under this name.
        registered_as: String,
        /// The account for a person.
        problem: Problem,
    },
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SameMachine { problem, .. } | Refusal::Problem(problem) => problem,
        }
    }
}

/// A try to register a host. When the last of those for a name ends and none has come to anything, the files that they have made for the
/// login go again.
struct Try<'a> {
    fleet: &'a Fleet,
    name: &'a str,
}

impl<'a> Try<'a> {
    fn begin(fleet: &'a Fleet, name: &'a str) -> Self {
        *fleet.tries().entry(name.to_owned()).or_default() += 1;
        Self { fleet, name }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        // Held to the end: another try makes its files after this.
        let mut tries = self.fleet.tries();
        let left = tries.get(self.name).copied().unwrap_or_default().saturating_sub(1);
        if left > 0 {
            tries.insert(self.name.to_owned(), left);
            return;
        }
        tries.remove(self.name);
        if self.fleet.member(self.name).is_none() {
            self.fleet.forget_files(self.name);
        }
    }
}

impl Fleet {
    /// How many tries to register a host of each name are under way.
    fn tries(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a host.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn register(&self, request: HostRequest) -> Result<Host, Problem> {
        Ok(self.try_register(request).await?)
    }

    /// The same, telling apart the refusal of a machine that is registered under another name.
    ///
    /// # Errors
    /// Why not.
    pub async fn try_register(&self, request: HostRequest) -> Result<Host, Refusal> {
        let record = valid(&request)?;
        if self.member(&record.name).is_some() {
            return Err(exists(&record.name).into());
        }
        let _try = Try::begin(self, &record.name);
        let (member, machine) = self.connected(&request, &record).await?;
        // What is registered is known with its virtual machines: the next command may name one.
        member.listed(self.limits.call).await;
        let _alone = self.registering.lock().await;
        self.refuse_same_machine(&record.name, machine.uuid)?;
        match self.store.add_host(&record, self.clock.now_ms()).await {
            Ok(()) => {}
            Err(StoreError::HostExists) => return Err(exists(&record.name).into()),
            Err(error) => return Err(Problem::from(error).into()),
        }
        self.insert(member.clone());
        Ok(member.describe())
    }

    /// A host that let us in and whose libvirt has answered.
    async fn connected(
        &self,
        request: &HostRequest,
        record: &HostRecord,
    ) -> Result<(Arc<Member>, HostFacts), Problem> {
        self.let_in(request).await?;
        let member = Member::start(record, &self.ssh, self.limits)?;
        let limit = self.limits.connect + self.limits.call;
        let machine = member.known_machine(limit).await.map_err(|error| no_connection(&member, &error))?;
        Ok((member, machine))
    }

    /// Whether a registered host lets in whom the request names, by a login that is not the registered one's. Nothing is kept of it.
    ///
    /// # Errors
    /// Why not.
    pub async fn try_login(&self, request: &HostRequest) -> Result<(), Problem> {
        let (name, uri) = self.let_in(request).await?;
        let Some(shell) = Shell::for_host(&self.ssh, &name, &uri) else { return Ok(()) };
        let limit = self.limits.connect + self.limits.call;
        match shell.run("true", limit).await {
            Ok(_) => Ok(()),
            Err(error) => Err(connect_problem(&request.name, error.failure(), error.to_string())),
        }
    }

    /// Registers the machine that Ferry runs on, where it has libvirt and no registered host is it.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn register_local(&self, name: &str) -> Result<Host, Problem> {
        let local = |member: &Arc<Member>| matches!(member.uri().transport(), Transport::Local);
        if let Some(member) = self.members().iter().find(|member| local(member)) {
            return Ok(member.describe());
        }
        self.register(HostRequest {
            name: name.to_owned(),
            uri: LibvirtUri::local().to_string(),
            peer_uri: None,
            migrate_via: None,
            password: None,
            fingerprint: None,
        })
        .await
    }

    fn refuse_same_machine(&self, name: &str, uuid: uuid::Uuid) -> Result<(), Refusal> {
        let same = |member: &&Arc<Member>| member.machine().is_some_and(|machine| machine.uuid == uuid);
        let Some(other) = self.members().iter().find(same).cloned() else { return Ok(()) };
        let vms = self.vms(&VmQuery { host: Some(other.name().to_owned()), state: None }).len();
        let problem = Problem::new(
            Code::HostExists,
            format!(
                "{name} leads to the machine that is registered as {} ({vms} virtual machines): both have the host UUID {uuid}. If \
                 they are two machines, give each its own (host_uuid in /etc/libvirt/libvirtd.conf, then restart libvirtd).",
                other.name()
            ),
        );
        Err(Refusal::SameMachine { registered_as: other.name().to_owned(), problem })
    }

    /// Sees to it that Ferry can log in: the host's key is known or vouched for, and, where a password was given, Ferry's own key
    /// is put on the host. Its name and its URI, as they are meant.
    async fn let_in(&self, request: &HostRequest) -> Result<(HostName, LibvirtUri), Problem> {
        let bad = |field: &str, error: &dyn std::fmt::Display| {
            Problem::new(Code::BadValue, format!("{field}: {error}.")).field(field)
        };
        let name: HostName = request.name.parse().map_err(|error| bad("name", &error))?;
        let uri: LibvirtUri = request.uri.parse().map_err(|error| bad("uri", &error))?;
        let Some(target) = uri.ssh() else {
            return match request.password {
                Some(_) => Err(bad("password", &"it is of use only for a host that is reached by ssh")),
                None => Ok((name, uri)),
            };
        };
        let limit = self.limits.connect;
        let endpoint =
            Endpoint::resolve(target, limit).await.map_err(|error| not_reached(&request.name, &error))?;
        let key = match self.ssh.examine(&name, &endpoint, limit).await {
            Ok((key, trust)) => {
                self.trust(request, &name, &endpoint, &key, trust)?;
                key
            }
            // Keys that OpenSSH understands and we do not: libvirt's own login will tell.
            Err(ReachError::Protocol(text)) if request.password.is_none() => {
                tracing::info!(host = request.name, text, "the host's key could not be examined");
                return Ok((name, uri));
            }
            Err(error) => return Err(not_reached(&request.name, &error)),
        };
        let Some(password) = &request.password else { return Ok((name, uri)) };
        let password = Secret::new(password.clone());
        let ours = self.ssh.public_line();
        install_key(&endpoint, &password, key.fingerprint(), ours, PASSWORD_LIMIT)
            .await
            .map_err(|error| not_let_in(&request.name, &error))?;
        Ok((name, uri))
    }

    /// Trusts the host's key if a person has: it is known, or its fingerprint was given.
    fn trust(
        &self,
        request: &HostRequest,
        name: &HostName,
        endpoint: &Endpoint,
        key: &HostKey,
        trust: Trust,
    ) -> Result<(), Problem> {
        let vouched = request.fingerprint.as_ref().map(|given| key.has_fingerprint(given));
        let (code, detail) = match (trust, vouched) {
            (Trust::Known, None | Some(true)) => return Ok(()),
            (Trust::Unknown | Trust::Changed { .. }, Some(true)) => {
                return self.ssh.trust(name, endpoint, key).map_err(|error| {
                    tracing::error!(host = request.name, %error, "the host's key could not be kept");
                    Problem::new(Code::Internal, "The host's key could not be kept; the log tells more.")
                });
            }
            (Trust::Revoked, _) => (
                Code::HostKeyChanged,
                format!("{} shows a key that is marked as revoked in the known hosts.", request.name),
            ),
            (_, Some(false)) => (
                Code::HostKeyChanged,
                format!(
                    "{} shows the {} key {}, not the one whose fingerprint was given. Nothing was sent to it.",
                    request.name,
                    key.algorithm(),
                    key.fingerprint()
                ),
            ),
            (Trust::Changed { trusted }, None) => (
                Code::HostKeyChanged,
                format!(
                    "{} shows the {} key {}, but {} is the one that is known. If the machine was installed anew, give the new \
                     fingerprint; otherwise somebody else is answering.",
                    request.name,
                    key.algorithm(),
                    key.fingerprint(),
                    trusted.join(" or ")
                ),
            ),
            (Trust::Unknown, None) => (
                Code::HostKeyUnknown,
                format!(
                    "{} shows the {} key {}, which is not known here. Compare it with what the machine says \
                     (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) and give the fingerprint to trust it.",
                    request.name,
                    key.algorithm(),
                    key.fingerprint()
                ),
            ),
        };
        let mut problem = Problem::new(code, detail);
        problem.fingerprint = Some(key.fingerprint().to_owned());
        Err(problem)
    }
}

/// A host whose ssh server could not be spoken to.
fn not_reached(name: &str, error: &ReachError) -> Problem {
    connect_problem(name, error.failure(), error.to_string())
}

/// A host that did not take the password.
fn not_let_in(name: &str, error: &LoginError) -> Problem {
    let code = match error {
        LoginError::Unreachable(error) => return not_reached(name, error),
        LoginError::HostKeyMismatch { .. } => Code::HostKeyChanged,
        LoginError::WrongPassword | LoginError::PasswordLoginNotAllowed { .. } => Code::AccessDenied,
        LoginError::Remote { .. } => Code::Libvirt,
    };
    Problem::new(code, format!("{name}: {error}. Nothing was registered."))
}

fn valid(request: &HostRequest) -> Result<HostRecord, Problem> {
    let bad = |field: &str, error: &dyn std::fmt::Display| {
        Problem::new(Code::BadValue, format!("{field}: {error}.")).field(field)
    };
    HostName::new(request.name.as_str()).map_err(|error| bad("name", &error))?;
    let uri = request.uri.parse::<LibvirtUri>().map_err(|error| bad("uri", &error))?;
    let peer_uri = match &request.peer_uri {
        Some(text) => {
            let peer = text.parse::<LibvirtUri>().map_err(|error| bad("peer_uri", &error))?;
            if peer.host().is_none() {
                return Err(bad("peer_uri", &"it must name the machine, as other hosts reach it"));
            }
            Some(peer.to_string())
        }
        None => None,
    };
    let migrate_via = match &request.migrate_via {
        Some(text) => {
            let via = text.parse::<Via>().map_err(|error| bad("migrate_via", &error))?;
            Some(via.to_string())
        }
        None => None,
    };
    Ok(HostRecord { name: request.name.clone(), uri: uri.to_string(), peer_uri, migrate_via })
}

fn exists(name: &str) -> Problem {
    Problem::new(
        Code::HostExists,
        format!("A host is registered as {name} already. `ferry host show {name}` shows it."),
    )
}

/// A host whose libvirt could not be connected. Its ssh server, where it is reached by one, has just been spoken to: a silence is
/// the daemon's.
fn no_connection(member: &Member, error: &HostError) -> Problem {
    let failure = match failure_of(error) {
        ConnectFailure::TimedOut if member.uri().ssh().is_some() => ConnectFailure::NotAnswering,
        other => other,
    };
    connect_problem(member.name(), failure, error.cause())
}

/// Each way of not getting there with its own code.
fn connect_problem(name: &str, failure: ConnectFailure, cause: String) -> Problem {
    let code = match failure {
        ConnectFailure::Denied => Code::AccessDenied,
        ConnectFailure::HostKeyUnknown => Code::HostKeyUnknown,
        ConnectFailure::HostKeyChanged => Code::HostKeyChanged,
        _ => Code::HostUnreachable,
    };
    let detail =
        format!("{name}: {} ({}); {}.", failure.explanation(), failure_code(failure), failure.remedy());
    Problem::new(code, detail).cause(cause)
}
