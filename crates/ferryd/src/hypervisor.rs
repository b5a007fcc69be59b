//! The seam between the migration engine and the hosts. It has two implementations: real hosts under libvirt
//! ([`crate::libvirt::host`]) and simulated ones that explore many histories.
//!
//! Whoever implements it keeps these promises:
//! * an answer "absent" comes only from a live daemon that was asked; no answer is [`Answer::Unknown`];
//! * every call ends within its own time limit, except [`Hypervisor::migrate`], which ends when libvirt's does;
//! * a call that timed out may still take effect later.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use crate::libvirt::error::HostError;
use crate::libvirt::link::Link;
use crate::model::definition::SecretReference;
use crate::model::domain::{Answer, DomainEvent, HostSight, JobFigures};
use crate::model::transport::Transport;
use crate::model::{DomainUuid, TaskId, Tenure};
use crate::plan::Rewrite;

/// Result of a call to a host.
pub type Result<T> = std::result::Result<T, HostError>;

/// How a domain is sent; all the flags of libvirt that Ferry uses, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrateCall {
    /// URI by which the source's libvirt reaches the destination's.
    pub peer_uri: String,
    /// Arrive paused (`VIR_MIGRATE_PAUSED`): the destination runs only when the controller says so.
    pub arrive_paused: bool,
    /// Define it on the destination (`VIR_MIGRATE_PERSIST_DEST`) and undefine it on the source
    /// (`VIR_MIGRATE_UNDEFINE_SOURCE`); off for a transient domain.
    pub persistent: bool,
    /// The source's definition is not libvirt's to remove: a copy is made of it first.
    pub keep_source: bool,
    /// Send everything through libvirt's own connection (`VIR_MIGRATE_TUNNELLED`).
    pub tunnelled: bool,
    /// How the memory travels.
    pub transport: Transport,
    /// The disks are the same on both hosts, by proof or by the word of who asked: libvirt need not refuse those whose file system it
    /// does not know as shared (`VIR_MIGRATE_UNSAFE`).
    pub sharing_proven: bool,
    /// Upper limit of the bandwidth in MiB/s.
    pub bandwidth_mib_s: Option<u64>,
    /// Disks, by their name in the domain, that are copied with it (`VIR_MIGRATE_NON_SHARED_INC` and
    /// `VIR_MIGRATE_PARAM_MIGRATE_DISKS`): what lies in the topmost image, into one that was made for it.
    pub copied_disks: Vec<String>,
    /// It may be switched to post-copy (`VIR_MIGRATE_POSTCOPY`). libvirt does not take that with [`MigrateCall::arrive_paused`].
    pub post_copy: bool,
    /// Join a post-copy that broke again (`VIR_MIGRATE_POSTCOPY_RESUME`, since libvirt 8.5).
    pub recover: bool,
    /// What lies below those disks is copied into the same image (`VIR_MIGRATE_NON_SHARED_DISK` instead).
    pub whole_disks: bool,
    /// It is not begun any more after this: whoever waited for it does so no longer.
    pub not_after: Option<Instant>,
    /// What of its definitions is another on the destination (`VIR_MIGRATE_PARAM_DEST_NAME`, `VIR_MIGRATE_PARAM_DEST_XML`,
    /// `VIR_MIGRATE_PARAM_PERSIST_XML`).
    pub rewrite: Rewrite,
}

/// A flag of libvirt's for a migration (`virDomainMigrateFlags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrateFlag {
    /// `VIR_MIGRATE_LIVE`
    Live,
    /// `VIR_MIGRATE_PEER2PEER`
    PeerToPeer,
    /// `VIR_MIGRATE_PAUSED`
    Paused,
    /// `VIR_MIGRATE_PERSIST_DEST`
    PersistDestination,
    /// `VIR_MIGRATE_UNDEFINE_SOURCE`
    UndefineSource,
    /// `VIR_MIGRATE_TUNNELLED`
    Tunnelled,
    /// `VIR_MIGRATE_TLS`
    Tls,
    /// `VIR_MIGRATE_PARALLEL`
    Parallel,
    /// `VIR_MIGRATE_COMPRESSED`
    Compressed,
    /// `VIR_MIGRATE_ZEROCOPY`
    Zerocopy,
    /// `VIR_MIGRATE_UNSAFE`
    Unsafe,
    /// `VIR_MIGRATE_NON_SHARED_INC`
    NonSharedIncremental,
    /// `VIR_MIGRATE_POSTCOPY`
    PostCopy,
    /// `VIR_MIGRATE_POSTCOPY_RESUME`
    PostCopyResume,
    /// `VIR_MIGRATE_NON_SHARED_DISK`
    NonSharedDisk,
}

impl MigrateFlag {
    /// libvirt's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "VIR_MIGRATE_LIVE",
            Self::PeerToPeer => "VIR_MIGRATE_PEER2PEER",
            Self::Paused => "VIR_MIGRATE_PAUSED",
            Self::PersistDestination => "VIR_MIGRATE_PERSIST_DEST",
            Self::UndefineSource => "VIR_MIGRATE_UNDEFINE_SOURCE",
            Self::Tunnelled => "VIR_MIGRATE_TUNNELLED",
            Self::Tls => "VIR_MIGRATE_TLS",
            Self::Parallel => "VIR_MIGRATE_PARALLEL",
            Self::Compressed => "VIR_MIGRATE_COMPRESSED",
            Self::Zerocopy => "VIR_MIGRATE_ZEROCOPY",
            Self::Unsafe => "VIR_MIGRATE_UNSAFE",
            Self::NonSharedIncremental => "VIR_MIGRATE_NON_SHARED_INC",
            Self::PostCopy => "VIR_MIGRATE_POSTCOPY",
            Self::PostCopyResume => "VIR_MIGRATE_POSTCOPY_RESUME",
            Self::NonSharedDisk => "VIR_MIGRATE_NON_SHARED_DISK",
        }
    }
}

impl MigrateCall {
    /// The flags that it comes to.
    #[must_use]
    pub fn flags(&self) -> Vec<MigrateFlag> {
        let wanted = [
            (MigrateFlag::Live, true),
            (MigrateFlag::PeerToPeer, !self.transport.direct),
            (MigrateFlag::Paused, self.arrive_paused),
            (MigrateFlag::PersistDestination, self.persistent),
            (MigrateFlag::UndefineSource, self.persistent && !self.keep_source),
            (MigrateFlag::Tunnelled, self.tunnelled),
            (MigrateFlag::Tls, self.transport.tls),
            (MigrateFlag::Parallel, self.transport.parallel.is_some()),
            (MigrateFlag::Compressed, self.transport.compress.is_some()),
            (MigrateFlag::Zerocopy, self.transport.zerocopy),
            (MigrateFlag::Unsafe, self.sharing_proven),
            (MigrateFlag::PostCopy, self.post_copy),
            (MigrateFlag::PostCopyResume, self.recover),
            (MigrateFlag::NonSharedIncremental, !self.copied_disks.is_empty() && !self.whole_disks),
            (MigrateFlag::NonSharedDisk, !self.copied_disks.is_empty() && self.whole_disks),
        ];
        wanted.into_iter().filter_map(|(flag, wanted)| wanted.then_some(flag)).collect()
    }

    /// Their names.
    #[must_use]
    pub fn flag_names(&self) -> Vec<&'static str> {
        self.flags().into_iter().map(MigrateFlag::name).collect()
    }
}

/// A file that is made for a migration where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// Where.
    pub path: String,
    /// `raw`, `qcow2`: what it is made as. A file that another one is carried into is raw, whatever that one is.
    pub format: String,
    /// What a guest would see of it; of a raw file its length. It takes up nothing yet.
    pub capacity_bytes: u64,
    /// The image it lies over: path and format.
    #[serde(default)]
    pub base: Option<(String, String)>,
    /// What is written into it is encrypted (LUKS) with this secret of its host's.
    #[serde(default)]
    pub luks: Option<SecretReference>,
}

/// What is seen of a file. Two are equal where nobody has written to it in between.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct FileSight {
    /// How long it is.
    pub length_bytes: u64,
    /// What it takes up. It tells nothing of who wrote: file systems choose blocks when they write back, seconds after the writer has
    /// gone, and then count a block more for the list of them (ext4), or fewer (what is compressed, or was set aside ahead).
    pub allocated_bytes: u64,
    /// When it was last written to, in nanoseconds since 1970, as far as its file system tells.
    pub modified_ns: u64,
}

impl PartialEq for FileSight {
    fn eq(&self, other: &Self) -> bool {
        let times_tell = self.modified_ns != 0 || other.modified_ns != 0;
        (self.length_bytes, self.modified_ns) == (other.length_bytes, other.modified_ns)
            // Some kinds of storage tell no times: better mistaken than nothing.
            && (times_tell || self.allocated_bytes == other.allocated_bytes)
    }
}

impl Eq for FileSight {}

/// A file, so that it cannot be mistaken for another one of the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Inode and time of birth (in seconds since 1970, 0 where its file system does not tell), where the host offers a shell.
    pub node: Option<(u64, u64)>,
    /// What is seen of it.
    pub sight: FileSight,
}

/// What a copy of a domain is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyIdentity {
    /// Its UUID.
    pub uuid: DomainUuid,
    /// Its name.
    pub name: String,
    /// MAC addresses of its interfaces, in the order of the definition.
    pub macs: Vec<String>,
}

/// A part of a file on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes.
    Data(Vec<u8>),
    /// So many bytes that are zero, and take up no room.
    Hole(u64),
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

impl Span {
    /// Where what comes after it begins.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.offset + self.length
    }
}

/// SHA-256 of a part of a file, holes counted as the zeros they are.
pub type Digest = [u8; 32];

/// How much stays free on a file system that files are carried to, or as much as is carried where that is less.
pub const SPARE_BYTES: u64 = 16 << 20;

/// What libvirt keeps of a domain beside its definition, and whether it goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undefine {
    /// The variables of its firmware, in their file.
    pub nvram: bool,
    /// What libvirt knows of its snapshots and checkpoints (not those in the images).
    pub snapshots: bool,
    /// The state of its emulated TPM.
    pub tpm: bool,
    /// Its saved memory; libvirt refuses to undefine a domain that has some, unless it goes too.
    pub saved: bool,
}

/// A snapshot as libvirt describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its XML. One with secrets in it is handed on, and neither stored nor logged.
    pub xml: String,
    /// It is the one that the domain builds on.
    pub current: bool,
}

/// Resolves once the source's QEMU process is proven dead; an error means that the watcher was lost, which proves nothing.
pub type DeathWatch = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One host.
#[async_trait]
pub trait Hypervisor: Send + Sync + 'static {
    /// The registered name.
    fn name(&self) -> &str;

    /// libvirt's answer about a domain: one quick question on the open connection.
    async fn domain(&self, domain: DomainUuid) -> Answer;
    /// Everything that can be seen of a domain: libvirt's answer, the process table's, the boot.
    async fn look(&self, domain: DomainUuid) -> HostSight;
    /// Figures of the domain's job.
    async fn job(&self, domain: DomainUuid) -> Result<JobFigures>;

    /// Resumes a paused domain.
    async fn resume(&self, domain: DomainUuid) -> Result<()>;
    /// Pauses a domain.
    async fn suspend(&self, domain: DomainUuid) -> Result<()>;
    /// Ends a domain's QEMU. "No such domain" and "not running" are success.
    async fn destroy(&self, domain: DomainUuid) -> Result<()>;
    /// Removes a domain's definition, keeping everything it refers to but what `with` names. "No such domain" is success.
    async fn undefine(&self, domain: DomainUuid, with: Undefine) -> Result<()>;
    /// The definition that a domain has for its next start, with everything in it that another host needs, secrets too: it is
    /// handed on, and neither stored nor logged.
    async fn definition(&self, domain: DomainUuid) -> Result<String>;
    /// Defines a domain.
    async fn define(&self, xml: &str) -> Result<()>;
    /// Defines a copy of a domain beside it: the same in all but what it is known by. Done again it changes nothing.
    async fn define_copy(&self, domain: DomainUuid, copy: &CopyIdentity) -> Result<()>;
    /// Its snapshots, each after the one it builds on; with everything that is in their definitions, secrets too, or without those.
    async fn snapshots(&self, domain: DomainUuid, secrets: bool) -> Result<Vec<Snapshot>>;
    /// Has libvirt forget these snapshots of a domain; what they are in its images stays. One that it does not know is success.
    async fn forget_snapshots(&self, domain: DomainUuid, names: &[String]) -> Result<()>;
    /// Has libvirt know these snapshots of a domain, which lie in its images. Of those that it knows it takes these descriptions.
    async fn redefine_snapshots(&self, domain: DomainUuid, snapshots: &[Snapshot]) -> Result<()>;
    /// Sets whether a persistent domain starts with the host.
    async fn set_autostart(&self, domain: DomainUuid, autostart: bool) -> Result<()>;

    /// Sends the domain away; ends when libvirt's call ends. Its result is not where the domain is: look at both hosts.
    async fn migrate(&self, domain: DomainUuid, call: &MigrateCall) -> Result<()>;
    /// The same with the controller between the two hosts' libvirts instead of the source's speaking to the destination's: it ends when
    /// the controller does, the destination's copy going with the connection while it has not been finished.
    async fn migrate_direct(
        &self,
        domain: DomainUuid,
        call: &MigrateCall,
        destination: &dyn Hypervisor,
    ) -> Result<()>;
    /// libvirt's own connections to the host, for a call that needs those of two; none of a simulated one.
    fn libvirt(&self) -> Option<&Link>;
    /// The limit of the bandwidth that libvirt remembers for the domain's migrations, in MiB/s.
    async fn max_bandwidth(&self, domain: DomainUuid) -> Result<u64>;
    /// Sets it; a migration under way keeps to it at once. libvirt takes it for a domain that does not migrate as well.
    async fn set_max_bandwidth(&self, domain: DomainUuid, mib_s: u64) -> Result<()>;
    /// Has QEMU copy each of the domain's disks, for the migration under way, at most so fast; how many do so. It marks the
    /// domain like [`Self::release_cancelled`].
    async fn limit_disk_copies(&self, domain: DomainUuid, mib_s: u64) -> Result<u32>;
    /// Sets the longest pause allowed for the migration under way.
    async fn set_max_downtime(&self, domain: DomainUuid, downtime_ms: u64) -> Result<()>;
    /// Has the migration under way switch to post-copy: the domain goes on at the destination at once, and its memory follows.
    async fn start_post_copy(&self, domain: DomainUuid) -> Result<()>;
    /// Aborts the domain's job.
    async fn abort_job(&self, domain: DomainUuid) -> Result<()>;
    /// Watches the domain's QEMU die. Ready to miss nothing when this returns; none where the host offers no shell.
    async fn watch_death(&self, domain: DomainUuid) -> Result<Option<DeathWatch>>;
    /// Closes the connections of the migration under way to the other host, so that a QEMU that waits for a host that is gone
    /// gives up at once; the number of connections closed, none where the host offers no shell. `ports`: where the other host
    /// receives migrations, first and last, if not on libvirt's usual ones.
    async fn close_migration_sockets(
        &self,
        domain: DomainUuid,
        peer_uri: &str,
        ports: Option<(u16, u16)>,
    ) -> Result<Option<u32>>;
    /// Wakes a QEMU that was told to give up its migration in the very moment in which it paused for the switch-over, and sleeps since;
    /// whether it was one. By the mere question libvirt marks the domain for as long as it runs (`custom-monitor`): only where nothing else
    /// has helped.
    async fn release_cancelled(&self, domain: DomainUuid) -> Result<bool>;

    /// What is seen of a file; none where there is none. `task`: whose work it is, here and in all that follows; by it a storage
    /// pool is named that has to be made for the while.
    async fn file(&self, task: TaskId, path: &str) -> Result<Option<FileSight>>;
    /// Makes a file. Refuses with [`crate::libvirt::error::VOLUME_EXISTS`] where there is something.
    async fn make_file(&self, task: TaskId, file: &NewFile) -> Result<()>;
    /// By what a file is known; none where there is none.
    async fn identity(&self, task: TaskId, path: &str) -> Result<Option<FileIdentity>>;
    /// Which of these files something else than this domain uses: other domains as their drives or below them, or images that lie over
    /// them (in storage pools, and in the directories of these files and of other domains' drives), with who does.
    async fn users_of(
        &self,
        task: TaskId,
        domain: DomainUuid,
        paths: &[String],
    ) -> Result<Vec<(String, String)>>;
    /// Removes a file. "Nothing there" is success.
    async fn remove_file(&self, task: TaskId, path: &str) -> Result<()>;
    /// Reads a part of a file into `sink`, in order. Ends early, and as an error, when nobody takes it any more.
    async fn read_file(&self, task: TaskId, path: &str, span: Span, sink: mpsc::Sender<Piece>) -> Result<()>;
    /// Writes what comes out of `pieces` into a part of a file, during the task's `tenure`; ends when they end.
    async fn write_file(
        &self,
        task: TaskId,
        path: &str,
        span: Span,
        pieces: mpsc::Receiver<Piece>,
        tenure: Tenure,
    ) -> Result<()>;
    /// What a part of a file comes to, read on the host itself where it offers a shell.
    async fn digest(&self, task: TaskId, path: &str, span: Span) -> Result<Digest>;
    /// Writes what a guest sees of an image, with all that lies below it, into an image that was made and is empty, of the same
    /// format, and compares the two. The host offers a shell.
    async fn flatten_file(&self, task: TaskId, from: &str, into: &NewFile) -> Result<()>;
    /// Takes away the storage pools that were made for this task's while, and directories of a TPM's state that nothing is in.
    async fn release_pools(&self, task: TaskId) -> Result<()>;

    /// What the host tells by itself, of all domains, from now on. A receiver that lags has missed some: ask then.
    fn events(&self) -> broadcast::Receiver<(DomainUuid, DomainEvent)>;
}
