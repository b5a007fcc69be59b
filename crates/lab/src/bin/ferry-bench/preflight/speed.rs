//! How long the checks take.

use std::time::Instant;

use anyhow::{Context, Result};

use super::rig::Rig;
use super::situation::{Situation, What, disk, image, interface};
use crate::figures::{Spread, tenth, thousandth};

pub(super) struct Speed {
    pub(super) median_ms: f64,
    pub(super) ratio: f64,
    pub(super) unreachable_ms: f64,
}

/// Four disks and two interfaces, over ssh, on connections that are open.
pub(super) fn measure(rig: &Rig, times: u32) -> Result<Speed> {
    let paths = ["a", "b", "c", "d"].map(|name| (format!("vd{name}"), format!("/srv/shared/{name}.img")));
    let mut situation = Situation::go("speed", "four disks and two interfaces")
        .devices(interface("br0", "52:54:00:aa:00:01") + &interface("br0", "52:54:00:aa:00:02"));
    for (target, path) in &paths {
        situation =
            situation.before("kvm1", image("qcow2", path)).devices(disk(target, "qcow2", "none", path));
    }
    rig.build(&situation)?;
    // Connections are warm after the first.
    rig.check("kvm1", "kvm2", false)?;
    let (mut took, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let report = rig.check("kvm1", "kvm2", false)?;
        let slowest = report.questions.iter().map(|question| question.took_ms).max().context("questions")?;
        took.push(report.took_ms as f64);
        ratios.push(report.took_ms as f64 / slowest.max(1) as f64);
    }
    let median = |values: Vec<f64>| Spread::of(values).map(|spread| spread.median).context("times");
    let (median_ms, ratio) = (tenth(median(took)?), thousandth(median(ratios)?));
    rig.lab.host("kvm2").cut()?;
    let asked = Instant::now();
    rig.check("kvm1", "kvm2", false)?;
    let unreachable_ms = tenth(asked.elapsed().as_secs_f64() * 1000.0);
    rig.lab.host("kvm2").join()?;
    rig.clear(&situation.after("kvm2", What::CableIn))?;
    Ok(Speed { median_ms, ratio, unreachable_ms })
}
