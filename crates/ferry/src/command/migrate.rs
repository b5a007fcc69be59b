//! `ferry migrate`

use api::client::ClientError;
use api::task::{MigrationRequest, Task, TaskState};

use super::Context;
use crate::cli::MigrateArgs;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::watch::{End, Signals, Watch};
use crate::{render, say};

pub(super) async fn run(context: &Context, args: MigrateArgs) -> Result<Exit, Failure> {
    // From here on Ctrl-C must not end this process unheard: it would leave open whether the move was begun.
    let mut signals = Signals::catch()?;
    let (only_plan, detached) = (args.plan, args.detach);
    let request = request(args)?;
    if only_plan {
        let plan = context.client.plan(&request).await?;
        if context.json {
            say::json(&plan)?
        } else {
            say::out(&render::plan::plan(&plan))?
        }
        return Ok(Exit::Done);
    }
    let accepted = tokio::select! {
        accepted = context.client.migrate(&request) => accepted,
        exit = signals.next() => {
            say::err("ferry: interrupted while ferryd was checking; the migration may still begin: ferry task list");
            return Ok(exit);
        }
    };
    let task = accepted.map_err(unsure)?;
    if !task.findings.is_empty() {
        say::err(&render::finding::findings(&task.findings));
    }
    if detached {
        return detach(context, &task);
    }
    if task.state.is_settled() {
        return conclude(context, &task);
    }
    let screen = Screen::for_migrate(context);
    finish(context, Watch::new(context, task, screen, &mut signals).run().await?)
}

/// The request as it is sent.
fn request(args: MigrateArgs) -> Result<MigrationRequest, Failure> {
    let mapping = args.mapping.read()?;
    Ok(MigrationRequest {
        vm: args.vm,
        source: args.from,
        destination: args.to,
        max_downtime_ms: args.max_downtime,
        bandwidth_mib_s: args.bandwidth,
        secure: args.secure,
        post_copy: args.post_copy,
        tls: args.transport.tls,
        parallel: args.transport.parallel,
        via: args.transport.via,
        compress: args.transport.compress,
        zerocopy: args.transport.zerocopy,
        rdma: args.transport.rdma,
        direct: args.transport.direct,
        ignore: args.ignore,
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
        snapshots: args.leaving.snapshots,
        copy: args.leaving.copy,
        delete_source_disks: args.leaving.delete_source_disks,
    })
}

/// Where it is not known whether the request arrived, says so.
fn unsure(error: ClientError) -> Failure {
    match error {
        ClientError::Timeout { .. } | ClientError::Broken { .. } => {
            Failure::hint(error, "The migration may have begun all the same: ferry task list")
        }
        _ => error.into(),
    }
}

fn detach(context: &Context, task: &Task) -> Result<Exit, Failure> {
    if context.json {
        say::json(task)?
    } else {
        say::out(&render::task::left_running(task))?
    }
    Ok(Exit::Done)
}

fn finish(context: &Context, end: End) -> Result<Exit, Failure> {
    match end {
        End::Settled(task) => conclude(context, &task),
        End::Left(task, exit) => {
            if context.json {
                say::json(&task)?;
            }
            Ok(exit)
        }
    }
}

/// Prints what a migration came to.
fn conclude(context: &Context, task: &Task) -> Result<Exit, Failure> {
    if context.json {
        say::json(task)?;
    }
    summarise(task, context.json)?;
    Ok(Exit::of_task(task))
}

/// Prints the summary: to standard output where all is well, as a diagnostic where it is not. With JSON on standard output,
/// only the latter.
pub(super) fn summarise(task: &Task, json: bool) -> Result<(), Failure> {
    let summary = render::task::summary(task);
    if task.state != TaskState::Done {
        say::err(&format!("ferry: {summary}"));
    } else if !json {
        say::out(&summary)?;
    }
    Ok(())
}
