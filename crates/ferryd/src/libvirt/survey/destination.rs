//! What a destination has for a domain that is to come.

use virt::connect::Connect;
use virt::network::Network;
use virt::storage_pool::StoragePool;
use virt_sys as sys;

use super::{Result, unreadable};
use crate::libvirt::error::{LibvirtError, NO_DOMAIN, XML_ERROR};
use crate::libvirt::ffi::{self, CpuComparison};
use crate::libvirt::xml;
use crate::model::DomainUuid;
use crate::model::definition::{Definition, SecretReference};
use crate::model::facts::{CpuVerdict, MachineSupport, Namesake, NetworkFacts, PoolFacts, Reception};

/// `VIR_ERR_NO_NWFILTER` of libvirt's `virErrorNumber`.
const NO_NWFILTER: i32 = 62;
/// `VIR_ERR_NO_SECRET`.
const NO_SECRET: i32 = 66;
/// `VIR_ERR_CONFIG_UNSUPPORTED`.
const CONFIG_UNSUPPORTED: i32 = 67;
/// `VIR_ERR_CPU_INCOMPATIBLE`.
const CPU_INCOMPATIBLE: i32 = 91;

/// For what a destination is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The domain's UUID.
    pub uuid: DomainUuid,
    /// The domain as it runs.
    pub definition: Definition,
    /// The same as libvirt describes it to another libvirt; none where it does not run.
    pub migratable_xml: Option<String>,
    /// Storage pools that something of it is asked into.
    pub pools: Vec<String>,
}

/// What the destination has for the domain. What other domains there use, and what is promised to them, is the inventory's to add.
///
/// # Errors
/// What libvirt says to a question that every libvirt answers.
pub fn reception(connect: &Connect, asked: &Asked) -> Result<Reception> {
    let definition = &asked.definition;
    let (secrets_missing, secrets_empty) = secrets(connect, definition)?;
    Ok(Reception {
        namesakes: namesakes(connect, &definition.name, asked.uuid)?,
        machine: Some(machine(connect, definition)),
        refused: asked.migratable_xml.as_deref().and_then(|xml| refused(connect, xml)),
        cpu: definition.cpu.xml.as_deref().map(|cpu| compare_cpu(connect, definition, cpu)),
        networks: connect.list_all_networks(0)?.iter().map(network).collect::<Result<_>>()?,
        pools: connect
            .list_all_storage_pools(0)?
            .iter()
            .map(|known| pool(known, &asked.pools))
            .collect::<Result<_>>()?,
        filters_missing: filters_missing(connect, definition)?,
        secrets_missing,
        secrets_empty,
        ..Reception::default()
    })
}

/// Domains with this name or UUID.
fn namesakes(connect: &Connect, name: &str, uuid: DomainUuid) -> Result<Vec<Namesake>> {
    let mut namesakes: Vec<Namesake> = Vec::new();
    for domain in [connect.lookup_domain_by_uuid(uuid.0), connect.lookup_domain_by_name(name)] {
        if let Some(domain) = found(domain, NO_DOMAIN)? {
            let (name, uuid) = (domain.name()?, DomainUuid(domain.uuid()?));
            let namesake = Namesake { name, uuid, active: domain.is_active()? };
            if !namesakes.contains(&namesake) {
                namesakes.push(namesake);
            }
        }
    }
    Ok(namesakes)
}

/// What was looked for, none where libvirt says that there is no such thing.
fn found<T>(looked_for: std::result::Result<T, virt::error::Error>, missing: i32) -> Result<Option<T>> {
    match looked_for.map_err(LibvirtError::from) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == missing => Ok(None),
        Err(error) => Err(error),
    }
}

fn machine(connect: &Connect, definition: &Definition) -> std::result::Result<MachineSupport, String> {
    let capabilities = connect.domain_capabilities(
        definition.emulator.as_deref(),
        Some(&definition.architecture),
        Some(&definition.machine),
        Some(&definition.domain_type),
        0,
    );
    // An emulator at another path is found by the architecture; that the path differs is a finding of its own.
    let capabilities = capabilities.or_else(|error| {
        let other = connect.domain_capabilities(
            None,
            Some(&definition.architecture),
            Some(&definition.machine),
            Some(&definition.domain_type),
            0,
        );
        other.map_err(|_| error)
    });
    let text = capabilities.map_err(|error| error.message().to_owned())?;
    xml::machine_support(&text).map_err(|error| error.to_string())
}

/// Has libvirt make QEMU's command line of a definition, which it does not run: what it does not know, or its QEMU cannot do, it
/// refuses with the same words as a migration. (`virConnectDomainXMLToNative`; it looks at no file, bridge or pool.)
fn refused(connect: &Connect, xml: &str) -> Option<String> {
    let error = LibvirtError::from(connect.domain_xml_to_native("qemu-argv", xml, 0).err()?);
    [XML_ERROR, CONFIG_UNSUPPORTED].contains(&error.code).then_some(error.message)
}

/// Compares a CPU with what this host's QEMU offers.
fn compare_cpu(connect: &Connect, definition: &Definition, cpu: &str) -> CpuVerdict {
    let compared = ffi::compare_hypervisor_cpu(
        connect,
        &definition.architecture,
        &definition.machine,
        &definition.domain_type,
        cpu,
    );
    match compared {
        Ok(CpuComparison::Fits) => CpuVerdict::Fits,
        Ok(CpuComparison::Lacks) => CpuVerdict::Missing { features: Vec::new(), said: String::new() },
        Err(error) if error.code == CPU_INCOMPATIBLE => {
            CpuVerdict::Missing { features: features_named(&error.message), said: error.message }
        }
        // An older libvirt has never heard of what a newer one gave the guest.
        Err(error)
            if error.code == CONFIG_UNSUPPORTED
                || error.message.to_ascii_lowercase().contains("unknown cpu") =>
        {
            CpuVerdict::Missing { features: features_named(&error.message), said: error.message }
        }
        Err(error) => CpuVerdict::Unknown(error.message),
    }
}

/// The features that libvirt names: "the CPU is incompatible with host CPU: Host CPU does not provide required features: a, b".
fn features_named(said: &str) -> Vec<String> {
    let named = said.rsplit_once("features: ").or_else(|| said.rsplit_once("nknown CPU feature: "));
    let named = named.or_else(|| said.rsplit_once("nknown CPU feature "));
    let Some((_, list)) = named else { return Vec::new() };
    let words = list.split([',', ' ', ';']).map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn network(network: &Network) -> Result<NetworkFacts> {
    let read = xml::network(&network.xml_desc(0)?).map_err(unreadable)?;
    Ok(NetworkFacts { active: network.is_active()?, ..read })
}

fn pool(pool: &StoragePool, asked: &[String]) -> Result<PoolFacts> {
    let active = pool.is_active()?;
    let mut volumes = None;
    if active && asked.contains(&pool.name()?) {
        // Only then it knows what has come and gone, and how much room there is.
        volumes = pool.refresh(0).and_then(|_| pool.list_volumes()).ok();
    }
    let read = xml::pool(&pool.xml_desc(0)?).map_err(unreadable)?;
    Ok(PoolFacts { active, volumes, ..read })
}

fn filters_missing(connect: &Connect, definition: &Definition) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for filter in definition.interfaces.iter().filter_map(|interface| interface.filter.as_ref()) {
        let there = found(connect.lookup_nwfilter_by_name(filter), NO_NWFILTER)?;
        if there.is_none() && !missing.contains(filter) {
            missing.push(filter.clone());
        }
    }
    Ok(missing)
}

/// Secrets of the domain's disks and TPM: those that are missing, and those that have no value. The value itself is looked at no
/// further than that it is there, and not kept.
fn secrets(
    connect: &Connect,
    definition: &Definition,
) -> Result<(Vec<SecretReference>, Vec<SecretReference>)> {
    let of_disks = definition.disks.iter().flat_map(|disk| &disk.secrets);
    let of_tpm = definition.tpm.iter().filter_map(|tpm| tpm.encryption).map(SecretReference::Uuid);
    let all = of_disks.map(|secret| (usage_of(&secret.kind), secret.reference.clone()));
    let all = all.chain(of_tpm.map(|reference| (sys::VIR_SECRET_USAGE_TYPE_VTPM, reference)));
    let (mut missing, mut empty) = (Vec::new(), Vec::new());
    for (usage, reference) in all {
        let there = match &reference {
            SecretReference::Uuid(uuid) => found(connect.lookup_secret_by_uuid(*uuid), NO_SECRET)?,
            SecretReference::Usage(name) => {
                found(connect.lookup_secret_by_usage(usage as i32, name), NO_SECRET)?
            }
        };
        let lacking = match there {
            None => &mut missing,
            // One that is private tells nobody its value, and not whether it has one.
            Some(secret)
                if secret.value(0).is_err_and(|error| LibvirtError::from(error).code == NO_SECRET) =>
            {
                &mut empty
            }
            Some(_) => continue,
        };
        if !lacking.contains(&reference) {
            lacking.push(reference);
        }
    }
    Ok((missing, empty))
}

fn usage_of(kind: &str) -> sys::virSecretUsageType {
    match kind {
        "ceph" => sys::VIR_SECRET_USAGE_TYPE_CEPH,
        "iscsi" | "chap" => sys::VIR_SECRET_USAGE_TYPE_ISCSI,
        _ => sys::VIR_SECRET_USAGE_TYPE_VOLUME,
    }
}

#[cfg(test)]
mod tests {
    use super::features_named;

    #[test]
    fn the_features_that_libvirt_names_are_read() {
        let said = "the CPU is incompatible with host CPU: Host CPU does not provide required features: avx512f, clwb";
        assert_eq!(features_named(said), ["avx512f", "clwb"]);
        assert_eq!(
            features_named("unsupported configuration: unknown CPU feature: cmpccxadd"),
            ["cmpccxadd"]
        );
        assert!(features_named("unknown CPU model Foo").is_empty());
    }
}
