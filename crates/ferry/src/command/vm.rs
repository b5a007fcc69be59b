//! `ferry vm`

use api::host::HostState;
use api::vm::VmQuery;

use super::Context;
use crate::cli::VmCommand;
use crate::exit::{Exit, Failure};
use crate::{render, say};

pub(super) async fn run(context: &Context, command: VmCommand) -> Result<Exit, Failure> {
    match command {
        VmCommand::List { host, state } => {
            let vms = context.client.vms(&VmQuery { host: host.clone(), state }).await?;
            if context.json {
                say::json(&vms)?;
            } else {
                say::out(&render::vm::vms(vms))?;
                not_shown(context, host.as_deref()).await;
            }
        }
        VmCommand::Show { vm, host } => {
            let vm = context.client.vm(&vm, host.as_deref()).await?;
            if context.json { say::json(&vm)? } else { say::out(&render::vm::vm(&vm))? }
        }
    }
    Ok(Exit::Done)
}

/// Tells which hosts cannot be asked: what they have is not "not there". (The list itself stands; a failure here is none of its.)
async fn not_shown(context: &Context, only: Option<&str>) {
    let Ok(hosts) = context.client.hosts().await else { return };
    let silent = hosts.iter().filter(|host| host.state != HostState::Connected);
    for host in silent.filter(|host| only.is_none_or(|only| only == host.name)) {
        say::err(&format!("{} cannot be asked now: its virtual machines are not shown.", host.name));
    }
}
