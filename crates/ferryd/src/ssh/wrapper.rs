//! How OpenSSH is started for a registered host: the options, and the wrapper that makes libvirt use them too.
//!
//! The person's own `~/.ssh/config` stays in force (aliases, jump hosts, ports): only what concerns safety and
//! unattended use is set, and what is set on the command line wins over the file.

use crate::model::HostName;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::keys::{KeyError, SshDir, at, write_atomic};
use super::uri::{LibvirtUri, Transport};

/// How long ssh waits for the TCP connection and the host's greeting, in seconds.
const CONNECT_TIMEOUT_S: u32 = 5;
/// After so many seconds of silence ssh asks whether the host is still there …
const ALIVE_INTERVAL_S: u32 = 5;
/// … and after so many unanswered questions gives up. Together 30 s, as long as libvirt's own keep-alive: a cable that
/// is out for less must not break a migration.
const ALIVE_COUNT: u32 = 6;

/// Private keys that ssh tries by itself. Naming any key switches these off, so they are named as well.
const DEFAULT_KEYS: [&str; 6] =
    ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss"];

/// Options that need no file: unattended, verified, and nothing forwarded or run on the side.
const FIXED: [&str; 13] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "ControlMaster=no",
    "ControlPath=none",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    // A command set in the person's configuration would take the place of ours.
    "RemoteCommand=none",
    "RequestTTY=no",
    // Greetings and notices would be taken for error messages.
    "LogLevel=ERROR",
    "NumberOfPasswordPrompts=0",
];

/// What is talked with a host shrinks to a fraction: descriptions of domains and machines, and figures. It is not for data, which does
/// not, and comes faster than it can be tried on.
pub(super) const COMPRESSED: &str = "Compression=yes";

/// The URIs to open with libvirt for a registered host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectUris {
    /// For what is asked and told.
    pub control: String,
    /// For data.
    pub data: String,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Control,
    Data,
}

impl SshDir {
    /// The options with which OpenSSH is started for a registered host, each as its own argument.
    pub fn options(&self, host: &HostName) -> Vec<String> {
        let mut options: Vec<String> = FIXED.iter().map(|option| (*option).to_owned()).collect();
        options.push(format!("ConnectTimeout={CONNECT_TIMEOUT_S}"));
        options.push(format!("ServerAliveInterval={ALIVE_INTERVAL_S}"));
        options.push(format!("ServerAliveCountMax={ALIVE_COUNT}"));
        let own = quoted(&self.known_hosts(host).to_string_lossy());
        options.push(format!("UserKnownHostsFile={own} ~/.ssh/known_hosts ~/.ssh/known_hosts2"));
        options.push(format!("IdentityFile={}", quoted(&self.private_key().to_string_lossy())));
        options.extend(existing_default_keys().map(|name| format!("IdentityFile=~/.ssh/{name}")));
        options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect()
    }

    /// Writes the program that libvirt runs in place of ssh for this host, if it is not there as it should be, and
    /// returns its path. Blocks for a few file operations.
    fn write_wrapper(&self, host: &HostName, purpose: Purpose) -> Result<PathBuf, KeyError> {
        let path = self.wrapper(host, purpose);
        let content = self.wrapper_text(host, purpose);
        let unchanged = match fs::read(&path) {
            Ok(present) => present == content.as_bytes(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(at(&path)(error)),
        };
        if !unchanged {
            write_atomic(&path, 0o700, content.as_bytes()).map_err(at(&path))?;
        }
        Ok(path)
    }

    fn wrapper_text(&self, host: &HostName, purpose: Purpose) -> String {
        let mut options = self.options(host);
        if purpose == Purpose::Control {
            options.extend(["-o".to_owned(), COMPRESSED.to_owned()]);
        }
        let options: String = options.iter().map(|option| format!(" {}", shell_quoted(option))).collect();
        format!(
            "#!/bin/sh\n# Written by ferryd for the host {host}; changes are lost.\nLC_ALL=C\nexport LC_ALL\n\
             exec ssh{options} \"$@\"\n"
        )
    }

    /// The URIs to open with libvirt for a registered host: for ssh they run wrappers, which this writes; other
    /// transports are opened as they are.
    ///
    /// # Errors
    /// A wrapper cannot be written.
    pub fn connect_uris(&self, uri: &LibvirtUri, host: &HostName) -> Result<ConnectUris, KeyError> {
        let for_purpose = |purpose| match uri.transport() {
            Transport::Ssh(_) => {
                let wrapper = self.write_wrapper(host, purpose)?;
                Ok(format!("{uri}?command={}&no_tty=1", percent_escaped(&wrapper.to_string_lossy())))
            }
            _ => Ok(uri.to_string()),
        };
        Ok(ConnectUris { control: for_purpose(Purpose::Control)?, data: for_purpose(Purpose::Data)? })
    }
}

/// The default private keys that the person running this has.
fn existing_default_keys() -> impl Iterator<Item = &'static str> {
    let home = std::env::home_dir();
    DEFAULT_KEYS
        .into_iter()
        .filter(move |name| home.as_ref().is_some_and(|home| home.join(".ssh").join(name).is_file()))
}

/// A path as ssh's configuration wants it: in double quotes, `%` doubled. Quotes, `$` and `\` were refused when the
/// directory was opened.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('%', "%%"))
}

/// A word as a shell wants it.
pub(super) fn shell_quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Everything but unreserved characters and `/` as `%XX`.
fn percent_escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn opened(path: &Path) -> SshDir {
        SshDir::open(path).expect("open")
    }

    #[test]
    fn openssh_reads_the_options_as_they_are_meant() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ssh = opened(&dir.path().join("a %h b"));
        let host: HostName = "kvm2".parse().expect("name");
        let output = Command::new("ssh")
            .arg("-G")
            .args(ssh.options(&host))
            .args(["--", "kvm2"])
            .output()
            .expect("ssh");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let has =
            |line: &str| assert!(text.lines().any(|l| l.starts_with(line)), "{line} is missing in {text}");
        has("batchmode yes");
        has("stricthostkeychecking true");
        has("connecttimeout 5");
        has("clearallforwardings yes");
        has("forwardagent no");
        has("updatehostkeys false");
        // ssh shows the files of known hosts with `%` expanded, and those of keys without.
        has(&format!("userknownhostsfile {}/a %h b/known_hosts.d/kvm2 ", dir.path().display()));
        has(&format!("identityfile {}/a %%h b/id_ed25519", dir.path().display()));
    }

    #[test]
    fn the_wrapper_is_executable_and_written_only_when_it_changes() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ssh = opened(&dir.path().join("s sh"));
        let host: HostName = "kvm2".parse().expect("name");
        let path = ssh.write_wrapper(&host, Purpose::Data).expect("write");
        let first = fs::metadata(&path).expect("metadata");
        assert_eq!(first.permissions().mode() & 0o7777, 0o700);
        ssh.write_wrapper(&host, Purpose::Data).expect("write again");
        assert_eq!(fs::metadata(&path).expect("metadata").ino(), first.ino());
        let output = Command::new(&path).args(["-G", "--", "kvm2"]).output().expect("run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("batchmode yes") && said.contains("compression no"), "{said}");
        let control = ssh.write_wrapper(&host, Purpose::Control).expect("write");
        let output = Command::new(&control).args(["-G", "--", "kvm2"]).output().expect("run");
        assert!(String::from_utf8_lossy(&output.stdout).contains("compression yes"), "{output:?}");
        ssh.forget(&host).expect("forget");
        ssh.forget(&host).expect("forget again");
        assert!(!path.exists() && !control.exists());
    }

    #[test]
    fn the_uri_escapes_the_path_of_the_wrapper() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ssh = opened(&dir.path().join("a &b%c"));
        let host: HostName = "kvm2".parse().expect("name");
        let uri: LibvirtUri = "qemu+ssh://root@kvm2/system".parse().expect("uri");
        let opened = ssh.connect_uris(&uri, &host).expect("connect");
        let expected = |directory: &str| {
            let root = dir.path().display();
            format!("qemu+ssh://root@kvm2/system?command={root}/a%20%26b%25c/{directory}/kvm2&no_tty=1")
        };
        assert_eq!((opened.control, opened.data), (expected("control.d"), expected("wrapper.d")));
        let opened = ssh.connect_uris(&LibvirtUri::local(), &host).expect("connect");
        assert_eq!((opened.control.as_str(), opened.data.as_str()), ("qemu:///system", "qemu:///system"));
    }
}
