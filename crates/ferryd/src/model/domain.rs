//! What a host was seen to say of a domain.

use api::vm::VmState;
use serde::{Deserialize, Serialize};

/// The reasons of a state that decide who owns a domain (`virDomain*Reason`); all others are [`Reason::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// `paused (user)`: also how a domain arrives that was migrated with `VIR_MIGRATE_PAUSED`.
    User,
    /// `paused (migrating)`: stopped for the switch-over, or an incoming domain that is not complete.
    Migrating,
    /// `running (migrated)` or `shut off (migrated)`.
    Migrated,
    /// `running (migration canceled)`.
    MigrationCanceled,
    /// `running (post-copy)` or `paused (post-copy)`.
    PostCopy,
    /// `running (post-copy failed)` or `paused (post-copy failed)`.
    PostCopyFailed,
    /// `shut off (crashed)` or `crashed`.
    Crashed,
    /// `shut off (shut down)` or `shut off (destroyed)`: somebody ended it on purpose.
    Ended,
    /// Any other.
    Other,
}

/// A domain as libvirt on one host describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DomainSight {
    /// Its state.
    pub state: VmState,
    /// Why it is in that state.
    pub reason: Reason,
    /// Whether it has a definition that outlives its run.
    pub persistent: bool,
    /// Whether it starts with its host.
    pub autostart: bool,
    /// Whether a job of libvirt's is at work on it.
    pub job: bool,
    /// libvirt's number of this run (`virDomainGetID`), while it is active: another start has another one, within one boot of the
    /// host.
    #[serde(default)]
    pub run: Option<u32>,
}

/// One run of a domain on one host, told apart from a later start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// libvirt's number of it.
    pub number: Option<u32>,
    /// Its QEMU.
    pub process: Option<Process>,
    /// The host's boot.
    pub boot_id: Option<String>,
    /// It went on once before, after a migration that was cancelled: that it says so is no news.
    #[serde(default)]
    pub went_on_before: bool,
}

/// libvirt's answer about a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A live libvirt said that there is no such domain.
    Absent,
    /// It is there.
    Present(DomainSight),
    /// No answer, and why. Never to be taken for "absent".
    Unknown(String),
}

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its start time in clock ticks since the host's boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

/// The QEMU process of a domain, as the host's process table shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessAnswer {
    /// There is none.
    None,
    /// This one.
    Running(Process),
    /// The host could not be asked (no ssh, or no answer).
    Unknown,
}

impl ProcessAnswer {
    /// Whether the host shows one.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }
}

/// Everything one host was seen to say of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSight {
    /// libvirt's answer.
    pub domain: Answer,
    /// The process table's.
    pub process: ProcessAnswer,
    /// The host's boot, where it could be asked.
    pub boot: Option<Boot>,
}

/// One boot of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Its identity (`/proc/sys/kernel/random/boot_id`).
    pub id: String,
    /// How long ago it was, when the host was asked.
    pub age_ms: u64,
}

impl Run {
    /// The run that a host was seen to have, as far as it said.
    #[must_use]
    pub fn seen(sight: &HostSight) -> Self {
        let (number, went_on_before) = match &sight.domain {
            Answer::Present(sight) => (sight.run, sight.reason == Reason::MigrationCanceled),
            Answer::Absent | Answer::Unknown(_) => (None, false),
        };
        let process = match sight.process {
            ProcessAnswer::Running(process) => Some(process),
            ProcessAnswer::None | ProcessAnswer::Unknown => None,
        };
        Self { number, process, went_on_before, boot_id: sight.boot.as_ref().map(|boot| boot.id.clone()) }
    }

    /// Whether what a host is seen to run is certainly another run than this one. What is not known proves nothing.
    #[must_use]
    pub fn is_over(&self, seen: &Self) -> bool {
        fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.zip(other).is_some_and(|(one, other)| one != other)
        }
        differ(self.boot_id.as_ref(), seen.boot_id.as_ref())
            || differ(self.process.as_ref(), seen.process.as_ref())
            || differ(self.number.as_ref(), seen.number.as_ref())
    }
}

/// Figures of a domain's job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFigures {
    /// Whether the job is at work (`VIR_DOMAIN_JOB_BOUNDED` or `UNBOUNDED`).
    pub active: bool,
    /// Time since it began.
    pub elapsed_ms: u64,
    /// While it runs the expected pause, afterwards the real one.
    pub downtime_ms: Option<u64>,
    /// Memory sent so far.
    pub memory_processed_bytes: u64,
    /// Memory left.
    pub memory_remaining_bytes: u64,
    /// Memory of the guest.
    pub memory_total_bytes: u64,
    /// All data sent (memory and disks).
    pub data_processed_bytes: u64,
    /// Of disks that are copied: sent so far.
    pub disk_processed_bytes: u64,
    /// And in all; none where no disk is copied.
    pub disk_total_bytes: Option<u64>,
    /// Speed of the memory copy.
    pub memory_bytes_s: u64,
    /// How fast the guest rewrites memory.
    pub dirty_bytes_s: u64,
    /// Pass over the memory.
    pub iteration: u64,
}

/// Something a host told about a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainEvent {
    /// It began to run (defined and started, resumed, or arrived).
    Started,
    /// It was paused for the switch-over of a migration.
    SuspendedMigrated,
    /// It was paused for another reason.
    Suspended,
    /// It was resumed.
    Resumed,
    /// It stopped because it was migrated away.
    StoppedMigrated,
    /// It stopped for another reason.
    Stopped,
    /// Its definition appeared or changed.
    Defined,
    /// Its definition went.
    Undefined,
    /// A migration began this pass over the memory.
    Iteration(u64),
    /// Its job ended with these figures.
    JobCompleted(JobFigures),
    /// Something else changed.
    Other,
}
