//! Where this machine gets its Debian packages from: the lab uses the same archive, and names none itself.

use std::process::Command;

use anyhow::{Context, Result};

/// Counts up when what is made of the archive changes.
pub(crate) const MARK: u32 = 1;
const SUITES: &[&str] = &["bookworm", "trixie", "stable", "oldstable"];

/// The archive of the machine's own sources, `FERRY_LAB_MIRROR` if set.
pub(crate) fn uri() -> Result<String> {
    if let Ok(uri) = std::env::var("FERRY_LAB_MIRROR") {
        return Ok(uri);
    }
    let format = "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(URI)";
    let output = Command::new("apt-get").args(["indextargets", "--format", format]).output();
    let output = output.context("apt-get cannot be started: the lab needs a Debian machine")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    pick(&text)
        .context("apt has no source with Debian's main component (FERRY_LAB_MIRROR can name an archive)")
}

/// The base of the first Debian archive in the list of apt's index files.
fn pick(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (kind, suite, component, uri) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let wanted = kind == "Packages" && SUITES.contains(&suite) && component == "main";
        let base = uri.split_once(&format!("/dists/{suite}/")).map(|(base, _)| base.to_owned());
        base.filter(|_| wanted)
    })
}

/// The machine's proxy settings for apt, as options of `mmdebstrap`.
pub(crate) fn apt_options() -> Vec<String> {
    let output = Command::new("apt-config").args(["dump", "Acquire"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let proxies =
        text.lines().filter(|line| line.to_ascii_lowercase().contains("proxy") && !line.contains("\"\""));
    proxies.map(|line| format!("--aptopt={line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn the_main_archive_is_found_among_others() {
        let targets = "Packages nodistro main http://other.example/dists/nodistro/main/binary-amd64/Packages\n\
                       Translations bookworm main http://a.example/debian/dists/bookworm/main/i18n/Translation-en\n\
                       Packages bookworm-security main http://s.example/x/dists/bookworm-security/main/Packages\n\
                       Packages bookworm main http://a.example/debian/dists/bookworm/main/binary-amd64/Packages\n";
        assert_eq!(pick(targets).as_deref(), Some("http://a.example/debian"));
    }

    #[test]
    fn none_is_an_answer() {
        assert_eq!(pick(""), None);
    }
}
