//! A definition is changed where it is to be, and stays as it is elsewhere.

use super::*;

const RUNNING: &str = "<domain type='kvm' id='3'>
  <name>web1</name>
  <uuid>2f1f2f0a-6b0c-4f5e-9d0a-3f6d2f1f2f0a</uuid>
  <metadata><a:x xmlns:a=\"urn:a\">&lt;web1&gt; default</a:x></metadata>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>
  </os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/images/web1.qcow2' index='2'>
        <privateData/>
      </source>
      <backingStore type='file' index='3'>
        <format type='raw'/>
        <source file='/images/base.raw'/>
        <backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='volume' device='disk'>
      <source pool='p' volume='v'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:01'/>
      <source network='default' portid='0' bridge='virbr0'/>
    </interface>
    <interface type='bridge'>
      <source bridge='br0'/>
    </interface>
    <interface type='network'>
      <source network='other'/>
    </interface>
    <graphics type='vnc' port='-1' autoport='yes' listen='192.0.2.1'>
      <listen type='address' address='192.0.2.1'/>
    </graphics>
    <graphics type='spice' listen='192.168.122.1'>
      <listen type='network' address='192.168.122.1' network='default'/>
    </graphics>
  </devices>
</domain>
";

fn by(change: impl FnOnce(&mut Rewrite)) -> Rewrite {
    let mut by = Rewrite::default();
    change(&mut by);
    by
}

fn one(old: &str, new: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(old.to_owned(), new.to_owned())])
}

/// What a rewrite comes to: the lines that are gone, and those that came.
fn changed(by: &Rewrite) -> (Vec<String>, Vec<String>) {
    let rewritten = rewrite(RUNNING, by).unwrap();
    let gone = RUNNING.lines().filter(|line| !rewritten.lines().any(|new| new == *line));
    let came = rewritten.lines().filter(|line| !RUNNING.lines().any(|old| old == *line));
    let words = |line: &str| line.trim().to_owned();
    (gone.map(words).collect(), came.map(words).collect())
}

fn patched(changes: &str) -> Result<String, PatchError> {
    Patch::read(&format!("<diff>{changes}</diff>"))?.apply(RUNNING)
}

#[test]
fn the_watchdog_of_q35_is_left_out_where_it_is_not_known() {
    let other = "<devices><watchdog model='i6300esb' action='reset'/></devices>";
    let named = "<domain><devices><watchdog model='itco' action='reset'/></devices></domain>";
    assert_eq!(without_itco(named), "<domain><devices></devices></domain>");
    assert_eq!(without_itco(other), other);
    assert_eq!(without_itco("<"), "<");
}

#[test]
fn nothing_is_changed_where_nothing_is_asked_for() {
    assert!(Rewrite::default().is_empty());
    assert_eq!(rewrite(RUNNING, &Rewrite::default()).unwrap(), RUNNING);
    let of_others = by(|by| {
        by.networks = one("lan", "wan");
        by.bridges = one("virbr0", "br9");
        by.disks.insert("vdz".to_owned(), PathBuf::from("/x"));
        by.host_files = one("/usr/bin/qemu", "/x");
    });
    assert_eq!(rewrite(RUNNING, &of_others).unwrap(), RUNNING);
}

#[test]
fn a_drive_that_is_ejected_has_nothing_in_it() {
    const CD: &str = "<disk type='volume' device='cdrom'><driver name='qemu' type='raw'/>\
                      <source pool='p' volume='d.iso' index='1'/><backingStore/><target dev='sda' bus='sata'/><readonly/></disk>";
    let xml = format!(
        "<domain><devices>{CD}<disk><source file='/a'/><target dev='vda'/></disk></devices></domain>"
    );
    let eject = by(|by| by.eject = ["sda".to_owned(), "vda".to_owned()].into());
    let gone = "<source pool='p' volume='d.iso' index='1'/><backingStore/>";
    assert_eq!(rewrite(&xml, &eject).unwrap(), xml.replace(gone, "").replace("type='volume'", "type='file'"));
    // A disk of that name, as it was at the time of a snapshot, is no drive.
    let then = "<domainsnapshot><domain><devices><disk type='file' device='disk'><source file='/a'/><target dev='sda'/></disk>\
                </devices></domain></domainsnapshot>";
    assert_eq!(rewrite_snapshot(then, &eject).unwrap(), then);
}

#[test]
fn a_name_is_changed_in_its_place_alone() {
    let (gone, came) = changed(&by(|by| by.name = Some("a<b>&'c'".to_owned())));
    assert_eq!(gone, ["<name>web1</name>"]);
    assert_eq!(came, ["<name>a&lt;b&gt;&amp;&apos;c&apos;</name>"]);
}

#[test]
fn a_network_goes_without_what_the_old_one_was() {
    let (gone, came) = changed(&by(|by| by.networks = one("default", "lan")));
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert_eq!(
        came,
        ["<source network='lan'/>", "<graphics type='spice'>", "<listen type='network' network='lan'/>"]
    );
    let rewritten = rewrite(RUNNING, &by(|by| by.networks = one("default", "lan"))).unwrap();
    assert!(
        rewritten.contains("<interface type='network'>\n      <mac address='52:54:00:00:00:01'/>"),
        "{rewritten}"
    );
}

#[test]
fn a_bridge_and_an_address_go_each_in_their_places() {
    let (gone, came) = changed(&by(|by| {
        by.bridges = one("br0", "br1");
        by.graphics_listen = one("192.0.2.1", "0.0.0.0");
    }));
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert_eq!(
        came,
        [
            "<source bridge='br1'/>",
            "<graphics type='vnc' port='-1' autoport='yes' listen='0.0.0.0'>",
            "<listen type='address' address='0.0.0.0'/>"
        ]
    );
}

#[test]
fn files_of_the_host_go_where_they_stand() {
    let (gone, came) = changed(&by(|by| {
        by.host_files = one("/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm");
        by.host_files.insert("/usr/share/OVMF/OVMF_VARS_4M.fd".to_owned(), "/v".to_owned());
        by.host_files.insert("/usr/share/OVMF/OVMF_CODE_4M.fd".to_owned(), "/c".to_owned());
    }));
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert_eq!(
        came,
        [
            "<loader readonly='yes' type='pflash'>/c</loader>",
            "<nvram template='/v'>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>",
            "<emulator>/usr/libexec/qemu-kvm</emulator>"
        ]
    );
    let beside = "<domain><os><nvram type='file'><source file='/a'/></nvram></os></domain>";
    let moved = rewrite(beside, &by(|by| by.host_files = one("/a", "/b"))).unwrap();
    assert_eq!(moved, beside.replace("/a", "/b"));
}

#[test]
fn a_disk_goes_without_what_was_known_of_the_old_one() {
    let (gone, came) = changed(&by(|by| {
        by.disks.insert("vda".to_owned(), PathBuf::from("/other/web1.qcow2"));
        by.disks.insert("vdb".to_owned(), PathBuf::from("/dev/vg/web1"));
    }));
    assert_eq!(
        came,
        [
            "<source file='/other/web1.qcow2'>",
            "<disk type='block' device='disk'>",
            "<source dev='/dev/vg/web1'/>"
        ]
    );
    assert!(gone.iter().any(|line| line.starts_with("<backingStore")), "{gone:?}");
    assert!(gone.iter().any(|line| line == "<source pool='p' volume='v'/>"), "{gone:?}");
}

#[test]
fn of_an_address_that_goes_and_changes_it_goes() {
    let (_, came) = changed(&by(|by| {
        by.networks = one("default", "lan");
        by.graphics_listen = one("192.168.122.1", "127.0.0.1");
    }));
    assert!(came.contains(&"<graphics type='spice'>".to_owned()), "{came:?}");
    assert!(came.contains(&"<listen type='network' network='lan'/>".to_owned()), "{came:?}");
}

#[test]
fn an_empty_element_is_filled() {
    let xml = "<domain><name /></domain>";
    assert_eq!(
        rewrite(xml, &by(|by| by.name = Some("a".to_owned()))).unwrap(),
        "<domain><name>a</name></domain>"
    );
    let xml = "<domain><name></name></domain>";
    assert_eq!(
        rewrite(xml, &by(|by| by.name = Some("a".to_owned()))).unwrap(),
        "<domain><name>a</name></domain>"
    );
}

#[test]
fn a_snapshot_holds_definitions() {
    let xml = format!("<domainsnapshot><name>web1</name>{}</domainsnapshot>", RUNNING.trim_end());
    let renamed = rewrite_snapshot(&xml, &by(|by| by.name = Some("web2".to_owned()))).unwrap();
    assert!(renamed.starts_with("<domainsnapshot><name>web1</name>"), "{renamed}");
    assert!(renamed.contains("<name>web2</name>"), "{renamed}");
}

#[test]
fn what_is_no_definition_is_refused() {
    let by = by(|by| by.name = Some("a".to_owned()));
    assert!(matches!(rewrite("no xml", &by), Err(RewriteError::NotXml(_))));
    assert!(matches!(rewrite("<network><name>a</name></network>", &by), Err(RewriteError::NotADomain)));
    let control = Rewrite { name: Some("a\u{1}".to_owned()), ..Rewrite::default() };
    assert!(matches!(rewrite(RUNNING, &control), Err(RewriteError::Broken(_))));
}

#[test]
fn a_rewrite_is_stored_and_read_again() {
    let by = by(|by| {
        by.name = Some("web2".to_owned());
        by.patch = Some(Patch::read("<diff><remove sel='/domain/metadata'/></diff>").unwrap());
    });
    let stored = serde_json::to_string(&by).unwrap();
    assert_eq!(serde_json::from_str::<Rewrite>(&stored).unwrap(), by);
    assert_eq!(serde_json::from_str::<Rewrite>("{}").unwrap(), Rewrite::default());
}

#[test]
fn a_patch_changes_what_it_names() {
    let done = patched(
        "<replace sel=\"/domain/devices/interface[1]/source/@network\">lan</replace>
         <replace sel='/domain/devices/emulator/text()'>/a&amp;b</replace>
         <replace sel='/domain/devices/disk[target/@dev=\"vdb\"]/source'><source pool='q' volume='v'/></replace>
         <remove sel='/domain/metadata'/>
         <remove sel='/domain/devices/graphics[2]/@listen'/>
         <add sel='/domain/devices'><rng model='virtio'/></add>
         <add sel='/domain/devices' pos='prepend'><first/></add>
         <add sel='/domain/os' pos='before'><title>x</title></add>
         <add sel='/domain/os' pos='after'><on_crash>destroy</on_crash></add>
         <add sel='/domain/os/loader' type='@secure'>no</add>
         <add sel='/domain' type='namespace::qemu'>http://libvirt.org/schemas/domain/qemu/1.0</add>",
    )
    .unwrap();
    for there in [
        "<source network='lan' portid='0' bridge='virbr0'/>",
        "<emulator>/a&amp;b</emulator>",
        "<source pool='q' volume='v'/>",
        "<graphics type='spice'>",
        "</graphics><rng model='virtio'/>\n  </devices>",
        "<devices><first/>\n",
        "<title>x</title><os>",
        "</os><on_crash>destroy</on_crash>\n",
        "<loader secure='no' readonly",
        "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' type='kvm' id='3'>",
    ] {
        assert!(done.contains(there), "{there} is not in {done}");
    }
    assert!(!done.contains("metadata"));
}

#[test]
fn a_patch_comes_after_the_mappings() {
    let by = by(|by| {
        by.networks = one("default", "lan");
        let text = "<diff><remove sel='/domain/devices/interface[source/@network=\"lan\"]'/></diff>";
        by.patch = Some(Patch::read(text).unwrap());
    });
    assert!(!rewrite(RUNNING, &by).unwrap().contains("52:54:00:00:00:01"));
}

#[test]
fn a_patch_that_fits_not_one_node_is_refused() {
    for (changes, count) in [
        ("<remove sel='/domain/devices/sound'/>", 0),
        ("<remove sel='/domain/devices/interface'/>", 3),
        ("<replace sel='/domain/devices/interface/source/@network'>x</replace>", 2),
        ("<replace sel='/domain/os/@x'>x</replace>", 0),
    ] {
        let error = patched(changes).unwrap_err();
        assert!(matches!(&error, PatchError::Matches { found, .. } if *found == count), "{changes}: {error}");
    }
}

#[test]
fn no_patch_touches_what_a_domain_is_known_by() {
    for changes in [
        "<replace sel='/domain/uuid/text()'>2f1f2f0a-6b0c-4f5e-9d0a-3f6d2f1f2f0b</replace>",
        "<replace sel='/domain/uuid'><uuid/></replace>",
        "<remove sel='/domain/uuid'/>",
        "<add sel='/domain'><uuid>2f1f2f0a-6b0c-4f5e-9d0a-3f6d2f1f2f0b</uuid></add>",
        "<add sel='/domain/name' pos='after'><uuid>2f1f2f0a-6b0c-4f5e-9d0a-3f6d2f1f2f0b</uuid></add>",
        "<replace sel='/domain'><domain/></replace>",
    ] {
        let error = patched(changes).unwrap_err();
        assert!(matches!(error, PatchError::Identity { .. }), "{changes}: {error}");
    }
    let error = patched("<replace sel='/domain/name/text()'>web2</replace>").unwrap_err();
    assert!(error.to_string().contains("--rename"), "{error}");
}

#[test]
fn what_is_no_patch_is_refused() {
    for wrong in [
        "no xml",
        "<patch/>",
        "<diff/>",
        "<diff>text<remove sel='/domain/os'/></diff>",
        "<diff><move sel='/domain/os'/></diff>",
        "<diff><remove/></diff>",
        "<diff><remove sel='/domain/os' ws='both'/></diff>",
        "<diff><remove sel='/domain/os'>x</remove></diff>",
        "<diff><remove sel='//os'/></diff>",
        "<diff><add sel='/domain/os'/></diff>",
        "<diff><add sel='/domain/os/@x'>x</add></diff>",
        "<diff><add sel='/domain/os' pos='inside'><x/></add></diff>",
        "<diff><add sel='/domain/os' type='text'>x</add></diff>",
        "<diff><add sel='/domain/os' type='@a b'>x</add></diff>",
        "<diff><add sel='/domain/os' type='@a'><x/></add></diff>",
        "<diff><replace sel='/domain/os'>x</replace></diff>",
        "<diff><replace sel='/domain/os'><x/><y/></replace></diff>",
        "<diff><replace sel='/domain/os/@x'><x/></replace></diff>",
    ] {
        assert!(Patch::read(wrong).is_err(), "{wrong}");
    }
    let many = format!("<diff>{}</diff>", "<remove sel='/domain/os'/>".repeat(101));
    assert!(matches!(Patch::read(&many), Err(PatchError::Form(_))));
    let long = format!("<diff><add sel='/domain/os'>{}</add></diff>", "x".repeat(patch::PATCH_LIMIT_BYTES));
    assert!(matches!(Patch::read(&long), Err(PatchError::TooLong)));
}

#[test]
fn what_a_patch_breaks_is_said() {
    let error = patched("<remove sel='/domain'/>").unwrap_err();
    assert!(matches!(error, PatchError::Broken { .. }), "{error}");
    let error = patched("<replace sel='/domain'><network/></replace>").unwrap_err();
    assert!(matches!(error, PatchError::Broken { .. }), "{error}");
    let error = patched("<add sel='/domain/os/loader' type='@type'>rom</add>").unwrap_err();
    assert!(matches!(error, PatchError::There { .. }), "{error}");
    let error = patched("<add sel='/domain/os' type='@b:c'>rom</add>").unwrap_err();
    assert!(matches!(error, PatchError::Broken { .. }), "a prefix that nobody declared: {error}");
}
