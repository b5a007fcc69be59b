//! The keys of hosts: what a host shows, what is trusted, and trusting it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Config};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Error, Preferred};
use tokio::time::timeout;

use super::child::finished;
use super::endpoint::{Endpoint, ReachError};
use super::keys::{KeyError, PublicLine, SshDir, at, write_atomic};
use crate::model::HostName;

/// Host key algorithms that are asked for, the preferred ones first; RSA never with SHA-1, which OpenSSH refuses too.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// The key that a host shows; that it owns it has been proven in the key exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey(PublicLine);

impl HostKey {
    /// The algorithm, for example `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        self.0.algorithm()
    }

    /// The fingerprint, `SHA256:` and base64, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> &str {
        self.0.fingerprint()
    }

    /// The key as it stands in a file of known hosts, without the host: algorithm and base64.
    pub fn line(&self) -> String {
        format!("{} {}", self.0.algorithm(), self.0.blob())
    }

    /// Whether a fingerprint that a person gave is this key's; `SHA256:` and padding may be left out.
    pub fn has_fingerprint(&self, given: &str) -> bool {
        same_fingerprint(self.fingerprint(), given)
    }
}

impl From<&PublicKey> for HostKey {
    fn from(key: &PublicKey) -> Self {
        Self(PublicLine::from(key))
    }
}

/// Whether two ways of writing a SHA-256 fingerprint mean the same; an empty one means none.
pub(super) fn same_fingerprint(one: &str, other: &str) -> bool {
    let bare = |text: &str| text.trim().trim_start_matches("SHA256:").trim_end_matches('=').to_owned();
    !bare(one).is_empty() && bare(one) == bare(other)
}

/// What the files of known hosts say about a host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is there: OpenSSH connects.
    Known,
    /// No key of this algorithm is there.
    Unknown,
    /// Another key of this algorithm is there.
    Changed {
        /// The fingerprints of those that are.
        trusted: Vec<String>,
    },
    /// It is there as one that must not be used any more.
    Revoked,
}

/// Asks a host for its key, and for nothing else: the connection is closed as soon as the key is proven.
///
/// # Errors
/// Any [`ReachError`]; a server that has none of the usual kinds of key is [`ReachError::Protocol`].
pub async fn scan(endpoint: &Endpoint, limit: Duration) -> Result<HostKey, ReachError> {
    timeout(limit, scan_for(endpoint, ALGORITHMS.to_vec())).await.unwrap_or(Err(ReachError::TimedOut(limit)))
}

async fn scan_for(endpoint: &Endpoint, algorithms: Vec<Algorithm>) -> Result<HostKey, ReachError> {
    let seen = Arc::default();
    let (stream, way) = endpoint.open().await?;
    let look = Look { expected: None, seen: Arc::clone(&seen) };
    let result = client::connect_stream(config(algorithms), stream, look).await;
    match (taken(&seen), result) {
        (Some(key), _) => Ok(key),
        (None, Err(error)) => Err(way.error(&error).await),
        (None, Ok(_)) => Err(ReachError::Protocol("no key was shown".to_owned())),
    }
}

/// The kind of key that an algorithm signs with, as it stands in a file of known hosts.
fn kind_of_key(algorithm: &Algorithm) -> &str {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa",
        other => other.as_str(),
    }
}

/// How we speak ssh ourselves.
pub(super) fn config(algorithms: Vec<Algorithm>) -> Arc<Config> {
    let preferred = Preferred { key: algorithms.into(), ..Preferred::DEFAULT };
    Arc::new(Config { preferred, ..Config::default() })
}

/// The algorithms to ask for where no key is known.
pub(super) fn algorithms() -> Vec<Algorithm> {
    ALGORITHMS.to_vec()
}

/// Looks at the key that a host shows, and goes on only if it has the fingerprint that is expected.
pub(super) struct Look {
    pub(super) expected: Option<String>,
    pub(super) seen: Arc<Mutex<Option<HostKey>>>,
}

/// The key that a [`Look`] has seen.
pub(super) fn taken(seen: &Mutex<Option<HostKey>>) -> Option<HostKey> {
    seen.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl client::Handler for Look {
    type Error = Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Error> {
        let key = HostKey::from(&shown.public_key());
        let expected = self.expected.as_ref().is_some_and(|expected| key.has_fingerprint(expected));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(expected)
    }
}

/// One key of a file of known hosts.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    revoked: bool,
    algorithm: String,
    blob: String,
}

impl Entry {
    /// Reads a line; none for comments and for certificate authorities, which are no keys of hosts.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().filter(|word| !word.starts_with('#') && *word != "@cert-authority")?;
        let revoked = first == "@revoked";
        if revoked {
            words.next()?;
        }
        Some(Self { revoked, algorithm: words.next()?.to_owned(), blob: words.next()?.to_owned() })
    }

    fn is(&self, key: &HostKey) -> bool {
        self.algorithm == key.0.algorithm() && self.blob == key.0.blob()
    }

    fn fingerprint(&self) -> Option<String> {
        let line: PublicLine = format!("{} {}", self.algorithm, self.blob).parse().ok()?;
        Some(line.fingerprint().to_owned())
    }
}

/// What the entries found for a host say about its key: as OpenSSH, one match is enough, whatever else is there.
fn judge(entries: &[Entry], key: &HostKey) -> Trust {
    if entries.iter().any(|entry| entry.revoked && entry.is(key)) {
        return Trust::Revoked;
    }
    let mut trusted = entries.iter().filter(|entry| !entry.revoked);
    if trusted.clone().any(|entry| entry.is(key)) {
        return Trust::Known;
    }
    let other = |entry: &&Entry| entry.algorithm == key.algorithm();
    if trusted.clone().any(|entry| other(&entry)) {
        let trusted = trusted.by_ref().filter(other).filter_map(Entry::fingerprint).collect();
        return Trust::Changed { trusted };
    }
    Trust::Unknown
}

impl SshDir {
    /// Asks a host for its key and looks whether it is trusted. Where a key is known, a key of that algorithm is asked
    /// for first, as OpenSSH does.
    ///
    /// # Errors
    /// Any [`ReachError`].
    pub async fn examine(
        &self,
        host: &HostName,
        endpoint: &Endpoint,
        limit: Duration,
    ) -> Result<(HostKey, Trust), ReachError> {
        let examined = async {
            let entries = self.entries(host, endpoint).await?;
            let known =
                |algorithm: &Algorithm| entries.iter().any(|entry| entry.algorithm == kind_of_key(algorithm));
            let (mut first, rest): (Vec<_>, Vec<_>) = ALGORITHMS.into_iter().partition(known);
            first.extend(rest);
            let key = scan_for(endpoint, first).await?;
            let trust = judge(&entries, &key);
            Ok((key, trust))
        };
        timeout(limit, examined).await.unwrap_or(Err(ReachError::TimedOut(limit)))
    }

    /// Looks whether a key is trusted for a host: in Ferry's own file, the user's and the system's, hashed or not.
    ///
    /// # Errors
    /// [`ReachError::Start`] or [`ReachError::TimedOut`].
    pub async fn is_known(
        &self,
        host: &HostName,
        endpoint: &Endpoint,
        key: &HostKey,
        limit: Duration,
    ) -> Result<Trust, ReachError> {
        let entries = timeout(limit, self.entries(host, endpoint)).await;
        Ok(judge(&entries.unwrap_or(Err(ReachError::TimedOut(limit)))?, key))
    }

    async fn entries(&self, host: &HostName, endpoint: &Endpoint) -> Result<Vec<Entry>, ReachError> {
        let own = std::env::home_dir().map(|home| home.join(".ssh")).into_iter();
        let files = [self.known_hosts(host)]
            .into_iter()
            .chain(own.flat_map(|dir| [dir.join("known_hosts"), dir.join("known_hosts2")]))
            .chain(endpoint.system_known_hosts().iter().cloned());
        let mut entries = Vec::new();
        for file in files.filter(|file| file.exists()) {
            entries.extend(find(&endpoint.key_name(), &file).await?);
        }
        Ok(entries)
    }

    /// Trusts a key for a host from now on, in place of any other of the same algorithm that was trusted here.
    ///
    /// # Errors
    /// Ferry's own file for the host cannot be read or written.
    pub fn trust(&self, host: &HostName, endpoint: &Endpoint, key: &HostKey) -> Result<(), KeyError> {
        let path: PathBuf = self.known_hosts(host);
        let present = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(at(&path))?,
        };
        let name = endpoint.key_name();
        let replaced = format!("{name} {} ", key.algorithm());
        let kept =
            present.lines().filter(|line| !line.starts_with(&replaced)).map(|line| format!("{line}\n"));
        let content: String = kept.chain([format!("{name} {}\n", key.line())]).collect();
        write_atomic(&path, 0o600, content.as_bytes()).map_err(at(&path))
    }
}

/// Has ssh-keygen find a name in a file, because names may be hashed or patterns.
async fn find(name: &str, file: &Path) -> Result<Vec<Entry>, ReachError> {
    let words = ["-F".to_owned(), name.to_owned(), "-f".to_owned(), file.to_string_lossy().into_owned()];
    let (_, output, _) = finished("ssh-keygen", &words).await?;
    Ok(output.lines().filter_map(Entry::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::SshTarget;

    const LIMIT: Duration = Duration::from_secs(10);
    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G2sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn key(line: &str) -> HostKey {
        HostKey(line.parse().expect("key"))
    }

    #[test]
    fn fingerprints_are_compared_as_people_write_them() {
        let key = key(ONE);
        let bare = key.fingerprint().strip_prefix("SHA256:").expect("prefix").to_owned();
        assert!(key.has_fingerprint(key.fingerprint()));
        assert!(key.has_fingerprint(&format!(" {bare}= \n")));
        assert!(
            !key.has_fingerprint("") && !key.has_fingerprint("SHA256:") && !key.has_fingerprint(&bare[1..])
        );
    }

    #[tokio::test]
    async fn trust_is_found_changed_replaced_and_forgotten() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ssh = SshDir::open(&dir.path().join("ssh")).expect("open");
        let host: HostName = "kvm2".parse().expect("name");
        let target = SshTarget::new(None, "kvm2.invalid", Some(2222)).expect("target");
        let endpoint = Endpoint::resolve(&target, LIMIT).await.expect("resolve");
        let (one, two) = (key(ONE), key(TWO));
        let known = async |key| ssh.is_known(&host, &endpoint, key, LIMIT).await.expect("is known");

        assert_eq!(known(&one).await, Trust::Unknown);
        ssh.trust(&host, &endpoint, &one).expect("trust");
        ssh.trust(&host, &endpoint, &one).expect("trust again");
        assert_eq!(known(&one).await, Trust::Known);
        assert_eq!(known(&two).await, Trust::Changed { trusted: vec![one.fingerprint().to_owned()] });
        ssh.trust(&host, &endpoint, &two).expect("trust the other");
        assert_eq!(known(&two).await, Trust::Known);
        assert_eq!(known(&one).await, Trust::Changed { trusted: vec![two.fingerprint().to_owned()] });

        let file = ssh.known_hosts(&host);
        assert_eq!(fs::read_to_string(&file).expect("read"), format!("[kvm2.invalid]:2222 {TWO}\n"));
        let hashed = std::process::Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output();
        assert!(hashed.expect("hash").status.success());
        assert!(fs::read_to_string(&file).expect("read").starts_with("|1|"));
        assert_eq!(known(&two).await, Trust::Known);

        fs::write(&file, format!("@revoked * {ONE}\n@cert-authority * {TWO}\n")).expect("write");
        assert_eq!(known(&one).await, Trust::Revoked);
        assert_eq!(known(&two).await, Trust::Unknown);
        ssh.forget(&host).expect("forget");
        assert_eq!(known(&one).await, Trust::Unknown);
    }

    #[tokio::test]
    async fn a_server_that_is_none_is_told_from_one_that_is_not_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let target = SshTarget::new(None, "127.0.0.1", Some(port)).expect("target");
        let endpoint = Endpoint::resolve(&target, LIMIT).await.expect("resolve");
        // Nothing is said.
        let limit = Duration::from_millis(50);
        assert!(matches!(scan(&endpoint, limit).await, Err(ReachError::TimedOut(_))));
        // Something else is said.
        let talker = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("accept");
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .await;
            }
        });
        let failed = scan(&endpoint, LIMIT).await.expect_err("no ssh");
        assert!(matches!(failed, ReachError::Protocol(_) | ReachError::Connect { .. }), "{failed:?}");
        talker.abort();
        let _ = talker.await;
        // A port of its own that nobody serves, because a program that is just being started by another test may still
        // hold the listener.
        let target = SshTarget::new(None, "127.0.0.1", Some(1)).expect("target");
        let endpoint = Endpoint::resolve(&target, LIMIT).await.expect("resolve");
        let failed = scan(&endpoint, LIMIT).await.expect_err("nothing there");
        assert_eq!(failed.failure(), super::super::ConnectFailure::Refused);
        let target = SshTarget::new(None, "nowhere.invalid", None).expect("target");
        let endpoint = Endpoint::resolve(&target, LIMIT).await.expect("resolve");
        let failed = scan(&endpoint, LIMIT).await.expect_err("no name");
        assert_eq!(failed.failure(), super::super::ConnectFailure::Resolve);
    }

    #[tokio::test]
    async fn a_connection_that_is_dropped_before_any_answer_is_told_apart() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        // As sshd does with an address that it penalises for failed logins.
        let dropper = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accept");
                drop(stream);
            }
        });
        let target = SshTarget::new(None, "127.0.0.1", Some(port)).expect("target");
        let endpoint = Endpoint::resolve(&target, LIMIT).await.expect("resolve");
        let failed = scan(&endpoint, LIMIT).await.expect_err("dropped");
        assert_eq!(failed.failure(), super::super::ConnectFailure::Dropped, "{failed:?}");
        assert!(failed.failure().remedy().contains("PerSourcePenalties"));
        dropper.abort();
        let _ = dropper.await;
    }
}
