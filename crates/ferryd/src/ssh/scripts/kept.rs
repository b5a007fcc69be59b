//! The script about what libvirt keeps of a stopped domain beside its definition.

use super::super::wrapper::shell_quoted;

/// What [`kept`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Files of its TPM's state.
    pub tpm_files: Vec<String>,
    /// Why they could not be listed.
    pub tpm_unread: Option<String>,
    /// By what its saved memory is compressed, if by anything; or why that could not be read. None where it was not asked for.
    pub saved: Option<Result<Option<String>, String>>,
}

/// A script that looks at the place of a TPM's state and at the head of a file of saved memory; read by [`parse_kept`].
#[must_use]
pub fn kept(tpm: Option<&str>, saved: Option<&str>) -> String {
    let word = |path: Option<&str>| {
        path.filter(|path| path.starts_with('/') && !path.chars().any(char::is_control))
            .map_or_else(String::new, shell_quoted)
    };
    format!("TPM={} SAVED={}\n{}", word(tpm), word(saved), include_str!("kept.sh"))
}

/// What [`kept`] printed; none if it is not whole.
#[must_use]
pub fn parse_kept(output: &str) -> Option<Kept> {
    let mut found = Kept::default();
    for line in output.lines() {
        match line.split_once('\t') {
            Some(("tpm", path)) => found.tpm_files.push(path.to_owned()),
            Some(("tpm-unread", why)) => found.tpm_unread = Some(why.trim().to_owned()),
            Some(("saved", head)) => found.saved = Some(compression(head)),
            Some(("saved-unread", why)) => found.saved = Some(Err(why.trim().to_owned())),
            _ if line == "end" => {
                found.tpm_files.sort();
                return Some(found);
            }
            _ => {}
        }
    }
    None
}

/// By what saved memory is compressed, by the head of its file (`virQEMUSaveHeader` and `virQEMUSaveFormat` of libvirt's
/// `qemu_saveimage.h`).
fn compression(head: &str) -> Result<Option<String>, String> {
    const MAGIC: &str = "LibvirtQemudSave";
    /// The second is that of Debian 12 and 13.
    const VERSIONS: [u32; 2] = [1, 2];
    const PROGRAMS: [&str; 6] = ["", "gzip", "bzip2", "xz", "lzop", "zstd"];
    let strange = || format!("its head is none that is known: {head}");
    // The numbers may follow the word at once.
    let rest = head.strip_prefix(MAGIC).ok_or_else(strange)?;
    let numbers: Vec<u32> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [version, _, _, compressed] = numbers.as_slice() else { return Err(strange()) };
    let program = usize::try_from(*compressed).ok().and_then(|at| PROGRAMS.get(at)).ok_or_else(strange)?;
    if !VERSIONS.contains(version) {
        return Err(strange());
    }
    Ok(Some((*program).to_owned()).filter(|program| !program.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::Shell;
    use std::time::Duration;

    async fn look(tpm: &str, saved: &str) -> Kept {
        let script = kept(Some(tpm), Some(saved));
        let output = Shell::local().run(&script, Duration::from_secs(20)).await.expect("it runs");
        assert!(output.success(), "{output:?}");
        parse_kept(&output.stdout).expect("whole")
    }

    #[tokio::test]
    async fn the_files_of_a_tpm_are_listed() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join("7b2c").display().to_string();
        assert_eq!(look(&place, "").await, Kept::default(), "it was never started");
        std::fs::create_dir_all(format!("{place}/tpm2")).expect("a directory");
        for name in [".lock", "tpm2-00.permall", "a b"] {
            std::fs::write(format!("{place}/tpm2/{name}"), [7]).expect("a file");
        }
        let files = vec![format!("{place}/tpm2/a b"), format!("{place}/tpm2/tpm2-00.permall")];
        assert_eq!(look(&place, "").await, Kept { tpm_files: files, ..Kept::default() });
    }

    #[tokio::test]
    async fn the_head_of_saved_memory_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.save").display().to_string();
        let head = |compressed: u32| {
            let numbers = [2_u32, 9000, 1, compressed, 0].map(u32::to_ne_bytes).concat();
            [b"LibvirtQemudSave".as_slice(), &numbers, b"<domain/>"].concat()
        };
        let told = async |content: Vec<u8>| {
            std::fs::write(&path, content).expect("a file");
            look("", &path).await.saved.expect("asked for")
        };
        assert_eq!(told(head(0)).await, Ok(None));
        assert_eq!(told(head(3)).await, Ok(Some("xz".to_owned())));
        assert!(told(head(77)).await.is_err(), "a format of a later libvirt");
        assert!(told(b"LibvirtQemudPart".repeat(3)).await.is_err(), "one that is not complete");
        assert!(told(b"short".to_vec()).await.is_err());
        assert!(look("", "/no/such/file").await.saved.expect("asked for").is_err());
        assert_eq!(parse_kept("tpm\t/a\n"), None, "half an answer is none");
    }
}
