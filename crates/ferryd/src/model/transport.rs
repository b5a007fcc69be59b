//! How the memory of a migration travels.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use api::task::Compression;
use serde::{Deserialize, Serialize};

/// Where the memory is sent: one address, or whichever the destination has in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// This one.
    Address(IpAddr),
    /// The one in this network: its address, and how many bits of it are the network's.
    Network(IpAddr, u8),
}

/// The text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address like 10.1.0.2, or a network like 10.1.0.0/24, is needed")]
pub struct NoVia;

impl FromStr for Via {
    type Err = NoVia;

    fn from_str(text: &str) -> Result<Self, NoVia> {
        let Some((address, bits)) = text.split_once('/') else {
            return text.parse().map(Self::Address).map_err(|_| NoVia);
        };
        let address: IpAddr = address.parse().map_err(|_| NoVia)?;
        let bits: u8 = bits.parse().map_err(|_| NoVia)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits > most { Err(NoVia) } else { Ok(Self::Network(address, bits)) }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

impl Via {
    /// Which of these addresses of the destination's is meant.
    #[must_use]
    pub fn choose(self, addresses: &[IpAddr]) -> Option<IpAddr> {
        addresses.iter().copied().find(|address| match self {
            Self::Address(wanted) => wanted == *address,
            Self::Network(network, bits) => !address.is_loopback() && in_network(*address, network, bits),
        })
    }
}

/// Whether the first bits of both are the same.
fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let numbers = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u128::from(one.to_bits()) << 96, u128::from(other.to_bits()) << 96)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits()),
        _ => return false,
    };
    let rest = 128 - u32::from(bits.min(128));
    // A shift by all of them is none that Rust has.
    rest == 128 || numbers.0 >> rest == numbers.1 >> rest
}

/// How it is asked to travel; what is left out is libvirt's ordinary way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Encrypted between the two QEMUs.
    pub tls: bool,
    /// Over this many connections.
    pub parallel: Option<u8>,
    /// By this network.
    pub via: Option<Via>,
    /// Compressed.
    pub compress: Option<Compression>,
    /// Without copying it before it is sent.
    pub zerocopy: bool,
    /// By RDMA.
    pub rdma: bool,
    /// With the controller between the two libvirts.
    pub direct: bool,
}

impl Asked {
    /// Whether it depends on what the two QEMUs were built with.
    #[must_use]
    pub fn asks_qemu(&self) -> bool {
        self.parallel.is_some() || self.compress.is_some() || self.zerocopy
    }
}

/// How it travels, as it is planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// Encrypted between the two QEMUs (`VIR_MIGRATE_TLS`).
    #[serde(default)]
    pub tls: bool,
    /// The name that the destination's certificate must have, where the memory is sent to an address
    /// (`VIR_MIGRATE_PARAM_TLS_DESTINATION`).
    #[serde(default)]
    pub tls_name: Option<String>,
    /// Over this many connections (`VIR_MIGRATE_PARALLEL`).
    #[serde(default)]
    pub parallel: Option<u8>,
    /// To this address of the destination's; none for its host name (`VIR_MIGRATE_PARAM_URI`).
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Compressed so (`VIR_MIGRATE_COMPRESSED`).
    #[serde(default)]
    pub compress: Option<Compression>,
    /// Without copying it before it is sent (`VIR_MIGRATE_ZEROCOPY`).
    #[serde(default)]
    pub zerocopy: bool,
    /// By RDMA, to this host name or address.
    #[serde(default)]
    pub rdma_to: Option<String>,
    /// With the controller between the two libvirts (`virDomainMigrate3` instead of `VIR_MIGRATE_PEER2PEER`).
    #[serde(default)]
    pub direct: bool,
    /// Where the clients of its SPICE screen are sent to (`VIR_MIGRATE_PARAM_GRAPHICS_URI`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphics_uri: Option<String>,
}

/// A parameter of libvirt's for how the memory travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportParameter {
    /// `VIR_MIGRATE_PARAM_URI`
    Uri,
    /// `VIR_MIGRATE_PARAM_LISTEN_ADDRESS`
    ListenAddress,
    /// `VIR_MIGRATE_PARAM_TLS_DESTINATION`
    TlsDestination,
    /// `VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS`
    ParallelConnections,
    /// `VIR_MIGRATE_PARAM_COMPRESSION`
    Compression,
    /// `VIR_MIGRATE_PARAM_GRAPHICS_URI`
    GraphicsUri,
}

impl TransportParameter {
    /// libvirt's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uri => "migrate_uri",
            Self::ListenAddress => "listen_address",
            Self::TlsDestination => "tls.destination",
            Self::ParallelConnections => "parallel.connections",
            Self::Compression => "compression",
            Self::GraphicsUri => "graphics_uri",
        }
    }
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// A text.
    Text(String),
    /// A number.
    Number(u8),
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// An address as it stands in a URI.
fn in_uri(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl Transport {
    /// The parameters that it comes to.
    #[must_use]
    pub fn parameters(&self) -> Vec<(TransportParameter, ParameterValue)> {
        use TransportParameter as P;
        let text = |parameter, text: String| Some((parameter, ParameterValue::Text(text)));
        let address = self.address.map(|address| address.to_string());
        let uri = match (&self.rdma_to, &address) {
            (Some(host), _) => Some(format!("rdma://{}", in_uri(host))),
            (None, Some(address)) => Some(format!("tcp://{}", in_uri(address))),
            (None, None) => None,
        };
        let all = [
            uri.and_then(|uri| text(P::Uri, uri)),
            // Only there, so that nothing of it comes by another network.
            address.and_then(|address| text(P::ListenAddress, address)),
            self.tls_name.clone().and_then(|name| text(P::TlsDestination, name)),
            self.parallel.map(|count| (P::ParallelConnections, ParameterValue::Number(count))),
            self.compress.and_then(|method| text(P::Compression, method.as_str().to_owned())),
            self.graphics_uri.clone().and_then(|uri| text(P::GraphicsUri, uri)),
        ];
        all.into_iter().flatten().collect()
    }

    /// How it travels, for a sentence about the memory that is sent; empty for the ordinary way.
    #[must_use]
    pub fn describe(&self) -> String {
        let words = [
            self.address.map(|address| format!("to {address}")),
            self.rdma_to.is_some().then(|| "by RDMA".to_owned()),
            self.tls.then(|| "encrypted (TLS)".to_owned()),
            self.parallel.map(|count| format!("over {count} connections")),
            self.compress.map(|method| format!("compressed ({})", method.as_str())),
            self.zerocopy.then(|| "without copying it first".to_owned()),
            self.direct.then(|| "with ferryd between the two libvirts".to_owned()),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_finds_the_address_in_it() {
        let own = ["127.0.0.1", "192.0.2.7", "10.1.0.9", "fe80::1", "2001:db8::9"].map(address);
        for (via, found) in [
            ("10.1.0.0/24", Some("10.1.0.9")),
            // As people write it: with the bits of some host.
            ("10.1.0.200/24", Some("10.1.0.9")),
            ("10.1.0.0/29", None),
            ("10.1.0.9", Some("10.1.0.9")),
            ("10.1.0.8", None),
            ("2001:db8::/32", Some("2001:db8::9")),
            ("0.0.0.0/0", Some("192.0.2.7")),
            ("192.0.2.7/32", Some("192.0.2.7")),
        ] {
            let asked: Via = via.parse().expect(via);
            assert_eq!(asked.choose(&own), found.map(address), "{via}");
            assert_eq!(asked.to_string(), via);
        }
        for bad in ["", "kvm2", "10.1.0.0/33", "10.1.0.0/", "10.1.0.0/-1", "/24", "::/129"] {
            assert_eq!(bad.parse::<Via>(), Err(NoVia), "{bad}");
        }
    }

    #[test]
    fn parameters_are_libvirts() {
        let transport = Transport {
            address: Some(address("2001:db8::9")),
            tls: true,
            tls_name: Some("kvm2".to_owned()),
            parallel: Some(4),
            compress: Some(Compression::Zstd),
            graphics_uri: Some("spice://kvm2".to_owned()),
            ..Transport::default()
        };
        let told: Vec<String> =
            transport.parameters().iter().map(|(name, value)| format!("{}={value}", name.name())).collect();
        assert_eq!(
            told,
            [
                "migrate_uri=tcp://[2001:db8::9]",
                "listen_address=2001:db8::9",
                "tls.destination=kvm2",
                "parallel.connections=4",
                "compression=zstd",
                "graphics_uri=spice://kvm2"
            ]
        );
        assert_eq!(Transport::default().parameters(), []);
        let rdma = Transport { rdma_to: Some("kvm2".to_owned()), ..Transport::default() };
        assert_eq!(
            rdma.parameters(),
            [(TransportParameter::Uri, ParameterValue::Text("rdma://kvm2".to_owned()))]
        );
    }
}
