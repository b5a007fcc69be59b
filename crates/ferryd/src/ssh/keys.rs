//! Ferry's own key pair and the files it keeps for each registered host, in one directory that only Ferry may read:
//!
//! ```text
//! ssh/id_ed25519, id_ed25519.pub   the key pair, made on first use
//! ssh/known_hosts.d/NAME           the keys that a person trusted for the registered host NAME
//! ssh/wrapper.d/NAME               the program that libvirt runs as ssh for it
//! ssh/control.d/NAME               the same, for what is talked, which is compressed
//! ```
//!
//! Every file is written beside its place and then moved there, so that a crash leaves either the old or the new one.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

use super::wrapper::Purpose;
use crate::model::HostName;

/// Name of the private key's file.
const KEY: &str = "id_ed25519";

/// Why Ferry's ssh directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The directory's path is relative, not UTF-8, or holds a character that ssh's configuration cannot quote.
    #[error(
        "{0:?} cannot hold ssh keys: the path must be absolute and free of quotes, '$', '\\' and control characters"
    )]
    Path(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The private key's file does not hold an ed25519 key without a passphrase.
    #[error(
        "{path}: not an unencrypted OpenSSH ed25519 key: {reason}; move it away and Ferry makes a new one"
    )]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A public key, checked, in the one-line form of OpenSSH. Its text is safe inside single quotes of a shell: the
/// comment is reduced to letters, digits and `@ . _ -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicLine {
    algorithm: String,
    blob: String,
    comment: String,
    fingerprint: String,
}

impl PublicLine {
    fn from_key(key: &PublicKey, comment: &str) -> Option<Self> {
        // The comment is cut off before encoding, because it may hold anything.
        let bare = PublicKey::new(key.key_data().clone(), "").to_openssh().ok()?;
        let (algorithm, blob) = bare.trim_end().split_once(' ')?;
        let safe = |c: &char| c.is_ascii_alphanumeric() || "@._-".contains(*c);
        Some(Self {
            algorithm: algorithm.to_owned(),
            blob: blob.to_owned(),
            comment: comment.chars().filter(safe).take(128).collect(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        })
    }

    /// The key's base64 part, by which it is found in a file.
    pub fn blob(&self) -> &str {
        &self.blob
    }

    /// The algorithm, for example `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The fingerprint, `SHA256:` and base64.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl From<&PublicKey> for PublicLine {
    fn from(key: &PublicKey) -> Self {
        // Encoding a key that was just decoded cannot fail; an empty line would match nothing.
        Self::from_key(key, key.comment().as_str_lossy()).unwrap_or_else(|| Self {
            algorithm: key.algorithm().to_string(),
            blob: String::new(),
            comment: String::new(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        })
    }
}

impl FromStr for PublicLine {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let key =
            PublicKey::from_openssh(line.trim()).map_err(|error| format!("not a public key: {error}"))?;
        Ok(Self::from(&key))
    }
}

impl fmt::Display for PublicLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.algorithm, self.blob)?;
        if self.comment.is_empty() { Ok(()) } else { write!(out, " {}", self.comment) }
    }
}

/// Ferry's ssh directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SshDir {
    root: PathBuf,
    public: PublicLine,
}

impl SshDir {
    /// Opens the directory, making it (0700) and the key pair (0600) on first use. Two processes that do so at once end
    /// up with the same key. Blocks for a few file operations.
    ///
    /// # Errors
    /// The directory or key cannot be made or read, or the key is not one that Ferry can use.
    pub fn open(root: &Path) -> Result<Self, KeyError> {
        let quotable =
            |text: &str| !text.contains(['"', '\'', '$', '\\']) && !text.chars().any(char::is_control);
        if !root.is_absolute() || !root.to_str().is_some_and(quotable) {
            return Err(KeyError::Path(root.to_owned()));
        }
        for directory in
            [root.to_owned(), root.join("known_hosts.d"), root.join("wrapper.d"), root.join("control.d")]
        {
            private_directory(&directory).map_err(at(&directory))?;
        }
        let key = load_or_make(&root.join(KEY))?;
        let public = PublicLine::from(key.public_key());
        let beside = root.join(KEY).with_extension("pub");
        write_atomic(&beside, 0o644, format!("{public}\n").as_bytes()).map_err(at(&beside))?;
        Ok(Self { root: root.to_owned(), public })
    }

    /// Ferry's public key, as it goes into `authorized_keys`; the comment is `ferry@HOSTNAME`.
    pub fn public_line(&self) -> &PublicLine {
        &self.public
    }

    /// The private key's file.
    pub fn private_key(&self) -> PathBuf {
        self.root.join(KEY)
    }

    /// The file of keys trusted for a registered host; need not exist.
    pub fn known_hosts(&self, host: &HostName) -> PathBuf {
        self.root.join("known_hosts.d").join(host.as_str())
    }

    /// The wrapper of a registered host; need not exist.
    pub(super) fn wrapper(&self, host: &HostName, purpose: Purpose) -> PathBuf {
        let directory = match purpose {
            Purpose::Control => "control.d",
            Purpose::Data => "wrapper.d",
        };
        self.root.join(directory).join(host.as_str())
    }

    /// Removes every file kept for a registered host. Files that are gone already are no error.
    ///
    /// # Errors
    /// A file is there and cannot be removed.
    pub fn forget(&self, host: &HostName) -> Result<(), KeyError> {
        let [control, data] = [Purpose::Control, Purpose::Data].map(|purpose| self.wrapper(host, purpose));
        for path in [self.known_hosts(host), control, data] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Names the file in an error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyError + '_ {
    move |source| KeyError::File { path: path.to_owned(), source }
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

fn load_or_make(path: &Path) -> Result<PrivateKey, KeyError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(at(path)(error)),
        Ok(_) => {}
    }
    // Read back in every case: a second process may have been first.
    let text = fs::read(path).map_err(at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(at(path))?;
    let unusable = |reason: String| KeyError::Key { path: path.to_owned(), reason };
    let key = PrivateKey::from_openssh(&text).map_err(|error| unusable(error.to_string()))?;
    if key.is_encrypted() || key.algorithm() != Algorithm::Ed25519 {
        return Err(unusable("it is encrypted or of another kind".to_owned()));
    }
    Ok(key)
}

/// Makes a key and puts it in place, unless another process has put one there meanwhile.
fn make(path: &Path) -> Result<(), KeyError> {
    let failed = |error: russh::keys::ssh_key::Error| KeyError::Key {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut key =
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).map_err(failed)?;
    key.set_comment(format!("ferry@{}", hostname()));
    let text = key.to_openssh(LineEnding::LF).map_err(failed)?;
    let beside = beside(path);
    let placed =
        write_new(&beside, 0o600, text.as_bytes()).and_then(|()| match fs::hard_link(&beside, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
    let removed = fs::remove_file(&beside);
    placed.and(removed).map_err(at(path))
}

fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "controller".to_owned() } else { name.trim().to_owned() }
}

/// Replaces a file in one step, so that a reader sees the old or the new content and never a part.
pub(super) fn write_atomic(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let placed = write_new(&beside, mode, content).and_then(|()| fs::rename(&beside, path));
    if placed.is_err() {
        // The first error is the one to report; the leftover is only untidy.
        let _ = fs::remove_file(&beside);
    }
    placed
}

fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The mode given at creation is cut by the umask.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

/// A name in the same directory that no other process and no registered host has (those do not begin with a dot).
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}", uuid::Uuid::new_v4()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let root = dir.path().join("a b").join("ssh");
        let first = SshDir::open(&root).expect("open");
        let second = SshDir::open(&root).expect("open again");
        assert_eq!(first.public_line(), second.public_line());
        assert!(first.public_line().to_string().starts_with("ssh-ed25519 AAAA"));
        assert!(first.public_line().to_string().contains(" ferry@"));
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
        assert_eq!(mode(&root), 0o700);
        assert_eq!(mode(&first.private_key()), 0o600);
        assert!(
            fs::read_dir(&root).expect("list").all(|e| !e
                .expect("entry")
                .file_name()
                .as_encoded_bytes()
                .starts_with(b"."))
        );
    }

    #[test]
    fn many_at_once_agree_on_one_key() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let lines: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| SshDir::open(&dir.path().join("ssh")))).collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("join").expect("open").public_line().to_string())
                .collect()
        });
        assert!(lines.iter().all(|line| *line == lines[0]));
    }

    #[test]
    fn unusable_places_and_keys_are_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        assert!(matches!(SshDir::open(Path::new("relative")), Err(KeyError::Path(_))));
        assert!(matches!(SshDir::open(&dir.path().join("a\"b")), Err(KeyError::Path(_))));
        let root = dir.path().join("ssh");
        fs::create_dir(&root).expect("mkdir");
        fs::write(root.join(KEY), "not a key").expect("write");
        assert!(matches!(SshDir::open(&root), Err(KeyError::Key { .. })));
    }

    #[test]
    fn a_public_line_keeps_nothing_that_a_shell_could_read() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let own = SshDir::open(&dir.path().join("ssh")).expect("open").public_line().clone();
        let line: PublicLine =
            format!("{} {} it's $(id) me@x", own.algorithm(), own.blob()).parse().expect("parse");
        assert_eq!(line.to_string(), format!("{} {} itsidme@x", own.algorithm(), own.blob()));
        assert!("ssh-ed25519 AAAA';id;'".parse::<PublicLine>().is_err());
        assert!("".parse::<PublicLine>().is_err());
    }
}
