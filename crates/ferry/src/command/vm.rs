//! `ferry vm`

use api::vm::VmQuery;

use super::Context;
use crate::cli::VmCommand;
use crate::exit::{Exit, Failure};
use crate::{render, say};

pub(super) async fn run(context: &Context, command: VmCommand) -> Result<Exit, Failure> {
    match command {
        VmCommand::List { host, state } => {
            let vms = context.client.vms(&VmQuery { host, state }).await?;
            if context.json { say::json(&vms)? } else { say::out(&render::vm::vms(vms))? }
        }
        VmCommand::Show { vm, host } => {
            let vm = context.client.vm(&vm, host.as_deref()).await?;
            if context.json { say::json(&vm)? } else { say::out(&render::vm::vm(&vm))? }
        }
    }
    Ok(Exit::Done)
}
