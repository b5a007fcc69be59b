//! This machine's own users, asked through PAM.

use std::ffi::{CStr, CString};

use nix::unistd::{Group, User, getgrouplist};
use pam_client2::{Context, ConversationHandler, Error, ErrorCode, Flag};

use super::{Account, CheckFailed, PasswordCheck};
use crate::ssh::Secret;

/// The service PAM is asked as: `/etc/pam.d/ferry` says what a login takes. Where there is no such file PAM goes by
/// `/etc/pam.d/other`, which on Debian asks for the same as any login.
const SERVICE: &str = "ferry";

/// Checks passwords with PAM, and looks users up as the system does.
#[derive(Clone, Copy, Debug)]
pub struct Pam;

impl PasswordCheck for Pam {
    fn check(&self, name: &str, password: &Secret) -> Result<Option<Account>, CheckFailed> {
        match authenticate(name, password) {
            Ok(()) => account(name),
            Err(error) if is_refusal(error.code()) => Ok(None),
            Err(error) => Err(CheckFailed(format!("PAM: {error}"))),
        }
    }
}

fn authenticate(name: &str, password: &Secret) -> Result<(), Error> {
    let mut context = Context::new(SERVICE, Some(name), Answers { name, password })?;
    context.authenticate(Flag::SILENT | Flag::DISALLOW_NULL_AUTHTOK)?;
    context.acct_mgmt(Flag::SILENT | Flag::DISALLOW_NULL_AUTHTOK)
}

/// Whether PAM says no, rather than that it does not know.
fn is_refusal(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::AUTH_ERR
            | ErrorCode::USER_UNKNOWN
            | ErrorCode::MAXTRIES
            | ErrorCode::PERM_DENIED
            | ErrorCode::ACCT_EXPIRED
            | ErrorCode::CRED_EXPIRED
            | ErrorCode::AUTHTOK_EXPIRED
            | ErrorCode::NEW_AUTHTOK_REQD
            | ErrorCode::CONV_ERR
    )
}

/// What PAM's modules are answered: the password, where they ask for a secret.
struct Answers<'a> {
    name: &'a str,
    password: &'a Secret,
}

impl ConversationHandler for Answers<'_> {
    fn prompt_echo_on(&mut self, _: &CStr) -> Result<CString, ErrorCode> {
        CString::new(self.name).map_err(|_| ErrorCode::CONV_ERR)
    }

    fn prompt_echo_off(&mut self, _: &CStr) -> Result<CString, ErrorCode> {
        // The copy is PAM's from here on.
        CString::new(self.password.reveal()).map_err(|_| ErrorCode::CONV_ERR)
    }

    fn text_info(&mut self, _: &CStr) {}

    fn error_msg(&mut self, _: &CStr) {}
}

/// A user and their groups, as the system's name service has them. A user whom PAM alone knows may nothing here.
fn account(name: &str) -> Result<Option<Account>, CheckFailed> {
    let failed = |error: nix::Error| CheckFailed(format!("the groups of a user cannot be read: {error}"));
    let Some(user) = User::from_name(name).map_err(failed)? else { return Ok(None) };
    let c_name = CString::new(user.name.as_str()).map_err(|error| CheckFailed(error.to_string()))?;
    let mut groups = Vec::new();
    for gid in getgrouplist(&c_name, user.gid).map_err(failed)? {
        // A number without a name is in nobody's list.
        groups.extend(Group::from_gid(gid).map_err(failed)?.map(|group| group.name));
    }
    Ok(Some(Account { name: user.name, uid: user.uid.as_raw(), groups }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_with_its_groups_and_nobody_else() {
        let root = account("root").unwrap().unwrap();
        assert_eq!((root.name.as_str(), root.uid, root.groups[0].as_str()), ("root", 0, "root"));
        assert_eq!(account("nobody-of-this-name").unwrap(), None);
    }
}
