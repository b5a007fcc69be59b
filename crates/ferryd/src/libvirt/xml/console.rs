//! Where a domain's consoles are.

use super::{Result, attribute, child, parse, path};

/// The alias of the first serial console that a person can be given: of the serial lines, or else the consoles, of a running
/// domain the first one that is a pty. (`virDomainOpenConsole` carries nothing else.)
///
/// # Errors
/// It is no domain's XML.
pub fn serial_console(xml: &str) -> Result<Option<String>> {
    let document = parse("definition", xml)?;
    let devices: Vec<_> = path(document.root_element(), &["devices"])
        .into_iter()
        .flat_map(|devices| devices.children())
        .collect();
    let first = |kind: &str| {
        let mut ptys =
            devices.iter().filter(|node| node.has_tag_name(kind) && node.attribute("type") == Some("pty"));
        ptys.find_map(|node| attribute(child(*node, "alias")?, "name"))
    };
    Ok(first("serial").or_else(|| first("console")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pty_is_the_console() {
        let domain = |devices: &str| format!("<domain><devices>{devices}</devices></domain>");
        for (devices, alias) in [
            ("", None),
            ("<serial type='file'><alias name='serial0'/></serial>", None),
            ("<serial type='pty'><target port='0'/></serial>", None),
            (
                "<serial type='file'><alias name='serial0'/></serial><serial type='pty'><alias name='serial1'/></serial>
                 <serial type='pty'><alias name='serial2'/></serial><console type='file'><alias name='serial0'/></console>",
                Some("serial1"),
            ),
            ("<console type='pty'><alias name='console0'/></console>", Some("console0")),
        ] {
            assert_eq!(serial_console(&domain(devices)).unwrap().as_deref(), alias, "{devices}");
        }
        assert!(serial_console("<domain").is_err());
    }
}
