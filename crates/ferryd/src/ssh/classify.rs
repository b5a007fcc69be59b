//! What went wrong on the way to a host, read from the words of ssh and libvirt.
//!
//! libvirt reports nearly every failed connection with one and the same code and puts ssh's standard error into the
//! text; ssh itself has the one exit status 255. So the words have to be read, and they are read here alone, for both.
//! They are English: everything that produces them is started with `LC_ALL=C`.

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

/// Words that tell a failure, most telling first: a changed key is followed by "Host key verification failed" in the
/// same text, and libvirt's own "End of file" stands around everything that ssh says.
const WORDS: [(ConnectFailure, &[&str]); 10] = [
    (
        ConnectFailure::HostKeyChanged,
        &["remote host identification has changed", "host key for", "revoked host key"],
    ),
    (
        ConnectFailure::HostKeyUnknown,
        &["host key verification failed", "host key is known for", "authenticity of host"],
    ),
    (
        ConnectFailure::Denied,
        &[
            "permission denied (",
            "permission denied, please try again",
            "': permission denied",
            "too many authentication failures",
            "no supported authentication methods",
            "no more authentication methods",
            "authentication failed",
            "access denied",
        ],
    ),
    (
        ConnectFailure::Resolve,
        &[
            "could not resolve hostname",
            "name or service not known",
            "temporary failure in name resolution",
            "no address associated with hostname",
            "unable to resolve address",
        ],
    ),
    (
        ConnectFailure::NoRoute,
        &["no route to host", "network is unreachable", "network unreachable", "host is down"],
    ),
    (
        ConnectFailure::TlsCertificate,
        &[
            "certificate",
            "tls handshake failed",
            "unable to set x509",
            "cannot read ca",
            "unable to verify tls peer",
            "pki",
        ],
    ),
    (
        ConnectFailure::NoLibvirt,
        &[
            "failed to connect socket to",
            "libvirt-sock",
            "virtqemud-sock",
            "virt-ssh-helper",
            "cannot connect to '",
            "unable to connect to libvirt",
            "could not find a valid netcat",
            "nc: not found",
            "nc: command not found",
        ],
    ),
    (ConnectFailure::Refused, &["connection refused"]),
    (
        ConnectFailure::TimedOut,
        &[
            "connection timed out",
            "operation timed out",
            "connection to",
            "timeout, server",
            "timed out during banner",
            // Ferry's own words, of an attempt that came to nothing within its limit and of a connection that was lost.
            "no answer within",
            "no connection within",
            "connection was lost",
        ],
    ),
    (
        ConnectFailure::NotAnswering,
        &[
            "keepalive",
            "keep alive",
            "timed out waiting",
            "no response",
            "did not answer",
            "end of file while reading",
        ],
    ),
];

/// Tells from an error's text what kind of failure it was. Pure; letter case does not matter.
pub fn classify(text: &str) -> ConnectFailure {
    let text = text.to_lowercase();
    WORDS
        .iter()
        .find(|(failure, words)| words.iter().any(|word| text.contains(word) && fits(*failure, word, &text)))
        .map_or(ConnectFailure::Other, |(failure, _)| *failure)
}

/// Some words mean what they seem to mean only in company.
fn fits(failure: ConnectFailure, word: &str, text: &str) -> bool {
    match (failure, word) {
        // "Host key for [kvm2]:22 has changed and you have requested strict checking."
        (_, "host key for") => text.contains("has changed"),
        // "Connection to kvm2 port 22 timed out"
        (_, "connection to") => text.contains(" timed out"),
        // "unable to connect to server at 'kvm2:16509': Connection refused" is not about a local socket.
        (_, "cannot connect to '") => text.contains("sock"),
        // "PKI" as a word of libvirt's, not as a part of another word.
        (_, "pki") => text.contains("/pki/"),
        _ => true,
    }
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
            Self::NotAnswering => "the host was reached, but its libvirt daemon does not answer",
            Self::Other => "the connection failed",
        }
    }

    /// What a person can do about it; a sentence without its full stop.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Resolve => "check the spelling, or add the name to DNS, /etc/hosts or ~/.ssh/config",
            Self::NoRoute => "check that the host is on and reachable (ping, ip route get ADDRESS)",
            Self::Refused => "check the port, and that sshd (or libvirtd's TLS or TCP socket) runs there",
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
                "look at the daemon on the host (systemctl status libvirtd); restart it if it hangs"
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

#[cfg(test)]
mod tests {
    use super::ConnectFailure::*;
    use super::*;

    const CHANGED: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Offending ED25519 key in /var/lib/ferry/ssh/known_hosts.d/kvm2:1
Host key for kvm2 has changed and you have requested strict checking.
Host key verification failed.";

    #[test]
    fn real_texts_are_told_apart() {
        for (failure, text) in [
            (Resolve, "ssh: Could not resolve hostname nowhere.invalid: Name or service not known"),
            (
                Resolve,
                "Cannot recv data: ssh: Could not resolve hostname nowhere: Temporary failure in name resolution: \
                 Connection reset by peer",
            ),
            (Resolve, "unable to connect to server at 'nowhere:16509': Name or service not known"),
            (NoRoute, "ssh: connect to host 10.9.0.3 port 22: No route to host"),
            (
                NoRoute,
                "Cannot recv data: ssh: connect to host kvm2 port 22: No route to host: Connection reset by peer",
            ),
            (NoRoute, "unable to connect to server at '10.9.0.3:16509': No route to host"),
            (NoRoute, "ssh: connect to host 10.9.0.3 port 22: Network is unreachable"),
            (Refused, "ssh: connect to host kvm2 port 22: Connection refused"),
            (
                Refused,
                "End of file while reading data: ssh: connect to host kvm2 port 22: Connection refused: \
                 Input/output error",
            ),
            (Refused, "unable to connect to server at 'kvm2:16509': Connection refused"),
            (TimedOut, "ssh: connect to host kvm2 port 22: Connection timed out"),
            (
                TimedOut,
                "Connection timed out during banner exchange\nConnection to 10.0.0.2 port 22 timed out",
            ),
            (TimedOut, "Timeout, server kvm2 not responding."),
            (TimedOut, "kvm2 cannot be asked: no answer within 5 s"),
            (TimedOut, "kvm2 cannot be asked: the connection was lost"),
            (
                HostKeyUnknown,
                "No ED25519 host key is known for kvm2 and you have requested strict checking.\nHost key verification \
                 failed.",
            ),
            (HostKeyUnknown, "Cannot recv data: Host key verification failed.: Connection reset by peer"),
            (HostKeyChanged, CHANGED),
            (Denied, "root@kvm2: Permission denied (publickey,password)."),
            (
                Denied,
                "Cannot recv data: root@kvm2: Permission denied (publickey,password).: Connection reset by peer",
            ),
            (Denied, "Received disconnect from 10.0.0.2 port 22:2: Too many authentication failures"),
            (Denied, "authentication failed: access denied by policy"),
            (TlsCertificate, "The certificate is not trusted: Certificate not found"),
            (
                TlsCertificate,
                "Cannot read CA certificate '/etc/pki/CA/cacert.pem': No such file or directory",
            ),
            (TlsCertificate, "Unable to verify TLS peer: certificate has expired"),
            (
                NoLibvirt,
                "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
            ),
            (NoLibvirt, "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Connection refused"),
            (Denied, "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied"),
            (
                NoLibvirt,
                "End of file while reading data: virt-ssh-helper: cannot connect to '/run/libvirt/libvirt-sock': \
                 Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory: Input/output error",
            ),
            (NoLibvirt, "End of file while reading data: sh: 1: nc: not found: Input/output error"),
            (NotAnswering, "internal error: connection closed due to keepalive timeout"),
            (NotAnswering, "End of file while reading data: Input/output error"),
            (Other, "bash: line 1: sh: command not found"),
            (Other, ""),
        ] {
            assert_eq!(classify(text), failure, "{text}");
        }
    }

    #[test]
    fn everything_is_explained() {
        for failure in [
            Resolve,
            NoRoute,
            Refused,
            TimedOut,
            HostKeyUnknown,
            HostKeyChanged,
            Denied,
            TlsCertificate,
            NoLibvirt,
            NotAnswering,
            Other,
        ] {
            assert!(failure.explanation().len() > 10 && failure.remedy().len() > 10, "{failure:?}");
            assert!(!failure.explanation().ends_with('.') && !failure.remedy().ends_with('.'), "{failure:?}");
        }
    }
}
