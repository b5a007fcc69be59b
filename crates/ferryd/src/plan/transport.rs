//! How the memory is asked to travel, which of that goes together, and what it becomes: pure.
//!
//! [`EXCLUDED`] and [`NEEDED`] are all that is known of which options go together; it is told before anything is asked of a host.

use std::net::IpAddr;

use api::preflight::PreflightRequest;
use api::task::{Compression, MigrationRequest};

use crate::model::facts::{DomainFacts, Facts};
use crate::model::transport::{Asked, Transport, Via};

/// One of the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Secure,
    Tls,
    Parallel,
    Via,
    Xbzrle,
    Mt,
    Zlib,
    Zstd,
    Zerocopy,
    Rdma,
    Direct,
    PostCopy,
}

use Choice as C;

/// What does not go together, and why; by libvirt's `virDomainMigrate*` flags and QEMU's checks of its migration capabilities.
const EXCLUDED: &[(Choice, Choice, &str)] = &[
    (C::Parallel, C::Secure, "libvirt's own connection carries one stream"),
    (C::Tls, C::Secure, "what goes through libvirt's own connection is encrypted by that"),
    (C::Via, C::Secure, "libvirt's own connection goes where the two libvirts speak"),
    (C::Zlib, C::Secure, "zlib compresses parallel streams only, and libvirt's own connection carries one"),
    (C::Zstd, C::Secure, "zstd compresses parallel streams only, and libvirt's own connection carries one"),
    (C::Zerocopy, C::Secure, "libvirt's own connection copies what it carries"),
    (C::Rdma, C::Secure, "libvirt's own connection is no RDMA"),
    (
        C::Direct,
        C::Secure,
        "only a source that speaks to the destination itself can send memory through that connection",
    ),
    (C::Xbzrle, C::Parallel, "QEMU compresses so only what goes over one connection"),
    (C::Mt, C::Parallel, "QEMU compresses so only what goes over one connection"),
    (C::Zerocopy, C::Tls, "what is encrypted is copied by that"),
    (C::Zerocopy, C::Xbzrle, "what is compressed is copied by that"),
    (C::Zerocopy, C::Mt, "what is compressed is copied by that"),
    (C::Zerocopy, C::Zlib, "what is compressed is copied by that"),
    (C::Zerocopy, C::Zstd, "what is compressed is copied by that"),
    (C::Rdma, C::Parallel, "QEMU's RDMA is one connection"),
    (C::Rdma, C::Tls, "RDMA writes the memory as it is"),
    (C::Rdma, C::Zerocopy, "RDMA copies nothing anyway"),
    (C::Rdma, C::Xbzrle, "RDMA writes the memory as it is"),
    (C::Rdma, C::Mt, "RDMA writes the memory as it is"),
    (C::Rdma, C::Zlib, "RDMA writes the memory as it is"),
    (C::Rdma, C::Zstd, "RDMA writes the memory as it is"),
    (
        C::PostCopy,
        C::Secure,
        "after the switch the destination asks for memory that it needs at once, and libvirt's own connection has no way back for that",
    ),
    (C::PostCopy, C::Direct, "a ferryd that is stopped after the switch would cost the guest's memory"),
    (
        C::PostCopy,
        C::Parallel,
        "what the destination asks for after the switch comes over one connection, and QEMU (up to 10.0) refuses both",
    ),
    (
        C::PostCopy,
        C::Mt,
        "QEMU does not compress what the destination asks for after the switch, and refuses both",
    ),
];

/// What needs something else, and why.
const NEEDED: &[(Choice, Choice, &str)] = &[
    (C::Zlib, C::Parallel, "QEMU compresses so only what goes over parallel connections"),
    (C::Zstd, C::Parallel, "QEMU compresses so only what goes over parallel connections"),
    (C::Zerocopy, C::Parallel, "QEMU does so only over parallel connections"),
];

impl Choice {
    /// The request's field.
    fn field(self) -> &'static str {
        match self {
            C::Secure => "secure",
            C::Tls => "tls",
            C::Parallel => "parallel",
            C::Via => "via",
            C::Xbzrle | C::Mt | C::Zlib | C::Zstd => "compress",
            C::Zerocopy => "zerocopy",
            C::Rdma => "rdma",
            C::Direct => "direct",
            C::PostCopy => "post_copy",
        }
    }

    /// As it is asked for.
    fn word(self) -> &'static str {
        match self {
            C::Xbzrle => "compress xbzrle",
            C::Mt => "compress mt",
            C::Zlib => "compress zlib",
            C::Zstd => "compress zstd",
            other => other.field(),
        }
    }
}

/// A request's options of how the memory travels, as they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    secure: bool,
    tls: bool,
    parallel: Option<u8>,
    via: Option<&'a str>,
    compress: Option<Compression>,
    zerocopy: bool,
    rdma: bool,
    direct: bool,
    post_copy: bool,
}

macro_rules! options_of {
    ($request:ty) => {
        impl<'a> From<&'a $request> for Options<'a> {
            fn from(request: &'a $request) -> Self {
                Self {
                    secure: request.secure,
                    tls: request.tls,
                    parallel: request.parallel,
                    via: request.via.as_deref(),
                    compress: request.compress,
                    zerocopy: request.zerocopy,
                    rdma: request.rdma,
                    direct: request.direct,
                    post_copy: request.post_copy.is_some(),
                }
            }
        }
    };
}

options_of!(MigrationRequest);
options_of!(PreflightRequest);

/// Options that make no sense: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Senseless {
    /// The request's field.
    pub field: &'static str,
    /// The account for a person.
    pub why: String,
}

impl Options<'_> {
    fn has(&self, choice: Choice) -> bool {
        match choice {
            C::Secure => self.secure,
            C::Tls => self.tls,
            C::Parallel => self.parallel.is_some(),
            C::Via => self.via.is_some(),
            C::Xbzrle => self.compress == Some(Compression::Xbzrle),
            C::Mt => self.compress == Some(Compression::Mt),
            C::Zlib => self.compress == Some(Compression::Zlib),
            C::Zstd => self.compress == Some(Compression::Zstd),
            C::Zerocopy => self.zerocopy,
            C::Rdma => self.rdma,
            C::Direct => self.direct,
            C::PostCopy => self.post_copy,
        }
    }

    /// What is asked for, where it makes sense.
    ///
    /// # Errors
    /// What does not go together, what is missing, or what is none.
    pub fn asked(&self) -> Result<Asked, Senseless> {
        let senseless = |choice: Choice, why: String| Senseless { field: choice.field(), why };
        if let Some((one, other, why)) =
            EXCLUDED.iter().find(|(one, other, _)| self.has(*one) && self.has(*other))
        {
            let why = format!("{} and {} exclude each other: {why}.", one.word(), other.word());
            return Err(senseless(*one, why));
        }
        if let Some((one, other, why)) =
            NEEDED.iter().find(|(one, other, _)| self.has(*one) && !self.has(*other))
        {
            return Err(senseless(*one, format!("{} needs {}: {why}.", one.word(), other.word())));
        }
        if self.parallel == Some(0) {
            return Err(senseless(C::Parallel, "parallel must be 1 to 255.".to_owned()));
        }
        let via = self.via.map(str::parse::<Via>).transpose();
        let via = via.map_err(|error| senseless(C::Via, format!("via: {error}.")))?;
        Ok(Asked {
            tls: self.tls,
            parallel: self.parallel,
            via,
            compress: self.compress,
            zerocopy: self.zerocopy,
            rdma: self.rdma,
            direct: self.direct,
        })
    }
}

/// How the memory will travel, by facts that the checks let through. A stopped domain has none that could.
pub(super) fn transport(facts: &Facts, domain: &DomainFacts) -> Transport {
    if !domain.is_active() {
        return Transport::default();
    }
    let asked = facts.wanted.transport;
    let address: Option<IpAddr> = facts.transport.address;
    let name = || facts.destination.known().map(|host| host.hostname.clone());
    let rdma_to = asked.rdma.then(|| address.map(|address| address.to_string()).or_else(name)).flatten();
    Transport {
        tls: asked.tls,
        tls_name: if asked.tls && address.is_some() { name() } else { None },
        parallel: asked.parallel,
        address,
        compress: asked.compress,
        zerocopy: asked.zerocopy,
        rdma_to,
        direct: asked.direct,
        graphics_uri: facts.wanted.graphics_uri.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them.
    const CHOICES: [Choice; 12] = [
        C::Secure,
        C::Tls,
        C::Parallel,
        C::Via,
        C::Xbzrle,
        C::Mt,
        C::Zlib,
        C::Zstd,
        C::Zerocopy,
        C::Rdma,
        C::Direct,
        C::PostCopy,
    ];

    fn with(choices: &[Choice]) -> Options<'static> {
        let mut options = Options::default();
        for choice in choices {
            match choice {
                C::Secure => options.secure = true,
                C::Tls => options.tls = true,
                C::Parallel => options.parallel = Some(4),
                C::Via => options.via = Some("10.1.0.0/24"),
                C::Xbzrle => options.compress = Some(Compression::Xbzrle),
                C::Mt => options.compress = Some(Compression::Mt),
                C::Zlib => options.compress = Some(Compression::Zlib),
                C::Zstd => options.compress = Some(Compression::Zstd),
                C::Zerocopy => options.zerocopy = true,
                C::Rdma => options.rdma = true,
                C::Direct => options.direct = true,
                C::PostCopy => options.post_copy = true,
            }
        }
        options
    }

    /// What a choice needs besides.
    fn needs(choice: Choice) -> Vec<Choice> {
        NEEDED.iter().filter(|(one, ..)| *one == choice).map(|(_, other, _)| *other).collect()
    }

    #[test]
    fn each_choice_goes_with_what_it_needs() {
        for choice in CHOICES {
            let whole = [vec![choice], needs(choice)].concat();
            assert!(with(&whole).asked().is_ok(), "{choice:?}");
            if whole.len() > 1 {
                let why = with(&[choice]).asked().expect_err("something is missing").why;
                assert!(why.contains(" needs parallel: "), "{why}");
            }
        }
    }

    /// Two that the table does not exclude go together, and two that it does are refused by its words, whichever is named first.
    #[test]
    fn every_pair_is_as_the_table_says() {
        let compresses = |choice: Choice| choice.field() == "compress";
        for one in CHOICES {
            for other in CHOICES.into_iter().filter(|other| *other != one) {
                if compresses(one) && compresses(other) {
                    continue;
                }
                let row =
                    EXCLUDED.iter().find(|(a, b, _)| (*a, *b) == (one, other) || (*b, *a) == (one, other));
                match (with(&[one, other]).asked(), row) {
                    (Err(said), Some((first, second, why))) => {
                        assert_eq!(said.field, first.field());
                        assert_eq!(
                            said.why,
                            format!("{} and {} exclude each other: {why}.", first.word(), second.word())
                        );
                    }
                    (Ok(_), None) => {}
                    (Err(said), None) => {
                        let missing = [needs(one), needs(other)].concat();
                        assert!(
                            !missing.is_empty() && said.why.contains(" needs "),
                            "{one:?} {other:?}: {said:?}"
                        );
                    }
                    (Ok(asked), Some(_)) => panic!("{one:?} and {other:?} were let through: {asked:?}"),
                }
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_kept() {
        let asked =
            with(&[C::Tls, C::Parallel, C::Via, C::Zstd, C::Direct]).asked().expect("they go together");
        assert_eq!((asked.tls, asked.parallel, asked.compress), (true, Some(4), Some(Compression::Zstd)));
        assert_eq!((asked.via, asked.direct), (Some("10.1.0.0/24".parse().expect("a network")), true));
        let wrong = Options { via: Some("kvm2"), ..Options::default() }.asked().expect_err("no address");
        assert_eq!(wrong.field, "via");
        let none = Options { parallel: Some(0), ..Options::default() }.asked().expect_err("none at all");
        assert_eq!(none.field, "parallel");
    }
}
