//! The words that findings are made of.

use api::finding::{Finding, Remedy, Severity};

fn finding(
    severity: Severity,
    code: &str,
    subject: &str,
    message: String,
    evidence: String,
    remedy: Option<Remedy>,
) -> Finding {
    let (code, subject) = (code.to_owned(), subject.to_owned());
    Finding { code, severity, subject, message, evidence, remedy, cost: None }
}

/// The migration would fail or do harm.
pub(super) fn blocker(
    code: &str,
    subject: &str,
    message: String,
    evidence: String,
    remedy: Option<Remedy>,
) -> Finding {
    finding(Severity::Blocker, code, subject, message, evidence, remedy)
}

/// It works, but something may surprise.
pub(super) fn warning(
    code: &str,
    subject: &str,
    message: String,
    evidence: String,
    remedy: Option<Remedy>,
) -> Finding {
    finding(Severity::Warning, code, subject, message, evidence, remedy)
}

/// Good to know.
pub(super) fn note(code: &str, subject: &str, message: String, evidence: String) -> Finding {
    finding(Severity::Note, code, subject, message, evidence, None)
}

/// What to do, where no one command does it.
pub(super) fn advice(text: &str) -> Option<Remedy> {
    Some(Remedy { text: text.to_owned(), command: None, host: None })
}

/// The command that does it; `host` is where to run it, none where `ferry` runs.
pub(super) fn command(text: &str, command: String, host: Option<&str>) -> Option<Remedy> {
    Some(Remedy { text: text.to_owned(), command: Some(command), host: host.map(str::to_owned) })
}

/// A word as it can be pasted into a shell.
pub(super) fn shell_word(word: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '@' | ':' | ',' | '+');
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_owned();
    }
    let quoted = format!("'{}'", word.replace('\'', r"'\''"));
    if word.starts_with('-') { format!("-- {quoted}") } else { quoted }
}

/// A size as people read it.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// These, for a sentence; "none" where there are none.
pub(super) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_safe_to_paste() {
        assert_eq!(shell_word("web1"), "web1");
        assert_eq!(shell_word("/images/web1.qcow2"), "/images/web1.qcow2");
        assert_eq!(shell_word("my vm"), "'my vm'");
        assert_eq!(shell_word("a'; reboot"), r"'a'\''; reboot'");
        assert_eq!(shell_word("-x"), "-- '-x'");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(1536 << 20), "1.5 GiB");
        assert_eq!(size(300 << 20), "300 MiB");
    }
}
