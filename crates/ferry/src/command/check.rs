//! `ferry check`

use api::preflight::{PreflightRequest, Report, Verdict};

use super::Context;
use crate::cli::CheckArgs;
use crate::exit::{Exit, Failure};
use crate::{render, say};

pub(super) async fn run(context: &Context, args: CheckArgs) -> Result<Exit, Failure> {
    let one = args.to.is_some();
    let mapping = args.mapping.read()?;
    let request = PreflightRequest {
        vm: args.vm,
        source: args.from,
        destination: args.to,
        come_back: args.come_back,
        ignore: args.ignore,
        secure: args.secure,
        post_copy: args.post_copy,
        max_downtime_ms: args.max_downtime,
        bandwidth_mib_s: args.bandwidth,
        storage: args.storage,
        shared: args.shared,
        flatten: args.flatten,
        network: mapping.network,
        bridge: mapping.bridge,
        graphics_listen: mapping.graphics_listen,
        graphics_uri: mapping.graphics_uri,
        eject: mapping.eject,
        rename: mapping.rename,
        xml_patch: mapping.xml_patch,
        tls: args.transport.tls,
        parallel: args.transport.parallel,
        via: args.transport.via,
        compress: args.transport.compress,
        zerocopy: args.transport.zerocopy,
        rdma: args.transport.rdma,
        direct: args.transport.direct,
        snapshots: args.leaving.snapshots,
        copy: args.leaving.copy,
        delete_source_disks: args.leaving.delete_source_disks,
    };
    let reports = context.client.check(&request).await?;
    if context.json {
        say::json(&reports)?;
    } else if one {
        for report in &reports {
            say::out(&render::check::report(report))?;
        }
    } else {
        say::out(&render::check::reports(&reports))?;
    }
    let go = reports.iter().any(goes);
    Ok(if go { Exit::Done } else { Exit::Refused })
}

/// Whether the way there is free, and, where that was asked, the way home.
fn goes(report: &Report) -> bool {
    let home = report.come_back.as_ref().is_none_or(|home| home.verdict == Verdict::Go);
    report.verdict == Verdict::Go && home
}
