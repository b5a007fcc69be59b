use super::*;
use crate::model::definition::Tpm;
use crate::model::facts::{DiskImage, SavedMemory, TpmState};
use Severity::{Blocker, Note, Warning};
use api::task::SnapshotsWish;

const SAVED: &str = "/var/lib/libvirt/qemu/save/web1.save";
const TPM: &str = "/var/lib/libvirt/swtpm/web1";
const TPM_FILE: &str = "/var/lib/libvirt/swtpm/web1/tpm2/tpm2-00.permall";

fn here(facts: &mut Facts, path: &str) {
    source(facts).shell.as_mut().unwrap().paths.insert(path.to_owned(), file("ext4"));
}

/// It is stopped, with memory that was saved.
fn saved(facts: &mut Facts) -> &mut SavedMemory {
    let definition = defined(facts).clone();
    domain(facts).sight.state = VmState::Shutoff;
    here(facts, SAVED);
    meeting(facts).sharing.push((SAVED.to_owned(), Sharing::Missing));
    let path = SAVED.to_owned();
    domain(facts).saved.insert(SavedMemory { path, definition: Some(definition), ..SavedMemory::default() })
}

/// It is stopped, with an emulated TPM.
fn tpm(facts: &mut Facts) -> &mut TpmState {
    domain(facts).sight.state = VmState::Shutoff;
    defined(facts).tpm = Some(Tpm { backend: "emulator".to_owned(), ..Tpm::default() });
    here(facts, TPM_FILE);
    meeting(facts).sharing.push((TPM_FILE.to_owned(), Sharing::Missing));
    let files = vec![TPM_FILE.to_owned()];
    domain(facts).tpm_state.insert(TpmState { place: TPM.to_owned(), files, unread: None })
}

/// What is seen of its last file, instead.
fn last_is(facts: &mut Facts, sharing: Sharing) {
    meeting(facts).sharing.last_mut().unwrap().1 = sharing;
}

#[test]
fn of_what_is_kept_beside_a_definition() {
    assert_found(&[
        ("managed-save-carried", Note, |facts| {
            saved(facts);
        }),
        ("managed-save", Blocker, |facts| saved(facts).unread = Some("a later format".to_owned())),
        ("managed-save", Blocker, |facts| saved(facts).compressed_by = Some("lzop".to_owned())),
        ("managed-save-carried", Note, |facts| {
            saved(facts).compressed_by = Some("xz".to_owned());
            there(facts).programs = vec!["xz".to_owned()];
        }),
        ("managed-save", Blocker, |facts| {
            let definition = saved(facts).definition.as_mut().unwrap();
            definition.disks[0].source = Source::File("/images/other.qcow2".to_owned());
        }),
        ("managed-save", Blocker, |facts| {
            saved(facts);
            reception(facts).cpu =
                Some(CpuVerdict::Missing { features: vec!["avx512f".to_owned()], said: String::new() });
        }),
        ("managed-save", Blocker, |facts| {
            saved(facts);
            last_is(facts, Sharing::Different("another file".to_owned()));
        }),
        ("tpm-state-carried", Note, |facts| {
            tpm(facts);
        }),
        ("tpm-state-stays", Blocker, |facts| tpm(facts).unread = Some("no shell".to_owned())),
        ("tpm-state-stays", Blocker, |facts| {
            tpm(facts);
            last_is(facts, Sharing::Unknown("no mark".to_owned()));
        }),
        ("tpm-state-taken", Blocker, |facts| {
            tpm(facts);
            last_is(facts, Sharing::Different("another file".to_owned()));
        }),
    ]);
}

#[test]
fn memory_is_not_loaded_by_an_older_qemu_nor_as_another_machine() {
    let mut facts = good();
    saved(&mut facts);
    destination(&mut facts).hypervisor_version = 7_000_000;
    assert_eq!(codes(&facts), ["managed-save", "qemu-older"]);
    let mut facts = good();
    saved(&mut facts);
    reception(&mut facts).machine = Some(Err("no such machine".to_owned()));
    assert_eq!(codes(&facts), ["machine-type-missing", "managed-save"]);
    let remedy = check(&facts).remove(1).remedy.unwrap();
    assert_eq!(remedy.command.as_deref(), Some("virsh start web1"));
    assert!(remedy.text.contains("virsh managedsave-remove web1"), "{remedy:?}");
}

#[test]
fn a_tpm_that_was_never_started_or_that_both_hosts_see_needs_nothing() {
    let mut facts = good();
    tpm(&mut facts).files.clear();
    assert_eq!(check(&facts), []);
    let mut facts = good();
    tpm(&mut facts);
    last_is(&mut facts, Sharing::Shared("a mark".to_owned()));
    assert_eq!(check(&facts), []);
}

fn with_snapshot(facts: &mut Facts) {
    domain(facts).snapshots = vec!["before".to_owned()];
}

fn stopped_with_snapshot(facts: &mut Facts) {
    with_snapshot(facts);
    domain(facts).sight.state = VmState::Shutoff;
    facts.wanted.snapshots = Some(SnapshotsWish::Drop);
}

/// Its disk is on the source alone, and copied.
fn copied(facts: &mut Facts) {
    meeting(facts).sharing = vec![(IMAGE.to_owned(), Sharing::Missing)];
    here(facts, IMAGE);
    missing_there(facts, IMAGE);
    there(facts).paths.get_mut(IMAGE).unwrap().free_bytes = 100 * GIB;
    disk(facts).format = Some("qcow2".to_owned());
    let target = "vda".to_owned();
    domain(facts).images = vec![DiskImage { target, capacity_bytes: GIB, ..DiskImage::default() }];
    facts.wanted.copy = true;
}

#[test]
fn of_what_is_left_behind() {
    assert_found(&[
        ("snapshots", Blocker, with_snapshot),
        ("snapshots-external", Blocker, |facts| {
            with_snapshot(facts);
            domain(facts).sight.state = VmState::Shutoff;
            domain(facts).external_snapshots = vec!["before".to_owned()];
        }),
        ("snapshots-dropped", Note, stopped_with_snapshot),
        ("snapshots-dropped", Note, |facts| {
            with_snapshot(facts);
            facts.wanted.snapshots = Some(SnapshotsWish::Drop);
        }),
        ("snapshots-dropped", Note, |facts| {
            stopped_with_snapshot(facts);
            domain(facts).external_snapshots = vec!["before".to_owned()];
        }),
        ("copy-shared", Blocker, |facts| facts.wanted.copy = true),
    ]);
    let mut facts = good();
    copied(&mut facts);
    assert_eq!(codes(&facts), ["disk-copied"], "it has a disk of its own");
    domain(&mut facts).sight.persistent = false;
    assert_eq!(codes(&facts), ["copy-transient", "disk-copied"]);
}

#[test]
fn a_copy_has_variables_and_a_tpm_of_its_own() {
    let mut facts = good();
    copied(&mut facts);
    defined(&mut facts).firmware.nvram = Some("/nvram/web1.fd".to_owned());
    here(&mut facts, "/nvram/web1.fd");
    assert_eq!(codes(&facts), ["disk-copied"]);
    source(&mut facts).shell.as_mut().unwrap().paths.insert("/nvram/web1.fd".to_owned(), file("nfs4"));
    assert_eq!(codes(&facts), ["copy-shared", "disk-copied"]);
    defined(&mut facts).firmware.nvram = None;
    tpm(&mut facts);
    let found = check(&facts);
    let warnings =
        found.iter().filter(|finding| finding.severity == Warning).map(|finding| finding.code.as_str());
    assert_eq!(warnings.collect::<Vec<_>>(), ["copy-new-tpm"]);
    saved(&mut facts);
    assert!(codes(&facts).contains(&"managed-save".to_owned()), "a copy would start from its disks");
}

#[test]
fn snapshots_of_one_that_runs_go_along_when_that_is_asked_for() {
    let mut facts = good();
    with_snapshot(&mut facts);
    facts.wanted.snapshots = Some(SnapshotsWish::Keep);
    assert_eq!(check(&facts), []);
}

#[test]
fn snapshots_are_forgotten_one_by_one() {
    let mut facts = good();
    domain(&mut facts).snapshots = vec!["a".to_owned(), "b c".to_owned()];
    let remedy = check(&facts).remove(0).remedy.unwrap();
    assert_eq!(
        remedy.command.as_deref(),
        Some("virsh snapshot-delete web1 a --metadata && virsh snapshot-delete web1 'b c' --metadata")
    );
}

#[test]
fn snapshots_in_an_image_are_not_copied_while_it_runs() {
    let mut facts = good();
    copied(&mut facts);
    with_snapshot(&mut facts);
    facts.wanted.snapshots = Some(SnapshotsWish::Keep);
    assert_eq!(codes(&facts), ["snapshots-not-copied", "disk-copied"]);
    facts.wanted.snapshots = Some(SnapshotsWish::Drop);
    assert_eq!(codes(&facts), ["disk-copied", "snapshots-dropped"]);
}
