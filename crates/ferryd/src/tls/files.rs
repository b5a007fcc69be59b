//! Files of certificates and keys.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::{Result, TlsError};

/// Whether something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It was.
    New,
    /// It was there.
    There,
}

pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

/// Writes a file and the directories it is in. It is never there half: it comes under another name first.
pub(super) fn make(path: &Path, mode: u32, text: &str) -> Result<()> {
    let written = || -> std::io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
            if directory.ends_with("private") {
                fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
            }
        }
        let new = path.with_extension("new");
        // One that a run left which was killed may have another mode.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    written().map_err(|source| TlsError::File { path: path.to_owned(), source })
}
