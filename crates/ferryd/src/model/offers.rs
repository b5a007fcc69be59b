//! What a host can give its machines, as far as somebody asks before there is a machine.

/// What a host's libvirt and QEMU offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Protocols by which a machine can read an image from another server.
    pub stream_protocols: Vec<String>,
    /// Screens by SPICE.
    pub spice: bool,
    /// Pictures of a machine's screen.
    pub screenshots: bool,
    /// The kernel has IOMMU groups, without which no device of the host's is given away by VFIO.
    pub iommu: bool,
}
