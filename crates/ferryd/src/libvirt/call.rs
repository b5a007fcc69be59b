//! A migration as libvirt is asked for it: its flags and parameters.

use std::ffi::CStr;

use tokio::time::Instant;
use virt_sys as sys;

use super::error::{LibvirtError, OPERATION_ABORTED};
use super::ffi::{TypedValue, param};
use crate::hypervisor::{MigrateCall, MigrateFlag};
use crate::model::transport::{ParameterValue, TransportParameter};

/// Whether it may still be begun.
///
/// # Errors
/// It comes too late.
pub(super) fn in_time(call: &MigrateCall) -> Result<(), LibvirtError> {
    if call.not_after.is_none_or(|not_after| Instant::now() <= not_after) {
        return Ok(());
    }
    let what = "the migration was not begun: the connection for it came too late";
    Err(LibvirtError::of(OPERATION_ABORTED, what.to_owned()))
}

/// What libvirt is asked to do with a domain, as its flags.
pub(super) fn flags(call: &MigrateCall) -> u32 {
    let number = |flag| match flag {
        MigrateFlag::Live => sys::VIR_MIGRATE_LIVE,
        MigrateFlag::PeerToPeer => sys::VIR_MIGRATE_PEER2PEER,
        MigrateFlag::Paused => sys::VIR_MIGRATE_PAUSED,
        MigrateFlag::PersistDestination => sys::VIR_MIGRATE_PERSIST_DEST,
        MigrateFlag::UndefineSource => sys::VIR_MIGRATE_UNDEFINE_SOURCE,
        MigrateFlag::Tunnelled => sys::VIR_MIGRATE_TUNNELLED,
        MigrateFlag::Tls => sys::VIR_MIGRATE_TLS,
        MigrateFlag::Parallel => sys::VIR_MIGRATE_PARALLEL,
        MigrateFlag::Compressed => sys::VIR_MIGRATE_COMPRESSED,
        MigrateFlag::Zerocopy => sys::VIR_MIGRATE_ZEROCOPY,
        MigrateFlag::Unsafe => sys::VIR_MIGRATE_UNSAFE,
        MigrateFlag::NonSharedIncremental => sys::VIR_MIGRATE_NON_SHARED_INC,
        MigrateFlag::PostCopy => sys::VIR_MIGRATE_POSTCOPY,
        MigrateFlag::PostCopyResume => sys::VIR_MIGRATE_POSTCOPY_RESUME,
        MigrateFlag::NonSharedDisk => sys::VIR_MIGRATE_NON_SHARED_DISK,
    };
    call.flags().into_iter().map(number).fold(0, |all, flag| all | flag)
}

/// libvirt's parameters of a migration.
pub(super) fn params(call: &MigrateCall) -> Vec<(&'static CStr, TypedValue)> {
    let name = |parameter| match parameter {
        TransportParameter::Uri => param::URI,
        TransportParameter::ListenAddress => param::LISTEN_ADDRESS,
        TransportParameter::TlsDestination => param::TLS_DESTINATION,
        TransportParameter::ParallelConnections => param::PARALLEL_CONNECTIONS,
        TransportParameter::Compression => param::COMPRESSION,
        TransportParameter::GraphicsUri => param::GRAPHICS_URI,
    };
    let value = |value| match value {
        ParameterValue::Text(text) => TypedValue::Text(text),
        ParameterValue::Number(number) => TypedValue::Int(number.into()),
    };
    let limit = call.bandwidth_mib_s.map(|mib_s| (param::BANDWIDTH, TypedValue::UInt(mib_s)));
    let after = call.bandwidth_mib_s.filter(|_| call.post_copy);
    let after = after.map(|mib_s| (param::BANDWIDTH_POST_COPY, TypedValue::UInt(mib_s)));
    let disks = call.copied_disks.iter().map(|disk| (param::DISKS, TypedValue::Text(disk.clone())));
    let transport = call.transport.parameters().into_iter().map(|(which, it)| (name(which), value(it)));
    limit.into_iter().chain(after).chain(disks).chain(transport).collect()
}
