//! What the two hosts have for the way that the memory is asked to travel. Only what is asked for was looked at.

use std::net::IpAddr;

use crate::model::transport::Via;

/// What both hosts have for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportFacts {
    /// Where the memory is to be sent: as it is asked for, or as the destination was registered.
    pub via: Option<Via>,
    /// The destination's address that this is.
    pub address: Option<IpAddr>,
    /// The source; none where it offers no shell, did not answer, or nothing was asked.
    pub source: Option<HostTransport>,
    /// The destination; likewise.
    pub destination: Option<HostTransport>,
    /// What the domain's QEMU on the source can do; none where it was not asked, or did not answer.
    pub source_qemu: Option<QemuOffers>,
    /// What the QEMU that it gets on the destination can do; likewise.
    pub destination_qemu: Option<QemuOffers>,
    /// An authority that the source trusts has signed the destination's certificate.
    pub server_trusted: bool,
    /// An authority that the destination trusts has signed the source's certificate.
    pub client_trusted: bool,
    /// The controller's time, in seconds since 1970.
    pub now_s: i64,
}

/// What one host has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostTransport {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its RDMA devices.
    pub rdma_devices: Vec<String>,
    /// Where its QEMUs look for certificates, by its qemu.conf.
    pub tls_directory: String,
    /// Authorities that it trusts (`ca-cert.pem`).
    pub authorities: Vec<Certificate>,
    /// What it shows: of the destination `server-cert.pem`, of the source `client-cert.pem`.
    pub certificate: Option<Certificate>,
    /// The key to that is there.
    pub key: bool,
}

/// What a QEMU says that it can do: what it was built with, whatever its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QemuOffers {
    /// The program that was asked.
    pub program: String,
    /// Its migration capabilities (`MigrationCapability` of its schema).
    pub capabilities: Vec<String>,
    /// By what it compresses parallel streams (`MultiFDCompression`).
    pub multifd_compressions: Vec<String>,
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Whose.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when it counts, in seconds since 1970.
    pub not_before_s: i64,
    /// Until when.
    pub not_after_s: i64,
    /// The host names that it is made out to.
    pub names: Vec<String>,
    /// The addresses that it is made out to.
    pub addresses: Vec<IpAddr>,
}

impl Certificate {
    /// Whether it is made out to this name or address. A name of the form `*.example.org` stands for every one with one word more.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        let same = |name: &String| {
            let wild = name.strip_prefix("*.").zip(host.split_once('.'));
            name.eq_ignore_ascii_case(host)
                || wild.is_some_and(|(rest, (_, own))| rest.eq_ignore_ascii_case(own))
        };
        host.parse().is_ok_and(|address: IpAddr| self.addresses.contains(&address))
            || self.names.iter().any(same)
    }

    /// Whether it counts at this time.
    #[must_use]
    pub fn counts_at(&self, now_s: i64) -> bool {
        (self.not_before_s..=self.not_after_s).contains(&now_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_what_it_is_made_out_to() {
        let certificate = Certificate {
            names: vec!["kvm2".to_owned(), "*.example.org".to_owned()],
            addresses: vec!["10.1.0.2".parse().expect("an address")],
            ..Certificate::default()
        };
        for named in ["kvm2", "KVM2", "kvm9.example.org", "10.1.0.2"] {
            assert!(certificate.names(named), "{named}");
        }
        for other in ["kvm1", "kvm2.example.net", "a.kvm9.example.org", "example.org", "10.1.0.3"] {
            assert!(!certificate.names(other), "{other}");
        }
    }
}
