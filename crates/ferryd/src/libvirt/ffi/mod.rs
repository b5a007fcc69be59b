//! The only `unsafe` of the crate: calls of libvirt that the `virt` crate does not wrap, or wraps with defects that matter
//! here (`Domain::state` hides errors, `job_stats` of an idle domain aborts a debug build, `migrate_to_uri3` leaks its
//! strings, `all_domain_stats` never frees its records and so keeps the connection open).
//!
//! Everything here blocks; nothing here is called from an async thread.
#![allow(unsafe_code)]

pub mod console;
mod events;
mod params;
mod questions;
pub mod streams;

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

pub use events::{EventedConnect, Listener, RawEvent};
pub use params::{TypedParams, TypedValue};
pub use questions::{
    CpuComparison, block_job, checkpoint_names, compare_hypervisor_cpu, control_trouble, disk_errors,
    saved_xml,
};

use self::params::{ParamList, read_params};
use super::error::{INTERNAL_ERROR, INVALID_ARGUMENT, LibvirtError};

/// Result of a libvirt call.
pub type Result<T> = std::result::Result<T, LibvirtError>;

fn last_error() -> LibvirtError {
    virt::error::Error::last_error().into()
}

/// The system's error number that the last error of this thread holds, if that is the one of this text: libvirt forgets it at its next
/// call. The `virt` crate leaves it out.
pub(super) fn errno_of(message: &str) -> Option<i32> {
    // SAFETY: libvirt answers null or a pointer to an error of this thread, which stays as it is until the thread calls it again.
    let error = unsafe { sys::virGetLastError().as_ref() }?;
    if error.message.is_null() {
        return None;
    }
    // SAFETY: a text of libvirt's ends with a null byte, and lives as long as its error.
    let text = unsafe { CStr::from_ptr(error.message) };
    (text.to_bytes() == message.as_bytes() && error.int1 > 0).then_some(error.int1)
}

fn check(result: c_int) -> Result<c_int> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn nul_error() -> LibvirtError {
    LibvirtError::of(INVALID_ARGUMENT, "a text holds a null byte")
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| nul_error())
}

/// Starts libvirt's default event loop on a thread of its own and silences libvirt's printing of errors. Must run before the
/// first connection is opened, once per process (`virEventRegisterDefaultImpl`).
///
/// # Errors
/// libvirt could not set up its loop.
pub fn start_event_loop() -> Result<()> {
    virt::error::clear_error_callback();
    virt::event::event_register_default_impl()?;
    std::thread::Builder::new()
        .name("libvirt-events".to_owned())
        .spawn(|| {
            loop {
                if let Err(error) = virt::event::event_run_default_impl() {
                    tracing::error!(%error, "libvirt's event loop failed; it is entered again");
                }
            }
        })
        .map(drop)
        .map_err(|error| LibvirtError::of(INTERNAL_ERROR, error.to_string()))
}

/// State and reason of a domain (`virDomainGetState`), with errors reported.
///
/// # Errors
/// What libvirt says, `VIR_ERR_NO_DOMAIN` where the domain is gone.
pub fn domain_state(domain: &Domain) -> Result<(i32, i32)> {
    let (mut state, mut reason) = (0, 0);
    // SAFETY: the domain is alive while it is borrowed; the two pointers are to locals.
    check(unsafe { sys::virDomainGetState(domain.as_ptr(), &raw mut state, &raw mut reason, 0) })?;
    Ok((state, reason))
}

/// The statistics of the domain's job: its type (`virDomainJobType`) and figures.
///
/// # Errors
/// What libvirt says.
pub fn job_stats(domain: &Domain) -> Result<(i32, TypedParams)> {
    let (mut kind, mut params, mut count) = (0, ptr::null_mut(), 0);
    // SAFETY: the domain is alive; libvirt allocates the parameters, which are read and freed here exactly once.
    unsafe {
        check(sys::virDomainGetJobStats(domain.as_ptr(), &raw mut kind, &raw mut params, &raw mut count, 0))?;
        let values = read_params(params, count);
        sys::virTypedParamsFree(params, count);
        Ok((kind, values))
    }
}

/// Aborts the domain's job (`virDomainAbortJob`). Was seen to block for 5 s and more.
///
/// # Errors
/// What libvirt says; `VIR_ERR_OPERATION_INVALID` where there is no job.
pub fn abort_job(domain: &Domain) -> Result<()> {
    // SAFETY: the domain is alive while it is borrowed.
    check(unsafe { sys::virDomainAbortJob(domain.as_ptr()) }).map(drop)
}

/// Switches the migration under way to post-copy (`virDomainMigrateStartPostCopy`).
///
/// # Errors
/// What libvirt says; `VIR_ERR_OPERATION_INVALID` where no migration is under way that may be switched.
pub fn start_post_copy(domain: &Domain) -> Result<()> {
    // SAFETY: the domain is alive while it is borrowed.
    check(unsafe { sys::virDomainMigrateStartPostCopy(domain.as_ptr(), 0) }).map(drop)
}

/// Migrates a domain (`virDomainMigrateToURI3`); blocks until it has ended one way or the other. The result decides nothing:
/// look at both hosts.
///
/// # Errors
/// What libvirt says, which is not where the domain is.
pub fn migrate_to_uri(
    domain: &Domain,
    destination_uri: Option<&str>,
    params: &[(&CStr, TypedValue)],
    flags: u32,
) -> Result<()> {
    let uri = destination_uri.map(c_string).transpose()?;
    let list = ParamList::build(params)?;
    let count = u32::try_from(list.count).unwrap_or(0);
    // SAFETY: domain, URI and parameters outlive the call, which keeps none of them.
    check(unsafe {
        sys::virDomainMigrateToURI3(
            domain.as_ptr(),
            uri.as_ref().map_or(ptr::null(), |uri| uri.as_ptr()),
            list.params,
            count,
            flags,
        )
    })
    .map(drop)
}

/// Migrates a domain from its connection to the one of the destination, this process between them (`virDomainMigrate3`); blocks
/// until it has ended one way or the other. The result decides nothing: look at both hosts.
///
/// # Errors
/// What libvirt says, which is not where the domain is.
pub fn migrate_between(
    domain: &Domain,
    destination: &Connect,
    params: &[(&CStr, TypedValue)],
    flags: u32,
) -> Result<()> {
    let list = ParamList::build(params)?;
    let count = u32::try_from(list.count).unwrap_or(0);
    // SAFETY: domain, connection and parameters outlive the call, which keeps none of them; what it returns is a reference of our own
    // to the domain on the destination, given back here exactly once.
    unsafe {
        let arrived =
            sys::virDomainMigrate3(domain.as_ptr(), destination.as_ptr(), list.params, count, flags);
        if arrived.is_null() {
            return Err(last_error());
        }
        check(sys::virDomainFree(arrived)).map(drop)
    }
}

/// One domain's bulk statistics.
#[derive(Clone, Debug)]
pub struct DomainStats {
    /// The domain's UUID.
    pub uuid: Uuid,
    /// The domain's name.
    pub name: String,
    /// The figures, by libvirt's names (`state.state`, `balloon.current`).
    pub values: TypedParams,
}

/// Bulk statistics of domains in one call (`virConnectGetAllDomainStats`), without waiting for busy ones. `of` says of which:
/// `VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE` and its like, 0 for all.
///
/// # Errors
/// What libvirt says.
pub fn all_domain_stats(connect: &Connect, kinds: u32, of: u32) -> Result<Vec<DomainStats>> {
    let mut records: *mut sys::virDomainStatsRecordPtr = ptr::null_mut();
    let flags = of | sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
    // SAFETY: the connection is alive; on success `records` is an array of as many record pointers, freed below as a whole.
    unsafe {
        let count =
            check(sys::virConnectGetAllDomainStats(connect.as_ptr(), kinds, &raw mut records, flags))?;
        let count = usize::try_from(count).unwrap_or(0);
        let stats = (0..count).map(|index| read_record(*records.add(index))).collect();
        sys::virDomainStatsRecordListFree(records);
        stats
    }
}

/// # Safety
/// `record` is a valid record with a valid domain.
unsafe fn read_record(record: sys::virDomainStatsRecordPtr) -> Result<DomainStats> {
    // SAFETY: the caller vouches for the record; name and UUID are copied.
    unsafe {
        let record = &*record;
        let (uuid, name) = identity(record.dom)?;
        Ok(DomainStats { uuid, name, values: read_params(record.params, record.nparams) })
    }
}

/// # Safety
/// `domain` is a valid domain.
unsafe fn identity(domain: sys::virDomainPtr) -> Result<(Uuid, String)> {
    let mut bytes = [0u8; sys::VIR_UUID_BUFLEN as usize];
    // SAFETY: the caller vouches for the domain; the buffer has the length that libvirt writes.
    unsafe {
        check(sys::virDomainGetUUID(domain, bytes.as_mut_ptr()))?;
        let name = sys::virDomainGetName(domain);
        let name =
            if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() };
        Ok((Uuid::from_bytes(bytes), name))
    }
}

/// libvirt's name of a migrate parameter.
pub mod param {
    use std::ffi::CStr;

    /// The name of a disk that is copied; may be given several times.
    pub const DISKS: &CStr = super::sys::VIR_MIGRATE_PARAM_MIGRATE_DISKS;
    /// The domain's name on the destination.
    pub const NAME: &CStr = super::sys::VIR_MIGRATE_PARAM_DEST_NAME;
    /// The domain's XML on the destination.
    pub const XML: &CStr = super::sys::VIR_MIGRATE_PARAM_DEST_XML;
    /// Its definition there for its next start.
    pub const PERSISTENT_XML: &CStr = super::sys::VIR_MIGRATE_PARAM_PERSIST_XML;
    /// Upper limit of the bandwidth in MiB/s.
    pub const BANDWIDTH: &CStr = super::sys::VIR_MIGRATE_PARAM_BANDWIDTH;
    /// The same for what follows after the switch to post-copy.
    pub const BANDWIDTH_POST_COPY: &CStr = super::sys::VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY;
    /// Where the memory is sent: `tcp://` or `rdma://` and an address or name.
    pub const URI: &CStr = super::sys::VIR_MIGRATE_PARAM_URI;
    /// The address that the destination's QEMU listens on.
    pub const LISTEN_ADDRESS: &CStr = super::sys::VIR_MIGRATE_PARAM_LISTEN_ADDRESS;
    /// The name that the destination's certificate must have.
    pub const TLS_DESTINATION: &CStr = super::sys::VIR_MIGRATE_PARAM_TLS_DESTINATION;
    /// How many connections carry the memory.
    pub const PARALLEL_CONNECTIONS: &CStr = super::sys::VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS;
    /// How the memory is compressed.
    pub const COMPRESSION: &CStr = super::sys::VIR_MIGRATE_PARAM_COMPRESSION;
    /// Where the clients of its screen are sent to.
    pub const GRAPHICS_URI: &CStr = super::sys::VIR_MIGRATE_PARAM_GRAPHICS_URI;
}
