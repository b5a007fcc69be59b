//! A small certificate authority of one's own, for who has none: `ferryd tls init`.
//!
//! ```text
//! DIR/CA/cacert.pem              the authority's certificate
//! DIR/CA/private/cakey.pem       its key: stays here
//! DIR/hosts/NAME/etc/pki/…       what is copied to the host NAME as it stands, in the places that libvirt and QEMU look in:
//!     CA/cacert.pem  libvirt/servercert.pem  libvirt/clientcert.pem  libvirt/private/{serverkey,clientkey}.pem
//!     qemu/ca-cert.pem  qemu/server-cert.pem  qemu/client-cert.pem  qemu/{server,client}-key.pem
//! ```
//! An authority that is there is never written over; hosts get new certificates from it each time.

mod files;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use files::{Made, make, read};

/// How long an authority counts.
const AUTHORITY_LASTS: Duration = Duration::from_secs(3650 * 24 * 3600);
/// How long a host's certificate counts: what is lost with a host counts no longer than that.
const HOST_LASTS: Duration = Duration::from_secs(1095 * 24 * 3600);
/// Clocks may differ.
const BEFORE: Duration = Duration::from_secs(24 * 3600);

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A host is named by something that no certificate can be made out to.
    #[error(
        "{0:?} is no host: give its name, and after commas other names and addresses of it (kvm2,10.1.0.2)"
    )]
    Host(String),
    /// Half of an authority is there.
    #[error(
        "{} is there and {} is not: without both nothing can be signed; give another directory, or bring the missing file back", .there.display(), .missing.display()
    )]
    HalfAnAuthority {
        /// This is there.
        there: PathBuf,
        /// And this is not.
        missing: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate cannot be made, or one that is there not be read.
    #[error("{what}: {source}")]
    Certificate {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

type Result<T> = std::result::Result<T, TlsError>;

/// A host as certificates are made out to it: its name first, then other names and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsHost {
    name: String,
    others: Vec<String>,
}

impl FromStr for TlsHost {
    type Err = TlsError;

    fn from_str(text: &str) -> Result<Self> {
        let fine = |word: &&str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let name = !word.is_empty() && word.len() <= 253 && !word.starts_with(['-', '.']);
            word.parse::<IpAddr>().is_ok() || (name && word.chars().all(plain))
        };
        let words: Vec<&str> = text.split(',').collect();
        match words.split_first() {
            Some((name, others)) if words.iter().all(fine) => Ok(Self {
                name: (*name).to_owned(),
                others: others.iter().map(|other| (*other).to_owned()).collect(),
            }),
            _ => Err(TlsError::Host(text.to_owned())),
        }
    }
}

/// Makes certificates for these hosts below `directory`, and an authority where there is none yet; what to do with them, for a person.
///
/// # Errors
/// See [`TlsError`].
pub fn init(directory: &Path, hosts: &[TlsHost], now: SystemTime) -> Result<String> {
    let (authority, certificate, made) = authority(directory, now)?;
    let mut told = vec![match made {
        Made::New => format!("A new authority is in {}.", directory.join("CA").display()),
        Made::There => format!("The authority in {} has signed.", directory.join("CA").display()),
    }];
    told.push(format!(
        "Keep {} to yourself: whoever has it can pass for any host.",
        directory.join("CA/private").display()
    ));
    for host in hosts {
        let place = directory.join("hosts").join(&host.name);
        for_host(&place, host, (&authority, &certificate), now)?;
        told.push(format!("{}: copy it there, as root:", host.name));
        told.push(format!("  scp -rp {}/etc/pki root@{}:/etc/", place.display(), host.name));
    }
    told.push(
        "QEMU looks in /etc/pki/qemu unless migrate_tls_x509_cert_dir or default_tls_x509_cert_dir in /etc/libvirt/qemu.conf say \
         otherwise. Then: ferry migrate VM --to HOST --tls"
            .to_owned(),
    );
    told.push(
        "Where QEMU does not run as root, let its group (kvm on Debian) read them, on each host: chgrp kvm /etc/pki/qemu/*.pem && \
         chmod g+r /etc/pki/qemu/*.pem"
            .to_owned(),
    );
    Ok(told.join("\n"))
}

fn failed(what: &str) -> impl FnOnce(rcgen::Error) -> TlsError {
    let what = what.to_owned();
    move |source| TlsError::Certificate { what, source }
}

/// The authority that is there, or a new one; and its certificate.
fn authority(directory: &Path, now: SystemTime) -> Result<(Issuer<'static, KeyPair>, String, Made)> {
    let (certificate, key) = (directory.join("CA/cacert.pem"), directory.join("CA/private/cakey.pem"));
    match (certificate.exists(), key.exists()) {
        (true, true) => {
            let text = read(&certificate)?;
            let pair = KeyPair::from_pem(&read(&key)?).map_err(failed(&key.display().to_string()))?;
            let issuer =
                Issuer::from_ca_cert_pem(&text, pair).map_err(failed(&certificate.display().to_string()))?;
            return Ok((issuer, text, Made::There));
        }
        (true, false) => return Err(TlsError::HalfAnAuthority { there: certificate, missing: key }),
        (false, true) => return Err(TlsError::HalfAnAuthority { there: key, missing: certificate }),
        (false, false) => {}
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Ferry certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = lasts(now, AUTHORITY_LASTS);
    let pair = KeyPair::generate().map_err(failed("the authority's key"))?;
    let text = params.self_signed(&pair).map_err(failed("the authority's certificate"))?.pem();
    // The key first: a certificate without it would be half an authority.
    make(&key, 0o600, &pair.serialize_pem())?;
    make(&certificate, 0o644, &text)?;
    Ok((Issuer::new(params, pair), text, Made::New))
}

/// From a while before now on.
fn lasts(now: SystemTime, long: Duration) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // A second is the smallest that certificates know.
    let since = Duration::from_secs(since.as_secs());
    let begin = time::OffsetDateTime::UNIX_EPOCH;
    (begin + since.saturating_sub(BEFORE), begin + since + long)
}

/// One certificate, which serves as server's and as client's: migrations go both ways.
fn for_host(
    place: &Path,
    host: &TlsHost,
    (authority, certificate): (&Issuer<'static, KeyPair>, &str),
    now: SystemTime,
) -> Result<()> {
    let what = format!("the certificate of {}", host.name);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host.name.clone());
    for word in std::iter::once(&host.name).chain(&host.others) {
        let name = match word.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(word.as_str().try_into().map_err(failed(&what))?),
        };
        params.subject_alt_names.push(name);
    }
    // QEMU and libvirt insist on both, also for keys that cannot encipher.
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = lasts(now, HOST_LASTS);
    let pair = KeyPair::generate().map_err(failed(&what))?;
    let own = params.signed_by(&pair, authority).map_err(failed(&what))?.pem();
    let key = pair.serialize_pem();
    let pki = place.join("etc/pki");
    for (file, mode, text) in [
        ("libvirt/private/serverkey.pem", 0o600, key.as_str()),
        ("libvirt/private/clientkey.pem", 0o600, &key),
        ("qemu/server-key.pem", 0o600, &key),
        ("qemu/client-key.pem", 0o600, &key),
        ("CA/cacert.pem", 0o644, certificate),
        ("libvirt/servercert.pem", 0o644, &own),
        ("libvirt/clientcert.pem", 0o644, &own),
        ("qemu/ca-cert.pem", 0o644, certificate),
        ("qemu/server-cert.pem", 0o644, &own),
        ("qemu/client-cert.pem", 0o644, &own),
    ] {
        make(&pki.join(file), mode, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn hosts(all: &[&str]) -> Vec<TlsHost> {
        all.iter().map(|host| host.parse().expect("a host")).collect()
    }

    #[test]
    fn an_authority_stays_and_hosts_are_renewed_from_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let text = |file: &str| std::fs::read_to_string(directory.path().join(file)).expect(file);
        let told =
            init(directory.path(), &hosts(&["kvm1", "kvm2,10.1.0.2"]), SystemTime::now()).expect("made");
        assert!(
            told.contains("A new authority") && told.contains("/hosts/kvm2/etc/pki root@kvm2:/etc/"),
            "{told}"
        );
        let (authority, key) = (text("CA/cacert.pem"), text("CA/private/cakey.pem"));
        let first = text("hosts/kvm1/etc/pki/qemu/server-cert.pem");
        let told = init(directory.path(), &hosts(&["kvm1"]), SystemTime::now()).expect("made again");
        assert!(told.contains("has signed"), "{told}");
        assert_eq!((text("CA/cacert.pem"), text("CA/private/cakey.pem")), (authority.clone(), key));
        assert_ne!(text("hosts/kvm1/etc/pki/qemu/server-cert.pem"), first, "it is renewed");
        assert_eq!(text("hosts/kvm1/etc/pki/qemu/ca-cert.pem"), authority);
    }

    #[test]
    fn keys_are_nobody_elses() {
        let directory = tempfile::tempdir().expect("a directory");
        init(directory.path(), &hosts(&["kvm1"]), SystemTime::now()).expect("made");
        let mode = |file: &str| {
            let metadata = std::fs::metadata(directory.path().join(file)).expect(file);
            metadata.permissions().mode() & 0o777
        };
        for key in ["CA/private/cakey.pem", "hosts/kvm1/etc/pki/qemu/server-key.pem"] {
            assert_eq!(mode(key), 0o600, "{key}");
        }
        assert_eq!(mode("hosts/kvm1/etc/pki/qemu/server-cert.pem"), 0o644);
    }

    #[test]
    fn half_an_authority_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        init(directory.path(), &hosts(&["kvm1"]), SystemTime::now()).expect("made");
        std::fs::remove_file(directory.path().join("CA/private/cakey.pem")).expect("it was there");
        let error = init(directory.path(), &hosts(&["kvm1"]), SystemTime::now()).expect_err("half of it");
        assert!(matches!(error, TlsError::HalfAnAuthority { .. }), "{error}");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["", ",", "kvm1,", "-x", "../kvm1", "a/b", "a b", "."] {
            assert!(bad.parse::<TlsHost>().is_err(), "{bad}");
        }
    }
}
