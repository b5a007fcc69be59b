//! What went wrong on the way to a host, read from the words of ssh and libvirt.
//!
//! libvirt reports nearly every failed connection with one and the same code and puts ssh's standard error into the
//! text; ssh itself has the one exit status 255. So the words have to be read, and they are read here alone, for both.
//! They are English: everything that produces them is started with `LC_ALL=C`.

pub use crate::model::ConnectFailure;

/// Words that tell a failure, most telling first: a changed key is followed by "Host key verification failed" in the
/// same text, and libvirt's own "End of file" stands around everything that ssh says.
const WORDS: [(ConnectFailure, &[&str]); 11] = [
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
    // "kex_exchange_identification: Connection closed by remote host", "… read: Connection reset by peer"; what sshd says before it
    // closes the connection of an address that it penalises.
    (
        ConnectFailure::Dropped,
        &[
            "kex_exchange_identification: connection",
            "kex_exchange_identification: read",
            "not allowed at this time",
        ],
    ),
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
            (
                Dropped,
                "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.2 port 22",
            ),
            (
                Dropped,
                "Cannot recv data: kex_exchange_identification: read: Connection reset by peer: Connection reset by peer",
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
            Dropped,
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
