//! Why a host could not be reached.

use std::fmt;

/// Why a host could not be reached, in kinds that each have another remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// The name does not resolve.
    Resolve,
    /// There is no way to the address.
    NoRoute,
    /// The machine answers, but nothing listens on the port.
    Refused,
    /// The connection was taken, and closed again before the ssh server said a word of the protocol.
    Dropped,
    /// Nothing came back in time.
    TimedOut,
    /// The host's key is not in any file of known hosts.
    HostKeyUnknown,
    /// The host shows another key than the one that is known.
    HostKeyChanged,
    /// The host let nobody in with the keys offered.
    Denied,
    /// A TLS certificate is missing, expired, or not for this host.
    TlsCertificate,
    /// The host was reached, but there is no libvirt daemon to talk to.
    NoLibvirt,
    /// The connection stands, but libvirt does not answer on it.
    NotAnswering,
    /// Something else; the text itself has to be shown.
    Other,
}

impl ConnectFailure {
    /// What happened, in plain words; a sentence without its full stop.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Resolve => "the host's name is not known to this machine",
            Self::NoRoute => {
                "there is no way through the network to the host: it is off, or a cable or route is missing"
            }
            Self::Refused => "the host answers, but nothing listens on the port",
            Self::Dropped => "the host closed the connection before its ssh server answered",
            Self::TimedOut => "the host did not answer in time",
            Self::HostKeyUnknown => {
                "the host's ssh key is not known yet, so that it cannot be told from an impostor"
            }
            Self::HostKeyChanged => {
                "the host shows another ssh key than the one known for it: it was installed anew, or another machine \
                 answers in its place"
            }
            Self::Denied => "the host does not let Ferry in",
            Self::TlsCertificate => "a TLS certificate is missing, expired, or made out to another name",
            Self::NoLibvirt => "the host was reached, but no libvirt daemon answers there",
            Self::NotAnswering => "it has not answered in time: the network, the host, or its libvirt daemon",
            Self::Other => "the connection failed",
        }
    }

    /// What a person can do about it; a sentence without its full stop.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Resolve => "check the spelling, or add the name to DNS, /etc/hosts or ~/.ssh/config",
            Self::NoRoute => "check that the host is on and reachable (ping, ip route get ADDRESS)",
            Self::Refused => "check the port, and that sshd (or libvirtd's TLS or TCP socket) runs there",
            // sshd_config(5): PerSourcePenalties, since OpenSSH 9.8; MaxStartups.
            Self::Dropped => {
                "after failed logins sshd may refuse this machine's address for a while (PerSourcePenalties, OpenSSH 9.8 and newer), \
                 and so it may while too many log in at once (MaxStartups): wait some minutes and try again; `journalctl -u ssh` on \
                 the host tells"
            }
            Self::TimedOut => "check that the host is up and that no firewall drops the packets",
            Self::HostKeyUnknown => {
                "compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on \
                                     the host, then trust it"
            }
            Self::HostKeyChanged => {
                "find out why before going on; if the new key is right, trust its fingerprint anew"
            }
            Self::Denied => {
                "check the user, and put Ferry's public key into that user's ~/.ssh/authorized_keys, or give \
                             the password once"
            }
            Self::TlsCertificate => {
                "check the certificates under /etc/pki on both sides: name, dates and authority"
            }
            Self::NoLibvirt => {
                "install libvirt there and start it (systemctl enable --now libvirtd.socket), and check \
                                that the user may use it"
            }
            Self::NotAnswering => {
                "see whether the host can be reached (ping, ssh); then look at the daemon there (systemctl status libvirtd)"
            }
            Self::Other => "read the message of ssh or libvirt",
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.explanation())
    }
}
