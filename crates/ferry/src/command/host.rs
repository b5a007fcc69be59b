//! `ferry host`

use api::client::ClientError;
use api::host::{Host, HostRequest};
use api::problem::Code;
use zeroize::Zeroize;

use super::Context;
use crate::cli::{HostAdd, HostCommand};
use crate::exit::{Exit, Failure};
use crate::{prompt, render, say};

pub(super) async fn run(context: &Context, command: HostCommand) -> Result<Exit, Failure> {
    match command {
        HostCommand::Add(args) => return add(context, args).await,
        HostCommand::List => {
            let hosts = context.client.hosts().await?;
            if context.json { say::json(&hosts)? } else { say::out(&render::host::hosts(hosts))? }
        }
        HostCommand::Show { name } => {
            let host = context.client.host(&name).await?;
            if context.json { say::json(&host)? } else { say::out(&render::host::host(&host))? }
        }
        HostCommand::Remove { name, force } => {
            context.client.remove_host(&name, force).await?;
            if context.json { say::json(&())? } else { say::out(&format!("{name} is forgotten."))? }
        }
    }
    Ok(Exit::Done)
}

async fn add(context: &Context, args: HostAdd) -> Result<Exit, Failure> {
    let mut request = HostRequest {
        name: args.name,
        uri: args.uri,
        peer_uri: args.peer_uri,
        migrate_via: args.migrate_via,
        password: None,
        fingerprint: args.fingerprint,
    };
    if args.password_stdin {
        request.password = Some(password(context, "Password: ").await?);
    }
    let added = negotiate(context, &mut request).await;
    // It was needed this once.
    request.password.zeroize();
    let host = added?;
    if context.json {
        say::json(&host)?;
    } else {
        let machine = host.info.as_ref().map(|info| {
            format!(
                " ({}, {} {}, libvirt {})",
                info.hostname, info.hypervisor, info.hypervisor_version, info.libvirt_version
            )
        });
        say::out(&format!("{} is registered{}.", host.name, machine.unwrap_or_default()))?;
    }
    Ok(Exit::Done)
}

/// Asks to register the host, and again with what turns out to be missing. Each of them can be missing once only.
async fn negotiate(context: &Context, request: &mut HostRequest) -> Result<Host, Failure> {
    let asked_for_key = request.fingerprint.is_some();
    loop {
        let error = match context.client.add_host(request).await {
            Ok(host) => return Ok(host),
            Err(error) => error,
        };
        match error.problem().map(|problem| problem.code) {
            Some(Code::HostKeyUnknown) if request.fingerprint.is_none() => {
                request.fingerprint = Some(trust(context, request, error).await?);
            }
            Some(Code::HostKeyUnknown) if asked_for_key => {
                return Err(Failure::hint(error, "The host's key is not the one given with --fingerprint."));
            }
            Some(Code::AccessDenied) if request.password.is_none() => {
                if !context.can_ask {
                    let hint =
                        "Give the password with --password-stdin, or put a key that ferryd has on the host.";
                    return Err(Failure::hint(error, hint));
                }
                let question = format!("Password for {} (used once, not stored): ", request.uri);
                request.password = Some(password(context, &question).await?);
            }
            _ => return Err(error.into()),
        }
    }
}

/// Lets a person confirm the host's key; gives its fingerprint.
async fn trust(context: &Context, request: &HostRequest, error: ClientError) -> Result<String, Failure> {
    let Some(fingerprint) = error.problem().and_then(|problem| problem.fingerprint.clone()) else {
        return Err(error.into());
    };
    if !context.can_ask {
        let hint = format!("If that is the host's key, repeat the command with --fingerprint {fingerprint}");
        return Err(Failure::hint(error, hint));
    }
    say::err(&format!(
        "The ssh key of {} ({}) is not known yet. Its fingerprint is",
        request.name, request.uri
    ));
    say::err(&format!("  {fingerprint}"));
    let answer = prompt::line("Trust this key? [y/N] ").await?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        Ok(fingerprint)
    } else {
        Err(Failure::Plain("the key was not trusted; nothing was registered".to_owned()))
    }
}

/// Reads a password, unless it would have to be sent in the clear.
async fn password(context: &Context, question: &str) -> Result<String, Failure> {
    let address = context.client.address();
    if !address.is_local() {
        return Err(Failure::Plain(format!(
            "a password is not sent unencrypted to {address}; run this where ferryd runs, or put a key on the host"
        )));
    }
    prompt::password(question).await
}
