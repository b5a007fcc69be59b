//! Connection URIs of libvirt, as a person or a client gives them.
//!
//! A URI ends up on the command line of ssh and inside libvirt, so nothing of it is taken on trust: every part is
//! matched against a list of what it may hold, and whatever is not on the list is refused before any process starts.
//! In particular a user or host that begins with `-` would be read by ssh as an option, and query parameters such as
//! `command` or `netcat` name programs to run; Ferry adds its own where it needs them (see [`super::wrapper`]).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Longest URI accepted, in bytes.
const MAX_URI: usize = 1024;
/// Longest host name in DNS, in bytes.
const MAX_HOST: usize = 253;
/// Longest user name accepted, in bytes (Linux allows 32; directory services more).
const MAX_USER: usize = 64;

/// Drivers of libvirt that run on a host with a daemon of its own.
const DRIVERS: [&str; 5] = ["qemu", "xen", "lxc", "ch", "test"];

/// Why a URI, or a part of one, was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It is not of the form `driver[+transport]://[user@][host][:port]/path`.
    #[error("this is not a libvirt URI: it has the form driver+transport://user@host:port/path")]
    Form,
    /// It is longer than any real one.
    #[error("the URI is too long")]
    TooLong,
    /// The part before `://` names no driver that Ferry knows.
    #[error("unknown libvirt driver \"{0}\": use qemu")]
    Driver(String),
    /// The part after `+` names no transport that Ferry knows.
    #[error("unknown transport \"{0}\": use ssh, tls, tcp or unix")]
    Transport(String),
    /// The user name holds something that a user name does not hold.
    #[error("the user name holds characters that are not allowed, or begins with '-'")]
    User,
    /// A password stands in the URI, where logs and process lists would show it.
    #[error("a URI may not hold a password")]
    Password,
    /// The host is missing, or holds something that a host name or address does not hold.
    #[error("the host is missing, holds characters that are not allowed, or begins with '-'")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// The path is not one of the driver's.
    #[error("the path must be /system or /session")]
    Path,
    /// A query parameter, which could name a program to run or a file to read.
    #[error("the URI parameter \"{0}\" is not allowed")]
    Parameter(String),
    /// A transport without a host was given one, or the reverse.
    #[error("this transport and this host do not go together")]
    Contradiction,
}

/// Where ssh goes: checked user, host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshTarget {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl SshTarget {
    /// Checks the parts. IPv6 addresses are given with or without brackets.
    ///
    /// # Errors
    /// [`UriError::User`], [`UriError::Host`] or [`UriError::Port`].
    pub fn new(user: Option<&str>, host: &str, port: Option<u16>) -> Result<Self, UriError> {
        if user.is_some_and(|user| !is_user(user)) {
            return Err(UriError::User);
        }
        if port == Some(0) {
            return Err(UriError::Port);
        }
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        Ok(Self { user: user.map(str::to_owned), host: checked_host(bare)?, port })
    }

    /// The user, where one was given.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host as given: a name, an alias of the ssh configuration, or an address (IPv6 without brackets).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one was given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The one word by which a person has ssh go there. With a port, or an address that has colons itself, only the form of a URI says
    /// what is meant.
    #[must_use]
    pub fn word(&self) -> String {
        if self.port.is_some() || self.host.contains(':') {
            format!("ssh://{self}")
        } else {
            self.to_string()
        }
    }

    /// The name under which OpenSSH keeps the key of what is given so, without a configuration.
    #[must_use]
    pub fn key_name(&self) -> String {
        match self.port {
            Some(port) if port != 22 => format!("[{}]:{port}", self.host),
            _ => self.host.clone(),
        }
    }

    /// The arguments that lead ssh there, up to and including the host.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &self.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        arguments.extend(["--".to_owned(), self.host.clone()]);
        arguments
    }
}

impl fmt::Display for SshTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(out, "{user}@")?;
        }
        write_host(out, &self.host, self.port)
    }
}

/// How libvirt gets to the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The daemon on this machine, through its socket.
    Local,
    /// Through ssh.
    Ssh(SshTarget),
    /// TLS with certificates on both sides.
    Tls {
        /// Host name or address (IPv6 without brackets).
        host: String,
        /// Port, where it is not libvirt's own (16514).
        port: Option<u16>,
    },
    /// Plain TCP, unencrypted.
    Tcp {
        /// Host name or address (IPv6 without brackets).
        host: String,
        /// Port, where it is not libvirt's own (16509).
        port: Option<u16>,
    },
}

/// A checked connection URI. `Display` gives its canonical form, which holds no parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LibvirtUri {
    driver: String,
    transport: Transport,
    path: String,
}

impl LibvirtUri {
    /// The daemon of this machine, `qemu:///system`.
    pub fn local() -> Self {
        Self { driver: "qemu".to_owned(), transport: Transport::Local, path: "/system".to_owned() }
    }

    /// The hypervisor driver, for example `qemu`.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// How libvirt gets to the host.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The path, with its leading slash: `/system` or `/session`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where ssh goes, for an ssh URI.
    pub fn ssh(&self) -> Option<&SshTarget> {
        match &self.transport {
            Transport::Ssh(target) => Some(target),
            _ => None,
        }
    }

    /// The host name or address in the URI; none for the local daemon.
    pub fn host(&self) -> Option<&str> {
        match &self.transport {
            Transport::Local => None,
            Transport::Ssh(target) => Some(target.host()),
            Transport::Tls { host, .. } | Transport::Tcp { host, .. } => Some(host),
        }
    }
}

impl FromStr for LibvirtUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > MAX_URI {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Form)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if let Some(parameter) = query.split(['&', ';']).find(|part| !part.is_empty()) {
            return Err(UriError::Parameter(shown(parameter.split('=').next().unwrap_or(parameter))));
        }
        let slash = rest.find('/').ok_or(UriError::Path)?;
        let (authority, path) = rest.split_at(slash);
        let (driver, transport) = scheme.split_once('+').map_or((scheme, None), |(d, t)| (d, Some(t)));
        if !DRIVERS.contains(&driver) {
            return Err(UriError::Driver(shown(driver)));
        }
        let authority = Authority::parse(authority)?;
        let transport = authority.transport(transport)?;
        Ok(Self { driver: driver.to_owned(), transport, path: checked_path(driver, path)? })
    }
}

impl fmt::Display for LibvirtUri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = &self.driver;
        match &self.transport {
            Transport::Local => write!(out, "{driver}://")?,
            Transport::Ssh(target) => write!(out, "{driver}+ssh://{target}")?,
            Transport::Tls { host, port } => {
                write!(out, "{driver}+tls://")?;
                write_host(out, host, *port)?;
            }
            Transport::Tcp { host, port } => {
                write!(out, "{driver}+tcp://")?;
                write_host(out, host, *port)?;
            }
        }
        out.write_str(&self.path)
    }
}

/// The part between `://` and the path.
struct Authority<'a> {
    user: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Result<Self, UriError> {
        let (user, rest) = text.rsplit_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(UriError::Password);
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (address, after) = inner.split_once(']').ok_or(UriError::Host)?;
                address.parse::<Ipv6Addr>().map_err(|_| UriError::Host)?;
                let port = if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':').ok_or(UriError::Host)?)
                };
                (address, port)
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        Ok(Self { user, host, port: port.map(checked_port).transpose()? })
    }

    fn transport(self, name: Option<&str>) -> Result<Transport, UriError> {
        let empty = self.host.is_empty();
        if empty && matches!(name, None | Some("unix")) {
            let bare = self.user.is_none() && self.port.is_none();
            return if bare { Ok(Transport::Local) } else { Err(UriError::Contradiction) };
        }
        match name {
            Some("ssh") => Ok(Transport::Ssh(SshTarget::new(self.user, self.host, self.port)?)),
            Some("unix") => Err(UriError::Contradiction),
            // A user would be silently ignored by libvirt on these transports.
            None | Some("tls" | "tcp") if self.user.is_some() => Err(UriError::Contradiction),
            None | Some("tls") => Ok(Transport::Tls { host: checked_host(self.host)?, port: self.port }),
            Some("tcp") => Ok(Transport::Tcp { host: checked_host(self.host)?, port: self.port }),
            Some(other) => Err(UriError::Transport(shown(other))),
        }
    }
}

fn is_user(user: &str) -> bool {
    let plain = user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    !user.is_empty() && user.len() <= MAX_USER && plain && !user.starts_with(['-', '.'])
}

/// A host name, ssh alias, IPv4 or bare IPv6 address, in lower case where it is a name.
fn checked_host(host: &str) -> Result<String, UriError> {
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return Ok(address.to_string());
    }
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if host.is_empty() || host.len() > MAX_HOST || !plain || host.starts_with(['-', '.']) {
        return Err(UriError::Host);
    }
    Ok(host.to_ascii_lowercase())
}

fn checked_port(port: &str) -> Result<u16, UriError> {
    // `parse` alone would take "+22".
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UriError::Port);
    }
    port.parse().ok().filter(|port| *port != 0).ok_or(UriError::Port)
}

fn checked_path(driver: &str, path: &str) -> Result<String, UriError> {
    let known: &[&str] = match driver {
        "qemu" | "ch" => &["/system", "/session"],
        "test" => &["/default"],
        _ => &["/", "/system"],
    };
    known.iter().find(|known| **known == path).map(|known| (*known).to_owned()).ok_or(UriError::Path)
}

/// A refused piece of input, made fit for an error message: short, and without control characters.
fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn write_host(out: &mut fmt::Formatter<'_>, host: &str, port: Option<u16>) -> fmt::Result {
    if host.contains(':') {
        write!(out, "[{host}]")?
    } else {
        out.write_str(host)?
    }
    port.map_or(Ok(()), |port| write!(out, ":{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_uris_have_a_canonical_form() {
        for (given, canonical) in [
            ("qemu:///system", "qemu:///system"),
            ("qemu+unix:///system", "qemu:///system"),
            ("qemu:///session", "qemu:///session"),
            ("qemu+ssh://kvm2/system", "qemu+ssh://kvm2/system"),
            ("qemu+ssh://root@KVM2.example:2222/system?", "qemu+ssh://root@kvm2.example:2222/system"),
            ("qemu+ssh://root@[FE80:0::1]:22/system", "qemu+ssh://root@[fe80::1]:22/system"),
            ("qemu://kvm2/system", "qemu+tls://kvm2/system"),
            ("qemu+tcp://10.0.0.2:16509/system", "qemu+tcp://10.0.0.2:16509/system"),
            ("test:///default", "test:///default"),
        ] {
            let parsed: LibvirtUri = given.parse().expect(given);
            assert_eq!(parsed.to_string(), canonical);
            assert_eq!(canonical.parse::<LibvirtUri>().as_ref(), Ok(&parsed));
        }
    }

    #[test]
    fn injection_is_refused_with_the_part_that_holds_it() {
        use UriError as E;
        for (given, error) in [
            ("", E::Form),
            ("kvm2", E::Form),
            ("qemu+ssh://-oProxyCommand=id@kvm2/system", E::User),
            ("qemu+ssh://-oProxyCommand=id/system", E::Host),
            ("qemu+ssh://-root@kvm2/system", E::User),
            ("qemu+ssh://ro ot@kvm2/system", E::User),
            ("qemu+ssh://ro\not@kvm2/system", E::User),
            ("qemu+ssh://ro\"ot@kvm2/system", E::User),
            ("qemu+ssh://%2doProxyCommand@kvm2/system", E::User),
            ("qemu+ssh://a@b@kvm2/system", E::User),
            ("qemu+ssh://@kvm2/system", E::User),
            ("qemu+ssh://root:secret@kvm2/system", E::Password),
            ("qemu+ssh://kvm2;id/system", E::Host),
            ("qemu+ssh://$(id)/system", E::Host),
            ("qemu+ssh://kvm%32/system", E::Host),
            ("qemu+ssh://kvm2\0/system", E::Host),
            ("qemu+ssh:///system", E::Host),
            ("qemu+ssh://[::1/system", E::Host),
            ("qemu+ssh://[kvm2]/system", E::Host),
            ("qemu+ssh://[::1]x/system", E::Host),
            ("qemu+ssh://kvm2:/system", E::Port),
            ("qemu+ssh://kvm2:0/system", E::Port),
            ("qemu+ssh://kvm2:+22/system", E::Port),
            ("qemu+ssh://kvm2:65536/system", E::Port),
            ("qemu+ssh://kvm2", E::Path),
            ("qemu+ssh://kvm2/", E::Path),
            ("qemu+ssh://kvm2/system#x", E::Path),
            ("qemu+ssh://kvm2/../../tmp", E::Path),
            ("qemu:///system?socket=/tmp/x", E::Parameter("socket".to_owned())),
            ("qemu+ssh://kvm2/system?command=/tmp/x", E::Parameter("command".to_owned())),
            ("qemu+ssh://kvm2/system?&NetCat=x", E::Parameter("NetCat".to_owned())),
            ("qemu+ext://kvm2/system", E::Transport("ext".to_owned())),
            ("qemu+ssh+ext://kvm2/system", E::Transport("ssh+ext".to_owned())),
            ("QEMU:///system", E::Driver("QEMU".to_owned())),
            ("http://kvm2/system", E::Driver("http".to_owned())),
            ("qemu+unix://kvm2/system", E::Contradiction),
            ("qemu+tls://root@kvm2/system", E::Contradiction),
            ("qemu://root@/system", E::Contradiction),
        ] {
            assert_eq!(given.parse::<LibvirtUri>(), Err(error), "{given}");
        }
        assert_eq!(format!("qemu+ssh://{}/system", "a".repeat(2000)).parse::<LibvirtUri>(), Err(E::TooLong));
        assert_eq!(format!("qemu+ssh://{}/system", "a".repeat(300)).parse::<LibvirtUri>(), Err(E::Host));
    }

    #[test]
    fn targets_are_checked_by_themselves() {
        assert_eq!(SshTarget::new(Some("-oProxyCommand=id"), "kvm2", None), Err(UriError::User));
        assert_eq!(SshTarget::new(None, "-oProxyCommand=id", None), Err(UriError::Host));
        assert_eq!(SshTarget::new(None, "kvm2", Some(0)), Err(UriError::Port));
        let target = SshTarget::new(Some("root"), "[::1]", Some(22)).expect("target");
        assert_eq!(target.arguments(), ["-p", "22", "-l", "root", "--", "::1"]);
        assert_eq!(target.to_string(), "root@[::1]:22");
    }
}
