//! Files of the host's own that a definition names (QEMU, its firmware, what the variables of that are made from), where the
//! destination has them elsewhere: distributions do not agree on their paths. Pure.

use std::collections::BTreeMap;

use crate::model::facts::{Facts, PathKind};

/// Firmware for guests, by what it is: in each family those that stand for each other, as far as they are of one size (that of the
/// flash memory which QEMU makes of it, and a guest keeps).
const FIRMWARE: &[&[&str]] = &[
    // OVMF.
    &[
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/qemu/ovmf-x86_64-4m-code.bin",
        "/usr/share/qemu/edk2-x86_64-code.fd",
    ],
    // The same with secure boot.
    &[
        "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
        "/usr/share/OVMF/OVMF_CODE_4M.ms.fd",
        "/usr/share/OVMF/OVMF_CODE.secboot.fd",
        "/usr/share/OVMF/OVMF_CODE.ms.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
        "/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd",
        "/usr/share/qemu/edk2-x86_64-secure-code.fd",
    ],
    // Its variables.
    &[
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
        "/usr/share/qemu/ovmf-x86_64-4m-vars.bin",
        "/usr/share/qemu/edk2-i386-vars.fd",
    ],
    // The same with Microsoft's keys.
    &[
        "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
        "/usr/share/OVMF/OVMF_VARS.ms.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd",
    ],
    // For ARM.
    &[
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
        "/usr/share/qemu/edk2-aarch64-code.fd",
    ],
    &[
        "/usr/share/AAVMF/AAVMF_VARS.fd",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
        "/usr/share/qemu/edk2-arm-vars.fd",
    ],
];

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Where a host may have the same firmware as in this file: first where it has the same name.
pub fn same_firmware(path: &str) -> impl Iterator<Item = &'static str> + use<> {
    let name = file_name(path).to_owned();
    let is_of = |family: &&&[&str]| family.iter().any(|one| file_name(one) == name);
    let family: &[&str] = FIRMWARE.iter().find(is_of).copied().unwrap_or_default();
    let (named, others): (Vec<&str>, Vec<&str>) =
        family.iter().copied().partition(|one| file_name(one) == name);
    named.into_iter().chain(others)
}

/// The files that the destination has at another path: that path by the source's.
#[must_use]
pub fn host_files(facts: &Facts) -> BTreeMap<String, String> {
    let Some(domain) = &facts.domain else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for definition in std::iter::once(domain.there()).chain(&domain.next_start) {
        let firmware = &definition.firmware;
        let emulator = definition.emulator.as_ref().and_then(|path| Some((path, emulator(facts, path)?)));
        let loader = firmware.loader.as_ref().and_then(|path| Some((path, same_there(facts, path)?)));
        let template = firmware.nvram_template.as_ref();
        let template = template.and_then(|path| Some((path, same_there(facts, path)?)));
        let all = [emulator, loader, template].into_iter().flatten();
        found.extend(all.map(|(here, there)| (here.clone(), there)));
    }
    found
}

fn is_missing(facts: &Facts, path: &str) -> bool {
    facts.destination.shell().and_then(|shell| shell.path(path)).is_some_and(|found| !found.exists())
}

/// The destination's QEMU for this kind of machine, where it is not at the source's path.
fn emulator(facts: &Facts, path: &str) -> Option<String> {
    let machine = facts.reception.as_ref()?.machine.as_ref()?.as_ref().ok()?;
    machine.emulator.clone().filter(|other| other != path && is_missing(facts, path))
}

/// The same firmware on the destination, where it is not at the source's path.
fn same_there(facts: &Facts, path: &str) -> Option<String> {
    let (here, there) = (facts.source.shell()?, facts.destination.shell()?);
    let size_bytes = here.path(path).filter(|found| found.exists())?.size_bytes;
    if !is_missing(facts, path) {
        return None;
    }
    let is_same = |other: &&str| {
        there.path(other).is_some_and(|found| found.kind == PathKind::File && found.size_bytes == size_bytes)
    };
    same_firmware(path).find(is_same).map(str::to_owned)
}
