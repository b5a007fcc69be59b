//! Questions that the checks ask.

use std::ffi::CStr;
use std::ptr;

use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::{Result, c_string, check};

/// What a comparison of CPUs came to (`virCPUCompareResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuComparison {
    /// The host has all of it.
    Fits,
    /// The host lacks something that libvirt does not name.
    Lacks,
}

/// Compares a CPU with what the host's hypervisor offers (`virConnectCompareHypervisorCPU`), naming what is missing.
///
/// # Errors
/// `VIR_ERR_CPU_INCOMPATIBLE` with the features in its text, or that it cannot be compared.
pub fn compare_hypervisor_cpu(
    connect: &Connect,
    architecture: &str,
    machine: &str,
    domain_type: &str,
    cpu: &str,
) -> Result<CpuComparison> {
    let [architecture, machine, domain_type, cpu] =
        [c_string(architecture)?, c_string(machine)?, c_string(domain_type)?, c_string(cpu)?];
    // SAFETY: the connection is alive; the texts outlive the call; a null emulator means the default one.
    let result = check(unsafe {
        sys::virConnectCompareHypervisorCPU(
            connect.as_ptr(),
            ptr::null(),
            architecture.as_ptr(),
            machine.as_ptr(),
            domain_type.as_ptr(),
            cpu.as_ptr(),
            sys::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE,
        )
    })?;
    // VIR_CPU_COMPARE_INCOMPATIBLE is 0; identical and superset are above.
    Ok(if result > 0 { CpuComparison::Fits } else { CpuComparison::Lacks })
}

/// The kind of job on a disk (`virDomainGetBlockJobInfo`); none where there is none.
///
/// # Errors
/// What libvirt says.
pub fn block_job(domain: &Domain, disk: &str) -> Result<Option<String>> {
    let disk = c_string(disk)?;
    let mut info = std::mem::MaybeUninit::<sys::virDomainBlockJobInfo>::uninit();
    // SAFETY: the domain is alive; libvirt fills the structure where it answers 1.
    let found = check(unsafe {
        sys::virDomainGetBlockJobInfo(domain.as_ptr(), disk.as_ptr(), info.as_mut_ptr(), 0)
    })?;
    if found == 0 {
        return Ok(None);
    }
    // SAFETY: filled, as libvirt said.
    let kind = unsafe { info.assume_init() }.type_;
    let name = match u32::try_from(kind).unwrap_or(0) {
        sys::VIR_DOMAIN_BLOCK_JOB_TYPE_PULL => "pull",
        sys::VIR_DOMAIN_BLOCK_JOB_TYPE_COPY => "copy",
        sys::VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT | sys::VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT => "commit",
        sys::VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP => "backup",
        _ => "job",
    };
    Ok(Some(name.to_owned()))
}

/// Why libvirt cannot control the domain's QEMU (`virDomainGetControlInfo`); none where it can.
///
/// # Errors
/// What libvirt says.
pub fn control_trouble(domain: &Domain) -> Result<Option<String>> {
    let mut info = std::mem::MaybeUninit::<sys::virDomainControlInfo>::uninit();
    // SAFETY: the domain is alive; libvirt fills the structure on success.
    let info = unsafe {
        check(sys::virDomainGetControlInfo(domain.as_ptr(), info.as_mut_ptr(), 0))?;
        info.assume_init()
    };
    let seconds = info.stateTime / 1000;
    Ok(match info.state {
        // A job that has just begun occupies the monitor for an instant.
        sys::VIR_DOMAIN_CONTROL_OCCUPIED if seconds >= 5 => {
            Some(format!("its monitor has been occupied for {seconds} s"))
        }
        sys::VIR_DOMAIN_CONTROL_ERROR => Some("its monitor is broken".to_owned()),
        _ => None,
    })
}

/// Errors of a domain's disks (`virDomainGetDiskErrors`): the drive's name and the error.
///
/// # Errors
/// What libvirt says.
pub fn disk_errors(domain: &Domain) -> Result<Vec<(String, String)>> {
    const MOST: usize = 64;
    let mut errors: Vec<sys::virDomainDiskError> =
        (0..MOST).map(|_| sys::virDomainDiskError { disk: ptr::null_mut(), error: 0 }).collect();
    let room = u32::try_from(MOST).unwrap_or(0);
    // SAFETY: the array has as many places as libvirt is told; the names it puts there are freed here.
    let count = check(unsafe { sys::virDomainGetDiskErrors(domain.as_ptr(), errors.as_mut_ptr(), room, 0) })?;
    let told = errors.iter().take(usize::try_from(count).unwrap_or(0)).map(|entry| {
        // SAFETY: libvirt allocated the name with malloc.
        let name = unsafe {
            let name = CStr::from_ptr(entry.disk).to_string_lossy().into_owned();
            libc::free(entry.disk.cast());
            name
        };
        let error = if u32::try_from(entry.error) == Ok(sys::VIR_DOMAIN_DISK_ERROR_NO_SPACE) {
            "no space"
        } else {
            "I/O error"
        };
        (name, error.to_owned())
    });
    Ok(told.collect())
}

/// Names of a domain's checkpoints (`virDomainListAllCheckpoints`).
///
/// # Errors
/// What libvirt says.
pub fn checkpoint_names(domain: &Domain) -> Result<Vec<String>> {
    let mut all: *mut sys::virDomainCheckpointPtr = ptr::null_mut();
    // SAFETY: the domain is alive; on success `all` is an array of as many checkpoints, each freed here, and then the array.
    unsafe {
        let count = check(sys::virDomainListAllCheckpoints(domain.as_ptr(), &raw mut all, 0))?;
        let names = (0..usize::try_from(count).unwrap_or(0)).map(|at| {
            let checkpoint = *all.add(at);
            let name =
                CStr::from_ptr(sys::virDomainCheckpointGetName(checkpoint)).to_string_lossy().into_owned();
            sys::virDomainCheckpointFree(checkpoint);
            name
        });
        let names = names.collect();
        libc::free(all.cast());
        Ok(names)
    }
}

/// The definition that a domain's memory was saved with, without secrets (`virDomainManagedSaveGetXMLDesc`).
///
/// # Errors
/// What libvirt says; also that there is no such memory.
pub fn saved_xml(domain: &Domain) -> Result<String> {
    // SAFETY: the domain is alive; libvirt allocates the text, which is copied and freed here.
    unsafe {
        let text = sys::virDomainManagedSaveGetXMLDesc(domain.as_ptr(), 0);
        if text.is_null() {
            return Err(super::last_error());
        }
        let xml = CStr::from_ptr(text).to_string_lossy().into_owned();
        libc::free(text.cast());
        Ok(xml)
    }
}
