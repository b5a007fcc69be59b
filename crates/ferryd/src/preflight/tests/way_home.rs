use std::collections::BTreeSet;

use super::storage_and_network::only_here;
use super::*;
use crate::model::TaskId;
use crate::model::facts::{LeftImage, Occupied};
use crate::plan::{disks_as_moved, files_as_moved};

/// What is found of the way home before the way there was gone: nothing of the domain is on kvm2 yet.
fn home_of(there: &Facts) -> Facts {
    let mut home = Facts {
        source: there.destination.clone(),
        destination: there.source.clone(),
        domain: there.domain.clone(),
        ..good()
    };
    if let Some(domain) = &mut home.domain {
        disks_as_moved(there, &BTreeSet::new(), domain);
    }
    meeting(&mut home).sharing = vec![(IMAGE.to_owned(), Sharing::Different("it is there only".to_owned()))];
    home
}

#[test]
fn a_disk_that_goes_along_is_on_the_other_host_then() {
    for state in [VmState::Running, VmState::Shutoff] {
        let mut there = good();
        only_here(&mut there);
        domain(&mut there).sight.state = state;
        let mut home = home_of(&there);
        assert!(codes(&home).contains(&"disk-source-missing".to_owned()), "as it is before the move");
        // The image that stays bars the way, and that is said of it.
        files_as_moved(&there, &mut home);
        assert_eq!(codes(&home), ["disk-not-shared"], "{:#?}", check(&home));
        let found = check(&home).remove(0);
        assert!(found.message.contains("the image that the move from kvm1 leaves there"), "{found:#?}");
        assert!(found.remedy.unwrap().text.contains("--delete-source-disks"));
        // Without it, it is copied home.
        there.wanted.delete_source_disks = true;
        let mut home = home_of(&there);
        files_as_moved(&there, &mut home);
        assert_eq!(codes(&home), ["disk-copied"], "{:#?}", check(&home));
    }
}

#[test]
fn an_image_that_an_earlier_move_left_is_told_as_such() {
    let mut facts = good();
    only_here(&mut facts);
    meeting(&mut facts).sharing[0].1 = Sharing::Different("another file".to_owned());
    let told = |facts: &Facts| {
        assert_eq!(codes(facts), ["disk-not-shared"]);
        check(facts).remove(0)
    };
    assert!(told(&facts).message.contains("an image that an earlier move left, perhaps"));
    let task = TaskId::new();
    reception(&mut facts).left = vec![LeftImage { path: IMAGE.to_owned(), task: Some(task) }];
    let found = told(&facts);
    assert!(
        found.message.contains(&format!("an earlier move left on kvm2 is there by its path (task {task})"))
    );
    let remedy = found.remedy.unwrap();
    assert_eq!(remedy.command, Some(format!("rm {IMAGE}")));
    assert_eq!(remedy.host.as_deref(), Some("kvm2"));
    // What another one uses is not to be removed.
    reception(&mut facts).occupied =
        vec![Occupied { domain: "web2".to_owned(), paths: vec![IMAGE.to_owned()], ..Occupied::default() }];
    assert_eq!(told(&facts).remedy.unwrap().command, None);
}
