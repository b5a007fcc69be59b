//! Values of the command line: names, addresses, amounts with units. Everything is refused here that would be refused later,
//! before anything is sent.

use api::task::StorageMapping;
use uuid::Uuid;

/// Longest pause that libvirt can be asked for.
const MAX_DOWNTIME_MS: u128 = 2_000_000;
/// Largest bandwidth limit that is taken.
const MAX_BANDWIDTH_MIB_S: u128 = 1_000_000;

/// The beginning of a task's id, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskRef {
    /// All of it.
    Id(Uuid),
    /// Its first hexadecimal digits, in lower case, without hyphens.
    Prefix(String),
}

impl TaskRef {
    /// Whether it means this task.
    pub(crate) fn matches(&self, id: Uuid) -> bool {
        match self {
            Self::Id(own) => *own == id,
            Self::Prefix(prefix) => id.simple().to_string().starts_with(prefix),
        }
    }
}

/// Reads a task's id or its beginning.
///
/// # Errors
/// Says what is wrong with the text; so for every function of this module.
pub(crate) fn task_ref(text: &str) -> Result<TaskRef, String> {
    if let Ok(id) = text.parse::<Uuid>() {
        return Ok(TaskRef::Id(id));
    }
    let digits: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    let hexadecimal = digits.chars().all(|c| c.is_ascii_hexdigit());
    if digits.is_empty() || digits.len() > 32 || !hexadecimal || text.starts_with('-') {
        return Err("a task's id, or the beginning of one, as `ferry task list --all` shows it".to_owned());
    }
    Ok(TaskRef::Prefix(digits))
}

/// Reads the name of a registered host.
pub(crate) fn host_name(text: &str) -> Result<String, String> {
    plain(text, "a host name")?;
    if text.len() > 64 {
        return Err("a host name has at most 64 characters".to_owned());
    }
    if text.starts_with('.') {
        return Err("a host name does not begin with '.'".to_owned());
    }
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return Err("a host name holds only letters, digits, '.', '_' and '-'".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a virtual machine's name or UUID.
pub(crate) fn vm_name(text: &str) -> Result<String, String> {
    match plain(text, "a virtual machine's name") {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; give its UUID instead where it is really called so")),
    }
}

/// Reads what is to become of something on the destination: OLD=NEW.
pub(crate) fn mapping(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() && !text.chars().any(char::is_control) => {
            Ok((old.to_owned(), new.to_owned()))
        }
        _ => Err("a mapping looks like OLD=NEW".to_owned()),
    }
}

/// Reads the name that a virtual machine is to have.
pub(crate) fn new_name(text: &str) -> Result<String, String> {
    plain(text, "a virtual machine's name")?;
    if text.starts_with('.') || text.contains('/') {
        return Err("a virtual machine's name does not begin with '.' and holds no '/'".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads the code of a finding.
pub(crate) fn code(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 64 || text.starts_with('-') || !text.chars().all(fine) {
        return Err("the code of a finding, as it stands in [brackets] behind it".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a disk's name in its virtual machine.
pub(crate) fn disk(text: &str) -> Result<String, String> {
    plain(text, "a disk's name")?;
    if text == "*" {
        return Err("each disk is named by itself".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads where a disk's image is made: `vda=POOL`, `vda=POOL/NAME`, `*=POOL`.
pub(crate) fn storage(text: &str) -> Result<StorageMapping, String> {
    const EXAMPLE: &str =
        "a disk and a storage pool are needed, like vda=fast, vda=fast/web1.qcow2 or '*=fast'";
    let (disk, place) = text.split_once('=').ok_or(EXAMPLE)?;
    let (pool, volume) = place.split_once('/').map_or((place, None), |(pool, volume)| (pool, Some(volume)));
    for part in [Some(disk), Some(pool), volume].into_iter().flatten() {
        if part.is_empty() || part.chars().any(char::is_control) {
            return Err(EXAMPLE.to_owned());
        }
    }
    if volume.is_some_and(|volume| volume.contains('/') || matches!(volume, "." | "..")) {
        return Err("the name of an image in a pool is a plain file name".to_owned());
    }
    if disk == "*" && volume.is_some() {
        return Err("several disks cannot have one name: leave it out after '*=POOL'".to_owned());
    }
    Ok(StorageMapping { disk: disk.to_owned(), pool: pool.to_owned(), volume: volume.map(str::to_owned) })
}

/// Reads a libvirt connection URI.
pub(crate) fn uri(text: &str) -> Result<String, String> {
    plain(text, "a libvirt URI")?;
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err("a libvirt URI looks like qemu+ssh://root@kvm2/system".to_owned());
    };
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    {
        return Err("a libvirt URI begins with its scheme, like qemu+ssh:".to_owned());
    }
    if let Some(rest) = rest.strip_prefix("//") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if user.is_some_and(|user| user.starts_with('-')) || host.starts_with('-') {
            return Err("a user or host name that begins with '-' would be taken for an option".to_owned());
        }
        if user.is_some_and(|user| user.contains(':')) {
            return Err("a URI must not hold a password; use --password-stdin".to_owned());
        }
    }
    Ok(text.to_owned())
}

/// Reads an address, or a network: an address and how many of its bits are the network's.
pub(crate) fn via(text: &str) -> Result<String, String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let wrong = || "an address like 10.1.0.2, or a network like 10.1.0.0/24".to_owned();
    let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match bits.map(str::parse::<u8>) {
        None => Ok(text.to_owned()),
        Some(Ok(bits)) if bits <= most => Ok(text.to_owned()),
        Some(_) => Err(wrong()),
    }
}

/// Reads the fingerprint of an ssh host key.
pub(crate) fn fingerprint(text: &str) -> Result<String, String> {
    // SHA-256 in base64 without padding, as ssh-keygen and ssh show it.
    let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    match text.strip_prefix("SHA256:") {
        Some(hash) if hash.len() == 43 && hash.chars().all(base64) => Ok(text.to_owned()),
        _ => {
            Err("a fingerprint looks like SHA256: and 43 characters, as `ssh-keygen -lf` shows it".to_owned())
        }
    }
}

/// Reads a time and gives it in milliseconds.
pub(crate) fn downtime_ms(text: &str) -> Result<u64, String> {
    let units = [("ms", 1), ("s", 1000)];
    let (amount, scale) = amount(text, &units, "300ms or 1.5s")?;
    if amount == 0 || amount / scale > MAX_DOWNTIME_MS {
        return Err("a pause of 1ms to 2000s can be asked for".to_owned());
    }
    whole(amount, scale, "whole milliseconds")
}

/// Reads a bandwidth and gives it in MiB/s.
pub(crate) fn bandwidth_mib_s(text: &str) -> Result<u64, String> {
    let units = [("MiB/s", 1), ("GiB/s", 1024)];
    let (amount, scale) = amount(text, &units, "100MiB/s or 1.5GiB/s")?;
    if amount == 0 || amount / scale > MAX_BANDWIDTH_MIB_S {
        return Err("a bandwidth of 1MiB/s to 1000000MiB/s can be asked for".to_owned());
    }
    whole(amount, scale, "whole MiB/s")
}

/// Reads a decimal number with one of the units; gives it as a fraction (numerator, denominator) of the smallest unit, so
/// that nothing is rounded.
fn amount(text: &str, units: &[(&str, u128)], example: &str) -> Result<(u128, u128), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let known = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ");
    if number.is_empty() {
        return Err(format!("a number with a unit is needed, like {example}"));
    }
    if unit.is_empty() {
        return Err(format!("the unit is missing: write {example}"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        return Err(format!("`{unit}` is not a unit that is taken here; {} is", known()));
    };
    let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
    let bad = || format!("`{number}` is not a number that is taken here; write {example}");
    if fraction.contains('.')
        || digits.len() > 12
        || fraction.len() > 9
        || number.ends_with('.')
        || digits.is_empty()
    {
        return Err(bad());
    }
    let value: u128 = format!("{digits}{fraction}").parse().map_err(|_| bad())?;
    let places = u32::try_from(fraction.len()).map_err(|_| bad())?;
    Ok((value * factor, 10_u128.pow(places)))
}

fn whole(amount: u128, scale: u128, unit: &str) -> Result<u64, String> {
    if !amount.is_multiple_of(scale) {
        return Err(format!("only {unit} are taken"));
    }
    u64::try_from(amount / scale).map_err(|error| error.to_string())
}

/// Refuses what no name holds, and what a program could take for an option.
fn plain(text: &str, what: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} is not empty"));
    }
    if text.starts_with('-') {
        return Err(format!("{what} does not begin with '-'"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("{what} does not hold spaces or control characters"));
    }
    Ok(())
}

/// The name of a user who logs in. HTTP Basic ends it at a colon.
pub(crate) fn user_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        return Err(
            "a user's name is not empty, and has neither a colon nor control characters in it".to_owned()
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in
            [("300ms", 300), ("1.5s", 1500), ("2 s", 2000), ("0.001s", 1), ("2000s", 2_000_000), ("20MS", 20)]
        {
            assert_eq!(downtime_ms(text), Ok(ms), "{text}");
        }
        for (text, reason) in [
            ("300", "the unit is missing: write 300ms or 1.5s"),
            ("", "a number with a unit is needed, like 300ms or 1.5s"),
            ("ms", "a number with a unit is needed, like 300ms or 1.5s"),
            ("-3ms", "a number with a unit is needed, like 300ms or 1.5s"),
            ("3min", "`min` is not a unit that is taken here; ms or s is"),
            ("1.5ms", "only whole milliseconds are taken"),
            ("0ms", "a pause of 1ms to 2000s can be asked for"),
            ("2001s", "a pause of 1ms to 2000s can be asked for"),
            ("1.2.3s", "`1.2.3` is not a number that is taken here; write 300ms or 1.5s"),
            ("1.s", "`1.` is not a number that is taken here; write 300ms or 1.5s"),
            (".5s", "`.5` is not a number that is taken here; write 300ms or 1.5s"),
            (
                "99999999999999999999999999999s",
                "`99999999999999999999999999999` is not a number that is taken here; write 300ms or 1.5s",
            ),
        ] {
            assert_eq!(downtime_ms(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn bandwidths_have_units() {
        for (text, mib_s) in [("100MiB/s", 100), ("1.5GiB/s", 1536), ("1 gib/s", 1024)] {
            assert_eq!(bandwidth_mib_s(text), Ok(mib_s), "{text}");
        }
        for (text, reason) in [
            ("100", "the unit is missing: write 100MiB/s or 1.5GiB/s"),
            ("100MB/s", "`MB/s` is not a unit that is taken here; MiB/s or GiB/s is"),
            ("0.5MiB/s", "only whole MiB/s are taken"),
            ("0MiB/s", "a bandwidth of 1MiB/s to 1000000MiB/s can be asked for"),
            ("1000GiB/s", "a bandwidth of 1MiB/s to 1000000MiB/s can be asked for"),
        ] {
            assert_eq!(bandwidth_mib_s(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn places_of_disks_are_plain() {
        let read = storage("vda=fast/a b.img").unwrap();
        assert_eq!(
            (read.disk.as_str(), read.pool.as_str(), read.volume.as_deref()),
            ("vda", "fast", Some("a b.img"))
        );
        assert_eq!(storage("*=fast").unwrap().volume, None);
        for bad in [
            "",
            "vda",
            "=fast",
            "vda=",
            "vda=/x",
            "vda=fast/",
            "vda=fast/a/b",
            "vda=fast/..",
            "*=fast/x",
            "vda=f\u{7}",
        ] {
            assert!(storage(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_refused_before_anything_is_sent() {
        for bad in ["", "-x", "a b", "a\tb", "a\u{7}b", "a\u{a0}b"] {
            assert!(host_name(bad).is_err() && vm_name(bad).is_err() && uri(bad).is_err(), "{bad:?}");
        }
        for bad in [".x", "a/b", "kvm\u{fc}", &"x".repeat(65)] {
            assert!(host_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(host_name("kvm-2.example_1").as_deref(), Ok("kvm-2.example_1"));
        assert_eq!(vm_name("web/1\u{fc}").as_deref(), Ok("web/1\u{fc}"));
    }

    #[test]
    fn uris_hold_no_options_and_no_passwords() {
        for good in [
            "qemu:///system",
            "qemu+ssh://root@kvm2/system",
            "qemu+tls://[fe80::1]:16514/system?pkipath=/x",
            "test:///default",
        ] {
            assert_eq!(uri(good).as_deref(), Ok(good));
        }
        for bad in [
            "kvm2",
            "://x",
            "qemu+ssh://-oProxyCommand=x/system",
            "qemu+ssh://-l@kvm2/system",
            "qemu+ssh://root:pw@kvm2/system",
        ] {
            assert!(uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fingerprints_are_as_ssh_shows_them() {
        let good = format!("SHA256:{}", "aB3+/".repeat(9).get(..43).unwrap());
        assert_eq!(fingerprint(&good), Ok(good.clone()));
        for bad in [
            "",
            "SHA256:",
            &good[7..],
            &format!("{good}="),
            &good.replace("SHA256", "MD5"),
            &good.replace('+', "-"),
        ] {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn task_ids_may_be_cut() {
        let id: Uuid = "0198c0a1-b2c3-7000-8000-000000000001".parse().unwrap();
        for text in ["0", "0198c0a1", "0198C0A1-B2", "0198c0a1b2c37", "0198c0a1-b2c3-7000-8000-000000000001"]
        {
            assert!(task_ref(text).unwrap().matches(id), "{text}");
        }
        assert!(!task_ref("0199").unwrap().matches(id));
        for bad in ["", "-", "-0", "web1", "0198c0a1-b2c3-7000-8000-0000000000010"] {
            assert!(task_ref(bad).is_err(), "{bad}");
        }
    }
}
