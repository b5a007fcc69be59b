//! Hosts: machines with libvirt that are registered with `ferryd`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /api/v1/hosts`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRequest {
    /// The name to register the host under: letters, digits, `.`, `_` and `-`, not beginning with `-` or `.`; at most 64 characters.
    pub name: String,
    /// The libvirt connection URI, as `ferryd` opens it: `qemu+ssh://root@kvm2/system`, `qemu:///system`, `qemu+tls://…`.
    pub uri: String,
    /// The libvirt URI by which other hosts reach this one in a peer-to-peer migration, where it differs from `uri`
    /// (without it, a host registered as `qemu:///system` is reached by its own host name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_uri: Option<String>,
    /// Where migrations to this host send the memory unless they say otherwise: an address of its own (`10.1.0.2`), or a network
    /// that it has one in (`10.1.0.0/24`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate_via: Option<String>,
    /// A password for the ssh login, used once to put Ferry's own key on the host; never stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The fingerprint (`SHA256:…`) of the host's ssh key, to trust it; needed when the key is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl std::fmt::Debug for HostRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostRequest")
            .field("name", &self.name)
            .field("uri", &self.uri)
            .field("peer_uri", &self.peer_uri)
            .field("migrate_via", &self.migrate_via)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("fingerprint", &self.fingerprint)
            .finish()
    }
}

/// Whether `ferryd` has a working connection to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// The first connection is being made.
    Connecting,
    /// Connected, events flow.
    Connected,
    /// Not reachable now; tried again by itself.
    Unreachable,
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// The registered name.
    pub name: String,
    /// The libvirt connection URI.
    pub uri: String,
    /// The URI by which other hosts reach this one, where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_uri: Option<String>,
    /// The address or network that migrations to it send the memory to, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate_via: Option<String>,
    /// Whether it is connected.
    pub state: HostState,
    /// Why it is not connected, in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What is known of the machine; none until the first connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<HostInfo>,
    /// Number of running virtual machines.
    pub vms_running: u32,
    /// Number of all virtual machines.
    pub vms_total: u32,
}

/// How a host is forgotten: `DELETE /api/v1/hosts/NAME`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HostRemoval {
    /// Also where something that a migration left there is to be removed yet: it stays then.
    #[serde(default)]
    pub force: bool,
}

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostInfo {
    /// The machine's own host name.
    pub hostname: String,
    /// The machine's UUID from libvirt's capabilities: its identity, whatever its name or address.
    pub uuid: uuid::Uuid,
    /// The hypervisor driver (`QEMU`).
    pub hypervisor: String,
    /// CPU architecture (`x86_64`).
    pub architecture: String,
    /// libvirt's version (`9.0.0`).
    pub libvirt_version: String,
    /// The hypervisor's version (`7.2.22`).
    pub hypervisor_version: String,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory_bytes: u64,
}
