//! What a host offers, before there is a machine to ask it for.

use virt::connect::Connect;

use super::{Result, unreadable};
use crate::libvirt::xml;
use crate::model::offers::Offers;

/// The protocols that Kimchi asked for, but for TFTP, which QEMU gave up (2.8).
const STREAM_PROTOCOLS: [&str; 4] = ["http", "https", "ftp", "ftps"];
/// libvirt's driver that makes pictures of screens (`qemuDomainScreenshot`).
const QEMU: &str = "QEMU";

/// What a host offers.
///
/// # Errors
/// What libvirt says, or capabilities that make no sense.
pub fn offers(connect: &Connect) -> Result<Offers> {
    let host = xml::capabilities(&connect.capabilities()?).map_err(unreadable)?;
    // The faster one is what a new machine gets.
    let kind = ["kvm", "qemu"].into_iter().find(|kind| host.domain_types.iter().any(|own| own == kind));
    let support = connect.domain_capabilities(None, Some(&host.architecture), None, kind, 0)?;
    let support = xml::machine_support(&support).map_err(unreadable)?;
    let takes = |protocol: &&str| {
        let probe = probe(kind.unwrap_or("qemu"), &host.architecture, protocol);
        connect.domain_xml_to_native("qemu-argv", &probe, 0).is_ok()
    };
    Ok(Offers {
        stream_protocols: STREAM_PROTOCOLS
            .iter()
            .filter(|protocol| takes(protocol))
            .map(|&it| it.to_owned())
            .collect(),
        spice: support.offers("graphics.type", "spice"),
        screenshots: connect.driver_type()? == QEMU,
        iommu: host.iommu,
    })
}

/// A machine with an image from another server. libvirt makes QEMU's command line of it, and neither runs it nor asks that server
/// (`virConnectDomainXMLToNative`). Kimchi defined one to see.
fn probe(kind: &str, architecture: &str, protocol: &str) -> String {
    format!(
        "<domain type='{kind}'><name>ferry-probe</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='{architecture}'>hvm</type></os><devices>\
         <disk type='network' device='disk'><driver name='qemu' type='raw'/>\
         <source protocol='{protocol}' name='image.iso'><host name='127.0.0.1' port='80'/></source>\
         <target dev='vda' bus='virtio'/><readonly/></disk></devices></domain>"
    )
}
