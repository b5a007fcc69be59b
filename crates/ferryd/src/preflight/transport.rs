//! The way that the memory is asked to travel: what both hosts must have for it.

use api::finding::{Finding, Remedy};
use api::task::Compression;

use super::say::{advice, blocker, command, names, note, shell_word, warning};
use crate::model::facts::{Facts, HostFacts, HostTransport, QemuOffers, version};
use crate::model::transport::{Asked, Via};

/// What an option needs of a libvirt and a QEMU. Versions are counted as libvirt does.
struct Needs {
    /// The option, as it is asked for.
    option: &'static str,
    asked: fn(&Asked) -> bool,
    libvirt_from: u32,
    qemu_from: u32,
    qemu_before: u32,
    /// What says of a QEMU that was asked, whatever its version, that it can do it.
    offer: Option<Offer>,
}

/// Something that a QEMU says that it can do.
#[derive(Clone, Copy)]
enum Offer {
    /// A migration capability.
    Capability(&'static str),
    /// A way of compressing parallel streams.
    MultifdCompression(&'static str),
}

impl Offer {
    fn is_in(self, offers: &QemuOffers) -> bool {
        let has = |names: &[String], name: &str| names.iter().any(|one| one == name);
        match self {
            Self::Capability(name) => has(&offers.capabilities, name),
            Self::MultifdCompression(name) => has(&offers.multifd_compressions, name),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Capability(name) => format!("the migration capability {name}"),
            Self::MultifdCompression(name) => format!("multifd-compression={name}"),
        }
    }
}

/// What needs what; libvirt's versions by the documentation of its migrate flags and parameters, QEMU's by that of its migration
/// capabilities.
const NEEDS: &[Needs] = &[
    // (VIR_MIGRATE_PARAM_TLS_DESTINATION.)
    Needs {
        option: "tls",
        asked: |it| it.tls,
        libvirt_from: 6_000_000,
        qemu_from: 2_009_000,
        qemu_before: u32::MAX,
        offer: None,
    },
    Needs {
        option: "parallel",
        asked: |it| it.parallel.is_some(),
        libvirt_from: 5_002_000,
        qemu_from: 4_000_000,
        qemu_before: u32::MAX,
        offer: Some(Offer::Capability("multifd")),
    },
    Needs {
        option: "compress xbzrle",
        asked: |it| it.compress == Some(Compression::Xbzrle),
        libvirt_from: 1_003_004,
        qemu_from: 1_002_000,
        qemu_before: u32::MAX,
        offer: Some(Offer::Capability("xbzrle")),
    },
    Needs {
        option: "compress mt",
        asked: |it| it.compress == Some(Compression::Mt),
        libvirt_from: 1_003_004,
        qemu_from: 2_004_000,
        qemu_before: 9_001_000,
        offer: Some(Offer::Capability("compress")),
    },
    Needs {
        option: "compress zlib",
        asked: |it| it.compress == Some(Compression::Zlib),
        libvirt_from: 9_004_000,
        qemu_from: 5_000_000,
        qemu_before: u32::MAX,
        offer: Some(Offer::MultifdCompression("zlib")),
    },
    Needs {
        option: "compress zstd",
        asked: |it| it.compress == Some(Compression::Zstd),
        libvirt_from: 9_004_000,
        qemu_from: 5_000_000,
        qemu_before: u32::MAX,
        offer: Some(Offer::MultifdCompression("zstd")),
    },
    Needs {
        option: "zerocopy",
        asked: |it| it.zerocopy,
        libvirt_from: 8_005_000,
        qemu_from: 7_001_000,
        qemu_before: u32::MAX,
        offer: Some(Offer::Capability("zero-copy-send")),
    },
];

/// Both hosts' libvirt and QEMU can do what is asked.
pub(super) fn supported(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, _)) = facts.all().filter(|_| !facts.is_stopped()) else { return };
    let known = &facts.transport;
    let hosts = [(source, &known.source_qemu), (destination, &known.destination_qemu)];
    for needs in NEEDS.iter().filter(|needs| (needs.asked)(&facts.wanted.transport)) {
        for (host, offers) in hosts {
            findings.extend(unsupported(needs, host, offers.as_ref()));
        }
    }
}

/// A QEMU that was asked says it itself; of another its version does.
fn unsupported(needs: &Needs, host: &HostFacts, offers: Option<&QemuOffers>) -> Option<Finding> {
    let Needs { option, libvirt_from, qemu_from, qemu_before, offer, .. } = needs;
    let (libvirt, qemu) = (host.libvirt_version, host.hypervisor_version);
    let versions = || format!("libvirt {} and QEMU {} there", version(libvirt), version(qemu));
    let evidence = if libvirt < *libvirt_from {
        format!("{}; it needs libvirt {} or newer", versions(), version(*libvirt_from))
    } else if let Some((offer, offers)) = offer.zip(offers) {
        if offer.is_in(offers) {
            return None;
        }
        format!("{} does not have {}", offers.program, offer.describe())
    } else if qemu < *qemu_from {
        format!("{}; it needs QEMU {} or newer", versions(), version(*qemu_from))
    } else if qemu >= *qemu_before {
        format!("{}; it needs a QEMU before {}", versions(), version(*qemu_before))
    } else {
        return None;
    };
    Some(blocker(
        "transport-unsupported",
        &host.name,
        format!("{} cannot do what {option} asks for.", host.name),
        evidence,
        advice("Leave the option out, or choose another one."),
    ))
}

/// The destination has the address that the memory is to be sent to.
pub(super) fn via(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, _)), Some(via)) = (facts.all(), facts.transport.via) else { return };
    if facts.is_stopped() {
        return;
    }
    let there = &destination.name;
    let Some(known) = &facts.transport.destination else {
        if let Via::Network(..) = via {
            findings.push(blocker(
                "via-unknown",
                there,
                format!("Which address {there} has in {via} could not be found out."),
                "it offers no shell, or that did not answer".to_owned(),
                advice("Give the address itself: --via ADDRESS."),
            ));
        }
        return;
    };
    let own: Vec<String> = known.addresses.iter().map(ToString::to_string).collect();
    if via.choose(&known.addresses).is_none() {
        let what = match via {
            Via::Address(_) => "does not have the address",
            Via::Network(..) => "has no address in the network",
        };
        findings.push(blocker(
            "via-missing",
            there,
            format!("{there} {what} {via}, which {} is to send the memory to.", source.name),
            format!("addresses of {there}: {}", names(own.iter().map(String::as_str))),
            advice("Give one that it has, with --via; where it comes from the register, register the host again with another --migrate-via."),
        ));
    }
}

/// Both hosts have an RDMA device, and the domain's memory may be locked for it.
pub(super) fn rdma(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    if !facts.wanted.transport.rdma || facts.is_stopped() {
        return;
    }
    let both = [(source, &facts.transport.source), (destination, &facts.transport.destination)];
    for (host, known) in both {
        if known.as_ref().is_none_or(|known| known.rdma_devices.is_empty()) {
            let evidence = match known {
                Some(_) => "/sys/class/infiniband is empty or not there",
                None => "it offers no shell to be asked by",
            };
            findings.push(blocker(
                "rdma-missing",
                &host.name,
                format!("{} has no RDMA device.", host.name),
                evidence.to_owned(),
                advice(
                    "Leave --rdma out; or load the driver of the network card, where it is capable of RDMA.",
                ),
            ));
        }
    }
    if !domain.definition.memory_hard_limit {
        findings.push(blocker(
            "rdma-no-hard-limit",
            &domain.name,
            format!("{} has no limit of the memory that its QEMU may take: libvirt sends it by RDMA only with one.", domain.name),
            "<memtune> has no <hard_limit>".to_owned(),
            command(
                "Set one that is larger than its memory and what QEMU needs besides.",
                format!(
                    "virsh memtune {} --hard-limit {}",
                    shell_word(&domain.name),
                    (domain.definition.memory_bytes >> 10) + (2 << 20)
                ),
                Some(&source.name),
            ),
        ));
    }
}

/// Both hosts have certificates that count, made out to them, from one authority.
pub(super) fn tls(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, _)) = facts.all() else { return };
    if !facts.wanted.transport.tls || facts.is_stopped() {
        return;
    }
    let known = &facts.transport;
    let sides = [
        (source, &known.source, ["ca-cert.pem", "client-cert.pem", "client-key.pem"]),
        (destination, &known.destination, ["ca-cert.pem", "server-cert.pem", "server-key.pem"]),
    ];
    let before = findings.len();
    for (host, side, files) in sides {
        match side {
            Some(side) => own_certificates(facts, host, side, files, findings),
            None => findings.push(warning(
                "tls-not-looked-at",
                &host.name,
                format!("Whether {} has certificates that count was not looked at.", host.name),
                "it offers no shell, or that did not answer".to_owned(),
                advice("Look at its migrate_tls_x509_cert_dir (/etc/pki/qemu) by hand; QEMU checks them when the copy begins."),
            )),
        }
    }
    // What is missing explains the rest.
    if let (Some(here), Some(there), true) = (&known.source, &known.destination, findings.len() == before) {
        names_the_destination(facts, destination, there, findings);
        same_authority(facts, (source, here), (destination, there), findings);
    }
}

fn own_certificates(
    facts: &Facts,
    host: &HostFacts,
    side: &HostTransport,
    files: [&str; 3],
    findings: &mut Vec<Finding>,
) {
    let there = [!side.authorities.is_empty(), side.certificate.is_some(), side.key];
    let missing: Vec<&str> =
        files.into_iter().zip(there).filter(|(_, there)| !there).map(|(file, _)| file).collect();
    if !missing.is_empty() {
        findings.push(blocker(
            "tls-certificates-missing",
            &host.name,
            format!("{} lacks certificates for migrations encrypted by QEMU.", host.name),
            format!("no usable {} in {}", missing.join(", "), side.tls_directory),
            certificates_remedy(facts),
        ));
        return;
    }
    let now_s = facts.transport.now_s;
    let own =
        side.certificate.iter().filter(|certificate| !certificate.counts_at(now_s)).map(|it| (files[1], it));
    let authorities =
        side.authorities.iter().filter(|_| side.authorities.iter().all(|it| !it.counts_at(now_s)));
    for (file, certificate) in own.chain(authorities.take(1).map(|it| (files[0], it))) {
        let since = if certificate.not_after_s < now_s { "has ended" } else { "has not begun" };
        findings.push(blocker(
            "tls-certificate-expired",
            &host.name,
            format!("The time of a certificate of {} {since}.", host.name),
            format!(
                "{}/{file} ({}) counts from {} to {}, in seconds since 1970; now is {now_s}",
                side.tls_directory, certificate.subject, certificate.not_before_s, certificate.not_after_s
            ),
            certificates_remedy(facts),
        ));
    }
}

/// The name that QEMU on the source looks for is the destination's own.
fn names_the_destination(
    facts: &Facts,
    destination: &HostFacts,
    there: &HostTransport,
    findings: &mut Vec<Finding>,
) {
    let Some(certificate) = there.certificate.as_ref().filter(|it| !it.names(&destination.hostname)) else {
        return;
    };
    let made_out =
        certificate.names.iter().cloned().chain(certificate.addresses.iter().map(ToString::to_string));
    let made_out: Vec<String> = made_out.collect();
    findings.push(blocker(
        "tls-name-mismatch",
        &destination.name,
        format!(
            "The certificate of {} is not made out to {}, the name that it calls itself and is looked for by.",
            destination.name, destination.hostname
        ),
        format!(
            "{}/server-cert.pem is made out to {}",
            there.tls_directory,
            names(made_out.iter().map(String::as_str))
        ),
        certificates_remedy(facts),
    ));
}

/// Each side trusts the authority of the other.
fn same_authority(
    facts: &Facts,
    (source, here): (&HostFacts, &HostTransport),
    (destination, there): (&HostFacts, &HostTransport),
    findings: &mut Vec<Finding>,
) {
    let known = &facts.transport;
    let sides = [
        (known.server_trusted, destination, there, source, here, "server-cert.pem"),
        (known.client_trusted, source, here, destination, there, "client-cert.pem"),
    ];
    for (trusted, host, own, other, others, file) in sides {
        if trusted {
            continue;
        }
        let issuer =
            own.certificate.as_ref().map(|certificate| certificate.issuer.as_str()).unwrap_or_default();
        findings.push(blocker(
            "tls-other-authority",
            &host.name,
            format!(
                "{} does not trust the authority that signed the certificate of {}.",
                other.name, host.name
            ),
            format!(
                "{}/{file} on {} is signed by {issuer}; {} trusts {}",
                own.tls_directory,
                host.name,
                other.name,
                names(others.authorities.iter().map(|authority| authority.subject.as_str()))
            ),
            certificates_remedy(facts),
        ));
    }
}

fn certificates_remedy(facts: &Facts) -> Option<Remedy> {
    let of = |host: &HostFacts, address: Option<String>| {
        let names = [Some(host.hostname.clone()), address];
        shell_word(&names.into_iter().flatten().collect::<Vec<_>>().join(","))
    };
    let (source, destination, _) = facts.all()?;
    let address = facts.transport.address.map(|address| address.to_string());
    command(
        "Make certificates with one authority for both hosts, copy to each what it is told to, and restart libvirt there where it \
         had none before.",
        format!("ferryd tls init --dir /etc/ferry/pki {} {}", of(source, None), of(destination, address)),
        None,
    )
}

/// Of a stopped domain no memory travels.
pub(super) fn unused(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|_| facts.is_stopped()) else { return };
    if facts.wanted.transport != Asked::default() {
        findings.push(note(
            "transport-unused",
            &domain.name,
            format!("{} is stopped: it has no memory to send, and its files go through ferryd.", domain.name),
            "options of how the memory travels were given".to_owned(),
        ));
    }
}
