//! How a host becomes a registered one: its key is trusted, a login exists, libvirt answers, and it is a machine of its own.

use std::sync::Arc;

use api::host::{Host, HostRequest};
use api::problem::{Code, Problem};
use api::vm::VmQuery;

use super::facts::failure_code;
use super::member::Member;
use super::{Fleet, database};
use crate::libvirt::error::HostError;
use crate::libvirt::host::failure_of;
use crate::ssh::{ConnectFailure, LibvirtUri, Transport};
use crate::store::{HostRecord, StoreError};

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

impl Fleet {
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
        self.let_in(&request).await?;
        let member = Member::start(&record, &self.ssh, self.limits)?;
        let limit = self.limits.connect + self.limits.call;
        let (info, _) = member.known_machine(limit).await.map_err(|error| no_connection(&record.name, &error))?;
        self.refuse_same_machine(&record.name, info.uuid)?;
        match self.store.add_host(&record, self.clock.now_ms()).await {
            Ok(()) => {}
            Err(StoreError::HostExists) => return Err(exists(&record.name).into()),
            Err(error) => return Err(database(error).into()),
        }
        self.insert(member.clone());
        Ok(member.describe())
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
            password: None,
            fingerprint: None,
        })
        .await
    }

    fn refuse_same_machine(&self, name: &str, uuid: uuid::Uuid) -> Result<(), Refusal> {
        let same = |member: &&Arc<Member>| member.machine().is_some_and(|(info, _)| info.uuid == uuid);
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
    /// is put on the host.
    async fn let_in(&self, _request: &HostRequest) -> Result<(), Problem> {
        Ok(())
    }
}

fn valid(request: &HostRequest) -> Result<HostRecord, Problem> {
    let bad = |field: &str, error: &dyn std::fmt::Display| {
        Problem::new(Code::BadValue, format!("{field}: {error}.")).field(field)
    };
    crate::model::HostName::new(request.name.as_str()).map_err(|error| bad("name", &error))?;
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
    Ok(HostRecord { name: request.name.clone(), uri: uri.to_string(), peer_uri })
}

fn exists(name: &str) -> Problem {
    Problem::new(Code::HostExists, format!("A host is registered as {name} already. `ferry host show {name}` shows it."))
}

/// A host that could not be connected: each way of failing with its own code.
pub(super) fn no_connection(name: &str, error: &HostError) -> Problem {
    let failure = failure_of(error);
    let code = match failure {
        ConnectFailure::Denied => Code::AccessDenied,
        ConnectFailure::HostKeyUnknown => Code::HostKeyUnknown,
        ConnectFailure::HostKeyChanged => Code::HostKeyChanged,
        _ => Code::HostUnreachable,
    };
    let detail =
        format!("{name}: {} ({}) {}", failure.explanation(), failure_code(failure), failure.remedy());
    Problem::new(code, detail).cause(error.cause())
}
