//! `ferry task`

use std::time::Duration;

use api::client::{Item, Retry};
use api::task::{ResolveRequest, Task, TaskChange, TaskQuery};
use uuid::Uuid;

use super::migrate::summarise;
use super::{Context, now_ms};
use crate::cli::{ResolveArgs, TaskCommand};
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::value::TaskRef;
use crate::watch::{End, Signals, Watch};
use crate::{render, say};

/// How long the history of a task that has ended is waited for: it lies there, or was tidied away.
const HISTORY_SILENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(context: &Context, command: TaskCommand) -> Result<Exit, Failure> {
    match command {
        TaskCommand::List { all } => {
            let query = TaskQuery { active: (!all).then_some(true), ..TaskQuery::default() };
            let tasks = context.client.tasks(&query).await?;
            if context.json {
                say::json(&tasks)?
            } else {
                say::out(&render::task::tasks(tasks, all, now_ms()))?
            }
        }
        TaskCommand::Show { id } => {
            let task = find(context, &id).await?;
            if context.json { say::json(&task)? } else { say::out(&render::task::task(&task, now_ms()))? }
        }
        TaskCommand::Watch { id } => return watch(context, &id).await,
        TaskCommand::Set { id, bandwidth } => set(context, &id, bandwidth).await?,
        TaskCommand::Cancel { id } => {
            let task = context.client.cancel(full_id(context, &id).await?).await?;
            accepted(context, &task, "is asked to stop")?;
        }
        TaskCommand::Resolve(args) => resolve(context, args).await?,
    }
    Ok(Exit::Done)
}

/// Changes the limit of the bandwidth, and says whether it holds already.
async fn set(context: &Context, id: &TaskRef, bandwidth_mib_s: u64) -> Result<(), Failure> {
    let id = full_id(context, id).await?;
    let task = context.client.change(id, &TaskChange { bandwidth_mib_s }).await?;
    if context.json {
        return say::json(&task);
    }
    let what = if task.bandwidth_mib_s == Some(bandwidth_mib_s) {
        format!("The migration of {} uses at most {bandwidth_mib_s} MiB/s from now on.", task.vm)
    } else {
        format!(
            "The migration of {} uses at most {bandwidth_mib_s} MiB/s as soon as it copies; see: ferry task show {id}",
            task.vm
        )
    };
    say::out(&what)
}

async fn resolve(context: &Context, args: ResolveArgs) -> Result<(), Failure> {
    let id = full_id(context, &args.id).await?;
    let request = ResolveRequest { keep: args.keep, fenced: args.fenced };
    let task = context.client.resolve(id, &request).await?;
    accepted(context, &task, "goes on as decided")
}

fn accepted(context: &Context, task: &Task, what: &str) -> Result<(), Failure> {
    if context.json {
        return say::json(task);
    }
    say::out(&format!("The migration of {} {what}; see its end with: ferry task watch {}", task.vm, task.id))
}

async fn watch(context: &Context, id: &TaskRef) -> Result<Exit, Failure> {
    let task = find(context, id).await?;
    if task.state.is_settled() {
        if context.json {
            history(context, &task).await?;
        }
        summarise(&task, context.json)?;
        return Ok(Exit::of_task(&task));
    }
    if !task.findings.is_empty() && !context.json {
        say::err(&render::finding::findings(&task.findings));
    }
    let mut signals = Signals::catch()?;
    let screen = Screen::for_watch(context);
    match Watch::joining(context, task, screen, &mut signals).run().await? {
        End::Settled(task) => {
            summarise(&task, context.json)?;
            Ok(Exit::of_task(&task))
        }
        End::Left(_, exit) => Ok(exit),
    }
}

/// Prints the events of a task that has ended.
async fn history(context: &Context, task: &Task) -> Result<(), Failure> {
    let client = context.client.clone().with_retry(Retry { tries: 1, ..Retry::default() });
    let mut events = client.events(Some(task.id), 0);
    while let Ok(Ok(item)) = tokio::time::timeout(HISTORY_SILENCE, events.next()).await {
        let Item::Event(event) = item else { break };
        say::json(&event)?;
        if event.task.state == task.state && event.task.updated_at_ms == task.updated_at_ms {
            break;
        }
    }
    Ok(())
}

/// The task that is meant.
async fn find(context: &Context, id: &TaskRef) -> Result<Task, Failure> {
    match id {
        TaskRef::Id(id) => Ok(context.client.task(*id).await?),
        TaskRef::Prefix(prefix) => {
            let tasks = context.client.tasks(&TaskQuery::default()).await?;
            let mut matching = tasks.into_iter().filter(|task| id.matches(task.id));
            match (matching.next(), matching.next()) {
                (Some(task), None) => Ok(task),
                (None, _) => Err(Failure::Named(format!(
                    "no task's id begins with {prefix}; see ferry task list --all"
                ))),
                (Some(first), Some(second)) => Err(Failure::Named(format!(
                    "several tasks' ids begin with {prefix}: {} ({}), {} ({}){}; write more of it",
                    first.id,
                    first.vm,
                    second.id,
                    second.vm,
                    if matching.next().is_some() { " and more" } else { "" }
                ))),
            }
        }
    }
}

/// The id that is meant; one that was given in full is not looked up first.
async fn full_id(context: &Context, id: &TaskRef) -> Result<Uuid, Failure> {
    match id {
        TaskRef::Id(id) => Ok(*id),
        TaskRef::Prefix(_) => Ok(find(context, id).await?.id),
    }
}
