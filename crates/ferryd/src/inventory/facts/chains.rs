//! What lies below the images of a stopped domain. Of one that runs libvirt says it; of a stopped one only the images do.

use super::questions::{Stopwatch, run};
use crate::inventory::member::Member;
use crate::libvirt::survey;
use crate::model::definition::Drive;
use crate::model::facts::DomainFacts;
use crate::ssh::scripts::{self, Chain};

/// Adds to the disks of a stopped domain what lies below them; what could not be read is noted.
pub(super) async fn read(host: &Member, domain: &mut DomainFacts, watch: &Stopwatch) {
    let raw = |format: Option<&str>| format == Some("raw");
    if !domain.is_active() {
        // How an image names what the definition says to lie below it, is not asked.
        domain
            .definition
            .disks
            .iter_mut()
            .flat_map(|disk| &mut disk.backing)
            .for_each(|base| base.by_place = true);
    }
    let images: Vec<(usize, String)> = (domain.definition.disks.iter().enumerate())
        .filter(|(_, disk)| {
            disk.drive == Drive::Disk && disk.backing.is_empty() && !raw(disk.format.as_deref())
        })
        .filter_map(|(at, disk)| {
            let path = disk.source.path().or_else(|| domain.volume_path(&disk.target))?;
            Some((at, path.to_owned()))
        })
        .collect();
    if domain.is_active() || images.is_empty() {
        return;
    }
    let paths: Vec<String> = images.iter().map(|(_, path)| path.clone()).collect();
    let chains = if host.session().is_some() {
        let output = run(host, "what lies below images", &scripts::chains(&paths), watch).await;
        output.and_then(|output| scripts::parse_chains(&output)).unwrap_or_default()
    } else {
        let asked = paths.clone();
        let question = host
            .link()
            .long_call_within("images", watch.left(), move |connect| Ok(survey::chains(connect, &asked)));
        watch.time(host.name(), "what lies below images", question).await.unwrap_or_default()
    };
    for (at, path) in images {
        let told = chains.get(&path).cloned().unwrap_or_else(|| Chain::Unread("it was not told".to_owned()));
        let disk = &mut domain.definition.disks[at];
        match told {
            Chain::Read(below) => disk.backing = below,
            Chain::Unread(why) => domain.chains_unread.push((disk.target.clone(), why)),
        }
    }
}
