//! Certificates, read from what stands in files of hosts.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::model::facts::Certificate;

/// The certificates in the text of a file; what is none is left out.
fn read(text: &str) -> Vec<Pem> {
    let blocks = Pem::iter_from_buffer(text.as_bytes());
    blocks.flatten().filter(|block| block.label == "CERTIFICATE").collect()
}

/// What stands in the certificates of a file.
pub(super) fn certificates(text: &str) -> Vec<Certificate> {
    let blocks = read(text);
    blocks.iter().filter_map(|block| block.parse_x509().ok()).map(|found| described(&found)).collect()
}

fn described(found: &X509Certificate<'_>) -> Certificate {
    let mut certificate = Certificate {
        subject: found.subject().to_string(),
        issuer: found.issuer().to_string(),
        not_before_s: found.validity().not_before.timestamp(),
        not_after_s: found.validity().not_after.timestamp(),
        ..Certificate::default()
    };
    let names = found.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(name) => certificate.names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => certificate.addresses.extend(address(bytes)),
            _ => {}
        }
    }
    certificate
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let of_four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    of_four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Whether one of these authorities has signed the first certificate of a file. With a kind of signature that is not known here the
/// names alone decide: QEMU will look again.
pub(super) fn is_signed(text: &str, authorities: &str) -> bool {
    use x509_parser::error::X509Error;
    let (own, authorities) = (read(text), read(authorities));
    let Some(Ok(own)) = own.first().map(Pem::parse_x509) else { return false };
    authorities.iter().filter_map(|block| block.parse_x509().ok()).any(|authority| {
        let signed = own.verify_signature(Some(authority.public_key()));
        authority.subject() == own.issuer()
            && matches!(signed, Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ferryd_makes_is_read_and_its_authority_known() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = |name: &str| {
            let place = directory.path().join(name);
            let hosts = ["kvm2,10.1.0.2".parse().expect("a host")];
            crate::tls::init(&place, &hosts, std::time::SystemTime::now()).expect("certificates");
            let read = |file: &str| std::fs::read_to_string(place.join(file)).expect(file);
            (read("CA/cacert.pem"), read("hosts/kvm2/etc/pki/qemu/server-cert.pem"))
        };
        let ((authority, own), (other, _)) = (made("one"), made("two"));
        let found = certificates(&own);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].names, ["kvm2"]);
        assert!(found[0].names("10.1.0.2"), "{found:?}");
        assert_eq!(found[0].issuer, certificates(&authority)[0].subject);
        assert!(is_signed(&own, &authority), "its own authority");
        assert!(is_signed(&own, &format!("{other}{authority}")), "one of two");
        assert!(!is_signed(&own, &other), "another authority of that name");
        assert!(!is_signed("", &authority) && certificates("-----BEGIN CERTIFICATE-----\nx\n").is_empty());
    }
}
