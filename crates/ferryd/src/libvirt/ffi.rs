//! The only `unsafe` of the crate: calls of libvirt that the `virt` crate does not wrap, or wraps with defects that matter
//! here (`Domain::state` hides errors, `job_stats` of an idle domain aborts a debug build, `migrate_to_uri3` leaks its
//! strings, `all_domain_stats` never frees its records and so keeps the connection open).
//!
//! Everything here blocks; nothing here is called from an async thread.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::error::LibvirtError;

/// Result of a libvirt call.
pub type Result<T> = std::result::Result<T, LibvirtError>;

/// A value of libvirt's typed parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedValue {
    /// Any of the integer types.
    Int(i64),
    /// An unsigned 64-bit integer.
    UInt(u64),
    /// A floating point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
}

impl TypedValue {
    /// The value as an unsigned number, where it is one.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::UInt(value) => Some(*value),
            _ => None,
        }
    }
}

/// Typed parameters by name.
pub type TypedParams = HashMap<String, TypedValue>;

fn last_error() -> LibvirtError {
    virt::error::Error::last_error().into()
}

fn check(result: c_int) -> Result<c_int> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn nul_error() -> LibvirtError {
    LibvirtError { code: 8, domain: 0, message: "a text holds a null byte".to_owned() }
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
        .map_err(|error| LibvirtError { code: 1, domain: 0, message: error.to_string() })
}

/// Reads typed parameters that libvirt owns.
///
/// # Safety
/// `params` points to `count` valid parameters.
unsafe fn read_params(params: sys::virTypedParameterPtr, count: c_int) -> TypedParams {
    let count = usize::try_from(count).unwrap_or(0);
    if params.is_null() || count == 0 {
        return TypedParams::new();
    }
    // SAFETY: the caller vouches for pointer and length; null was sorted out above (an idle domain's job has none).
    let params = unsafe { std::slice::from_raw_parts(params, count) };
    params
        .iter()
        .map(|param| {
            // SAFETY: libvirt fills `field` with a terminated text and the member of `value` that `type_` names.
            unsafe {
                let name = CStr::from_ptr(param.field.as_ptr()).to_string_lossy().into_owned();
                let value = match param.type_ as sys::virTypedParameterType {
                    sys::VIR_TYPED_PARAM_INT => TypedValue::Int(param.value.i.into()),
                    sys::VIR_TYPED_PARAM_UINT => TypedValue::Int(param.value.ui.into()),
                    sys::VIR_TYPED_PARAM_LLONG => TypedValue::Int(param.value.l),
                    sys::VIR_TYPED_PARAM_ULLONG => TypedValue::UInt(param.value.ul),
                    sys::VIR_TYPED_PARAM_DOUBLE => TypedValue::Double(param.value.d),
                    sys::VIR_TYPED_PARAM_BOOLEAN => TypedValue::Bool(param.value.b != 0),
                    _ if param.value.s.is_null() => TypedValue::Text(String::new()),
                    _ => TypedValue::Text(CStr::from_ptr(param.value.s).to_string_lossy().into_owned()),
                };
                (name, value)
            }
        })
        .collect()
}

/// Typed parameters on their way into libvirt; freed by libvirt's own function.
struct ParamList {
    params: sys::virTypedParameterPtr,
    count: c_int,
    capacity: c_int,
}

impl ParamList {
    fn build(values: &[(&CStr, TypedValue)]) -> Result<Self> {
        let mut list = Self { params: ptr::null_mut(), count: 0, capacity: 0 };
        for (name, value) in values {
            list.add(name, value)?;
        }
        Ok(list)
    }

    fn add(&mut self, name: &CStr, value: &TypedValue) -> Result<()> {
        let (params, count, capacity) = (&raw mut self.params, &raw mut self.count, &raw mut self.capacity);
        // SAFETY: the three pointers are this list's own; libvirt reallocates the array and copies name and text.
        let result = unsafe {
            match value {
                TypedValue::Text(text) => {
                    let text = c_string(text)?;
                    sys::virTypedParamsAddString(params, count, capacity, name.as_ptr(), text.as_ptr())
                }
                TypedValue::Int(number) => sys::virTypedParamsAddInt(
                    params,
                    count,
                    capacity,
                    name.as_ptr(),
                    c_int::try_from(*number).unwrap_or(c_int::MAX),
                ),
                TypedValue::UInt(number) => {
                    sys::virTypedParamsAddULLong(params, count, capacity, name.as_ptr(), *number)
                }
                TypedValue::Bool(truth) => {
                    sys::virTypedParamsAddBoolean(params, count, capacity, name.as_ptr(), c_int::from(*truth))
                }
                TypedValue::Double(number) => {
                    sys::virTypedParamsAddDouble(params, count, capacity, name.as_ptr(), *number)
                }
            }
        };
        check(result).map(drop)
    }
}

impl Drop for ParamList {
    fn drop(&mut self) {
        // SAFETY: `params` came from virTypedParamsAdd* or is null, which the function takes.
        unsafe { sys::virTypedParamsFree(self.params, self.count) }
    }
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

/// The statistics of the domain's job: its type (`virDomainJobType`) and figures. `completed` asks for those of the last job
/// that ended, and keeps them for the next reader.
///
/// # Errors
/// What libvirt says.
pub fn job_stats(domain: &Domain, completed: bool) -> Result<(i32, TypedParams)> {
    let (mut kind, mut params, mut count) = (0, ptr::null_mut(), 0);
    let flags = if completed {
        sys::VIR_DOMAIN_JOB_STATS_COMPLETED | sys::VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    } else {
        0
    };
    // SAFETY: the domain is alive; libvirt allocates the parameters, which are read and freed here exactly once.
    unsafe {
        check(sys::virDomainGetJobStats(
            domain.as_ptr(),
            &raw mut kind,
            &raw mut params,
            &raw mut count,
            flags,
        ))?;
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

/// Bulk statistics of all domains in one call (`virConnectGetAllDomainStats`), without waiting for busy ones.
///
/// # Errors
/// What libvirt says.
pub fn all_domain_stats(connect: &Connect, kinds: u32) -> Result<Vec<DomainStats>> {
    let mut records: *mut sys::virDomainStatsRecordPtr = ptr::null_mut();
    let flags = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
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

/// Something that libvirt told without being asked.
#[derive(Clone, Debug, PartialEq)]
pub enum RawEvent {
    /// A domain changed its state: `virDomainEventType` and its detail.
    Lifecycle {
        /// Which domain.
        uuid: Uuid,
        /// `virDomainEventType`.
        event: i32,
        /// The detail type that goes with the event.
        detail: i32,
    },
    /// A migration began another pass over the memory.
    Iteration {
        /// Which domain.
        uuid: Uuid,
        /// Number of the pass, from 1.
        iteration: u64,
    },
    /// A job ended, with all its figures.
    JobCompleted {
        /// Which domain.
        uuid: Uuid,
        /// The figures.
        params: TypedParams,
    },
    /// The connection was lost (`virConnectCloseReason`).
    Closed {
        /// Why.
        reason: i32,
    },
}

/// Who is told of events; called on libvirt's event thread, so it must not block.
pub type Listener = Box<dyn Fn(RawEvent) + Send + Sync>;

/// The listener behind the `void *` of a callback, one per registration: libvirt frees each with [`free_listener`].
struct Opaque(std::sync::Arc<Listener>);

fn tell(opaque: *mut c_void, event: RawEvent) {
    // SAFETY: `opaque` is the `Opaque` of the registration, alive until libvirt calls `free_listener`.
    let listener = unsafe { &*opaque.cast::<Opaque>() };
    // A panic must not unwind into C.
    if catch_unwind(AssertUnwindSafe(|| (listener.0)(event))).is_err() {
        tracing::error!("an event listener panicked");
    }
}

unsafe extern "C" fn free_listener(opaque: *mut c_void) {
    // SAFETY: made by `Box::into_raw` at the registration, freed by libvirt once.
    drop(unsafe { Box::from_raw(opaque.cast::<Opaque>()) });
}

unsafe extern "C" fn on_lifecycle(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt passes a valid domain.
    if let Ok((uuid, _)) = unsafe { identity(domain) } {
        tell(opaque, RawEvent::Lifecycle { uuid, event, detail });
    }
    0
}

unsafe extern "C" fn on_iteration(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    iteration: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain.
    if let Ok((uuid, _)) = unsafe { identity(domain) } {
        tell(opaque, RawEvent::Iteration { uuid, iteration: u64::try_from(iteration).unwrap_or(0) });
    }
}

unsafe extern "C" fn on_job_completed(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    params: sys::virTypedParameterPtr,
    count: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain and `count` valid parameters, which it frees itself.
    if let (Ok((uuid, _)), params) = unsafe { (identity(domain), read_params(params, count)) } {
        tell(opaque, RawEvent::JobCompleted { uuid, params });
    }
}

unsafe extern "C" fn on_close(_connect: sys::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    tell(opaque, RawEvent::Closed { reason });
}

/// A connection with its events; deregisters them before it closes, as libvirt demands (else the connection and its ssh
/// process stay for ever).
pub struct EventedConnect {
    connect: Connect,
    callbacks: Vec<c_int>,
}

impl EventedConnect {
    /// Takes an open connection and registers `listener` for its life-cycle, iteration, job and close events.
    ///
    /// # Errors
    /// What libvirt says; the connection is closed then.
    pub fn new(connect: Connect, listener: Listener) -> Result<Self> {
        let listener = std::sync::Arc::new(listener);
        let mut evented = Self { connect, callbacks: Vec::new() };
        type Generic = sys::virConnectDomainEventGenericCallback;
        // SAFETY: libvirt defines the generic callback type as a stand-in for the one that belongs to the event id; each
        // function here has exactly the signature of its id.
        let (lifecycle, iteration, completed) = unsafe {
            (
                std::mem::transmute::<sys::virConnectDomainEventCallback, Generic>(Some(on_lifecycle)),
                std::mem::transmute::<sys::virConnectDomainEventMigrationIterationCallback, Generic>(Some(
                    on_iteration,
                )),
                std::mem::transmute::<sys::virConnectDomainEventJobCompletedCallback, Generic>(Some(
                    on_job_completed,
                )),
            )
        };
        evented.register(sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, &listener)?;
        evented.register(sys::VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, iteration, &listener)?;
        evented.register(sys::VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, completed, &listener)?;
        let opaque = Box::into_raw(Box::new(Opaque(listener))).cast::<c_void>();
        // SAFETY: the connection is alive, the opaque is freed by libvirt with `free_listener`.
        let result = unsafe {
            let connect = evented.connect.as_ptr();
            sys::virConnectRegisterCloseCallback(connect, Some(on_close), opaque, Some(free_listener))
        };
        check(result).inspect_err(|_| {
            // SAFETY: libvirt did not take the opaque.
            unsafe { free_listener(opaque) }
        })?;
        Ok(evented)
    }

    fn register(
        &mut self,
        event_id: sys::virDomainEventID,
        callback: sys::virConnectDomainEventGenericCallback,
        listener: &std::sync::Arc<Listener>,
    ) -> Result<()> {
        let opaque = Box::into_raw(Box::new(Opaque(listener.clone()))).cast::<c_void>();
        // SAFETY: the connection is alive; a null domain means all; the opaque is freed by libvirt, except on failure.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                self.connect.as_ptr(),
                ptr::null_mut(),
                c_int::try_from(event_id).unwrap_or(0),
                callback,
                opaque,
                Some(free_listener),
            )
        };
        if id < 0 {
            let error = last_error();
            // SAFETY: libvirt did not take the opaque.
            unsafe { free_listener(opaque) };
            return Err(error);
        }
        self.callbacks.push(id);
        Ok(())
    }

    /// The connection.
    #[must_use]
    pub fn connect(&self) -> &Connect {
        &self.connect
    }
}

impl std::fmt::Debug for EventedConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventedConnect").field("callbacks", &self.callbacks).finish_non_exhaustive()
    }
}

impl Drop for EventedConnect {
    fn drop(&mut self) {
        // SAFETY: the connection is alive until after this; failures (connection broken) leave nothing to do.
        unsafe {
            for id in &self.callbacks {
                sys::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), *id);
            }
            sys::virConnectUnregisterCloseCallback(self.connect.as_ptr(), Some(on_close));
        }
    }
}

/// libvirt's name of a migrate parameter.
pub mod param {
    use std::ffi::CStr;

    /// Address that the source's QEMU connects to.
    pub const URI: &CStr = super::sys::VIR_MIGRATE_PARAM_URI;
    /// Upper limit of the bandwidth in MiB/s.
    pub const BANDWIDTH: &CStr = super::sys::VIR_MIGRATE_PARAM_BANDWIDTH;
}
