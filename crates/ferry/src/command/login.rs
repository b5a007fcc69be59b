//! Who asks: at an http address `ferryd` wants a login, at its Unix socket it does not.

use std::path::Path;

use api::client::{Address, Client};
use api::problem::Code;
use zeroize::Zeroizing;

use super::Context;
use crate::cli::Global;
use crate::exit::Failure;
use crate::prompt;

/// The client that asks as the user of the command line. The socket's permissions say who asks there: FERRY_USER may stay set.
///
/// # Errors
/// When there is no password, it would go unencrypted over a network, or nobody is named whose it is.
pub(super) async fn logged_in(context: &Context, global: &Global) -> Result<Client, Failure> {
    let client = context.client.clone();
    let address = client.address().clone();
    let Address::Http { .. } = address else { return Ok(client) };
    let Some(user) = &global.user else {
        return match &global.password_file {
            Some(_) => Err(Failure::Usage("--password-file needs --user: whose password is it?".to_owned())),
            None => Ok(client),
        };
    };
    if !address.is_local() {
        return Err(Failure::Plain(format!(
            "a password is not sent unencrypted to {address}; lead a port of this machine there by ssh -L, and use that"
        )));
    }
    let password = match &global.password_file {
        Some(file) if file.as_path() != Path::new("-") => prompt::password_in(file).await,
        None if !context.can_ask => Err(Failure::Usage(format!(
            "there is no terminal to ask for the password of {user}: give --password-file FILE (- is standard input)"
        ))),
        _ => prompt::password(&format!("Password of {user} for {address}: ")).await,
    };
    Ok(client.with_login(user, &Zeroizing::new(password?)))
}

/// Who gave no name is told how to.
pub(super) fn hinted(failure: Failure, global: &Global) -> Failure {
    match failure {
        Failure::Client { error, hint: None }
            if global.user.is_none()
                && error.problem().is_some_and(|problem| problem.code == Code::LoginRequired) =>
        {
            Failure::hint(error, "Log in with --user NAME.")
        }
        other => other,
    }
}
