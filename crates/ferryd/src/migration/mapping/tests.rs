//! What of a request fits a domain, and what is bad input.

use api::problem::Code;

use super::*;
use crate::model::DomainUuid;
use crate::model::domain::{DomainSight, Reason};

const XML: &str = "<domain type='kvm'><name>web1</name><uuid>2f1f2f0a-6b0c-4f5e-9d0a-3f6d2f1f2f0a</uuid><devices>\
                   <disk type='file' device='disk'><source file='/images/web1'/><target dev='vda'/></disk>\
                   <interface type='network'><source network='default'/></interface>\
                   <interface type='bridge'><source bridge='br0'/></interface>\
                   <graphics type='vnc' listen='192.0.2.1'><listen type='address' address='192.0.2.1'/></graphics>\
                   <graphics type='spice'><listen type='network' network='consoles'/></graphics></devices></domain>";

fn domain(xml: &str) -> DomainFacts {
    let definition = crate::libvirt::xml::definition(xml).unwrap();
    let sight = DomainSight {
        state: api::vm::VmState::Shutoff,
        reason: Reason::Other,
        persistent: true,
        autostart: false,
        job: false,
        run: None,
    };
    let mut facts = DomainFacts::new(DomainUuid(definition.uuid), definition, sight);
    facts.xml = xml.to_owned();
    facts.persistent_xml = Some(xml.to_owned());
    facts
}

fn request(change: impl FnOnce(&mut MigrationRequest)) -> MigrationRequest {
    let mut request = MigrationRequest::default();
    change(&mut request);
    request
}

fn one(old: &str, new: &str) -> Names {
    Names::from([(old.to_owned(), new.to_owned())])
}

/// The problem that a request comes to, by the field it names and what it says.
fn problem(change: impl FnOnce(&mut MigrationRequest)) -> (String, String) {
    let asked = of_migration(&request(change));
    let problem = asked.and_then(|asked| fits(&asked, &domain(XML))).unwrap_err();
    assert_eq!(problem.code, Code::BadValue, "{problem:?}");
    (problem.field.clone().unwrap_or_default(), problem.detail)
}

fn patch(changes: &str) -> Option<String> {
    Some(format!("<diff>{changes}</diff>"))
}

#[test]
fn only_a_drive_with_a_medium_of_its_own_is_ejected() {
    let (field, detail) = problem(|request| request.eject = vec!["vda".to_owned()]);
    assert_eq!(field, "eject");
    assert_eq!(detail, "web1 has no CD-ROM or floppy drive vda: it has none. Nothing was changed.");
    let cd = XML.replacen("device='disk'", "device='cdrom'", 1);
    let asked = of_migration(&request(|request| request.eject = vec!["vda".to_owned()])).unwrap();
    assert_eq!(fits(&asked, &domain(&cd)), Ok(()));
    assert!(of_migration(&request(|request| request.eject = vec![String::new()])).is_err());
}

#[test]
fn nothing_asked_for_changes_nothing() {
    let asked = of_migration(&MigrationRequest::default()).unwrap();
    assert!(asked.is_empty());
    assert_eq!(fits(&asked, &domain(XML)), Ok(()));
}

#[test]
fn what_it_has_can_be_mapped() {
    let asked = of_migration(&request(|request| {
        request.network = one("default", "lan");
        request.network.insert("consoles".to_owned(), "lan".to_owned());
        request.bridge = one("br0", "br1");
        request.graphics_listen = one("192.0.2.1", "0.0.0.0");
        request.rename = Some("web 2".to_owned());
        request.xml_patch = patch("<add sel='/domain'><title>x</title></add>");
    }))
    .unwrap();
    assert_eq!(fits(&asked, &domain(XML)), Ok(()));
}

#[test]
fn what_it_does_not_have_is_told_with_what_it_has() {
    let (field, said) = problem(|request| request.network = one("lan", "x"));
    assert_eq!(field, "network");
    assert!(said.contains("web1 has no network lan: it has consoles, default."), "{said}");
    let (field, said) = problem(|request| request.bridge = one("br9", "x"));
    assert_eq!(field, "bridge");
    assert!(said.contains("it has br0."), "{said}");
    let (field, said) = problem(|request| request.graphics_listen = one("10.0.0.1", "0.0.0.0"));
    assert_eq!(field, "graphics_listen");
    assert!(said.contains("192.0.2.1"), "{said}");
}

#[test]
fn names_are_such_that_libvirt_takes_them() {
    for name in ["", " ", " a", "a/b", "-a", ".a", "a\nb", &"x".repeat(241)] {
        assert_eq!(problem(|request| request.rename = Some(name.to_owned())).0, "rename", "{name:?}");
    }
    assert_eq!(problem(|request| request.network = one("default", "")).0, "network");
    assert_eq!(problem(|request| request.bridge = one("br0", "a\u{7}")).0, "bridge");
    // No control character, and yet none that XML knows.
    let (_, said) = problem(|request| request.rename = Some("a\u{fffe}".to_owned()));
    assert!(said.contains("no XML can"), "{said}");
}

#[test]
fn a_patch_fits_each_document_of_the_domain() {
    let said = |changes: &str| {
        let (field, said) = problem(|request| request.xml_patch = patch(changes));
        assert_eq!(field, "xml_patch");
        said
    };
    assert!(said("<move/>").starts_with("The patch cannot be read"), "{}", said("<move/>"));
    assert!(said("<remove sel='/domain/title'/>").contains("matches 0 nodes"));
    assert!(said("<remove sel='/domain/uuid'/>").contains("UUID"));
    assert!(said("<replace sel='/domain/name/text()'>x</replace>").contains("--rename"));
    let elsewhere = "<replace sel='/domain/devices/disk/source/@file'>/other</replace>";
    assert!(said(elsewhere).contains("where the data of a disk"), "{}", said(elsewhere));
    let nvram = "<add sel='/domain'><os><nvram>/x</nvram></os></add>";
    assert!(said(nvram).contains("the variables of the firmware"));

    let mut running = domain(XML);
    running.migratable_xml = Some(XML.to_owned());
    let more = "<add sel='/domain/devices'><rng model='virtio'/></add>";
    let asked = of_migration(&request(|request| request.xml_patch = patch(more))).unwrap();
    assert_eq!(fits(&asked, &domain(XML)), Ok(()), "of one that is stopped");
    let problem = fits(&asked, &running).unwrap_err();
    assert!(problem.detail.contains("the patch changes devices/rng."), "{problem:?}");

    // As it runs it has what the definition of its next start has not.
    let mut running = domain(XML);
    running.migratable_xml = Some(XML.replace("<devices>", "<title>x</title><devices>"));
    let asked = of_migration(&request(|request| request.xml_patch = patch("<remove sel='/domain/title'/>")));
    assert_eq!(fits(&asked.unwrap(), &running).unwrap_err().field.as_deref(), Some("xml_patch"));
}

#[test]
fn spice_clients_are_sent_to_a_host() {
    for good in [
        "spice://kvm2",
        "spice://10.0.0.2:5901",
        "spice://[::1]:5901?tlsPort=5902",
        "spice://kvm2/?tlsPort=1",
    ] {
        assert_eq!(graphics_uri_fits(Some(good)), Ok(()), "{good}");
    }
    assert_eq!(graphics_uri_fits(None), Ok(()));
    for bad in [
        "",
        "spice",
        "spice://",
        "vnc://kvm2",
        "kvm2",
        "spice://kvm2:0",
        "spice://kvm2:99999",
        "spice://a b",
        "spice://u@kvm2",
    ] {
        let problem = graphics_uri_fits(Some(bad)).expect_err(bad);
        assert_eq!(problem.field.as_deref(), Some("graphics_uri"));
    }
}
